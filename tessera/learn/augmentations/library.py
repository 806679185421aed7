"""albumentations 2.0.8, the last MIT release, imported here alone."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network for a newer version otherwise

import albumentations

__all__ = ["albumentations"]
