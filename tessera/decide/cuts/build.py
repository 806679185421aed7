"""The cuts by name: blended maps (C, H, W) uint8 and a level a class → mask (C, H, W) bool."""

from tessera.decide.cuts.threshold import threshold

CUTS = {"threshold": threshold}
