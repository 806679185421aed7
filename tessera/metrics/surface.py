"""Scores of how far apart the surfaces of truth and prediction lie: surface Dice, Hausdorff, UW-Madison's.

They are measured on items: on whole volumes, or on images, where an item has one slice (its depth is then left out). An
ignored pixel is background in both masks: its value never matters, its border is a surface where both masks reach it.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from tessera.metrics.counts import count, f_score
from tessera.metrics.score import mean_of, one_each
from tessera.metrics.surface_elements import codes, sizes

Spacing = tuple[float, float, float]
SPARSE = 1 / 30  # of the pixels: for as few, a tree of points is faster than distances everywhere


@dataclass(frozen=True)
class SurfaceDice:
    """The share of both surfaces that lies within `tolerance` of the other one; the mean over classes.

    A surface is made of the elements around the corners between voxels, weighed with their area (length in 2-D); their
    distances are those of corners. average: pooled, the elements of all items together; or per_image, the mean of the
    items' scores. SenNet + HOA 2024 takes tolerance 0. empty: where truth and prediction are both empty; where one is, 0.
    spacing: (z, y, x) size of a voxel, as of the tolerance; none: the image's own. Equals surface-distance's
    `compute_surface_dice_at_tolerance` (Nikolov et al., arXiv:1809.04430), and MONAI's with `use_subvoxels`.
    """

    tolerance: float
    average: Literal["pooled", "per_image"]
    empty: float
    spacing: Spacing | None = None

    unit: ClassVar[str] = "item"
    from_counts: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """As people call it."""
        return f"surface Dice at {self.tolerance:g}"

    def measure(self, mask: np.ndarray, target: np.ndarray, valid: np.ndarray, spacing: Spacing) -> np.ndarray:
        """Statistics (C, 2) of an item: area within the tolerance and area; or the item's score and 1."""
        spacing = self.spacing or spacing
        areas = [
            surface_overlap(*_pair(*planes), spacing[-_dimensions(mask) :], self.tolerance)
            for planes in zip(mask, target, valid, strict=True)
        ]
        return np.array(areas) if self.average == "pooled" else one_each(self._share(np.array(areas)))

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Summed statistics (..., 2) → scores (...)."""
        return self._share(statistics) if self.average == "pooled" else mean_of(statistics)

    def _share(self, areas: np.ndarray) -> np.ndarray:
        within, total = areas[..., 0], areas[..., 1]
        return np.where(total > 0, within / np.where(total > 0, total, 1), self.empty)


@dataclass(frozen=True)
class Hausdorff:
    """1 − Hausdorff distance ÷ the diagonal of the item; the mean of the items, then of the classes.

    The distance is between sets of pixels (their centres): the larger of the largest distances from a pixel of one to
    the nearest of the other, as scipy's `directed_hausdorff` both ways. MONAI's is between border pixels alone; it differs
    where the farthest pixel is an inner one. empty: where truth and prediction are both empty; where one is, 0. spacing:
    (z, y, x) size of a voxel; none: the image's own.
    """

    empty: float
    spacing: Spacing | None = None

    unit: ClassVar[str] = "item"
    from_counts: ClassVar[bool] = False
    name: ClassVar[str] = "1 − Hausdorff"

    def measure(self, mask: np.ndarray, target: np.ndarray, valid: np.ndarray, spacing: Spacing) -> np.ndarray:
        """Statistics (C, 2) of an item: its score and 1."""
        spacing = (self.spacing or spacing)[-_dimensions(mask) :]
        return one_each(
            np.array([self._score(*_pair(*planes), spacing) for planes in zip(mask, target, valid, strict=True)])
        )

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Summed statistics (..., 2) → scores (...)."""
        return mean_of(statistics)

    def _score(self, mask: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> float:
        if not mask.any() or not target.any():
            return 0.0 if mask.any() or target.any() else self.empty
        diagonal = np.linalg.norm(np.array(mask.shape) * spacing)
        return 1 - hausdorff_distance(mask, target, spacing) / diagonal


@dataclass(frozen=True)
class UWMadison:
    """0.4 · Dice of the slices + 0.6 · (1 − Hausdorff distance of the volumes), each averaged; the mean over classes.

    Dice: the mean of the slices in which truth or prediction is not empty (where both are, the slice does not count: the
    competition's text gives it 0, with which no submission could have reached the scores of its leaderboard); 1 where no
    slice counts. Hausdorff: as above, with empty 1, in voxels (the competition sets the slice depth to 1), divided by
    the diagonal of the volume, as competitors did: the host's own code is not public.
    """

    unit: ClassVar[str] = "item"
    from_counts: ClassVar[bool] = False
    name: ClassVar[str] = "0.4 Dice + 0.6 Hausdorff"

    def measure(self, mask: np.ndarray, target: np.ndarray, valid: np.ndarray, spacing: Spacing) -> np.ndarray:
        """Statistics (C, 4) of an item: the sum of its slices' Dice, their number, the volume's score, 1."""
        counts = count(mask, target, valid)  # (C, Z, 3)
        dice = np.stack([f_score(counts, empty=0.0).sum(-1), (counts.sum(-1) > 0).sum(-1)], -1)
        return np.concatenate([dice, Hausdorff(1.0, (1.0, 1.0, 1.0)).measure(mask, target, valid, spacing)], -1)

    def finish(self, statistics: np.ndarray) -> np.ndarray:
        """Summed statistics (..., 4) → scores (...)."""
        dice, slices = statistics[..., 0], statistics[..., 1]
        return 0.4 * np.where(slices > 0, dice / np.maximum(slices, 1), 1.0) + 0.6 * mean_of(statistics[..., 2:])


def surface_overlap(
    mask: np.ndarray, target: np.ndarray, spacing: tuple[float, ...], tolerance: float
) -> tuple[float, float]:
    """The area of both surfaces that lies within `tolerance` of the other one, and their whole area; 2-D or 3-D masks."""
    box = _bounding_box(mask | target)
    if box is None:
        return 0.0, 0.0
    size, found = sizes(tuple(map(float, spacing))), [codes(mask[box]), codes(target[box])]
    borders = [(code > 0) & (code < len(size) - 1) for code in found]
    within = total = 0.0
    for code, border, other in zip(found, borders, borders[::-1], strict=True):
        total += size[code[border]].sum()
        within += size[code[_near(border, other, spacing, tolerance)]].sum()
    return within, total


def hausdorff_distance(mask: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> float:
    """The Hausdorff distance between the pixels of two masks, neither of them empty."""
    box = _bounding_box(mask | target)
    mask, target = mask[box], target[box]
    return max(_farthest(mask, target, spacing), _farthest(target, mask, spacing))


def _farthest(mask: np.ndarray, other: np.ndarray, spacing: tuple[float, ...]) -> float:
    """The largest distance from a pixel of a mask to the nearest of another one."""
    rest = np.argwhere(mask & ~other)
    if not len(rest):
        return 0.0
    if len(rest) > SPARSE * mask.size:
        return float(ndimage.distance_transform_edt(~other, sampling=spacing)[mask].max())
    border = np.argwhere(other & ~ndimage.binary_erosion(other))  # the nearest pixel is one of these
    return float(cKDTree(border * spacing).query(rest * spacing)[0].max())


def _near(border: np.ndarray, other: np.ndarray, spacing: tuple[float, ...], tolerance: float) -> np.ndarray:
    """What of a border lies within the tolerance of the other one. A tree of its points: they are few, and only those near
    matter, where distances in the whole item would take most of a search's time."""
    near = border & other
    if tolerance == 0 or not other.any():
        return near
    rest, there = np.argwhere(border & ~other), np.argwhere(other)
    reach = tolerance * (1 + 1e-9)  # what lies exactly as far is told below, from whole numbers
    _, nearest = cKDTree(there * spacing).query(rest * spacing, distance_upper_bound=reach)
    rest, there = rest[nearest < len(there)], there[nearest[nearest < len(there)]]
    within = np.linalg.norm((rest - there) * spacing, axis=1) <= tolerance
    near[tuple(rest[within].T)] = True
    return near


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    return ndimage.find_objects(mask.view(np.uint8))[0] if mask.any() else None


def _dimensions(mask: np.ndarray) -> int:
    """3, or 2 where an item (C, Z, H, W) has one slice."""
    return 3 if mask.shape[1] > 1 else 2


def _pair(mask: np.ndarray, target: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mask and target of a class, (Z, H, W) or, where there is one slice, (H, W), without what is ignored."""
    mask, target = mask & valid, target & valid
    return (mask, target) if len(mask) > 1 else (mask[0], target[0])
