"""Windows of the pixel store as training items."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from tessera.data.boxes import BOUNDS, over_depth
from tessera.data.pixels import AXES, PixelStore
from tessera.data.stacks import Stack
from tessera.data.zooming import resize, resize_labels
from tessera.tasks import IGNORE

if TYPE_CHECKING:
    from tessera.learn.augmentations.augmentation import Augmentation
    from tessera.params.model import Model


class Shape(NamedTuple):
    """What a network reads: a square window and a 2.5D stack around its slice."""

    size: int  # px of the window as the network sees it
    stack: Stack
    zoom: float = 1.0  # working px of a px of the window
    shift: int = 0  # slices by which training moves a stack at most
    planes: tuple[str, ...] = ("xy",)  # of a volume, in which training reads; what is scored is read in the first
    margin: int = 0  # px around the window that are changed with it and then cut off

    @classmethod
    def of(cls, model: "Model") -> "Shape":
        return cls(model.size, Stack.of(model), model.zoom, model.shift, tuple(model.planes), model.margin)

    @property
    def span(self) -> int:
        """Working px that the window covers along each side."""
        return round(self.size * self.zoom)

    @property
    def edge(self) -> int:
        """Working px that training reads around the window."""
        return round(self.margin * self.zoom)


class Place(NamedTuple):
    """Where a window lies, in a plane of an image."""

    image_id: str
    plane: str
    slices: list[int]  # of the stack
    z: int  # the slice of the labels
    start: tuple[int, int]  # row and column; inside the image where that is large enough
    counted: tuple[tuple[int, int], tuple[int, int]]  # rows and columns whose labels count, half-open


class Windows(Dataset):
    """Windows around patches; item → image (C, H, W) uint8, labels (H, W) or, of several classes, (H, W, K) uint8.

    Item k + n·len is the (n + 1)-th draw of patch k: the same patch, changed in another way.

    With an augmentation, the window is moved by up to a quarter of its size and changed; both depend on
    (seed, epoch, item) alone, never on the loader process. The stack is moved by up to `shape.shift` slices; labels of
    slices go along, the one label of a volume stays. In another plane than xy the window lies through the moved centre
    of the patch, as wide along z as along its columns. With a margin, a larger window is changed and its centre kept:
    what a rotation mirrors in from beyond its border is cut off.

    A window beyond the image's edge is moved inside; without an augmentation, what it did not ask for is ignored. An
    image smaller than the window, or its margin, is mirrored, and its labels are ignored there. Where `patches` has the columns end_y and end_x (working px), labels from
    there on are ignored: a part ends there.
    """

    def __init__(
        self,
        store: PixelStore,
        patches: pd.DataFrame,
        patch_size: int,
        shape: Shape,
        augmentation: "Augmentation | None" = None,
        seed: int = 0,
    ):
        self.shape, self.augmentation, self.seed, self.soft = shape, augmentation, seed, store.soft
        self.stores = {plane: store.in_plane(plane) for plane in shape.planes}
        self.places = list(
            zip(patches.image_id, patches.z, patches.y + patch_size // 2, patches.x + patch_size // 2, strict=True)
        )
        self.ends = patches[["end_y", "end_x"]].to_numpy() if "end_y" in patches else None
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        place, seed = self.place(index)
        image, labels = self._read(place)
        if self.augmentation:
            image, labels = self.augmentation(image, labels, seed)
            margin, size = self.shape.margin, self.shape.size
            image, labels = (pixels[margin : margin + size, margin : margin + size] for pixels in (image, labels))
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(
            np.ascontiguousarray(labels)
        )

    @property
    def edge(self) -> int:
        """Working px that are read around a window."""
        return self.shape.edge if self.augmentation else 0

    def place(self, index: int) -> tuple[Place, int]:
        """Where an item is read, and the seed of its changes."""
        image_id, z, centre_y, centre_x = self.places[index % len(self.places)]
        seeds = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(2)
        random = np.random.default_rng(seeds[0]) if self.augmentation else None
        reach = _reach(self.shape.span)
        move_y, move_x = random.integers(-reach, reach + 1, 2) if random else (0, 0)
        plane = self.shape.planes[random.integers(len(self.shape.planes)) if random else 0]
        point = z, centre_y + move_y, centre_x + move_x
        z, *centre = (int(point[axis]) for axis in AXES[plane])  # depth, row and column in the plane
        store = self.stores[plane]
        z, middle = self._depth(store, image_id, z, random)
        depth, *sides = store.shape(image_id)
        asked = [place - self.shape.span // 2 for place in centre]
        start = tuple(int(_inside(*one)) for one in zip(asked, (self.shape.span,) * 2, sides, strict=True))
        ends = sides if self.ends is None else self.ends[index % len(self.places)].tolist()
        counted = tuple(zip((0, 0) if random else asked, ends, strict=True))
        slices = self.shape.stack.around(middle, depth)
        return Place(image_id, plane, slices, z, start, counted), int(seeds[1])

    def _depth(self, store: PixelStore, image_id: str, z: int, random: np.random.Generator | None) -> tuple[int, int]:
        """The label slice that is read, and the slice in the middle of the stack; without `random`, nothing moves."""
        middles = self.shape.stack.middles(store, image_id, z)
        if random is None:
            return z, middles[len(middles) // 2]
        depth = store.depth(image_id)
        first, end = self.shape.stack.bounds(depth.slices)
        drawn = middles[random.integers(len(middles))] + random.integers(-self.shape.shift, self.shape.shift + 1)
        middle = int(min(max(drawn, first), end - 1))
        return z if depth.one_label else middle, middle

    def _read(self, place: Place) -> tuple[np.ndarray, np.ndarray]:
        store, size, seen, edge = self.stores[place.plane], self.shape.span, self.shape.size, self.edge
        (y, x), (rows, columns) = place.start, place.counted
        (top, bottom), (left, right) = (
            (max(start - edge, 0), min(start + size + edge, side))
            for start, side in zip(place.start, store.shape(place.image_id)[1:], strict=True)
        )
        window = (top, left, bottom - top, right - left)
        image = store.read_stack(place.image_id, place.slices, window)
        labels = store.read_labels(place.image_id, place.z, window)
        labels[: max(rows[0] - top, 0)] = IGNORE
        labels[:, : max(columns[0] - left, 0)] = IGNORE
        labels[max(rows[1] - top, 0) :] = IGNORE
        labels[:, max(columns[1] - left, 0) :] = IGNORE
        lack = tuple(
            (first - (start - edge), start + size + edge - last)
            for start, first, last in ((y, top, bottom), (x, left, right))
        )
        if any(before or after for before, after in lack):
            image = np.pad(image, (*lack, (0, 0)), mode="reflect")
            labels = np.pad(labels, (*lack, *[(0, 0)] * (labels.ndim - 2)), constant_values=IGNORE)
        seen += 2 * self.shape.margin if self.augmentation else 0
        return resize(image, (seen, seen)), resize_labels(labels, (seen, seen))


def _reach(size: int) -> int:
    """How far, px, a training window is moved at most along each axis."""
    return size // 4


def _inside(start: int | np.ndarray, size: int, length: int | np.ndarray) -> np.ndarray:
    """A window's start moved so that it lies within 0…length; 0 where it is longer than that."""
    return np.minimum(np.maximum(start, 0), np.maximum(length - size, 0))


