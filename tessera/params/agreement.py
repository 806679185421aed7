"""What the sections of params.yaml ask of one another."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tessera.params.augment import colours_in
from tessera.params.submit import BY_CLASS

if TYPE_CHECKING:
    from tessera.params.data import Data
    from tessera.params.load import Params
    from tessera.params.model import Model
    from tessera.params.submit import Submit
    from tessera.params.tune import Tune


def disagreements(params: "Params") -> list[str]:
    """All that one section asks and another does not have; names that are nowhere come first, and alone."""
    return list(_unknown_names(params)) or [
        *_pixels_and_folds(params),
        *_full(params),
        *(one for name, model in params.models.items() for one in _model(name, model, params)),
        *_decision(params.tune, params.data),
        *_dialect(params.submit, params.data),
    ]


def _unknown_names(params: "Params") -> Iterator[str]:
    train = params.train.models
    for key, names, place, known in (
        ("train.models", train, "models", list(params.models)),
        ("train.full", params.train.full, "train.models", train),
        ("tune.ensemble", params.tune.ensemble, "train.models", train),
    ):
        for name in names:
            if name not in known:
                yield f"{key} names {name!r}; it must be one of {place}: {', '.join(known)}"


def _pixels_and_folds(params: "Params") -> Iterator[str]:
    tile, data = params.tile, params.data
    if tile.pixel_size and not data.pixel_size:
        yield "tile.pixel_size needs data.pixel_size: the meta column with each image's own µm per pixel"
    if data.labels == "volume" and params.fold.maker_name == "z_blocks":
        yield (
            "fold.maker z_blocks cuts the depth, for all of which data.labels volume has one label: its parts would share "
            "it; use maker strips or blocks, or unit image"
        )
    if tile.min_saturated and data.channels != "rgb":
        yield f"tile.min_saturated needs data.channels rgb, which is {data.channels}"


def _full(params: "Params") -> Iterator[str]:
    for name in params.train.full:
        if params.models[name].selected_on_validation:
            yield (
                f"train.full names {name!r}, which stops or keeps epochs by their score; without a fold held out there is "
                f"none: give models.{name} keep: last or mean_of_last and no patience, or take it out of train.full"
            )


def _model(name: str, model: "Model", params: "Params") -> Iterator[str]:
    data, windows = params.data, params.predict.windows
    for key, window in windows.items():
        if window % model.multiple or (model.one_size and window != model.size):
            takes = f"{model.size} px alone" if model.one_size else f"multiples of {model.multiple} px"
            yield (
                f"{key} = {window}: models.{name}, decoder {model.decoder} × encoder {model.encoder}, takes windows of "
                f"{takes}; change {key}, or the network"
            )
    if data.labels == "volume" and model.planes != ["xy"]:
        yield f"models.{name}: planes {model.planes} need labels in depth; with data.labels volume give planes: [xy]"
    if data.labels == "slice" and model.centres:
        yield f"models.{name}: centres need data.labels volume; with labels of slices each one is predicted around itself"
    colours = colours_in(model.augment)
    if data.channels == "grey" and colours:
        yield f"models.{name}.augment: {colours} need data.channels rgb, which is grey"
    if model.domain_weights and not data.domain:
        yield f"models.{name}.domain_weights needs data.domain: the meta column that names domains"
    if model.balance == "class" and data.task == "binary":
        yield f"models.{name}.balance class needs several classes; data.task is binary: use positive_share"
    if model.balance == "stratum" and not data.stratum:
        yield f"models.{name}.balance stratum needs data.stratum: the meta column that names strata"
    if model.balance == "group" and not data.group and "{group}" not in data.train_images:
        yield f"models.{name}.balance group needs data.group, or {{group}} in data.train_images"


def _decision(tune: "Tune", data: "Data") -> Iterator[str]:
    for key, plural in (("stratum", "strata"), ("domain", "domains")):
        if tune.thresholds == f"per_{key}" and not getattr(data, key):
            yield (
                f"tune.thresholds per_{key} needs data.{key}: the meta column that names {plural}; without one give "
                "per_class or one"
            )
    if tune.steps.min_area_um2 and not data.pixel_size:
        yield (
            "tune.steps.min_area_um2 needs data.pixel_size: the meta column with each image's own µm per pixel; without one "
            "give tune.steps.min_area, in px"
        )
    if tune.steps.min_volume and data.labels == "volume":
        yield "tune.steps.min_volume needs masks in depth; with data.labels volume there is one for all: give min_area"


def _dialect(submit: "Submit", data: "Data") -> Iterator[str]:
    by_class = [name for name, one in BY_CLASS.items() if one]
    if len(data.classes) > 1 and submit.dialect not in by_class:
        yield (
            f"submit.dialect {submit.dialect} writes one mask a row, data.classes are {', '.join(data.classes)}; rows of one "
            f"class each are written by {', '.join(by_class)}"
        )
    if len(data.classes) == 1 and submit.dialect in by_class and not data.sample_submission:
        yield (
            f"submit.dialect {submit.dialect} writes a row a class; data.classes is {data.classes[0]} alone, and no "
            "data.sample_submission has a column of classes: give vesuvius, which writes the same without one"
        )
