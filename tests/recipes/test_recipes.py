"""Every shipped recipe is whole: its params load, its dialect and networks exist."""

import re

import pytest
import yaml
from closure import ROOT

from tessera.deliver.dialects.build import build_dialect
from tessera.learn.losses.build import build_loss
from tessera.learn.networks.build import build_network
from tessera.params.load import load_params
from tessera.params.score import Score

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
OWN_SCORES = {"sennet": "surface_dice", "uwmadison": "uw_madison"}  # too slow to decide by


@pytest.mark.parametrize("name", OWN_SCORES)
def test_a_recipe_that_decides_by_dice_says_the_competition_s_own_score(name):
    (said,) = re.findall(r"^# .*own score is (\{.*?\})", (ROOT / f"recipes/{name}.yaml").read_text(), re.M)
    assert Score(**yaml.safe_load(said)).metric == OWN_SCORES[name]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_whole(path):
    params = load_params(path)
    build_dialect(params.submit.dialect, params.data.classes)
    assert path.name in (ROOT / "README.md").read_text()
    assert params.data.source == f"data/raw/{path.stem}"
    for model in params.models.values():
        build_loss(model.loss)
        build_network(model, 3 if params.data.channels == "rgb" else 1, len(params.data.classes), pretrained=False)
