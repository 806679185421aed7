from collections.abc import Callable

import pytest

from tessera.learn.augmentations.augmentation import Augmentation
from tessera.learn.augmentations.build import build_augmentation
from tessera.params.model import Model
from tessera.tasks import build_task


@pytest.fixture
def build(model: Callable[..., Model]) -> Callable[..., Augmentation]:
    """A function (augment, channels of an image, classes, slices, …) → its augmentation of 32 px windows."""

    def build(
        augment: object, channels: int = 1, classes: str = "a", pairs: list | tuple = (), **changes: object
    ) -> Augmentation:
        task = build_task("multilabel" if len(classes) > 1 else "binary", list(classes), pairs)
        return build_augmentation(model(augment=augment, **changes), channels, task)

    return build