def covered(patches: pd.DataFrame, patch_size: int, shape: Shape, store: PixelStore) -> pd.DataFrame:
    """What the moved windows around each patch may read, as boxes in working px, row by row.

    Of the depth, the slices whose labels may train; the stack around each is as deep as the model says. Of a model of
    several planes the box holds the windows of all, and the stacks along y and x.
    """
    boxes = [_covered_in(plane, patches, patch_size, shape, store) for plane in shape.planes]
    bounds = {name: (np.min if name[1] == "0" else np.max)([box[name] for box in boxes], 0) for name in BOUNDS}
    return over_depth(pd.DataFrame({"image_id": patches.image_id, **bounds}), store)


def _covered_in(plane: str, patches: pd.DataFrame, patch_size: int, shape: Shape, store: PixelStore) -> pd.DataFrame:
    turned = store.in_plane(plane)
    shapes = {name: turned.shape(name) for name in patches.image_id.unique()}
    lengths = {
        axis: patches.image_id.map({name: sides[n] for name, sides in shapes.items()})
        for n, axis in enumerate(AXES[plane])
    }
    centres = patches.z, patches.y + patch_size // 2, patches.x + patch_size // 2
    size, reach = shape.span, _reach(shape.span)
    moves = 0, reach, reach
    depth, *sides = AXES[plane]
    low, high = {}, {}
    for axis in sides:
        start = centres[axis] - size // 2
        first, last = (_inside(start + move, size, lengths[axis]) for move in (-moves[axis], moves[axis]))
        low[axis] = np.maximum(first - shape.edge, 0)
        high[axis] = np.minimum(last + size + shape.edge, lengths[axis])
    around = moves[depth] + shape.shift + (shape.stack.half if plane != "xy" else 0)
    low[depth] = np.clip(centres[depth] - around, 0, lengths[depth] - 1)
    high[depth] = np.clip(centres[depth] + around, 0, lengths[depth] - 1) + 1
    return pd.DataFrame(
        {f"{name}{n}": bound[axis] for axis, name in enumerate("zyx") for n, bound in enumerate((low, high))}
    )


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
