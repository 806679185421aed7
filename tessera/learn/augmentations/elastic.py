"""Smooth local shifts."""

import cv2
import numpy as np

from tessera.learn.augmentations.library import albumentations


class Elastic(albumentations.DualTransform):
    """Shifts pixels by a smooth random field: drawn on a coarse grid and enlarged, for a third of what `ElasticTransform` costs.

    strength: standard deviation of the shift as a share of a cell's side; above 0.3 the field may fold. cells: of the
    grid along each side. Image and labels are mirrored in from beyond the border. Simard et al., "Best practices for
    convolutional neural networks applied to visual document analysis" (2003); on a coarse grid: Ronneberger et al.,
    "U-Net" (2015).
    """

    def __init__(self, strength: float = 0.2, cells: int = 8, p: float = 0.5):
        super().__init__(p=p)
        self.strength, self.cells = strength, cells

    def get_params_dependent_on_data(self, params: dict, data: dict) -> dict:
        height, width = params["shape"][:2]
        shifts = self.random_generator.standard_normal((2, self.cells, self.cells), np.float32) * self.strength
        down, right = (
            cv2.resize(shift * (side / self.cells), (width, height), interpolation=cv2.INTER_CUBIC)
            for shift, side in zip(shifts, (height, width), strict=True)
        )
        rows, columns = (np.arange(side, dtype=np.float32) for side in (height, width))
        return {"rows": rows[:, None] + down, "columns": columns + right}

    def apply(self, img: np.ndarray, rows: np.ndarray, columns: np.ndarray, **params: object) -> np.ndarray:
        return _remap(img, rows, columns, cv2.INTER_LINEAR)

    def apply_to_mask(self, mask: np.ndarray, rows: np.ndarray, columns: np.ndarray, **params: object) -> np.ndarray:
        return _remap(mask, rows, columns, cv2.INTER_NEAREST)


def _remap(pixels: np.ndarray, rows: np.ndarray, columns: np.ndarray, interpolation: int) -> np.ndarray:
    moved = cv2.remap(pixels, columns, rows, interpolation, borderMode=cv2.BORDER_REFLECT_101)
    return moved.reshape(pixels.shape)  # OpenCV drops a lone channel's axis
