"""What a model asks of the data."""

from typing import TYPE_CHECKING

from tessera.params.augment import colours_in

if TYPE_CHECKING:
    from tessera.params.data import Data
    from tessera.params.model import Model
    from tessera.params.tune import Tune


def check_agreement(name: str, model: "Model", data: "Data") -> None:
    """Raises ValueError for what `models.<name>` asks and `data` does not have."""
    colours = colours_in(model.augment)
    if data.channels == "grey" and colours:
        raise ValueError(f"models.{name}.augment: {colours} need data.channels rgb, which is grey")
    if model.domain_weights and not data.domain:
        raise ValueError(f"models.{name}.domain_weights needs data.domain: the meta column that names domains")
    if model.balance == "class" and data.task == "binary":
        raise ValueError(f"models.{name}.balance class needs several classes; data.task is binary: use positive_share")
    if model.balance == "stratum" and not data.stratum:
        raise ValueError(f"models.{name}.balance stratum needs data.stratum: the meta column that names strata")
    if model.balance == "group" and not data.group and "{group}" not in data.train_images:
        raise ValueError(f"models.{name}.balance group needs data.group, or {{group}} in data.train_images")


def check_steps(tune: "Tune", data: "Data") -> None:
    """Raises ValueError for a step of `tune` that `data` has no use for."""
    if tune.steps.min_area_um2 and not data.pixel_size:
        raise ValueError(
            "tune.steps.min_area_um2 needs data.pixel_size: the meta column with each image's own µm per pixel; "
            "without one give tune.steps.min_area, in px"
        )
    if tune.steps.min_volume and data.labels == "volume":
        raise ValueError(
            "tune.steps.min_volume needs masks in depth; with data.labels volume there is one for all: give min_area"
        )
