"""The check of all declared models before they are trained."""

import copy
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from closure import ROOT
from repository import inside

from stages import check
from tessera import paths
from tessera.errors import InputError

SHIPPED = yaml.safe_load((ROOT / "params.yaml").read_text())


def checked(folder: Path, params: dict) -> None:
    with inside(folder, params):
        paths.CLEAN.parent.mkdir()
        pd.DataFrame([("a", "train", 1), ("t", "test", 1)], columns=["image_id", "subset", "channels"]).to_csv(
            paths.CLEAN, index=False
        )
        check.main()


def test_the_shipped_models_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(tmp_path, SHIPPED)
    said = capsys.readouterr().out
    assert re.search(r"unet_2d +\d{3},\d{3} +96 +1 +4\n", said)
    assert re.search(r"unet_25d +\d{3},\d{3} +96 +3 +4$", said.rstrip())


def test_all_that_is_wrong_is_said_at_once_with_its_model(tmp_path: Path) -> None:
    params = copy.deepcopy(SHIPPED)
    params["models"]["unet_2d"] |= {"augment": [{"name": "GaussianBlur", "blur_limits": [3, 5]}], "params_max": 1000}
    params["models"]["unet_25d"]["decoder"] = "Unett"
    params["models"]["not_declared"] = params["models"]["unet_25d"]
    with pytest.raises(InputError) as error:
        checked(tmp_path, params)
    title, blur, count, decoder = str(error.value).splitlines()
    assert "3 problem(s)" in title
    assert re.search(r"models\.unet_2d: .*GaussianBlur.*blur_limits", blur)
    assert re.search(r"models\.unet_2d: .*parameters, params_max allows 1,000", count)
    assert re.search(r"models\.unet_25d: decoder 'Unett' is not known", decoder)


def test_what_cannot_be_built_without_memory_is_built_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = copy.deepcopy(SHIPPED)
    params["train"]["models"] = params["tune"]["ensemble"] = ["unet_2d"]
    params["models"]["unet_2d"] |= {"encoder": "mit_b0", "arguments": {}}
    checked(tmp_path, params)
    assert re.search(r"unet_2d +5,\d{3},\d{3} +96", capsys.readouterr().out)
