"""The cuts by name: blended maps (C, H, W) uint8 and a level a class → mask (C, H, W) bool."""

from tessera.decide.cuts.hysteresis import hysteresis
from tessera.decide.cuts.quantile import quantile, quantile_counts
from tessera.decide.cuts.threshold import threshold
from tessera.decide.cuts.triplet import triplet, triplet_counts

CUTS = {"threshold": threshold, "quantile": quantile, "hysteresis": hysteresis, "triplet": triplet}
# cut → function(histograms of a row, levels) → counts (L, C, 3): pixels are read once for all levels
FROM_HISTOGRAMS = {"quantile": quantile_counts, "triplet": triplet_counts}
