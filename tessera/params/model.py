"""`models.<name>:` a network, what it reads and how it is trained."""

import math
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from tessera.params.augment import OF_RGB, OF_RGB_OR_GREY, OF_STACKS, Augment, Augmenting, colours_in, names_in
from tessera.params.encoders import arguments_for, least_batch, multiple_of, takes_one_size
from tessera.params.loss import Auxiliary, Loss
from tessera.params.mix import Mix
from tessera.params.section import Name, Section, Seed, Share, later, read_by, unique

Depth = Annotated[int, Field(ge=0)]  # the number of a slice
SHA256 = "[0-9a-fA-F]{64}"
DECIDED = {  # arguments of the smp class → the key that decides them
    "encoder_name": "encoder", "encoder_weights": "weights", "in_channels": "data.channels and slices",
    "classes": "data.classes", "aux_params": "auxiliary", "activation": "data.task",
    "checkpoint_path": "weights",
}  # fmt: skip
_SHARE, _PAIR = TypeAdapter(Share), TypeAdapter(tuple[Share, Share])


def _share_or_pair(value: object) -> object:
    return (_PAIR if isinstance(value, list | tuple) else _SHARE).validate_python(value)


def _weights(value: object) -> object:
    file, digest = value, "0" * 64
    if isinstance(value, dict) and set(value) == {"file", "sha256"}:
        file, digest = value["file"], value["sha256"]
    if all(isinstance(text, str) for text in (file, digest)) and file.strip() and re.fullmatch(SHA256, digest):
        return value
    raise ValueError("must be imagenet, null, a file, or {file: <file>, sha256: <its 64 hexadecimal digits>}")


