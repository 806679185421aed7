import json
from dataclasses import asdict
from pathlib import Path

from tessera.decide.blending import BLENDS
from tessera.decide.cuts.build import CUTS
from tessera.decide.decision import Decision
from tessera.decide.grids import _NUMBERS, _WAYS, COARSE
from tessera.decide.recipe import build_recipe
from tessera.decide.steps.build import COUNTS, STEPS, VOLUME_STEP
from tessera.params.load import load_params
from tessera.params.tune import Steps, Tune

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
DECISION = Decision(
    {"unet_2d": 0.0, "unet_25d": 1.0}, ["flip_h"], "ranks", "triplet", "stratum", {"*": [[200, 60, 90]]}, {"largest": 2}
)


def _recipe() -> dict:
    checkpoints = {name: [f"{name}/fold_0.safetensors"] for name in PARAMS.models}
    recipe = build_recipe(
        asdict(DECISION), PARAMS.data, PARAMS.tile, PARAMS.models, checkpoints, PARAMS.predict, "none", 1, []
    )
    return json.loads(json.dumps(recipe))


def test_a_recipe_holds_the_decision_whole() -> None:
    assert Decision(**_recipe()["decision"]) == DECISION


def test_a_recipe_asks_only_for_what_the_decision_reads() -> None:
    recipe = _recipe()
    assert recipe["views"] == ["flip_h"]
    assert list(recipe["models"]) == ["unet_25d"]


def test_params_offer_every_cut_blend_and_step_there_is() -> None:
    in_order = [*STEPS, VOLUME_STEP]
    assert list(Steps.model_fields) == in_order, (
        "STEPS in tessera/decide/steps/build.py, Steps in tessera/params/tune.py"
    )
    assert _recipe()["steps_in_order"] == in_order
    assert set(COUNTS) < set(STEPS)
    tune = PARAMS.tune.model_dump()
    assert set(CUTS) == set(COARSE) == set(_NUMBERS) == set(_WAYS), (
        "CUTS in tessera/decide/cuts/build.py, the others in grids.py"
    )
    for name in CUTS:
        assert Tune(**tune | {"cut": name}).cut == name
    assert Tune(**tune | {"blend": list(BLENDS)}).blend == list(BLENDS)
