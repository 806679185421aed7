"""What a network's channels mean. Losses live in `learn`, decision rules in `decide`."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MIRRORED = ("flip_h", "flip_v", "transpose", "anti_transpose")  # turns that show the mirror image; a rotation does not
IGNORE = 255  # the label of pixels that count nowhere, in every artefact
CERTAIN = 254  # in soft labels 0 and 1 are what they always are, and 2…254 are 254ths


def hardened(labels: np.ndarray) -> np.ndarray:
    """Labels, uint8, among which soft ones are cut at 0.5; hard ones stay as they are."""
    return np.where(labels == IGNORE, labels, (labels == 1) | (labels >= CERTAIN / 2))


class Binary:
    """One class against background: labels 0, 1 and IGNORE; one sigmoid channel."""

    def __init__(self, classes: list[str], flip_pairs: list[list[str]] = ()):
        self.channels = len(classes)
        other = {one: two for pair in flip_pairs for one, two in (pair, pair[::-1])}
        self.mirrored = [classes.index(other.get(name, name)) for name in classes]

    def encode_target(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels (..., H, W) uint8, of numpy or torch → target (..., C, H, W) and valid (..., C, H, W), both bool."""
        planes = self._planes(labels)
        return planes == 1, planes != IGNORE

    def encode_soft_target(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`encode_target` of labels among which soft ones are: target float32 in [0, 1], 0 where it is not valid."""
        planes = self._planes(labels)
        soft = (planes > 1) & (planes != IGNORE)
        return (planes == 1) + soft * (planes / np.float32(CERTAIN)), planes != IGNORE

    def probabilities(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Logits (B, C, H, W) → probabilities in [0, 1], float32; in the logits' memory, where they are that already."""
        return logits.float().contiguous().sigmoid_()

    def permutation(self, view: str) -> list[int]:
        """The channel order after undoing `view`: in a mirror image, left and right of `flip_pairs` change places."""
        return self.mirrored if view in MIRRORED else list(range(self.channels))

    def _planes(self, labels: np.ndarray) -> np.ndarray:
        return labels[..., None, :, :]


class Multilabel(Binary):
    """Classes that may overlap: labels (..., H, W, K) of 0, 1 and IGNORE, the classes last; a sigmoid channel a class."""

    def _planes(self, labels: np.ndarray) -> np.ndarray:
        return labels.swapaxes(-1, -2).swapaxes(-2, -3)


TASKS = {"binary": Binary, "multilabel": Multilabel}


def build_task(name: str, classes: list[str], flip_pairs: list[list[str]] = ()) -> Binary:
    """The task called `name`; params.yaml has checked the names. flip_pairs: of classes, for what trains or predicts."""
    return TASKS[name](classes, flip_pairs)
