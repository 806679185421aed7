"""The changes that `augment` names, made of batches on a device."""

import inspect
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from tessera.learn.on_device.blur import GaussianBlur
from tessera.learn.on_device.change import Change, NotOnDeviceError
from tessera.learn.on_device.coarse import Downscale
from tessera.learn.on_device.dropout import CoarseDropout
from tessera.learn.on_device.hue import HueSaturationValue
from tessera.learn.on_device.light import RandomBrightnessContrast, RandomGamma
from tessera.learn.on_device.noise import GaussNoise
from tessera.learn.on_device.slices import SliceDropout, SliceJitter
from tessera.learn.on_device.stain import StainJitter
from tessera.learn.on_device.turns import TURNS, Turn, draw_turn
from tessera.learn.on_device.warps import Affine, Elastic, Warp

CHANGES: dict[str, type[Change | Warp]] = {
    kind.__name__: kind
    for kind in (
        Affine, CoarseDropout, Downscale, Elastic, GaussianBlur, GaussNoise, HueSaturationValue, RandomBrightnessContrast,
        RandomGamma, SliceDropout, SliceJitter, StainJitter,
    )
}  # fmt: skip
ALWAYS = {"RandomRotate90", "D4", "SquareSymmetry"}  # whose p is 1 by default; of others 0.5

Entry = dict[str, object]  # {name, its arguments, p}


class Step(NamedTuple):
    """Something that happens to a window with probability p: one of these changes."""

    p: float
    numbers: list[int]  # of the changes
    weights: list[float]


class Changes:
    """The changes of a model's windows: turns first, which cost nothing, then the others in their order."""

    def __init__(self, entries: Sequence[Entry], slices: int):
        """slices: of a stack. Raises NotOnDeviceError naming a transform that this path does not have."""
        entries = [{"p": 1.0 if entry["name"] in ALWAYS else 0.5} | entry for entry in entries]
        others = [entry["name"] not in TURNS for entry in entries]
        first = others.index(True) if True in others else len(entries)
        self.turns, self.changes, self.steps = entries[:first], [], []
        for entry in entries[first:]:
            leaves = entry["transforms"] if entry["name"] == "OneOf" else [entry]
            numbers = [self._add(leaf, slices) for leaf in leaves]
            weights = np.array([leaf.get("p", 0.5) for leaf in leaves])
            self.steps.append(Step(entry["p"], numbers, weights / weights.sum()))

    def turn(self, random: np.random.Generator) -> Turn:
        """The orientation of a window."""
        return draw_turn(self.turns, random)

    def draw(self, randoms: Sequence[np.random.Generator]) -> list[np.ndarray]:
        """Of each change the windows that it happens to, (n,) int64, and what it draws for them, (n, m) float32.

        Each window is changed as its own random numbers say.
        """
        happens: list[list[int]] = [[] for _ in self.changes]
        drawn: list[list[np.ndarray]] = [[] for _ in self.changes]
        for window, random in enumerate(randoms):
            for step in self.steps:
                if random.random() < step.p:
                    number = step.numbers[0] if len(step.numbers) == 1 else random.choice(step.numbers, p=step.weights)
                    happens[number].append(window)
                    drawn[number].append(self.changes[number].draw(random))
        pairs = zip(happens, drawn, strict=True)
        return [array for to, rows in pairs for array in (np.array(to, np.int64), np.array(rows, np.float32))]

    def apply(
        self, windows: torch.Tensor, labels: torch.Tensor, drawn: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows (B, C, H, W) and labels (B, K, H, W), uint8, each changed as it was drawn; `drawn` lies there, too."""
        for change, to, rows in zip(self.changes, drawn[::2], drawn[1::2], strict=True):
            if len(to):
                _change(change, windows, labels, slice(None) if len(to) == len(windows) else to, rows)
        return windows, labels

    def _add(self, entry: Entry, slices: int) -> int:
        if isinstance(entry, str):
            raise NotOnDeviceError(f"cannot make one of several lists, as {entry}")
        name, arguments = entry["name"], {key: value for key, value in entry.items() if key not in ("name", "p")}
        if name in TURNS:
            raise NotOnDeviceError(f"cannot make {name} after another change, only before all others")
        if name not in CHANGES:
            raise NotOnDeviceError(f"has no {name}; it has {', '.join([*TURNS, *CHANGES, 'OneOf'])}")
        known = inspect.signature(CHANGES[name]).parameters
        if strange := arguments.keys() - known:
            raise NotOnDeviceError(f"has no {', '.join(sorted(strange))} of {name}")
        try:
            self.changes.append(CHANGES[name](**arguments | ({"slices": slices} if "slices" in known else {})))
        except NotOnDeviceError as error:
            raise NotOnDeviceError(f"cannot make {name} {error}") from None
        return len(self.changes) - 1


def _change(
    change: Change | Warp, windows: torch.Tensor, labels: torch.Tensor, index: slice | torch.Tensor, drawn: torch.Tensor
) -> None:
    if isinstance(change, Warp):
        windows[index], labels[index] = change.move(windows[index], labels[index], drawn)
    else:
        windows[index] = change.apply(windows[index], drawn)
