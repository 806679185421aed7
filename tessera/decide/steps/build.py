"""The post-processing steps by name, in the order in which they are applied.

STEPS: mask (C, H, W) bool of a row, value, and its spacing (y, x) in µm → mask.
"""

from tessera.decide.steps.min_area import min_area, min_area_um2

STEPS = {"min_area": min_area, "min_area_um2": min_area_um2}
