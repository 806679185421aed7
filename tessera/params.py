"""The schema of params.yaml: every choice that changes results, one section a stage.

A default here means "as it always was" and is never edited: new behaviour is a new value in
params.yaml. What only changes speed (device, workers, …) comes from TESSERA_* variables instead.
"""

import difflib
import math
import re
import typing
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from tessera.errors import InputError

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]  # becomes a file name and a DVC stage name
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
Depth = Annotated[int, Field(ge=0)]  # the number of a slice
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _unique(values: Collection) -> Collection:
    if len(set(values)) != len(values):
        raise ValueError("names one thing twice")
    return values


Names = Annotated[list[Name], Field(min_length=1), AfterValidator(_unique)]


def _later(default: object, **rules: object) -> object:
    """A key younger than finished trainings: where it says what always was, their records stay as they were."""
    return Field(default=default, exclude_if=lambda value: value == default, **rules)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Sample(Section):
    patients: int = Field(ge=3)
    test_patients: int = Field(ge=1)
    volumes: int = Field(ge=1)  # per patient
    slices: int = Field(ge=1)  # per volume
    seed: Seed


PATTERNS = {  # what may stand for names in them
    "train_images": ["{image_id}", "{slice}", "{group}"],
    "test_images": ["{image_id}", "{slice}", "{group}"],
    "train_masks": ["{image_id}", "{slice}"],
    "train_polygons": ["{image_id}", "{slice}"],
    "valid_masks": ["{image_id}", "{slice}"],
}


class Data(Section):
    """The raw layout. Patterns are relative to `source`; {image_id} and, in volumes, {slice} stand for names.

    Those of images may hold {group}, the name of the image's group, and * for any part of a name.
    """

    source: str
    task: Literal["binary", "multilabel"]
    classes: Annotated[list[Name], Field(min_length=1), AfterValidator(_unique)]
    channels: Literal["grey", "rgb", "all"]
    train_images: str
    test_images: str | None = None
    train_masks: str | None = None  # pattern of mask files: with *, several an image; without {slice}, one a volume; or
    train_rle: str | None = None  # a csv of RLE rows; or
    train_polygons: str | None = None  # pattern of JSON files, or a .jsonl with a line an image
    labels: Literal["slice", "volume"] = _later("slice")  # of volumes: one a slice, or one for all depth (a projection)
    mask_kind: Literal["grey", "colour", "instances"] = "grey"  # instances: 0 is background, all else the class
    positive: int = 1  # grey: pixel value of the class
    ignore: int | None = None  # grey: pixel value that counts nowhere
    colours: dict[Colour, str] = {}  # colour: "#rrggbb" → a class, background or ignore
    valid_masks: str | None = None  # pattern of masks; where they are 0, labels are ignored
    rle_column: str = "rle"
    rle_order: Literal["column", "row"] = "column"
    rle_base: Literal[0, 1] = 1
    rle_starts: Literal["absolute", "relative"] = "absolute"  # relative: counted from the end of the run before
    rle_empty: Annotated[list[str], Field(min_length=1)] = [""]  # cells of an empty mask, as "-1"; the first is written
    rle_rows: Literal["one", "several"] = "one"  # an image or slice, and class; several are united
    class_column: str | None = None  # of train_rle, where a row is one class of an image
    class_names: dict[str, str] = {}  # what the labels call it → a class, background or ignore
    meta: list[str] = []  # csv files with a row an image
    id: str = "id"  # the column of ids, in every csv
    id_ending: str = ""  # what ids of csv files have behind the image_id, as ".jpg"
    group: str | None = None  # a column of meta; or {group} in the patterns of images
    stratum: str | None = None
    domain: str | None = None
    pixel_size: str | None = None  # the column with each image's own µm per pixel
    level: int = Field(ge=0, default=0)  # of pyramidal TIFFs; 0 is the largest; labels are of that size
    sample_submission: str | None = None
    solution: str | None  # the true test labels, read by the closing scoreboard alone

    @model_validator(mode="after")
    def _contradictions(self) -> "Data":
        if (self.train_masks, self.train_rle, self.train_polygons).count(None) != 2:
            raise ValueError("give exactly one of train_masks, train_rle and train_polygons")
        if (self.task == "binary") != (len(self.classes) == 1):
            raise ValueError(f"task binary goes with one class, multilabel with several; classes are {self.classes}")
        if self.positive == self.ignore:
            raise ValueError(f"positive and ignore are both {self.positive}")
        if (self.mask_kind == "colour") != bool(self.colours):
            raise ValueError(f"mask_kind colour goes with a table of colours; mask_kind is {self.mask_kind}")
        if self.labels == "volume" and "{slice}" in f"{self.train_masks}{self.valid_masks}":
            raise ValueError("labels: volume means one label for all depth; train_masks and valid_masks name {slice}")
        meanings = (*self.classes, "background", "ignore")
        for key, table in (("colours", self.colours), ("class_names", self.class_names)):
            for name, meaning in table.items():
                if meaning not in meanings:
                    raise ValueError(f"{key} says {name!r} is {meaning!r}; it may be {', '.join(meanings)}")
        if not self.meta and (self.group or self.stratum or self.domain or self.pixel_size):
            raise ValueError("group, stratum, domain and pixel_size are columns of `meta`, which is empty")
        return self

    @model_validator(mode="after")
    def _patterns(self) -> "Data":
        for key, known in PATTERNS.items():
            pattern = getattr(self, key) or "{image_id}"
            fields = re.findall(r"\{\w*\}", pattern)
            if fields.count("{image_id}") != 1 and not pattern.endswith(".jsonl"):
                raise ValueError(f"{key} must hold {{image_id}} once, got {pattern!r}")
            for field in fields:
                if field not in known or fields.count(field) > 1:
                    raise ValueError(
                        f"{key} may hold {', '.join(known)}, each once, and * for the rest; got {pattern!r}"
                    )
            if "**" in pattern and "{group}" in known:
                raise ValueError(
                    f"{key}: a * stands for a part of one name, write */* for two folders; got {pattern!r}"
                )
            if "{group}" in fields and self.group:
                raise ValueError(f"{key} names the group, and so does group: {self.group}; give one of them")
        return self


