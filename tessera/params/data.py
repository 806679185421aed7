"""`data:` the raw layout of a competition."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tessera.params.section import Name, Section, later, unique

Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]

PATTERNS = {  # what may stand for names in them
    "train_images": ["{image_id}", "{slice}", "{group}"],
    "test_images": ["{image_id}", "{slice}", "{group}"],
    "train_masks": ["{image_id}", "{slice}", "{class}"],
    "train_polygons": ["{image_id}", "{slice}"],
    "valid_masks": ["{image_id}", "{slice}"],
}


class Data(Section):
    """The raw layout. Patterns are relative to `source`; {image_id} and, in volumes, {slice} stand for names.

    Those of images may hold {group}, the name of the image's group, and * for any part of a name.
    """

    source: str
    task: Literal["binary", "multilabel"]
    classes: Annotated[list[Name], Field(min_length=1), AfterValidator(unique)]
    flip_pairs: list[tuple[Name, Name]] = later([])  # left and right classes: a mirrored one is the other
    channels: Literal["grey", "rgb", "all"]
    train_images: str
    test_images: str | None = None
    train_masks: str | None = None  # pattern of mask files: with *, several an image; without {slice}, one a volume, or
    #                                 all its slices in one file; with {class}, one a class; or
    train_rle: str | None = None  # a csv of RLE rows; or
    train_polygons: str | None = None  # pattern of JSON files, or a .jsonl with a line an image
    labels: Literal["slice", "volume"] = later("slice")  # of volumes: one a slice, or one for all depth (a projection)
    mask_kind: Literal["grey", "colour", "instances"] = "grey"  # instances: 0 is background, all else the class
    positive: int = 1  # grey: pixel value of the class
    ignore: int | None = None  # grey: pixel value that counts nowhere
    colours: dict[Colour, str] = {}  # colour: "#rrggbb" → a class, background or ignore
    valid_masks: str | None = None  # pattern of masks; where they are 0, labels are ignored
    rle_column: str = "rle"  # here and in sample_submission; there, one of another name may be the only one left
    rle_order: Literal["column", "row"] = "column"
    rle_base: Literal[0, 1] = 1
    rle_starts: Literal["absolute", "relative"] = "absolute"  # relative: counted from the end of the run before
    rle_empty: Annotated[list[str], Field(min_length=1)] = [""]  # cells of train_rle that say an empty mask, as "-1"
    rle_rows: Literal["one", "several"] = "one"  # an image or slice, and class; several are united
    class_column: str | None = None  # where a row is one class of an image; of sample_submission, if not given: "class"
    class_names: dict[str, str] = {}  # what labels and sample_submission call it → a class, background or ignore
    meta: list[str] = []  # csv files with a row an image
    id: str = "id"  # the column of ids, in every csv
    id_ending: str = ""  # what ids of csv files have behind the image_id, as ".jpg"
    group: str | None = None  # a column of meta; or {group} in the patterns of images
    stratum: str | None = None
    domain: str | None = None
    pixel_size: str | None = None  # the column with each image's own µm per pixel
    level: int = Field(ge=0, default=0)  # of pyramidal TIFFs; 0 is the largest; labels are of that size
    sample_submission: str | None = None
    solution: str | None = None  # the true test labels, read by the closing scoreboard alone

    @model_validator(mode="after")
    def _contradictions(self) -> "Data":
        if (self.train_masks, self.train_rle, self.train_polygons).count(None) != 2:
            raise ValueError("give exactly one of train_masks, train_rle and train_polygons")
        if (self.task == "binary") != (len(self.classes) == 1):
            raise ValueError(f"task binary goes with one class, multilabel with several; classes are {self.classes}")
        paired = [name for pair in self.flip_pairs for name in pair]
        if self.flip_pairs and self.task == "binary":
            raise ValueError("flip_pairs swaps classes of a task multilabel; task is binary")
        if strange := [name for name in paired if name not in self.classes]:
            raise ValueError(f"flip_pairs names {strange[0]!r}; classes are {', '.join(self.classes)}")
        if len(set(paired)) != len(paired):
            raise ValueError(f"flip_pairs pairs a class twice: {self.flip_pairs}")
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
    def _classes_of_labels(self) -> "Data":
        by_class, in_colours = "{class}" in (self.train_masks or ""), self.mask_kind == "colour"
        if by_class and (self.task == "binary" or in_colours):
            raise ValueError(
                "train_masks with {class} are files of one class each, of task multilabel and mask_kind grey or instances; "
                f"task is {self.task}, mask_kind {self.mask_kind}"
            )
        if self.train_masks and self.task == "multilabel" and not (by_class or in_colours):
            raise ValueError(
                f"a {self.mask_kind} mask shows one class, classes are {self.classes}: name {{class}} in train_masks, "
                "or give mask_kind: colour"
            )
        if self.train_rle and self.task == "multilabel" and not self.class_column:
            raise ValueError(
                f"a row of train_rle is of one class, classes are {self.classes}: give class_column, the name of the "
                "column that says which"
            )
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
