"""`tile:` the working scale and the candidate patches."""

from typing import Literal

from pydantic import Field, model_validator

from tessera.params.section import Section, Share, later


class Tile(Section):
    scale: float | None = Field(gt=0, le=1, default=None)  # working px per original px, or
    pixel_size: float | None = Field(gt=0, default=None)  # µm of a working px; each image's own: data.pixel_size
    size: int = Field(ge=16)  # candidate patch, working px
    stride: int = Field(ge=8)  # working px
    keep_empty: Share  # share of the patches without positives that stay in the index
    min_std: float = later(0, ge=0)  # of 255 grey levels; a patch without positives that varies less is background
    min_saturated: float = later(0, ge=0, le=1)  # share of coloured pixels, below which it is; data.channels rgb
    percentiles: tuple[float, float] = (0.5, 99.5)  # black and white of images that are not 8-bit, measured over
    scaling: Literal["slice", "volume", "dataset"] = "volume"  # each slice, image or volume, or all training images

    @model_validator(mode="after")
    def _contradictions(self) -> "Tile":
        if (self.scale is None) == (self.pixel_size is None):
            raise ValueError("give exactly one of scale and pixel_size")
        if self.stride > self.size:
            raise ValueError(f"stride {self.stride} > size {self.size} leaves gaps between patches")
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(f"percentiles must rise within 0…100, got {self.percentiles}")
        return self