class Score(Section):
    metric: Literal["dice", "fbeta"]
    beta: float = Field(gt=0, default=1.0)  # metric fbeta; 1 is Dice, below 1 false positives cost more
    average: Literal["pooled", "per_image"]
    empty: Share  # the score where truth and prediction are both empty
    direction: Literal["max"]

    @model_validator(mode="after")
    def _beta_has_its_metric(self) -> "Score":
        if self.metric == "dice" and self.beta != 1:
            raise ValueError(f"beta {self.beta:g} belongs to metric fbeta; the metric is dice")
        return self


class Tile(Section):
    scale: float | None = Field(gt=0, le=1, default=None)  # working px per original px, or
    pixel_size: float | None = Field(gt=0, default=None)  # µm of a working px; each image's own: data.pixel_size
    size: int = Field(ge=16)  # candidate patch, working px
    stride: int = Field(ge=8)  # working px
    keep_empty: Share  # share of the patches without positives that stay in the index
    min_std: float = _later(0, ge=0)  # of 255 grey levels; a patch without positives that varies less is background
    min_saturated: float = _later(0, ge=0, le=1)  # share of coloured pixels, below which it is; data.channels rgb
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


FOLD_MAKERS = {
    "stratified": "image", "domains": "image", "given": "image", "z_blocks": "part", "strips": "part", "blocks": "part",
}  # fmt: skip


