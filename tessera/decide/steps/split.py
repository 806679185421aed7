"""Step `split`: touching objects are parted by lines of one px, so that connected components are instances."""

import cv2
import numpy as np

from tessera.decide.components import label


def split(mask: np.ndarray, distance: int, spacing: tuple[float, float]) -> np.ndarray:
    """Carves the watersheds of the distance to the background out of each class of a mask (C, H, W) bool.

    distance: px; of two middles (maxima of the distance to the background) nearer to each other the higher one counts, of
    equally high ones the upper one. Source: Vincent & Soille 1991, on the distance transform.
    """
    return np.stack([_split_plane(plane, distance) for plane in mask])


def _split_plane(plane: np.ndarray, distance: int) -> np.ndarray:
    parted = plane.copy()
    _, labels, stats, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=8)
    for number, (x, y, width, height, _) in enumerate(stats[1:].tolist(), 1):
        if height**2 + width**2 > distance**2:  # else there is no room for two middles
            box = np.s_[y : y + height, x : x + width]
            parted[box] &= ~_watersheds(labels[box] == number, distance)
    return parted


def _watersheds(component: np.ndarray, distance: int) -> np.ndarray:
    """Lines (h, w) bool that part one component (h, w) bool."""
    component = np.pad(component, 1)  # the rim of the box is background
    depth = _depth(component)
    basins = _middles(depth, distance)
    if basins.max() > 1:
        basins = _flood(basins, depth)
    # The line runs in the basin of the higher number, so that no px of two basins touch.
    beside = cv2.erode(np.where(basins > 0, basins, np.inf).astype(np.float32), np.ones((3, 3)))
    return (component & (beside < basins))[1:-1, 1:-1]


def _depth(component: np.ndarray) -> np.ndarray:
    """Each px's distance to the background, (h, w) float32 px.

    OpenCV's last digits differ from call to call, and plateaus and levels hang on them; but the square is a whole number.
    """
    depth = cv2.distanceTransform(component.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.sqrt(np.rint(depth**2))


def _middles(depth: np.ndarray, distance: int) -> np.ndarray:
    """Where basins begin: the number of a middle at its px, 0 elsewhere; float32, as OpenCV wants it. depth: (h, w)."""
    side = 2 * distance + 1
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    highest = (depth > 0) & (depth == cv2.dilate(depth, near, borderType=cv2.BORDER_CONSTANT, borderValue=0))
    plateaus, _ = label(highest)  # a bar is as deep all along: that is one middle
    numbers, starts = np.unique(plateaus, return_index=True)
    places = np.stack(np.unravel_index(starts[1:], depth.shape), 1)
    kept = np.zeros(len(places), bool)
    for n, place in enumerate(places):
        kept[n] = (((places[kept] - place) ** 2).sum(1) >= distance**2).all()
    renumbered = np.zeros(len(numbers), np.float32)
    renumbered[1:][kept] = np.arange(1, kept.sum() + 1)
    return renumbered[plateaus]


def _flood(basins: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Basins grown px by px over all that they can reach at the deepest level, then at the next one, ….

    basins: (h, w), 0 where there is none. depth: (h, w), 0 outside and on the rim; a level is one px deep. Where basins
    meet, the highest number wins. Only px that wait to be reached are looked at: the time grows with the object's area.
    """
    around = np.array([dy * depth.shape[1] + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    numbers, level = basins.flatten(), depth.ravel().astype(np.uint16)  # integers are sorted fast
    inside = np.flatnonzero(level)
    rising = inside[np.argsort(level[inside], kind="stable")]
    waiting = rising[:0]
    for ring in reversed(np.split(rising, np.flatnonzero(np.diff(level[rising])) + 1)):
        waiting = np.concatenate([waiting, ring[numbers[ring] == 0]])
        while len(waiting):
            highest = numbers[waiting[:, None] + around].max(1)
            if not highest.any():
                break
            numbers[waiting] = highest
            waiting = waiting[highest == 0]
    return numbers.reshape(depth.shape)
