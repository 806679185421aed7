"""The check of all declared models before they are trained."""

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from closure import ROOT
from repository import TOY_SAMPLE, inside, run_stage

from stages import check
from tessera.data.sample import write_sample
from tessera.errors import InputError

SHIPPED = yaml.safe_load((ROOT / "params.yaml").read_text())
SOURCE = Path(SHIPPED["data"]["source"])


def checked(folder: Path, params: dict, change: Callable[[Path], object] = lambda source: None) -> None:
    """Of the sample, once it is ingested as shipped; `change(source)` comes after it."""
    with inside(folder, SHIPPED):
        write_sample(SOURCE, **TOY_SAMPLE)
        run_stage("ingest")
        run_stage("clean")
        change(SOURCE)
    with inside(folder, params):
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
    params["models"]["deep_psp"] = params["models"]["unet_2d"] | {
        "decoder": "PSPNet", "augment": [], "params_max": None, "arguments": {"encoder_depth": 4},
    }  # fmt: skip
    params["train"]["models"].append("deep_psp")
    params["models"]["not_declared"] = params["models"]["unet_25d"]
    with pytest.raises(InputError) as error:
        checked(tmp_path, params)
    title, blur, count, decoder, size = str(error.value).splitlines()
    assert "4 problem(s)" in title
    assert re.search(r"models\.unet_2d: .*GaussianBlur.*blur_limits", blur)
    assert re.search(r"models\.unet_2d: .*parameters, params_max allows 1,000", count)
    assert re.search(r"models\.unet_25d: decoder 'Unett' is not known", decoder)
    assert re.search(r"models\.deep_psp: .*PSPNet .* a map of 48×48 px of a window of 96×96 px: encoder_depth", size)


def test_what_train_would_refuse_offline_is_said(tmp_path: Path) -> None:
    params = copy.deepcopy(SHIPPED)
    params["data"]["domain"] = params["data"]["group"]
    params["models"]["unet_2d"] |= {"domain_weights": {"typo": 2.0}, "encoder": "dpn68b", "weights": "imagenet"}
    params["models"]["unet_25d"] |= {"weights": "noisy-student"}
    with pytest.raises(InputError) as error:
        checked(tmp_path, params)
    title, domain, imagenet, file = str(error.value).splitlines()
    assert "3 problem(s)" in title
    assert re.search(r"models\.unet_2d: domain_weights names 'typo'; training images are of ", domain)
    assert re.search(r"models\.unet_2d: there are no imagenet weights of encoder dpn68b: .* Give null", imagenet)
    assert re.search(r"models\.unet_25d: weights noisy-student: no such file; give imagenet, .* tu-tf_", file)


def test_what_cannot_be_built_without_memory_is_built_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = copy.deepcopy(SHIPPED)
    params["train"]["models"] = params["tune"]["ensemble"] = ["unet_2d"]
    params["models"]["unet_2d"] |= {"encoder": "mit_b0", "arguments": {}}
    checked(tmp_path, params)
    assert re.search(r"unet_2d +5,\d{3},\d{3} +96", capsys.readouterr().out)


def _sample_submission(source: Path, **changes: object) -> None:
    path = source / "sample_submission.csv"
    pd.read_csv(path).assign(**changes).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("changes", "change", "said"),
    [
        ({"models.unet_2d.weights": "nothere.pth"}, lambda s: None, r"models\.unet_2d: weights nothere\.pth: no such file"),
        ({"models.unet_2d.weights": "weights.pt"}, lambda s: Path("weights.pt").write_bytes(b"x"), r"unet_2d: .*cannot be read"),
        ({}, lambda s: (s / "solution.csv").unlink(), r"data\.solution: data/raw/sample/solution\.csv: cannot be read"),
        ({"data.solution": "volumes.csv"}, lambda s: None, r"data\.solution: .*volumes\.csv: has no column 'rle'.*data\.rle_column"),
        ({}, lambda s: _sample_submission(s, rle="-1"), r"the sample submission holds '-1' .*no RLE.* this submit\.dialect"),
        ({"data.id": "name"}, lambda s: None, r"sample_submission\.csv: has no column 'name'.*data\.id"),
        ({"submit.dialect": "uwmadison"}, lambda s: None, r"the sample submission: has no column 'class'.*data\.class_column"),
    ],
)  # fmt: skip
def test_what_submit_would_refuse_is_found(
    tmp_path: Path, changes: dict[str, object], change: Callable[[Path], object], said: str
) -> None:
    params = copy.deepcopy(SHIPPED)
    for key, value in changes.items():
        section = params
        for name in key.split(".")[:-1]:
            section = section[name]
        section[key.split(".")[-1]] = value
    with pytest.raises(InputError) as error:
        checked(tmp_path, params, change)
    assert re.search(said, str(error.value))


def test_what_is_not_here_is_not_looked_at_which_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(tmp_path, SHIPPED, shutil.rmtree)
    assert "data/raw/sample is not here: sample submission and solution are not looked at" in capsys.readouterr().out
