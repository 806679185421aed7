"""The eight orientations of a square window, as an order in which its rows and columns are read."""

from typing import NamedTuple

import numpy as np


class Turn(NamedTuple):
    """An orientation: pixel (i, j) shows row i and column j, or the other way round; then i, j may count backwards."""

    swapped: bool = False  # i runs along the columns of what was read
    up: bool = False  # i counts backwards
    left: bool = False  # j counts backwards

    @property
    def mirrors(self) -> bool:
        """Whether left becomes right, which no rotation does."""
        return (self.swapped + self.up + self.left) % 2 == 1


def _horizontal(turn: Turn) -> Turn:
    return turn._replace(left=not turn.left)


def _vertical(turn: Turn) -> Turn:
    return turn._replace(up=not turn.up)


def _transposed(turn: Turn) -> Turn:
    return Turn(not turn.swapped, turn.left, turn.up)


def _any(turn: Turn, random: np.random.Generator) -> Turn:
    for change in (_horizontal, _vertical, _transposed):
        turn = change(turn) if random.random() < 0.5 else turn
    return turn


def _quarters(turn: Turn, random: np.random.Generator) -> Turn:
    for _ in range(random.integers(4)):
        turn = _transposed(_horizontal(turn))
    return turn


TURNS = {  # by albumentations' names: (turn, random) → turn
    "HorizontalFlip": lambda turn, random: _horizontal(turn),
    "VerticalFlip": lambda turn, random: _vertical(turn),
    "Transpose": lambda turn, random: _transposed(turn),
    "RandomRotate90": _quarters,
    "D4": _any,
    "SquareSymmetry": _any,
}


def draw_turn(entries: list[dict[str, object]], random: np.random.Generator) -> Turn:
    """The orientation after the turns that happen. entries: {name, p}, p 0.5 or, of D4 and its like, 1 by default."""
    turn = Turn()
    for entry in entries:
        if random.random() < entry["p"]:
            turn = TURNS[entry["name"]](turn, random)
    return turn