class Fold(Section):
    unit: Literal["image", "part"]  # whole images, or parts of them
    maker: Literal["stratified", "domains", "given", "z_blocks", "strips", "blocks"] | None = None  # see maker_name
    count: int = Field(ge=2)
    run: Annotated[list[int], Field(min_length=1), AfterValidator(_unique)]  # the folds to train
    buffer: int = Field(ge=0)  # unit part: between training and another fold; slices and original px
    seed: Seed
    strata: Annotated[list[str], AfterValidator(_unique)] = ["stratum"]  # manifest columns, the most important first
    positive_bins: int = Field(ge=1, default=1)  # maker stratified: of the positive share, as a last stratum; 1 is off
    given: str | None = None  # maker given: a csv in data.source (columns data.id and fold), or a manifest column
    blocks: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None  # maker blocks: rows, columns
    near: int | None = Field(
        ge=0, le=12, default=None
    )  # look-alikes differ in at most so many of 64 bits; null: not sought
    allow: list[tuple[str, str]] = []  # look-alikes, pairs of ids, that a person has reviewed

    @property
    def maker_name(self) -> str:
        """The maker; without one, that of the unit as it always was."""
        return self.maker or {"image": "stratified", "part": "z_blocks"}[self.unit]

    @model_validator(mode="after")
    def _maker_has_its_keys(self) -> "Fold":
        if FOLD_MAKERS[self.maker_name] != self.unit:
            raise ValueError(
                f"maker {self.maker} makes folds of unit {FOLD_MAKERS[self.maker_name]}, unit is {self.unit}"
            )
        for maker in ("given", "blocks"):
            if (getattr(self, maker) is not None) != (self.maker == maker):
                raise ValueError(f"the key {maker} belongs to maker {maker}: give both or neither")
        if self.positive_bins > 1 and self.maker_name != "stratified":
            raise ValueError("positive_bins belongs to maker stratified")
        return self

    @model_validator(mode="after")
    def _run_exists(self) -> "Fold":
        strange = [fold for fold in self.run if not 0 <= fold < self.count]
        if strange:
            raise ValueError(f"run names fold {strange[0]}; with count {self.count} folds are 0…{self.count - 1}")
        return self


class Train(Section):
    models: Names
    amp: Literal["none", "bf16", "fp16"]


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
    edge: Literal["clamp", "reflect"] = _later("clamp")  # slices beyond the volume: its last one, or mirrored
    shift: int = _later(0, ge=0)  # ± slices by which training moves the stack; labels of slices go along
    depths: tuple[Depth, Depth] | None = _later(None)  # data.labels volume: the slices that are read, half-open
    centres: Annotated[tuple[Depth, ...], Field(min_length=1), AfterValidator(_unique)] | None = _later(
        None
    )  # data.labels volume: middles of the stacks; training draws one, prediction is their mean; null is the middle
    margin: int = _later(0, ge=0)  # px around a training window that are changed with it and then cut off
    zoom: float = _later(1.0, gt=0)  # working px of a px of the window: size·zoom px are read and resized to size
    planes: Annotated[list[Literal["xy", "xz", "yz"]], AfterValidator(_unique)] = _later(
        ["xy"]
    )  # of volumes: training draws one, prediction is their mean; z counts as if its slices were a working px apart
    epochs: int = Field(ge=1)
    patches: int | None = Field(ge=1, default=None)  # drawn an epoch; null is as many as there are
    batch: int = Field(ge=1)
    positive_share: Share | None = None  # of the drawn patches; null is as indexed
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0, default=0.01)
    schedule: Literal["onecycle", "cosine"] = "onecycle"
    warmup: Share = 0.1  # share of all steps
    clip: float | None = Field(gt=0, default=None)  # gradient norm
    ema: Share = 0  # decay a step; 0 is off
    loss: dict[str, float]
    augment: Augment = Augment()
    keep: Literal["last", "best"] = "last"
    validate_every: int = Field(ge=1, default=1)  # epochs; the last one is always scored
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
        if not self.loss or min(self.loss.values()) <= 0:
            raise ValueError(f"loss needs names with weights above 0, got {self.loss}")
        if self.slices > 1 and (self.augment.hue or self.augment.saturation):
            raise ValueError("augment.hue and augment.saturation change single RGB images, slices must be 1")
        return self

    @property
    def half_depth(self) -> int:
        """Slices that the 2.5D stack reaches to each side of its middle one."""
        return self.slices // 2 * self.step


