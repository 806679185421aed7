"""Run-length coding of binary masks: `start length start length …`."""

import re
from typing import Literal, NamedTuple

import numpy as np

from tessera.errors import InputError

Order = Literal["column", "row"]
# At most 12 digits a number: a million by a million pixels; sums of such numbers cannot overflow. `*+` keeps no way back.
_RUNS = re.compile(r"-?\d{1,12}(?:\s+-?\d{1,12})*+", re.ASCII)
_RUNS_OF_ANY_LENGTH = re.compile(r"-?\d+(?:\s+-?\d+)*+", re.ASCII)


def encode(mask: np.ndarray, order: Order = "column", base: int = 1, relative: bool = False) -> str:
    """Codes a mask as space-separated `start length` pairs; an empty mask is "".

    mask: (H, W), bool or integer, non-zero is foreground. `order` is the order in which pixels are
    counted (Kaggle's usual one is column-major), `base` the number of the first pixel. With `relative`,
    starts after the first are counted from the end of the run before (SIIM-ACR pneumothorax).
    """
    pixels = np.asarray(mask, bool).ravel(order="F" if order == "column" else "C")
    edges = np.flatnonzero(np.diff(pixels, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    said = starts + base
    if relative:
        said[1:] = starts[1:] - ends[:-1]
    runs = np.stack([said, ends - starts], axis=1)
    return " ".join(map(str, runs.ravel()))


class Runs(NamedTuple):
    """The runs of one mask, checked: rising and apart. They need no more memory than their text."""

    edges: np.ndarray  # (2, N) int64: first pixels and ends (half-open), counted from 0 in `order`
    shape: tuple[int, int]
    order: Order

    def rows(self, y0: int, y1: int) -> np.ndarray:
        """Rows y0…y1 (half-open) of the mask, (h, W) uint8 0/1: exactly that part of the whole."""
        (height, width), tall = self.shape, y1 - y0
        if self.order == "row":
            starts, ends = np.clip(self.edges - y0 * width, 0, tall * width)
        else:  # how many pixels of these rows come before: of whole columns, and of the edge's own
            place, row = np.divmod(self.edges, height)
            place *= tall
            place += np.clip(row - y0, 0, tall, out=row)
            starts, ends = place
        some = ends > starts
        steps = np.zeros(tall * width + 1, np.int8)
        steps[starts[some]] += 1
        steps[ends[some]] -= 1
        pixels = np.cumsum(steps[:-1], dtype=np.int8).view(np.uint8)
        return pixels.reshape((tall, width), order="F" if self.order == "column" else "C")


def read_runs(
    text: str, shape: tuple[int, int], order: Order = "column", base: int = 1, relative: bool = False
) -> Runs:
    """The runs of `encode`'s text for a mask of shape (H, W).

    Raises InputError: not whole numbers, an odd count, a length below 1, runs that are unsorted or
    overlap, or a run outside the image.
    """
    starts, lengths = _numbers(text)
    if relative:
        starts = np.cumsum(starts) + np.cumsum(lengths) - lengths
    starts = starts - base
    ends = starts + lengths
    _check_runs(starts, ends, shape, base)
    return Runs(np.stack([starts, ends]), shape, order)


def decode(
    text: str, shape: tuple[int, int], order: Order = "column", base: int = 1, relative: bool = False
) -> np.ndarray:
    """Decodes `encode`'s text into a uint8 0/1 mask of shape (H, W). Raises InputError as `read_runs` does."""
    return read_runs(text, shape, order, base, relative).rows(0, shape[0])


def _numbers(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths. A large mask has millions: no object is made of each."""
    text = text.strip()
    if text and not _RUNS.fullmatch(text):
        if _RUNS_OF_ANY_LENGTH.fullmatch(text):
            raise InputError(f"RLE has a number beyond any image, in {text[:40]!r}")
        raise InputError(f"RLE must be whole numbers separated by spaces, found {text[:40]!r}")
    numbers = np.fromstring(text, np.int64, sep=" ") if text else np.empty(0, np.int64)
    if len(numbers) % 2:
        raise InputError(f"RLE has {len(numbers)} numbers; `start length` pairs need an even count")
    return numbers[::2], numbers[1::2]


def _check_runs(starts: np.ndarray, ends: np.ndarray, shape: tuple[int, int], base: int) -> None:
    if (ends <= starts).any():
        run = int(np.argmax(ends <= starts))
        raise InputError(f"RLE run {run + 1} has length {ends[run] - starts[run]}; lengths start at 1")
    if len(starts) and (starts[0] < 0 or ends[-1] > shape[0] * shape[1]):
        raise InputError(
            f"RLE covers pixels {starts[0] + base}…{ends[-1] - 1 + base}, outside a {shape[0]}×{shape[1]} image "
            f"({base}…{shape[0] * shape[1] - 1 + base}): a wrong image, order, base or kind of starts"
        )
    if (starts[1:] < ends[:-1]).any():
        run = int(np.argmax(starts[1:] < ends[:-1])) + 1
        raise InputError(
            f"RLE run {run + 1} starts at {starts[run] + base}, before run {run} ends: unsorted or overlapping"
        )
