"""`models.<name>:` a network, what it reads and how it is trained."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tessera.params.loss import Auxiliary, Loss
from tessera.params.section import Section, Seed, Share, later, unique

Depth = Annotated[int, Field(ge=0)]  # the number of a slice


class Augment(Section):
    """Ranges of random changes; 0 turns one off."""

    flip: bool = True
    rot90: bool = True
    scale: float = Field(ge=0, lt=1, default=0)  # ± share of the size
    rotate: float = Field(ge=0, le=180, default=0)  # ± degrees
    brightness: Share = 0  # ± share of the range
    contrast: Share = 0
    hue: float = Field(ge=0, le=90, default=0)  # ± OpenCV degrees, RGB alone
    saturation: float = Field(ge=0, le=127, default=0)  # ± of 255, RGB alone


class Model(Section):
    decoder: str
    encoder: str
    weights: str | None = None  # imagenet, null for random, or a local file (DVC tracks its name, not its content)
    arguments: dict[str, object] = {}  # further arguments of the smp class
    size: int = Field(ge=32)  # training window, working px
    slices: int = Field(ge=1, default=1)  # 2.5D depth
    step: int = Field(ge=1, default=1)  # slices between those of the stack
    edge: Literal["clamp", "reflect"] = later("clamp")  # slices beyond the volume: its last one, or mirrored
    shift: int = later(0, ge=0)  # ± slices by which training moves the stack; labels of slices go along
    depths: tuple[Depth, Depth] | None = later(None)  # data.labels volume: the slices that are read, half-open
    centres: Annotated[tuple[Depth, ...], Field(min_length=1), AfterValidator(unique)] | None = later(
        None
    )  # data.labels volume: middles of the stacks; training draws one, prediction is their mean; null is the middle
    margin: int = later(0, ge=0)  # px around a training window that are changed with it and then cut off
    zoom: float = later(1.0, gt=0)  # working px of a px of the window: size·zoom px are read and resized to size
    planes: Annotated[list[Literal["xy", "xz", "yz"]], AfterValidator(unique)] = later(
        ["xy"]
    )  # of volumes: training draws one, prediction is their mean; z counts as if its slices were a working px apart
    epochs: int = Field(ge=1)
    patches: int | None = Field(ge=1, default=None)  # drawn an epoch; null is as many as there are
    batch: int = Field(ge=1)
    accumulate: int = later(1, ge=1)  # micro-batches of a step, one after the other; it still sees `batch` windows
    positive_share: Share | None = None  # of the drawn patches; null is as indexed
    lr: float = Field(gt=0)
    encoder_lr: float = later(1.0, gt=0)  # factor on the encoder's learning rate
    layer_decay: float = later(1.0, gt=0, le=1)  # a further factor for each of the encoder's levels below the deepest
    weight_decay: float = Field(ge=0, default=0.01)
    decay: Literal["all", "weights"] = later("all")  # weights: norms and biases are not decayed
    freeze: int = later(0, ge=0)  # first epochs in which the encoder does not learn
    freeze_norms: bool = later(False)  # the encoder's batch statistics stay as they were loaded
    schedule: Literal["onecycle", "cosine", "poly"] = "onecycle"
    warmup: Share = 0.1  # share of all steps
    clip: float | None = Field(gt=0, default=None)  # gradient norm
    ema: Share = 0  # decay a step; 0 is off
    loss: Loss
    auxiliary: Auxiliary | None = later(None)
    augment: Augment = Augment()
    keep: Literal["last", "best", "mean_of_best", "mean_of_last"] = "last"  # epochs; mean_of_last is SWA
    keep_epochs: int | None = later(None, ge=2)  # how many a mean is of
    validate_every: int = Field(ge=1, default=1)  # epochs; the last one is always scored
    patience: int | None = later(None, ge=1)  # scored epochs without a better one, after which training stops
    seed: Seed = 0

    @model_validator(mode="after")
    def _contradictions(self) -> "Model":
        if self.size % 32:
            raise ValueError(f"size must be a multiple of 32, got {self.size}; next is {-(-self.size // 32) * 32}")
        if self.slices % 2 == 0:
            raise ValueError(f"slices must be odd, so that the middle one is predicted; got {self.slices}")
        if self.planes[:1] != ["xy"]:
            raise ValueError(f"planes must begin with xy, in which training is scored; got {self.planes}")
        first, end = self.depths or (0, math.inf)
        if first >= end:
            raise ValueError(f"depths must rise, got {self.depths}; the last one is not read")
        if outside := [z for z in self.centres or () if not first <= z < end]:
            raise ValueError(f"centres must lie within depths {self.depths}, got {outside[0]}")
        if self.keep.startswith("mean_of_") != (self.keep_epochs is not None):
            raise ValueError(
                f"keep_epochs says of how many epochs a mean is: keep is {self.keep}, it {self.keep_epochs}"
            )
        if self.freeze_norms and self.weights is None:
            raise ValueError("freeze_norms keeps batch statistics of pretrained weights; weights is null")
        if self.freeze >= self.epochs:
            raise ValueError(f"freeze {self.freeze} leaves none of the {self.epochs} epochs to the encoder")
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate must divide batch into equal parts, got {self.batch} / {self.accumulate}")
        if self.slices > 1 and (self.augment.hue or self.augment.saturation):
            raise ValueError("augment.hue and augment.saturation change single RGB images, slices must be 1")
        return self

    @property
    def selected_on_validation(self) -> bool:
        """Whether what is kept was chosen by the score of the held-out fold, which is reported later."""
        return self.keep in ("best", "mean_of_best") or self.patience is not None

    @property
    def half_depth(self) -> int:
        """Slices that the 2.5D stack reaches to each side of its middle one."""
        return self.slices // 2 * self.step
