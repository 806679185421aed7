"""Stains of tissue."""

import cv2
import numpy as np

from tessera.learn.augmentations.library import albumentations

HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])  # optical density of a stain in R, G, B
DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)  # of each grey value; 255 is 0


class StainJitter(albumentations.ImageOnlyTransform):
    """Makes H&E images (H, W, 3) uint8 look stained otherwise: amounts of haematoxylin, eosin and DAB are scaled by
    1 ± sigma and shifted by ± sigma (natural optical density), uniformly and each for itself.

    Raises ValueError for other than three channels. Tellez et al., "Whole-slide mitosis detection in H&E breast
    histology using PHH3 as a reference to train distilled stain-invariant convolutional networks" (2018); the stains
    are those of Ruifrok and Johnston (2001).
    """

    def __init__(self, sigma: float = 0.05, p: float = 0.5):
        super().__init__(p=p)
        self.sigma = sigma

    def get_params(self) -> dict:
        return {"change": draw_change(self.random_generator, self.sigma)}

    def apply(self, img: np.ndarray, change: np.ndarray, **params: object) -> np.ndarray:
        if img.shape[-1] != 3:
            raise ValueError(f"stains are of RGB images; got {img.shape[-1]} channels")
        density = cv2.transform(cv2.LUT(img, DENSITY), change.astype(np.float32))
        return np.clip(np.rint(256 * cv2.exp(-density) - 1), 0, 255).astype(np.uint8)


def draw_change(random: np.random.Generator, sigma: float) -> np.ndarray:
    """A matrix (3, 3) of densities and, behind it, a shift of each: (3, 4)."""
    scales, shifts = random.uniform(-sigma, sigma, (2, 3))
    change = np.linalg.inv(HED) @ np.diag(1 + scales) @ HED  # of a row of densities
    return np.column_stack([change.T, shifts @ HED])
