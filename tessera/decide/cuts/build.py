"""The cuts by name: blended maps (C, H, W) uint8 and a level a class → mask (C, H, W) bool."""

from tessera.decide.cuts.hysteresis import hysteresis
from tessera.decide.cuts.quantile import quantile
from tessera.decide.cuts.threshold import threshold
from tessera.decide.cuts.triplet import triplet

CUTS = {"threshold": threshold, "quantile": quantile, "hysteresis": hysteresis, "triplet": triplet}
