"""A picture of what the network is about to see: the first batch, before its first step."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from tessera.errors import InputError
from tessera.learn.loop import Batch

ROWS, SIDE, GAP = 8, 224, 6  # windows shown at most; px of one; px between them
TITLES = ("as indexed", "its labels", "as trained on", "its labels")
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0))  # Okabe & Ito 2008, RGB
_IGNORED = (128, 128, 128)


def write_first_batch(path: Path, indexed: Batch, trained: Batch, channels: int) -> None:
    """Writes a PNG with a row an item: the window and its labels, then both as augmented for training.

    Of a stack the middle slice is shown; ignored pixels are grey. indexed: the same patches without augmentation.
    channels: of an image. Raises InputError when the file cannot be written.
    """
    columns = [_panels(*item, channels) for batch in (indexed, trained) for item in _items(batch)]
    rows = zip(columns[: len(columns) // 2], columns[len(columns) // 2 :], strict=True)
    page = np.concatenate([_titles(), *(_beside([*before, *after]) for before, after in rows)])
    if not cv2.imwrite(str(path), page[..., ::-1]):
        raise InputError(f"{path}: cannot be written")


def _items(batch: Batch) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Window, target and valid of each that is shown."""
    return zip(*(tensor[:ROWS].cpu().numpy() for tensor in batch[1:]), strict=True)


def _panels(window: np.ndarray, target: np.ndarray, valid: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A window (slices·channels, H, W) as a picture, and its labels, of classes (K, H, W), over it."""
    first = len(window) // channels // 2 * channels
    middle = window[first : first + min(channels, 3)].transpose(1, 2, 0)
    picture = cv2.resize(middle, (SIDE, SIDE), interpolation=cv2.INTER_AREA).reshape(SIDE, SIDE, -1)
    picture = np.repeat(picture[..., :1], 3, 2) if picture.shape[2] < 3 else picture
    labelled = picture.copy()
    for number, planes in enumerate(zip(target >= 0.5, valid == 0, strict=True)):
        for plane, colour in zip(planes, (COLOURS[number % len(COLOURS)], _IGNORED), strict=True):
            shown = cv2.resize(plane.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) == 1
            labelled[shown] = 0.5 * labelled[shown] + 0.5 * np.array(colour)
    return picture, labelled


def _beside(panels: list[np.ndarray]) -> np.ndarray:
    """Panels in a row, on white."""
    return np.concatenate(
        [np.pad(panel, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for panel in panels], axis=1
    )


def _titles() -> np.ndarray:
    line = np.full((28, len(TITLES) * (SIDE + GAP), 3), 255, np.uint8)
    for number, title in enumerate(TITLES):
        place = (number * (SIDE + GAP) + 4, 19)
        cv2.putText(line, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 64, 67), 1, cv2.LINE_AA)
    return line
