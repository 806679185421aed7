"""Which of the two loaders a training has."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch

from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn.augmentations.build import entries_in
from tessera.learn.dataset import Windows
from tessera.learn.loading import Batches, Loader
from tessera.learn.on_device.build import Changes
from tessera.learn.on_device.change import NotOnDeviceError
from tessera.learn.on_device.loading import DeviceLoader
from tessera.learn.on_device.pixels import DevicePixels, Layout
from tessera.machine import Machine
from tessera.tasks import Binary

if TYPE_CHECKING:
    from tessera.params.model import Model

SHARE = 0.5  # of the free GPU memory that pixels may take; the rest is the network's


def build_loader(
    items: Windows,
    scored: Windows,
    model: "Model",
    task: Binary,
    batch: int,
    machine: Machine,
    note: Callable[[str], None],
    before: str | None = None,
) -> Batches:
    """The loader that TESSERA_LOADER asks for, of training items and those that are scored.

    auto: the one that the training had `before`; at first, on a GPU, `device`. Where pixels do not fit, or it lacks a
    change, workers. `note` says which, in one line.

    Raises InputError when `device` is asked for and cannot be.
    """
    workers = Loader(items, scored, task, batch, machine.workers, machine.device, note)
    usual = "device" if machine.device.type == "cuda" else "workers"
    if (before or usual if machine.loader == "auto" else machine.loader) == "workers":
        return workers
    try:
        changes = Changes(entries_in(model), model.slices)
        store, images = items.stores["xy"], {image_id for image_id, *_ in (*items.places, *scored.places)}
        size = size_that_fits(store, images, machine.device)
    except NotOnDeviceError as error:
        if machine.loader == "device":
            raise InputError(f"TESSERA_LOADER=device {error}; set TESSERA_LOADER=workers") from None
        note(f"loads with {machine.workers} workers: TESSERA_LOADER=device {error}")
        return workers
    note(f"loads on {machine.device}: pixels and labels take {size / 2**30:.2f} GiB there")
    layout = Layout(store, sorted(images), task.permutation("flip_h"))
    pixels = DevicePixels(store, sorted(images), machine.device)
    return DeviceLoader(items, scored, task, batch, machine.workers, layout, pixels, changes, note)


def size_that_fits(store: PixelStore, images: Iterable[str], device: torch.device) -> int:
    """Bytes of the images' pixels and labels. Raises NotOnDeviceError where they are too many for the GPU."""
    size = sum(array.size for name in images for array in store.arrays(name))
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if size > SHARE * free:
            raise NotOnDeviceError(
                f"needs {size / 2**30:.1f} GiB for pixels and labels, and {SHARE:.0%} of the GPU's free memory are "
                f"{SHARE * free / 2**30:.1f} GiB"
            )
    return size
