"""What a training leaves, also on a disk that is full for a while."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from stages import finished
from stages import fit as stage
from tessera import paths
from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn import training
from tessera.learn.checkpoints import read_about
from tessera.learn.first_batch import write_first_batch
from tessera.learn.fit import Fit
from tessera.learn.loop import Batch, train_epoch
from tessera.learn.networks.licences import NVIDIA
from tessera.learn.run import Run
from tessera.learn.training import Training
from tessera.tasks import Binary


@pytest.fixture
def fit(
    pixel_store: Callable[..., PixelStore], model: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Fit:
    monkeypatch.setenv("TESSERA_DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    store = pixel_store({name: rng.integers(0, 256, (1, 64, 64, 1), np.uint8) for name in "ab"})
    manifest = pd.DataFrame([("a", "g", "d", 1)], columns=["image_id", "group", "digest", "channels"])
    patches = pd.DataFrame([("a", 0, 0, 0), ("a", 0, 32, 32)], columns=["image_id", "z", "y", "x"])
    windows = pd.DataFrame([("a", 0, 1, 0, 64, 0, 64)], columns=BOX)
    held_out = pd.DataFrame([("b", 0, 1, 0, 64, 0, 64)], columns=BOX)
    return Fit(
        "m", 0, model(epochs=1), Binary(["a"]), "none", 32, store, manifest, patches.assign(positive_fraction=0.0),
        windows, held_out,
    )  # fmt: skip


def changed(fit: Fit, **keys: object) -> Fit:
    """The fit of a model with other keys."""
    return fit._replace(section=fit.section.model_copy(update=keys))


def test_the_averaged_weights_are_what_remains(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Run] = []
    original = Training.fit
    monkeypatch.setattr(Training, "fit", lambda *given: runs.append(original(*given)) or runs[-1])
    stage.run(changed(fit, ema=0.9))
    written = load_file(paths.weights("m", 0))
    averaged, last = (network.state_dict() for network in (runs[-1].ema.network, runs[-1].network))
    assert all(torch.equal(written[name], tensor) for name, tensor in averaged.items())
    assert not all(torch.equal(written[name], tensor) for name, tensor in last.items())


def test_checkpoint_and_record_name_the_encoder_s_licence(fit: Fit) -> None:
    stage.run(changed(fit, encoder="mit_b0"))
    record = json.loads(paths.record("m", 0).read_text())
    assert read_about(paths.weights("m", 0))["licence"] == record["licence"] == NVIDIA


def test_the_first_batch_is_shown_before_the_first_step_as_it_sees_it(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, stepped = [], []

    def show(path: Path, indexed: Batch, trained: Batch, channels: int) -> None:
        shown.append(trained.windows)
        write_first_batch(path, indexed, trained, channels)

    def step(run: Run, batches: Iterable[Batch], *others: object) -> dict:
        batches = list(batches)
        stepped.append((paths.first_batch("m", 0).exists(), batches[0].windows))
        return train_epoch(run, batches, *others)

    monkeypatch.setattr(stage, "write_first_batch", show)
    monkeypatch.setattr(training, "train_epoch", step)
    stage.run(changed(fit, patches=8, batch=8))
    (windows,), (_of_the_probe, (there, first)) = shown, stepped
    assert there
    assert torch.equal(windows, first)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is made by Linux alone")
@pytest.mark.parametrize(("name", "trained"), [("probe.json", 0), ("fold_0.safetensors", 1), ("fold_0.json", 1)])
def test_with_a_full_disk_it_says_what_is_needed_and_goes_on_once_there_is_room(
    fit: Fit, capsys: pytest.CaptureFixture, name: str, trained: int
) -> None:
    kept = stage.SCRATCH / f"m-0-{fit.key}" / "probe.json"
    path = next(path for path in (kept, paths.weights("m", 0), paths.record("m", 0)) if path.name == name)
    temporary = kept.with_name("new-probe.json") if path == kept else paths.SCRATCH / "-".join(path.parts)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    temporary.symlink_to("/dev/full")
    with pytest.raises(
        InputError, match=rf"{path} cannot be saved \(No space left on device\): [\d,]+ bytes are needed"
    ):
        stage.run(fit)
    assert not path.exists()
    assert capsys.readouterr().out.count("epoch 1/1") == trained
    stage.run(fit)
    assert capsys.readouterr().out.count("epoch 1/1") == 1 - trained
    assert all(one.exists() for one in (paths.weights("m", 0), paths.record("m", 0), paths.history("m", 0)))
    assert sorted(str(one.relative_to(stage.SCRATCH)) for one in stage.SCRATCH.glob("*/*")) == [f"m-0-{fit.key}/done"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "a disk without links"])
def test_what_was_trained_to_its_end_is_put_back(
    fit: Fit, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """DVC, killed before it knew a stage's files, removes them and runs the stage again."""
    if not links:
        monkeypatch.setattr(os, "link", Mock(side_effect=OSError("no links here")))
    given_up = stage.SCRATCH / "m-0-of-other-params"
    given_up.mkdir(parents=True)
    stage.run(fit)
    outs = [of("m", 0) for of in stage.OUTS]
    before = [path.read_bytes() for path in outs]
    for path in outs:
        path.unlink()
    capsys.readouterr()
    stage.run(fit)
    assert "was trained to its end" in capsys.readouterr().out
    assert [path.read_bytes() for path in outs] == before
    outs[1].write_bytes(b"changed in its place")
    stage.run(fit)
    assert outs[1].read_bytes() == before[1]
    assert not given_up.exists()


def test_killed_before_all_files_are_kept_it_goes_on_from_its_last_state(
    fit: Fit, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(finished, "keep", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stage.run(fit)
    before = paths.weights("m", 0).read_bytes()
    stage.run(fit)
    assert capsys.readouterr().out.count("epoch 1/1") == 1
    assert paths.weights("m", 0).read_bytes() == before


def test_the_picture_comes_back_when_dvc_removed_it(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second `dvc repro` removes a stage's files before it is refused: the training beside it goes on."""
    picture, pages = paths.first_batch("m", 0), []

    def step(*given: object) -> dict:
        pages.append(picture.read_bytes())
        picture.unlink()
        return train_epoch(*given)

    monkeypatch.setattr("tessera.learn.training.train_epoch", step)
    monkeypatch.setattr(stage, "_probed", lambda *given: {})
    stage.run(fit)
    assert [picture.read_bytes()] == pages


def test_the_key_is_also_of_the_patches(fit: Fit) -> None:
    """Code that is none of a training's own makes them."""
    assert fit.key == fit._replace(patches=fit.patches.copy()).key != fit._replace(patches=fit.patches[:1]).key


def test_epochs_without_a_score_have_none_in_plots(fit: Fit) -> None:
    """DVC's plots draw an empty field as 0."""
    stage.run(changed(fit, epochs=2, validate_every=2))
    history = paths.history("m", 0)
    assert [line.endswith(",nan") for line in history.read_text().splitlines()[1:]] == [True, False]
    assert pd.read_csv(history).score.isna().tolist() == [True, False]
