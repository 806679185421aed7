"""The schema of params.yaml: every choice that changes results, one section a stage.

A default means "as it always was" and is never edited: new behaviour is a new value in params.yaml. What only changes
speed (device, workers, …) comes from TESSERA_* variables instead.
"""

import difflib
import typing
from pathlib import Path

import yaml
from pydantic import ValidationError, model_validator

from tessera.errors import InputError
from tessera.params.agreement import check_agreement, check_steps
from tessera.params.clean import Clean
from tessera.params.data import Data
from tessera.params.fold import Fold
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.params.sample import Sample
from tessera.params.score import Score
from tessera.params.section import Name, Section
from tessera.params.submit import Submit
from tessera.params.tile import Tile
from tessera.params.train import Train
from tessera.params.tune import Tune


class Params(Section):
    sample: Sample
    data: Data
    score: Score
    tile: Tile
    clean: Clean
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
            ("train.full", self.train.full, self.train.models),
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
        for name in self.train.full:
            if self.models[name].selected_on_validation:
                raise ValueError(
                    f"train.full names {name!r}, which stops or keeps epochs by their score; without a fold held out there "
                    f"is none: give models.{name} keep: last or mean_of_last and no patience, or take it out of train.full"
                )
        for name, model in self.models.items():
            if self.predict.window % model.multiple or (model.one_size and self.predict.window != model.size):
                takes = f"{model.size} px alone" if model.one_size else f"multiples of {model.multiple} px"
                raise ValueError(
                    f"predict.window = {self.predict.window}: models.{name}, decoder {model.decoder} × encoder "
                    f"{model.encoder}, takes windows of {takes}; change predict.window, or the network"
                )
            if self.data.labels == "volume" and model.planes != ["xy"]:
                raise ValueError(
                    f"models.{name}: planes {model.planes} need labels in depth; with data.labels volume give planes: [xy]"
                )
            if self.data.labels == "slice" and model.centres:
                raise ValueError(
                    f"models.{name}: centres need data.labels volume; with labels of slices each one is predicted around "
                    "itself"
                )
            check_agreement(name, model, self.data)
        check_steps(self.tune, self.data)
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
            if type(None) in typing.get_args(section):  # Section | None
                section = typing.get_args(section)[0]
        else:  # dict[Name, Model]: any name leads to a Model
            section = typing.get_args(section)[-1]
    return list(section.model_fields)
