"""Windows of the pixel store as training items."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from tessera.data.pixels import PixelStore
from tessera.learn.augmentations import Augmentation
from tessera.tasks import IGNORE


class Shape(NamedTuple):
    """What a network reads: a square window and a 2.5D stack around its slice."""

    size: int  # working px
    slices: int
    step: int


class Windows(Dataset):
    """Windows around patches; item → image (C, H, W) uint8, labels (H, W) uint8.

    Item k + n·len is the (n + 1)-th draw of patch k: the same patch, changed in another way.

    With an augmentation, the window is moved by up to a quarter of its size and changed; both depend on
    (seed, epoch, item) alone, never on the loader process. A window beyond the image's edge is moved inside; without
    an augmentation, what it did not ask for is ignored. An image smaller than the window is mirrored at its lower and
    right edge, where its labels are ignored.
    """

    def __init__(
        self,
        store: PixelStore,
        patches: pd.DataFrame,
        patch_size: int,
        shape: Shape,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ):
        self.store, self.shape, self.augmentation, self.seed = store, shape, augmentation, seed
        self.places = list(
            zip(patches.image_id, patches.z, patches.y + patch_size // 2, patches.x + patch_size // 2, strict=True)
        )
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image_id, z, centre_y, centre_x = self.places[index % len(self.places)]
        seeds = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(2)
        reach = self.shape.size // 4 if self.augmentation else 0
        move_y, move_x = np.random.default_rng(seeds[0]).integers(-reach, reach + 1, 2)
        image, labels = self._read(image_id, int(z), int(centre_y + move_y), int(centre_x + move_x))
        if self.augmentation:
            image, labels = self.augmentation(image, labels, int(seeds[1]))
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(
            np.ascontiguousarray(labels)
        )

    def _read(self, image_id: str, z: int, centre_y: int, centre_x: int) -> tuple[np.ndarray, np.ndarray]:
        size, slices, step = self.shape
        _, height, width = self.store.shape(image_id)
        asked_y, asked_x = centre_y - size // 2, centre_x - size // 2
        y = min(max(asked_y, 0), max(height - size, 0))
        x = min(max(asked_x, 0), max(width - size, 0))
        window = (y, x, min(size, height), min(size, width))
        image = self.store.read_stack(image_id, z, slices, step, window)
        labels = self.store.read_labels(image_id, z, window)
        if not self.augmentation:
            labels[: max(asked_y - y, 0)] = IGNORE
            labels[:, : max(asked_x - x, 0)] = IGNORE
        lack = ((0, size - window[2]), (0, size - window[3]))
        if any(after for _, after in lack):
            image = np.pad(image, (*lack, (0, 0)), mode="reflect")
            labels = np.pad(labels, lack, constant_values=IGNORE)
        return image, labels


def windows_of(parts: pd.DataFrame, store: PixelStore, size: int) -> pd.DataFrame:
    """Windows that cover every slice of the parts without overlap; the last of a row may reach beyond the edge."""
    rows = []
    for part in parts.itertuples():
        _, height, width = store.shape(part.image_id)
        rows += [
            (part.image_id, z, y, x)
            for z in range(part.z0, part.z1)
            for y in range(0, height, size)
            for x in range(0, width, size)
        ]
    return pd.DataFrame(rows, columns=["image_id", "z", "y", "x"])


def draw_epoch(
    positive: np.ndarray, count: int | None, positive_share: float | None, seed: int, epoch: int
) -> np.ndarray:
    """The items of an epoch for `Windows`, in random order; decided by (seed, epoch) alone.

    positive: (patches,) bool. count: how many, all by default. positive_share: of those drawn (as indexed by
    default). A patch comes a second time only once all of its kind have come.
    """
    random = np.random.default_rng([seed, epoch])
    count = count or len(positive)
    if positive_share is None or positive.all() or not positive.any():
        return _number_draws(_draw(np.arange(len(positive)), count, random), len(positive))
    wanted = round(count * positive_share)
    drawn = [
        _draw(np.flatnonzero(positive), wanted, random),
        _draw(np.flatnonzero(~positive), count - wanted, random),
    ]
    return _number_draws(random.permutation(np.concatenate(drawn)), len(positive))


def _number_draws(patches: np.ndarray, length: int) -> np.ndarray:
    """Patch numbers → items: the n-th repetition of a patch is `patch + n·length`."""
    return patches + length * pd.Series(patches).groupby(patches).cumcount().to_numpy()


def _draw(indices: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    rounds = [random.permutation(indices) for _ in range(-(-count // len(indices)))]
    return np.concatenate([np.empty(0, int), *rounds])[:count]
