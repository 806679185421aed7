"""What a training leaves, on a disk that is full for a while."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import fit as stage
from tessera import paths
from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn.fit import Fit
from tessera.tasks import Binary


@pytest.fixture
def fit(
    pixel_store: Callable[..., PixelStore], model: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Fit:
    monkeypatch.setenv("TESSERA_DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)
    store = pixel_store({name: np.zeros((1, 64, 64, 1), np.uint8) for name in "ab"})
    manifest = pd.DataFrame([("a", "g", "d", 1)], columns=["image_id", "group", "digest", "channels"])
    patches = pd.DataFrame([("a", 0, 0, 0), ("a", 0, 32, 32)], columns=["image_id", "z", "y", "x"])
    windows = pd.DataFrame([("a", 0, 1, 0, 64, 0, 64)], columns=BOX)
    held_out = pd.DataFrame([("b", 0, 1, 0, 64, 0, 64)], columns=BOX)
    return Fit(
        "m", 0, model(epochs=1), Binary(["a"]), "none", 32, store, manifest, patches.assign(positive_fraction=0.0),
        windows, held_out,
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is made by Linux alone")
@pytest.mark.parametrize(("name", "trained"), [("probe.json", 0), ("fold_0.safetensors", 1), ("fold_0.json", 1)])
def test_with_a_full_disk_it_says_what_is_needed_and_goes_on_once_there_is_room(
    fit: Fit, capsys: pytest.CaptureFixture, name: str, trained: int
) -> None:
    kept = stage.SCRATCH / f"m-0-{fit.key}" / "probe.json"
    path = next(path for path in (kept, paths.weights("m", 0), paths.record("m", 0)) if path.name == name)
    paths.SCRATCH.mkdir()
    (paths.SCRATCH / "-".join(path.parts)).symlink_to("/dev/full")
    with pytest.raises(
        InputError, match=rf"{path} cannot be saved \(No space left on device\): [\d,]+ bytes are needed"
    ):
        stage.run(fit)
    assert not path.exists()
    assert capsys.readouterr().out.count("epoch 1/1") == trained
    stage.run(fit)
    assert capsys.readouterr().out.count("epoch 1/1") == 1 - trained
    assert all(one.exists() for one in (paths.weights("m", 0), paths.record("m", 0), paths.history("m", 0)))
    assert [one.name for one in stage.SCRATCH.iterdir()] == ["m-0.lock"]
