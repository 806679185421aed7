"""Every shipped recipe is whole: its params load, its dialect and networks exist."""

import pytest
from closure import ROOT

from tessera.deliver.dialects.build import build_dialect
from tessera.learn.losses.build import build_loss
from tessera.learn.networks.build import build_network
from tessera.params.load import load_params

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_whole(path):
    params = load_params(path)
    build_dialect(params.submit.dialect, params.data.classes)
    assert path.name in (ROOT / "README.md").read_text()
    assert params.data.source == f"data/raw/{path.stem}"
    for model in params.models.values():
        build_loss(model.loss)
        build_network(model, 3 if params.data.channels == "rgb" else 1, len(params.data.classes), pretrained=False)