class Predict(Section):
    window: int = Field(ge=32, multiple_of=32)  # working px
    overlap: float = Field(ge=0, le=0.75)  # share of the window
    views: Annotated[
        list[Literal["identity", "flip_h", "flip_v", "rot180"]], Field(min_length=1), AfterValidator(_unique)
    ]


class Tune(Section):
    ensemble: Names
    thresholds: Literal["global", "per_stratum"]
    min_area: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=1)
    ]  # candidates, original px; 0 removes nothing
    step: float = Field(gt=0, le=1)  # of the weights on the simplex
    bootstrap: int = Field(ge=100)  # resamples of the groups
    seed: Seed

    @model_validator(mode="after")
    def _step_divides_one(self) -> "Tune":
        if abs(round(1 / self.step) * self.step - 1) > 1e-9:
            raise ValueError(f"step must divide 1, got {self.step}")
        return self


class Submit(Section):
    dialect: str


class Params(Section):
    sample: Sample
    data: Data
    score: Score
    tile: Tile
    fold: Fold
    train: Train
    models: dict[Name, Model]
    predict: Predict
    tune: Tune
    submit: Submit

    @model_validator(mode="after")
    def _names_exist(self) -> "Params":
        for key, names, known in (
            ("train.models", self.train.models, list(self.models)),
            ("tune.ensemble", self.tune.ensemble, self.train.models),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(f"{key} names {name!r}; it must be one of {', '.join(known)}")
        if self.tile.pixel_size and not self.data.pixel_size:
            raise ValueError(
                "tile.pixel_size needs data.pixel_size: the meta column with each image's own µm per pixel"
            )
        if self.data.labels == "volume" and self.fold.maker_name == "z_blocks":
            raise ValueError(
                "fold.maker z_blocks cuts the depth, for all of which data.labels volume has one label: its parts would "
                "share it; use maker strips or blocks, or unit image"
            )
        if self.tile.min_saturated and self.data.channels != "rgb":
            raise ValueError(f"tile.min_saturated needs data.channels rgb, which is {self.data.channels}")
        for name, model in self.models.items():
            if self.data.labels == "volume" and model.planes != ["xy"]:
                raise ValueError(
                    f"models.{name}: planes {model.planes} need labels in depth; with data.labels volume give planes: [xy]"
                )
            if self.data.labels == "slice" and (model.centres or model.depths):
                raise ValueError(
                    f"models.{name}: centres and depths need data.labels volume; with labels of slices each one is "
                    "predicted around itself"
                )
            if self.data.channels == "grey" and (model.augment.hue or model.augment.saturation):
                raise ValueError(f"models.{name}.augment: hue and saturation need data.channels rgb, which is grey")
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Reads and checks params.yaml. Raises InputError with every wrong key, its value and what is allowed."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise InputError("\n".join(f"{path}: {_explain(one)}" for one in error.errors())) from None


def _explain(error: dict) -> str:
    where = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        known = _known_keys(error["loc"][:-1])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, 1, 0)
        return f"{where} = {error['input']!r} is not a known key; did you mean {near[0]!r}? Known: {', '.join(known)}"
    if error["type"] == "missing":
        return f"{where} is missing"
    message = error["msg"].removeprefix("Value error, ")
    value = "" if isinstance(error["input"], dict) else f" = {error['input']!r}"
    return f"{where}{value}: {message}"


def _known_keys(location: tuple) -> list[str]:
    """The keys of the section at `location`, e.g. ("models", "unet") → those of `Model`."""
    section: type = Params
    for key in location:
        if isinstance(section, type) and issubclass(section, Section):
            section = section.model_fields[key].annotation
        else:  # dict[Name, Model]: any name leads to a Model
            section = typing.get_args(section)[-1]
    return list(section.model_fields)
