"""Random changes of training windows."""

from typing import TYPE_CHECKING

from tessera.learn.augmentations.augmentation import Augmentation
from tessera.learn.augmentations.entries import Window, build_transform, expand
from tessera.learn.augmentations.ranges import entries_of
from tessera.learn.augmentations.trial import try_out
from tessera.tasks import Binary

if TYPE_CHECKING:
    from tessera.params.augment import Entry
    from tessera.params.model import Model


def entries_in(model: "Model") -> list["Entry"]:
    """The transforms that `augment` of a model stands for, in their order."""
    return list(expand(model.augment)) if isinstance(model.augment, list) else entries_of(model.augment)


def build_augmentation(model: "Model", channels: int, task: Binary) -> Augmentation:
    """What `augment` of a model says, tried out on a window as the model reads it. channels: of an image.

    Raises InputError naming a transform, or its argument, that is unknown or cannot take such windows.
    """
    entries = entries_in(model)
    size = model.size + 2 * model.margin
    window = Window(size, channels * model.slices, model.slices, task.permutation("flip_h"))
    transforms = [build_transform(entry, window) for entry in entries]
    try_out(entries, window)
    return Augmentation(transforms)
