"""Test-time views: flips of the image plane. Each is its own inverse."""

import numpy as np

VIEWS = {"identity": (), "flip_h": (-1,), "flip_v": (-2,), "rot180": (-2, -1)}  # name → flipped axes of (..., H, W)


def turn(pixels: np.ndarray, view: str) -> np.ndarray:
    """The view of an array (..., H, W); applied twice it gives the array back."""
    return np.flip(pixels, VIEWS[view])