class Model(Section):
    decoder: str
    encoder: str
    # imagenet, null for random, a local file (DVC tracks its name, not its content), or {file, sha256}
    weights: Annotated[str | dict[str, str], *read_by(_weights)] | None = None
    arguments: dict[str, object] = {}  # further arguments of the smp class
    params_max: int | None = later(None, ge=1)  # a network of more parameters is refused
    allow_noncommercial: bool = later(True)  # false refuses encoders whose licence does not allow commercial use
    size: int = Field(ge=32)  # training window, working px
    slices: int = Field(ge=1, default=1)  # 2.5D depth
    step: int = Field(ge=1, default=1)  # slices between those of the stack
    edge: Literal["clamp", "reflect"] = later("clamp")  # slices beyond the volume: its last one, or mirrored
    shift: int = later(0, ge=0)  # ± slices by which training moves the stack; labels of slices go along
    # the slices that are read, half-open; with labels of slices, those outside train nothing and are predicted empty
    depths: tuple[Depth, Depth] | None = later(None)
    # data.labels volume: middles of the stacks; training draws one, prediction is their mean; null is the middle
    centres: Annotated[tuple[Depth, ...], Field(min_length=1), AfterValidator(unique)] | None = later(None)
    margin: int = later(0, ge=0)  # px around a training window that are changed with it and then cut off
    zoom: float = later(1.0, gt=0)  # working px of a px of the window: size·zoom px are read and resized to size
    # of volumes: training draws one, prediction is their mean; z counts as if its slices were a working px apart
    planes: Annotated[list[Literal["xy", "xz", "yz"]], AfterValidator(unique)] = later(["xy"])
    epochs: int = Field(ge=1)
    patches: int | None = Field(ge=1, default=None)  # drawn an epoch; null is as many as there are
    batch: int = Field(ge=1)
    accumulate: int = later(1, ge=1)  # micro-batches of a step, one after the other; it still sees `batch` windows
    # of the drawn; [first, last epoch]; null is as indexed
    positive_share: Annotated[Share | tuple[Share, Share], *read_by(_share_or_pair)] | None = None
    domain_weights: dict[str, Annotated[float, Field(gt=0)]] = later({})  # how often its patches come; others: 1
    balance: Literal["class", "group", "stratum"] | None = later(None)  # each comes as often as the others
    extra: Annotated[list[Name], AfterValidator(unique)] = later([])  # rounds of pseudo-labels that train it too
    lr: float = Field(gt=0)
    encoder_lr: float = later(1.0, gt=0)  # factor on the encoder's learning rate
    layer_decay: float = later(1.0, gt=0, le=1)  # a further factor for each of the encoder's levels below the deepest
    weight_decay: float = Field(ge=0, default=0.01)
    decay: Literal["all", "weights"] = later("all")  # weights: norms, biases and positions are not decayed
    freeze: int = later(0, ge=0)  # first epochs in which the encoder does not learn
    freeze_norms: bool = later(False)  # the encoder's batch statistics stay as they were loaded
    schedule: Literal["onecycle", "cosine", "poly"] = "onecycle"
    warmup: Share = 0.1  # share of all steps
    clip: float | None = Field(gt=0, default=None)  # gradient norm
    ema: float = Field(ge=0, lt=1, default=0)  # decay a step; 0 is off; at 1 the average would never learn
    loss: Loss
    auxiliary: Auxiliary | None = later(None)
    augment: Augmenting = Augment()  # ranges, a name or a list
    mix: Mix = later(Mix())
    # epochs; best by the pooled Dice at 0.5 of the fold's windows, whatever `score` is: another one retrains nothing
    keep: Literal["last", "best", "mean_of_best", "mean_of_last"] = "last"  # mean_of_last is SWA
    keep_epochs: int | None = later(None, ge=2)  # how many a mean is of
    validate_every: int = Field(ge=1, default=1)  # epochs; the last one is always scored
    patience: int | None = later(None, ge=1)  # scored epochs without a better one, after which training stops
    seed: Seed = 0

    @model_validator(mode="after")
    def _what_it_reads(self) -> "Model":
        if self.size % (multiple := multiple_of(self.decoder)):
            nearest = -(-self.size // multiple) * multiple
            raise ValueError(f"size must be a multiple of {multiple}, got {self.size}; next is {nearest}")
        if round(self.size * self.zoom) < 1:
            raise ValueError(
                f"zoom {self.zoom} leaves nothing to read of size {self.size}: give {1 / self.size:.2g} or more"
            )
        if self.slices % 2 == 0:
            raise ValueError(f"slices must be odd, so that the middle one is predicted; got {self.slices}")
        if decided := [name for name in self.arguments if name in DECIDED]:
            raise ValueError(f"arguments.{decided[0]} is what {DECIDED[decided[0]]} decides; leave it out")
        if self.planes[:1] != ["xy"]:
            raise ValueError(f"planes must begin with xy, in which training is scored; got {self.planes}")
        if self.one_size and self.network_arguments["img_size"] != self.size:
            raise ValueError(f"arguments.img_size must be size, which is {self.size}, or be left out")
        first, end = self.depths or (0, math.inf)
        if first >= end:
            raise ValueError(f"depths must rise, got {self.depths}; the last one is not read")
        if self.depths and self.planes != ["xy"]:
            raise ValueError(f"depths are slices of the plane xy, got planes {self.planes}; give planes: [xy]")
        if outside := [z for z in self.centres or () if not first <= z < end]:
            raise ValueError(f"centres must lie within depths {self.depths}, got {outside[0]}")
        if self.slices > 1 and (colours := colours_in(self.augment, OF_RGB | OF_RGB_OR_GREY)):
            raise ValueError(f"augment: {colours} change single RGB images, slices must be 1, got {self.slices}")
        if self.slices == 1 and (stacked := ", ".join(OF_STACKS.intersection(names_in(self.augment)))):
            raise ValueError(f"augment: {stacked} change 2.5D stacks, slices must be above 1")
        return self

    @model_validator(mode="after")
    def _how_it_is_trained(self) -> "Model":
        if self.freeze_norms and self.weights is None:
            raise ValueError("freeze_norms keeps batch statistics of pretrained weights; weights is null")
        if self.freeze and self.weights is None:
            raise ValueError(f"freeze {self.freeze} keeps pretrained weights for so many epochs; weights is null")
        if self.freeze >= self.epochs:
            raise ValueError(f"freeze {self.freeze} leaves none of the {self.epochs} epochs to the encoder")
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate must divide batch into equal parts, got {self.batch} / {self.accumulate}")
        if self.batch // self.accumulate < self.least_batch:
            raise ValueError(
                f"batch / accumulate must be at least {self.least_batch} with decoder {self.decoder}, which normalises a "
                f"map of one px over the images; it is {self.batch // self.accumulate}; decoders Unet, FPN and Segformer "
                "take single images"
            )
        if self.patches and self.patches < self.least_batch:
            raise ValueError(
                f"patches {self.patches} are fewer windows than decoder {self.decoder} trains on at once: give "
                f"{self.least_batch} or more, or take decoder Unet, FPN or Segformer"
            )
        if self.mix != Mix() and self.batch == 1:
            raise ValueError("mix makes windows of two of a batch, batch must be above 1")
        return self

    @model_validator(mode="after")
    def _what_is_kept(self) -> "Model":
        if self.keep.startswith("mean_of_") != (self.keep_epochs is not None):
            raise ValueError(
                f"keep_epochs says of how many epochs a mean is: keep is {self.keep}, it {self.keep_epochs}"
            )
        scored = -(-self.epochs // self.validate_every)  # the last one always is
        there = f"epochs {self.epochs} and validate_every {self.validate_every} make {scored} scored epoch(s)"
        if self.keep == "best" and scored == 1:
            raise ValueError(f"keep best has nothing to choose from: {there}; lower validate_every, or keep last")
        if (self.keep_epochs or 0) > (scored if self.keep == "mean_of_best" else self.epochs):
            raise ValueError(
                f"keep {self.keep} lacks epochs for the keep_epochs {self.keep_epochs} of its mean: {there}"
            )
        if (self.patience or 0) >= scored:
            raise ValueError(
                f"patience {self.patience} never ends a training: {there}, the first of which is the best so far"
            )
        return self

    @property
    def selected_on_validation(self) -> bool:
        """Whether what is kept was chosen by the score of the held-out fold, which is reported later."""
        return self.keep in ("best", "mean_of_best") or self.patience is not None

    @property
    def half_depth(self) -> int:
        """Slices that the 2.5D stack reaches to each side of its middle one."""
        return self.slices // 2 * self.step

    @property
    def network_arguments(self) -> dict[str, object]:
        """`arguments`, and those that the encoder needs in order to run."""
        return arguments_for(self.encoder, self.size) | self.arguments

    @property
    def one_size(self) -> bool:
        """Whether the network takes windows of `size` alone."""
        return takes_one_size(self.network_arguments)

    @property
    def multiple(self) -> int:
        """Px of which a window's height and width are multiples."""
        return self.size if self.one_size else multiple_of(self.decoder)

    @property
    def least_batch(self) -> int:
        """The fewest images that the network trains on at once."""
        return least_batch(self.decoder)

    @property
    def weights_file(self) -> str | None:
        """The local file of weights, where they come from one."""
        file = self.weights["file"] if isinstance(self.weights, dict) else self.weights
        return None if file == "imagenet" else file

    @property
    def weights_sha256(self) -> str | None:
        """The digest that `weights` promises of its file."""
        return self.weights["sha256"] if isinstance(self.weights, dict) else None
