"""Between the original and the working resolution, by bands of rows: a band is exactly that part of the whole.

Down: the mean over the area that a working pixel covers. Up: linear between pixel centres.
"""

from collections.abc import Iterator

import numpy as np

from tessera.tasks import IGNORE

_TIE = 1e-5  # exactly half is positive, however the shares were rounded

Band = tuple[int, np.ndarray]  # the first row's number, rows (h, W, C)
Size = tuple[int, int]  # (height, width)


def working_size(height: int, width: int, scale: float) -> Size:
    """The (height, width) of an image at the working scale, at least 1 px."""
    return max(1, round(height * scale)), max(1, round(width * scale))


def resample_pixels(bands: Iterator[Band], size: Size, working: Size) -> Iterator[Band]:
    """Bands (h, W, C) uint8 of an image of `size` → bands (h, w, C) uint8 of it at `working` size."""
    if size == working:
        return bands
    return ((y, np.rint(rows).astype(np.uint8)) for y, rows in resample(bands, size, working))


def resample_labels(bands: Iterator[Band], size: Size, working: Size) -> Iterator[Band]:
    """Labels (h, W) or (h, W, K) uint8 at `working` size: positive where at least half of the covered valid area is;
    ignored where most of it is."""
    if size == working:
        return bands
    answers = (
        (y, np.stack([labels == 1, labels == IGNORE], 2).view(np.uint8).reshape(*labels.shape[:2], -1))
        for y, labels in bands
    )  # (h, W, 2·K): positive of each class, then ignored of each
    return ((y, _decide(*np.split(shares, 2, axis=2))) for y, shares in resample(answers, size, working))


def resample(bands: Iterator[Band], size: Size, working: Size) -> Iterator[Band]:
    """Bands (h, W, C) of any type at `size` → bands (h, w, C) float32 at `working` size, along each axis down or up;
    keeps the input rows that the next working row needs."""
    taps, weights = _taps(size[0], working[0])
    across, shares = _taps(size[1], working[1])
    kept, first, done = None, 0, 0
    for y, rows in bands:
        kept = rows if first == y else np.concatenate([kept, rows])
        ready = int(np.searchsorted(taps[:, -1], y + len(rows)))
        if ready > done:
            tall = _mean(kept, taps[done:ready] - first, weights[done:ready, :, None, None], 0)
            yield done, _mean(tall, across, shares[:, :, None], 1)
            done = ready
        if done < working[0]:
            kept, first = kept[taps[done, 0] - first :], int(taps[done, 0])


def source_span(start: int, end: int, length: int, working: int) -> tuple[int, int]:
    """The working pixels (first, end) of an axis that the original ones start…end come from."""
    first, last, _ = _neighbours(np.array([start, end - 1]), length, working)
    return int(first[0]), int(last[1]) + 1


def enlarge(
    band: np.ndarray, corner: Size, rows: tuple[int, int], columns: tuple[int, int], size: Size, working: Size
) -> np.ndarray:
    """Original `rows` and `columns` (half-open) as (C, r, c) float32 of an image of `size`.

    band: its working pixels (C, h, w) from `corner` on, at least all that `source_span` names.
    """
    if working == size:
        return band[:, rows[0] - corner[0] : rows[1] - corner[0], columns[0] - corner[1] : columns[1] - corner[1]]
    upper, lower, share = _neighbours(np.arange(*rows), size[0], working[0])
    share = share[:, None]
    band = band[:, upper - corner[0]] * (1 - share) + band[:, lower - corner[0]] * share
    left, right, share = _neighbours(np.arange(*columns), size[1], working[1])
    return band[:, :, left - corner[1]] * (1 - share) + band[:, :, right - corner[1]] * share


def _decide(positive: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    labels = np.where(ignored > 0.5, np.uint8(IGNORE), (positive >= 0.5 * (1 - ignored) - _TIE).astype(np.uint8))
    return labels[..., 0] if labels.shape[-1] == 1 else labels


def _mean(pixels: np.ndarray, taps: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """The weighted mean (float32) of the taps along an axis, always summed in the same order."""
    return sum(np.take(pixels, taps[:, i], axis) * weights[:, i] for i in range(taps.shape[1]))


def _taps(length: int, working: int) -> tuple[np.ndarray, np.ndarray]:
    """For working pixels of an axis: the original pixels (working, T) that each comes from, rising, and their weights."""
    if working >= length:
        first, second, share = _neighbours(np.arange(working), working, length)
        return np.stack([first, second], 1), np.stack([1 - share, share], 1)
    edges = np.arange(working + 1) * (length / working)
    first = np.floor(edges[:-1]).astype(int)
    taps = first[:, None] + np.arange(int((np.ceil(edges[1:]) - first).max()))
    covered = np.minimum(taps + 1, edges[1:, None]) - np.maximum(taps, edges[:-1, None])
    weights = np.maximum(covered, 0) * (working / length)
    return np.minimum(taps, length - 1), weights.astype(np.float32)


def _neighbours(places: np.ndarray, length: int, working: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For pixels of an axis of `length`: the two working pixels around each centre, and the share of the second."""
    centres = np.clip((places + 0.5) * (working / length) - 0.5, 0, working - 1)
    first = np.floor(centres).astype(int)
    return first, np.minimum(first + 1, working - 1), (centres - first).astype(np.float32)
