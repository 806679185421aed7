"""Training beside pseudo-labels: a labelled, b held out, t with the labels of rounds; a and b have bright squares."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from tessera.data.boxes import BOX
from tessera.data.extra_rows import index_round, no_rows
from tessera.data.pixels import PixelStore
from tessera.data.rounds import Made, read_round, write_fit
from tessera.errors import InputError
from tessera.learn import loop
from tessera.learn.extra import read_extra, with_extra
from tessera.learn.fit import Fit
from tessera.learn.known import unlike_probe, unlike_record
from tessera.learn.placing import place_everywhere
from tessera.learn.probe import probe
from tessera.learn.progress import Clock
from tessera.learn.run import Run
from tessera.machine import Machine
from tessera.params.tile import Tile
from tessera.tasks import Binary

CPU = torch.device("cpu")
SIDE = 64
TILE = Tile(scale=1, size=32, stride=16, keep_empty=1)
IMAGES = pd.DataFrame(
    [("a", "train", "ga", "da"), ("b", "train", "gb", "db"), ("t", "test", "gt", "dt")],
    columns=["image_id", "subset", "group", "digest"],
).assign(stratum="", domain=["x", "x", "y"], height=SIDE, width=SIDE, depth=1, channels=1)
TEST = IMAGES[IMAGES.subset == "test"]
SQUARE = np.zeros((1, SIDE, SIDE), np.uint8)
SQUARE[:, 16:40, 20:52] = 1


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    rng = np.random.default_rng(0)
    pixels = {name: 80 + 90 * SQUARE[..., None] + rng.integers(0, 40, (1, SIDE, SIDE, 1), np.uint8) for name in "abt"}
    return pixel_store(
        pixels, dict.fromkeys(pixels, np.where(SQUARE == 1, SQUARE, 0)) | {"t": np.full_like(SQUARE, 255)}
    )


@pytest.fixture
def fit(store: PixelStore, model: Callable) -> Callable[..., Fit]:
    """A function that builds the training on image a beside fold 0, which is b."""

    def build(**keys: object) -> Fit:
        section, train = model(**{"batch": 4, "patches": 8} | keys), IMAGES[IMAGES.image_id == "a"]
        places = [("a", 0, y, x, 1.0, 0.3) for y in (0, 16, 32) for x in (0, 16, 32)]
        candidates = pd.DataFrame(places, columns=["image_id", "z", "y", "x", "valid_fraction", "positive_fraction"])
        patches, windows = place_everywhere(candidates, 32, section, store, train)
        held_out = pd.DataFrame([("b", 0, 1, 0, SIDE, 0, SIDE)], columns=BOX)
        return Fit("m", 0, section, Binary(["a"]), "none", 32, store, train, patches, windows, held_out)

    return build


@pytest.fixture
def rows(store: PixelStore, tmp_path: Path) -> Callable[..., pd.DataFrame]:
    """A function that freezes a round of t and returns its rows, as `train` reads them."""

    def freeze(labels: np.ndarray = SQUARE, kind: str = "hard", weight: float = 1.0, name: str = "r1") -> pd.DataFrame:
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.attrs.update(labels=kind, bounds=(0.5, 0.5), weight=weight, classes=["a"])
            write_fit(file, "0", [], ["c"], [Made("t", "dt", labels.shape, [(0, 0, labels[0])])])
        found = index_round(read_round(tmp_path / f"{name}.h5"), "0", store, TEST, TILE, ["a"])
        found.to_csv(tmp_path / "rows.csv", index=False)
        assert read_extra(tmp_path / "rows.csv").equals(found)
        return found

    return freeze


def _train(fit: Fit, loader: str = "auto") -> Run:
    torch.set_num_threads(1)
    training = fit.training(Machine(CPU, loader=loader))
    return training.fit(fit.material, fit.held_out, None, Clock("tiny", fit.section.epochs))


def _digest(run: Run) -> str:
    return hashlib.sha256(b"".join(one.numpy().tobytes() for one in run.network.state_dict().values())).hexdigest()


def test_without_rows_a_training_is_what_it_was(fit: Callable, tmp_path: Path) -> None:
    no_rows().to_csv(tmp_path / "none.csv", index=False)
    plain = fit()
    assert with_extra(plain, read_extra(tmp_path / "none.csv"), tmp_path, TEST) is plain
    assert "rounds" not in plain.said


def test_with_rows_it_sees_their_images_and_says_so(fit: Callable, rows: Callable, tmp_path: Path) -> None:
    found = rows(weight=0.5)
    extra = with_extra(fit(domain_weights={"x": 2}), found, tmp_path, TEST)
    assert len(extra.patches) == len(extra.windows) == 9 + len(found)
    assert extra.patches.groupby("image_id").weight.unique().map(list).to_dict() == {"a": [1.0], "t": [0.5]}
    assert extra.patches.domain.tolist() == ["x"] * 9 + ["y"] * len(found)
    digest = read_round(tmp_path / "r1.h5").fits["0"].digest
    assert extra.said["rounds"] == {"r1": digest}
    assert extra.said["groups"] == ["ga", "gt"] and extra.said["digests"] == ["da", "dt"]
    assert {box[0] for box in extra.said["parts"]} == {"a", "t"}


def test_saved_states_and_probes_are_of_the_very_labels(fit: Callable, rows: Callable, tmp_path: Path) -> None:
    """Other labels, another weight or none: another key, another account, another probe."""
    square = np.roll(SQUARE, 9, 1)
    variants = [(SQUARE, 1.0), (square, 1.0), (SQUARE, 2.0)]
    fits = [fit(patches=None)] + [
        with_extra(fit(patches=None), rows(*v[:1], weight=v[1]), tmp_path, TEST) for v in variants[:1]
    ]
    probes = [probe(one.training(Machine(CPU)), one.material) for one in fits]
    for labels, weight in variants[1:]:
        fits.append(with_extra(fit(patches=None), rows(labels, weight=weight), tmp_path, TEST))
        probes.append(probe(fits[-1].training(Machine(CPU)), fits[-1].material))
    assert len({one.key for one in fits}) == 4
    for one in fits[2:]:
        assert unlike_record(fits[1].said, one.said) == "another rounds"
    assert unlike_probe(probes[0], probes[1]) and unlike_probe(probes[1], probes[3])


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_model_learns_other_weights_from_them_the_same_ones_each_time(
    fit: Callable, rows: Callable, tmp_path: Path, kind: str
) -> None:
    labels = SQUARE if kind == "hard" else SQUARE * np.uint8(200)
    found = rows(labels, kind)
    one, again = (_digest(_train(with_extra(fit(), found, tmp_path, TEST))) for _ in range(2))
    assert one == again != _digest(_train(fit()))


def test_what_is_learnt_is_the_rounds_labels(fit: Callable, rows: Callable, tmp_path: Path) -> None:
    """t's labels say the contrary of a's; drawn far more often, they turn the score of b round."""
    contrary = with_extra(fit(epochs=8, lr=1e-2), rows(1 - SQUARE, weight=50.0), tmp_path, TEST)
    assert _train(contrary).history[-1]["score"] < 0.5
    agreeing = with_extra(fit(epochs=8, lr=1e-2), rows(SQUARE, weight=50.0), tmp_path, TEST)
    assert _train(agreeing).history[-1]["score"] > 0.8


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_both_loaders_and_all_losses_see_the_same_targets(
    fit: Callable, rows: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    labels = SQUARE.copy() if kind == "hard" else np.where(SQUARE == 1, np.uint8(127), np.uint8(25))
    labels[:, :8] = 255
    plain = {"flip": False, "rot90": False}
    extra = with_extra(fit(epochs=1, patches=34, augment=plain), rows(labels, kind), tmp_path, TEST)
    seen: dict[str, list] = {"workers": [], "device": []}
    for loader, batches in seen.items():
        step = loop._step
        with monkeypatch.context() as patch:
            patch.setattr(
                loop,
                "_step",
                lambda run, batch, setup, before, to=batches, step=step: (
                    to.append(batch),
                    step(run, batch, setup, before),
                )[1],
            )
            _train(extra, loader)
    targets = {0.0, 1.0}
    for one, other in zip(*seen.values(), strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
        targets |= set(one.target[one.valid > 0].float().unique().tolist())
        assert one.target.dtype == (torch.bool if kind == "hard" else torch.float32)
    soft = {torch.tensor(value / 254).item() for value in (25, 127)}
    assert targets == {0.0, 1.0} | (soft if kind == "soft" else set())


def test_validation_never_sees_them(
    fit: Callable, rows: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    own = loop.validate
    monkeypatch.setattr(
        "tessera.learn.training.validate",
        lambda network, batches, *rest: own(network, (read.append(one) or one for one in batches), *rest),
    )
    _train(with_extra(fit(), rows(1 - SQUARE), tmp_path, TEST))
    assert all(set(labels.unique().tolist()) <= {0, 1} for _, labels in read)
    assert sum(int((labels == 1).sum()) for _, labels in read) == 2 * int(SQUARE.sum())  # b's, in both epochs


def test_a_round_that_has_changed_is_refused(fit: Callable, rows: Callable, tmp_path: Path) -> None:
    found = rows()
    rows(1 - SQUARE)
    with pytest.raises(InputError, match="round r1 has changed since.*dvc repro extra"):
        with_extra(fit(), found, tmp_path, TEST)
    (tmp_path / "r1.h5").unlink()
    with pytest.raises(InputError, match=r"r1\.h5: is not here; `dvc pull"):
        with_extra(fit(), found, tmp_path, TEST)
