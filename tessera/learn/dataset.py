"""Windows of the pixel store as training items."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from tessera.data.boxes import over_depth
from tessera.data.pixels import PixelStore
from tessera.data.stacks import Stack
from tessera.data.zooming import resize, resize_labels
from tessera.learn.augmentations import Augmentation
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.params import Model


class Shape(NamedTuple):
    """What a network reads: a square window and a 2.5D stack around its slice."""

    size: int  # px of the window as the network sees it
    stack: Stack
    zoom: float = 1.0  # working px of a px of the window
    shift: int = 0  # slices by which training moves a stack at most

    @classmethod
    def of(cls, model: "Model") -> "Shape":
        return cls(model.size, Stack.of(model), model.zoom, model.shift)

    @property
    def span(self) -> int:
        """Working px that the window covers along each side."""
        return round(self.size * self.zoom)


class Windows(Dataset):
    """Windows around patches; item → image (C, H, W) uint8, labels (H, W) or, of several classes, (H, W, K) uint8.

    Item k + n·len is the (n + 1)-th draw of patch k: the same patch, changed in another way.

    With an augmentation, the window is moved by up to a quarter of its size and changed; both depend on
    (seed, epoch, item) alone, never on the loader process. The stack is moved by up to `shape.shift` slices; labels of
    slices go along, the one label of a volume stays. A window beyond the image's edge is moved inside; without
    an augmentation, what it did not ask for is ignored. An image smaller than the window is mirrored at its lower and
    right edge, where its labels are ignored. Where `patches` has the columns end_y and end_x (working px), labels from
    there on are ignored: a part ends there.
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
        self.ends = patches[["end_y", "end_x"]].to_numpy() if "end_y" in patches else None
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image_id, z, centre_y, centre_x = self.places[index % len(self.places)]
        seeds = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(2)
        random = np.random.default_rng(seeds[0]) if self.augmentation else None
        reach = _reach(self.shape.span)
        move_y, move_x = random.integers(-reach, reach + 1, 2) if random else (0, 0)
        z, middle = self._depth(image_id, int(z), random)
        end = None if self.ends is None else self.ends[index % len(self.places)]
        image, labels = self._read(image_id, z, middle, int(centre_y + move_y), int(centre_x + move_x), end)
        if self.augmentation:
            image, labels = self.augmentation(image, labels, int(seeds[1]))
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(
            np.ascontiguousarray(labels)
        )

    def _depth(self, image_id: str, z: int, random: np.random.Generator | None) -> tuple[int, int]:
        """The label slice that is read, and the slice in the middle of the stack; without `random`, nothing moves."""
        middles = self.shape.stack.middles(self.store, image_id, z)
        if random is None:
            return z, middles[len(middles) // 2]
        depth = self.store.shape(image_id)[0]
        first, end = self.shape.stack.depths or (0, depth)
        drawn = random.choice(middles) + random.integers(-self.shape.shift, self.shape.shift + 1)
        middle = int(np.clip(drawn, first, end - 1))
        return middle if self.store.label_depth(image_id) == depth else z, middle

    def _read(
        self, image_id: str, z: int, middle: int, centre_y: int, centre_x: int, end: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        size, seen = self.shape.span, (self.shape.size, self.shape.size)
        depth, height, width = self.store.shape(image_id)
        asked_y, asked_x = centre_y - size // 2, centre_x - size // 2
        y, x = (int(_inside(asked, size, side)) for asked, side in ((asked_y, height), (asked_x, width)))
        window = (y, x, min(size, height), min(size, width))
        image = self.store.read_stack(image_id, self.shape.stack.around(middle, depth), window)
        labels = self.store.read_labels(image_id, z, window)
        if not self.augmentation:
            labels[: max(asked_y - y, 0)] = IGNORE
            labels[:, : max(asked_x - x, 0)] = IGNORE
        if end is not None:
            labels[max(end[0] - y, 0) :] = IGNORE
            labels[:, max(end[1] - x, 0) :] = IGNORE
        lack = ((0, size - window[2]), (0, size - window[3]))
        if any(after for _, after in lack):
            image = np.pad(image, (*lack, (0, 0)), mode="reflect")
            labels = np.pad(labels, (*lack, *[(0, 0)] * (labels.ndim - 2)), constant_values=IGNORE)
        return resize(image, seen), resize_labels(labels, seen)


def _reach(size: int) -> int:
    """How far, px, a training window is moved at most along each axis."""
    return size // 4


def _inside(start: int | np.ndarray, size: int, length: int | np.ndarray) -> np.ndarray:
    """A window's start moved so that it lies within 0…length; 0 where it is longer than that."""
    return np.minimum(np.maximum(start, 0), np.maximum(length - size, 0))


def covered(patches: pd.DataFrame, patch_size: int, shape: Shape, store: PixelStore) -> pd.DataFrame:
    """What the moved windows around each patch may read, as boxes in working px, row by row.

    Of the depth, the slices whose labels may train; the stack around each is as deep as the model says.
    """
    size, depths = shape.span, patches.image_id.map({name: store.shape(name)[0] for name in patches.image_id.unique()})
    boxes = pd.DataFrame(
        {
            "image_id": patches.image_id,
            "z0": (patches.z - shape.shift).clip(0),
            "z1": np.minimum(patches.z + shape.shift + 1, depths),
        }
    )
    for axis, number in (("y", 1), ("x", 2)):
        length = patches.image_id.map({name: store.shape(name)[number] for name in patches.image_id.unique()})
        start = patches[axis] + patch_size // 2 - size // 2
        boxes[f"{axis}0"] = _inside(start - _reach(size), size, length)
        boxes[f"{axis}1"] = _inside(start + _reach(size), size, length) + np.minimum(size, length)
    return over_depth(boxes, store)


def windows_of(parts: pd.DataFrame, size: int) -> pd.DataFrame:
    """Windows that cover every slice of the parts (boxes in working px) without overlap; end_y, end_x: of the part."""
    rows = [
        (part.image_id, z, y, x, part.y1, part.x1)
        for part in parts.itertuples()
        for z in range(part.z0, part.z1)
        for y in range(part.y0, part.y1, size)
        for x in range(part.x0, part.x1, size)
    ]
    return pd.DataFrame(rows, columns=["image_id", "z", "y", "x", "end_y", "end_x"])


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
