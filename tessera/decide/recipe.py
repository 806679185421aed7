"""recipe.json: all that predicting an unseen image needs."""

from typing import TYPE_CHECKING

from tessera.data.scaling import normalisation
from tessera.decide.steps.build import STEPS, VOLUME_STEP

if TYPE_CHECKING:
    from tessera.params.data import Data
    from tessera.params.model import Model
    from tessera.params.predict import Predict
    from tessera.params.tile import Tile

_NETWORK = {"decoder", "encoder", "arguments", "size", "slices", "step", "edge", "depths", "centres", "zoom", "planes"}


def build_recipe(
    decision: dict,
    data: "Data",
    tile: "Tile",
    models: "dict[str, Model]",
    checkpoints: dict[str, list[str]],
    predict: "Predict",
    amp: str,
    channels: int,
    notes: list[str],
) -> dict:
    """Task, input scaling with its numbers, each model's network, windows, and the decision with the views it needs.

    checkpoints: by model, those that predict the test images. channels: of an image as the networks read it. notes: for
    a person.
    """
    mean, std = normalisation(channels)
    return {
        **data.model_dump(include={"task", "classes", "labels"}),
        "input": {
            "channels": data.channels, "count": channels,
            "to_8_bit": "8-bit as it is; else black and white at these percentiles of each `over`, linear between",
            "percentiles": tile.percentiles, "over": tile.scaling, "mean": mean, "std": std,
        },
        "scale": tile.scale, "pixel_size": tile.pixel_size,
        "models": {
            name: models[name].model_dump(include=_NETWORK)
            | {"weight": weight, "checkpoints": checkpoints[name]}
            for name, weight in decision["weights"].items()
            if weight > 0
        },
        "windows": {"size": predict.window, "overlap": predict.overlap, "weights": "gaussian"},
        "views": decision["views"], "amp": amp,
        "decision": decision, "steps_in_order": [*STEPS, VOLUME_STEP], "notes": notes,
    }  # fmt: skip
