"""Test-time views: the eight orientations of the image plane, at any scale, or a flip that changes by window."""

from typing import NamedTuple

import torch


class Turn(NamedTuple):
    """An orientation of (..., H, W): rows and columns change places, or not; then axes are flipped."""

    transposed: bool
    flipped: tuple[int, ...]


TURNS = {
    "identity": Turn(False, ()),
    "flip_h": Turn(False, (-1,)),
    "flip_v": Turn(False, (-2,)),
    "rot180": Turn(False, (-2, -1)),
    "rot90": Turn(True, (-2,)),  # counter-clockwise
    "rot270": Turn(True, (-1,)),
    "transpose": Turn(True, ()),
    "anti_transpose": Turn(True, (-2, -1)),
}
ALTERNATING = "alternating"
FLIPS = ("identity", "flip_h", "flip_v", "rot180")  # that `alternating` shows


class View(NamedTuple):
    """What a view's name says."""

    turn: str  # of TURNS, or ALTERNATING
    factor: float  # px that it sees of one that the others see

    @classmethod
    def of(cls, name: str) -> "View":
        turn, _, factor = name.partition("@")
        return cls(turn, float(factor or 1))

    def turn_of(self, row: int, column: int) -> str:
        """The turn of a window by its place in the grid: two that overlap side by side differ under `alternating`."""
        return FLIPS[row % 2 * 2 + column % 2] if self.turn == ALTERNATING else self.turn


def turned(pixels: torch.Tensor, turn: str) -> torch.Tensor:
    """The turn of (..., H, W)."""
    transposed, flipped = TURNS[turn]
    pixels = pixels.transpose(-2, -1) if transposed else pixels
    return pixels.flip(flipped) if flipped else pixels


def turned_back(pixels: torch.Tensor, turn: str) -> torch.Tensor:
    """What `turned` was given, from what it gave."""
    transposed, flipped = TURNS[turn]
    pixels = pixels.flip(flipped) if flipped else pixels
    return pixels.transpose(-2, -1) if transposed else pixels
