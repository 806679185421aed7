"""The post-processing steps by name, in the order in which they are applied.

STEPS look at a row: mask (C, H, W) bool, value, spacing (µm between px along y and x) → mask. COUNTS tell the counts of
many values of a step at once: mask, target, valid, values, spacing → (values, C, 3); `split` has none, each of its
values is a mask of its own. After all of them comes `VOLUME_STEP`, which looks at the rows of a volume (`Evidence.masks`
applies it).
"""

from tessera.decide.steps.fill_holes import fill_counts, fill_holes
from tessera.decide.steps.gate import gate, gate_counts
from tessera.decide.steps.largest import largest, largest_counts
from tessera.decide.steps.min_area import area_counts, area_um2_counts, min_area, min_area_um2
from tessera.decide.steps.split import split

STEPS = {
    "gate": gate, "fill_holes": fill_holes, "split": split, "min_area": min_area, "min_area_um2": min_area_um2,
    "largest": largest,
}  # fmt: skip
COUNTS = {
    "gate": gate_counts, "fill_holes": fill_counts, "min_area": area_counts, "min_area_um2": area_um2_counts,
    "largest": largest_counts,
}  # fmt: skip
VOLUME_STEP = "min_volume"
