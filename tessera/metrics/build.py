"""Which scores there are."""

from typing import TYPE_CHECKING

from tessera.metrics.counts import FScore, IoU
from tessera.metrics.instances import ObjectFScore, ObjectPrecision
from tessera.metrics.score import Score
from tessera.metrics.surface import Hausdorff, SurfaceDice, UWMadison

if TYPE_CHECKING:
    from tessera.params.score import Score as Section

METRICS = {
    "dice": FScore,
    "fbeta": FScore,
    "iou": IoU,
    "surface_dice": SurfaceDice,
    "hausdorff": Hausdorff,
    "uw_madison": UWMadison,
    "object_map": ObjectPrecision,
    "object_fbeta": ObjectFScore,
}


def build_score(section: "Section") -> Score:
    """The competition's own score; params.yaml has checked its name and which keys are its own."""
    return METRICS[section.metric](**section.own)
