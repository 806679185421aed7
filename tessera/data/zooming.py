"""Windows and planes at another size than they were read at, for models with a `zoom`."""

import cv2
import numpy as np

MOST = 4  # channels of which OpenCV takes the mean of an area, where sizes do not divide


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels (h, w, C), uint8 or float32, at (height, width): the covered area's mean downwards, linear upwards."""
    if pixels.shape[:2] == tuple(size):
        return pixels
    smaller = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    if pixels.shape[2] > MOST:
        return np.dstack([cv2.resize(plane, size[::-1], interpolation=method) for plane in np.moveaxis(pixels, 2, 0)])
    return cv2.resize(pixels, size[::-1], interpolation=method).reshape(*size, -1)


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels (h, w, …) uint8 at (height, width): each that of the nearest pixel."""
    if labels.shape[:2] == tuple(size):
        return labels
    return cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
