"""Step `min_volume`: components over the slices of a volume that are too small are removed, never holding the volume.

A first pass over the slices unites the components of neighbouring ones (union-find: Tarjan 1975) and adds up volumes; a
second one labels each slice again and removes what belongs to a small one. What is held are two slices and a number a
component of a slice.
"""

from collections.abc import Iterable

import numpy as np

from tessera.decide.components import counts_of_kept, label


def min_volume(mask: np.ndarray, voxels: int, volumes: list[np.ndarray]) -> np.ndarray:
    """Removes what belongs to components of fewer than `voxels` voxels from each class of a slice (C, H, W) bool.

    volumes: the slice's own, of `component_volumes` over the same masks.
    """
    return np.stack([(of >= max(voxels, 1))[label(plane)[0]] for plane, of in zip(mask, volumes, strict=True)])


def volume_counts(
    mask: np.ndarray, target: np.ndarray, valid: np.ndarray, values: list[int], volumes: list[np.ndarray]
) -> np.ndarray:
    """Counts (len(values), C, 3) of a slice after `min_volume` with each value, from one labelling.

    mask, target, valid: (C, H, W) bool.
    """
    counts = []
    for plane, truth, counted, of in zip(mask, target, valid, volumes, strict=True):
        labels, _ = label(plane)
        counts.append(counts_of_kept(labels, truth, counted, [of >= max(value, 1) for value in values]))
    return np.stack(counts, 1)


def component_volumes(slices: Iterable[tuple[int, np.ndarray]]) -> dict[int, list[np.ndarray]]:
    """By slice and class: of each 8-connected component of the slice (by its label, 0 the background) the voxels of the
    26-connected component that it is part of.

    slices: z, rising, and mask (C, H, W) bool. Slices that do not follow each other are not connected.
    """
    forests: list[_Forest] = []
    firsts: dict[int, list[int]] = {}  # z → of each class where the slice's components begin in its forest
    numbers: dict[int, list[int]] = {}
    before, z_before = [], None
    for z, mask in slices:
        forests = forests or [_Forest() for _ in mask]
        labelled = [label(plane) for plane in mask]
        firsts[z] = [forest.add(areas) for forest, (_, areas) in zip(forests, labelled, strict=True)]
        numbers[z] = [len(areas) for _, areas in labelled]
        if z_before == z - 1:
            for c, forest in enumerate(forests):
                for one, other in _touching(before[c], labelled[c][0]).tolist():
                    forest.unite(firsts[z_before][c] + one, firsts[z][c] + other)
        before, z_before = [labels for labels, _ in labelled], z
    summed = [forest.volumes() for forest in forests]
    return {
        z: [of[first : first + number] for of, first, number in zip(summed, firsts[z], numbers[z], strict=True)]
        for z in firsts
    }


def _touching(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Pairs (P, 2) of labels of two neighbouring slices (H, W) that touch, diagonals included; each pair once.

    A diagonal tells something new only between a px with nothing above it and one with nothing below it: others are
    united by what lies there.
    """
    height, width = lower.shape
    base = int(upper.max()) + 1
    pairs = [_pairs(lower, upper, base)]
    below, above = np.where(upper > 0, 0, lower), np.where(lower > 0, 0, upper)
    for dy, dx in np.ndindex(3, 3):
        one = below[max(dy - 1, 0) : height + min(dy - 1, 0), max(dx - 1, 0) : width + min(dx - 1, 0)]
        other = above[max(1 - dy, 0) : height + min(1 - dy, 0), max(1 - dx, 0) : width + min(1 - dx, 0)]
        pairs.append(_pairs(one, other, base))
    return np.stack(np.divmod(np.unique(np.concatenate(pairs)), base), 1)


def _pairs(one: np.ndarray, other: np.ndarray, base: int) -> np.ndarray:
    """one · base + other wherever both are above 0; neighbours that are equal once."""
    both = (one > 0) & (other > 0)
    codes = one[both].astype(np.int64) * base + other[both]
    return codes[np.flatnonzero(np.diff(codes, prepend=-1))]


class _Forest:
    """Union-find over the components of all slices of one class."""

    def __init__(self) -> None:
        self.parents: list[int] = []
        self.areas: list[int] = []

    def add(self, areas: np.ndarray) -> int:
        """Adds components with these areas, each on its own; the number of the first."""
        first = len(self.parents)
        self.parents.extend(range(first, first + len(areas)))
        self.areas.extend(areas.tolist())
        return first

    def root(self, one: int) -> int:
        while self.parents[one] != one:
            self.parents[one] = self.parents[self.parents[one]]  # halves the path for the next time
            one = self.parents[one]
        return one

    def unite(self, one: int, other: int) -> None:
        first, second = sorted((self.root(one), self.root(other)))
        self.parents[second] = first

    def volumes(self) -> np.ndarray:
        """Of each component the summed area of all that are united with it."""
        roots = np.array([self.root(one) for one in range(len(self.parents))], np.int64)
        sums = np.bincount(roots, self.areas, len(roots))
        return sums[roots].astype(np.int64)
