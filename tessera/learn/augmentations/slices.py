"""Changes of single slices of a 2.5D stack, whose channels are (slice, channel of the image)."""

import numpy as np

from tessera.learn.augmentations.library import albumentations


class OfSlices(albumentations.ImageOnlyTransform):
    """A change of a stack of `slices` slices, which the builder sets."""

    slices: int

    def _by_slice(self, img: np.ndarray) -> np.ndarray:
        """A view (H, W, S, C) of a stack (H, W, S·C)."""
        return img.reshape(*img.shape[:2], self.slices, -1)


class SliceJitter(OfSlices):
    """Gives each slice a brightness and a contrast of its own: slices of scanners differ so.

    brightness: ± share of the range; contrast: ± share, about mid-grey.
    """

    def __init__(self, brightness: float = 0.1, contrast: float = 0.1, p: float = 0.5):
        super().__init__(p=p)
        self.brightness, self.contrast = brightness, contrast

    def apply(self, img: np.ndarray, shifts: np.ndarray, gains: np.ndarray, **params: object) -> np.ndarray:
        changed = (self._by_slice(img) - np.float32(127.5)) * gains + (shifts + np.float32(127.5))
        return np.clip(np.rint(changed), 0, 255).astype(np.uint8).reshape(img.shape)

    def get_params(self) -> dict:
        shifts, gains = self.random_generator.uniform(-1, 1, (2, self.slices, 1)).astype(np.float32)
        return {"shifts": shifts * self.brightness * 255, "gains": 1 + gains * self.contrast}


class SliceDropout(OfSlices):
    """Blackens some slices, never the middle one, whose labels are asked for.

    most: of the others, the largest share that goes at a time; one at least. The winners of Vesuvius drop channels of
    their stacks so.
    """

    def __init__(self, most: float = 0.34, p: float = 0.5):
        super().__init__(p=p)
        self.most = most

    def apply(self, img: np.ndarray, dropped: np.ndarray, **params: object) -> np.ndarray:
        changed = img.copy()
        self._by_slice(changed)[:, :, dropped] = 0
        return changed

    def get_params(self) -> dict:
        return {"dropped": draw_dropped(self.random_generator, self.slices, self.most)}


def draw_dropped(random: np.random.Generator, slices: int, most: float) -> np.ndarray:
    """Numbers of slices, up to the share `most` and one at least, without the middle one."""
    others = np.delete(np.arange(slices), slices // 2)
    count = random.integers(1, max(1, round(most * len(others))) + 1)
    return random.choice(others, count, replace=False)
