"""A training is known by its probe: what changes its result changes the probe, and nothing else does."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from tessera.data.pixels import PixelStore
from tessera.learn import kept as kept_module
from tessera.learn import training as module
from tessera.learn.augmentations import lists
from tessera.learn.augmentations.elastic import Elastic
from tessera.learn.dataset import Windows
from tessera.learn.kept import Kept
from tessera.learn.known import SHOWN, _others, unlike_probe, unlike_record
from tessera.learn.losses import dice
from tessera.learn.probe import _ends, probe
from tessera.learn.progress import Clock
from tessera.learn.resolved import resolved
from tessera.learn.training import Material, Training
from tessera.machine import Machine
from tessera.metrics.counts import FScore
from tessera.tasks import Binary

CPU = Machine(torch.device("cpu"))
PLACES = [("a", 0, y, x) for y in (0, 16, 32) for x in (0, 16, 32)]
PATCHES = pd.DataFrame(PLACES, columns=["image_id", "z", "y", "x"]).assign(positive_fraction=[0.3, 0, 0] * 3)
SECTION = {
    "epochs": 3, "batch": 4, "positive_share": 0.5, "ema": 0.9, "loss": {"bce": 1.0, "dice": 1.0},
    "augment": {"rotate": 15},
}  # fmt: skip


@pytest.fixture
def store(pixel_store: Callable[..., PixelStore]) -> PixelStore:
    return pixel_store({"a": np.random.default_rng(0).integers(0, 256, (1, 64, 64, 1), np.uint8)})


@pytest.fixture
def of(store: PixelStore, model: Callable) -> Callable[..., dict]:
    """A function that probes a training, some of its keys changed."""

    def probed(amp: str = "none", freeze: int = 0, **changes: object) -> dict:
        section = model(**SECTION | changes).model_copy(update={"freeze": freeze})  # without pretrained weights
        return probe(Training(section, Binary(["a"]), amp, CPU), Material(store, PATCHES, 32, 1))

    return probed


@pytest.fixture(scope="module")
def unchanged() -> dict:
    """The probe of the training as it is: made by the first test that asks."""
    return {}


@pytest.fixture
def before(of: Callable, unchanged: dict) -> dict:
    return unchanged or unchanged.update(of()) or unchanged


def test_it_is_the_same_every_time_on_any_number_of_threads(of: Callable, before: dict) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.manual_seed(77)
        assert of() == before
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert set(SHOWN) < set(before)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"lr": 2e-3}, "groups"),
        ({"decay": "weights"}, "groups"),
        ({"schedule": "poly"}, "rates"),
        ({"epochs": 4}, "rates"),
        ({"positive_share": 0.25}, "orders"),
        ({"freeze": 1}, "frozen"),
        ({"patience": 1}, "kept"),
        ({"keep": "mean_of_last", "keep_epochs": 2}, "kept"),
        ({"validate_every": 2}, "scored"),
        ({"augment": {"rotate": 16}}, "windows"),
        ({"loss": {"bce": 1.0, "dice": 2.0}}, "loss"),
        ({"clip": 1e-3}, "weights"),
        ({"ema": 0.0}, "weights"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_changes_the_result_changes_it(of: Callable, before: dict, changes: dict, shown: str) -> None:
    after = of(**changes)
    assert before[shown] != after[shown]
    given = after | {"given": before["given"]}  # as an edit of code would have it
    assert SHOWN[next(key for key in SHOWN if before[key] != after[key])] in unlike_probe(before, given)


def test_a_default_that_does_nothing_in_two_steps_changes_it(of: Callable, before: dict) -> None:
    """What a record says of its params leaves out a key that has its default, whichever that is."""
    mixed = of(mix={"mixup": 1e-9})
    assert {key for key in before if before[key] != mixed[key]} == {"given"}
    assert unlike_probe(before, mixed) == "mix.mixup was 0, is 1e-09"


@pytest.mark.parametrize(
    ("entry", "key", "said"),
    [
        (lists.NOISE, "std_range", "transforms.OneOf.transforms.GaussNoise.std_range was [0.02, 0.06], is [0.2, 0.6]"),
        (lists.CUTOUT, "num_holes_range", "transforms.CoarseDropout.num_holes_range was [1, 4], is [0.2, 0.6]"),
    ],
    ids=["noise", "cutout"],
)
def test_a_number_in_a_list_of_augmentations_changes_it(
    model: Callable, monkeypatch: pytest.MonkeyPatch, entry: dict, key: str, said: str
) -> None:
    then = resolved(model(augment="heavy"))
    monkeypatch.setitem(entry, key, [0.2, 0.6])
    assert list(_others(then, resolved(model(augment="heavy")))) == [said]


def test_a_default_of_a_transform_changes_it(model: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    then = resolved(model(augment="heavy"))
    monkeypatch.setattr(Elastic.__init__, "__defaults__", (0.3, 8, 0.5))
    assert list(_others(then, resolved(model(augment="heavy")))) == ["transforms.Elastic.strength was 0.2, is 0.3"]


def test_what_was_given_is_what_both_know(before: dict) -> None:
    given = before["given"]
    assert json.loads(json.dumps(given)) == given
    assert given["mix"]["mixup_alpha"] == 0.4
    young = before | {"given": given | {"younger": 3, "loss": given["loss"] | {"new": None}}}
    assert unlike_probe(before, young) == ""
    assert unlike_probe(young, before) == "loss.new is gone, younger is gone"
    longer = given | {"transforms": [*given["transforms"], {"name": "Blur"}]}
    assert unlike_probe(before, before | {"given": longer}).startswith("transforms was [")
    older = {key: value for key, value in before.items() if key != "given"}
    assert unlike_probe(older, before) == ""
    assert unlike_probe(older | {"rates": "x"}, before) == "another schedule of the learning rate"


def test_a_constant_in_the_code_of_a_loss_changes_it(
    of: Callable, before: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dice, "SMOOTH", 2 * dice.SMOOTH)
    after = of()
    assert {key for key in before if before[key] != after[key]} - {"score"} == {"loss", "weights"}
    assert f"({before['loss']:.7g}, now {after['loss']:.7g})" in unlike_probe(before, after)


@pytest.mark.parametrize(
    "changes",
    [{"batch": 1, "size": 64}, {"accumulate": 4, "size": 64}, {"patches": 2}, {"epochs": 9, "freeze": 8}],
)
def test_few_windows_many_micro_batches_and_frozen_encoders_have_one_too(of: Callable, changes: dict) -> None:
    assert of(**changes)["loss"] > 0


def test_scoring_and_precision_are_seen(of: Callable, before: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "precision" in unlike_probe(before, of("bf16"))
    monkeypatch.setattr(module, "FScore", lambda *_, **__: FScore("pooled", empty=1.0, beta=4.0))
    assert "score" in unlike_probe(before, of())


def test_probes_of_finished_trainings_tell_what_they_know(before: dict) -> None:
    """They lack what was added since; what they have means what it meant."""
    assert before["kept"] == "59f70911818e1e0e"  # as written when these were the only made-up epochs
    older = {key: value for key, value in before.items() if key not in ("ends", "scored", "windows")}
    assert unlike_probe(older, before) == ""
    assert unlike_probe(older | {"kept": "x"}, before) == "another choice of epochs that are kept"


def waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """`waited >= patience` becomes `>`."""
    late = property(lambda kept: kept.patience is not None and kept.waited > kept.patience)
    monkeypatch.setattr(Kept, "exhausted", late)


def gives_up_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """`del self.epochs[least]` becomes `[-1]`."""
    monkeypatch.setattr(kept_module, "min", lambda numbers, key: numbers[-1], raising=False)


@pytest.mark.parametrize(
    ("edit", "changes"),
    [(waits_longer, {"patience": 6}), (gives_up_the_last, {"keep": "mean_of_last", "keep_epochs": 6})],
    ids=["patience", "keep_epochs"],
)
def test_what_shows_only_after_many_epochs_changes_it(
    of: Callable, monkeypatch: pytest.MonkeyPatch, edit: Callable, changes: dict
) -> None:
    then = of(epochs=8, **changes)
    edit(monkeypatch)
    assert unlike_probe(then, of(epochs=8, **changes)) == f"another {SHOWN['ends']}"


def test_another_choice_of_scored_epochs_changes_it(of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    then = of(validate_every=2)
    monkeypatch.setattr(
        Training, "is_scored", lambda self, epoch: epoch % self.model.validate_every == 1 or epoch == self.model.epochs
    )
    assert unlike_probe(then, of(validate_every=2)) == f"another {SHOWN['scored']}"


def test_the_same_changes_in_every_epoch_change_it(of: Callable, before: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """`windows.epoch = epoch` becomes `= 0`, by which the windows of the first epoch stay."""
    monkeypatch.setattr(Windows, "epoch", property(lambda windows: 0, lambda windows, epoch: None), raising=False)
    after = of()
    assert {key for key in before if before[key] != after[key]} == {"windows"}
    assert unlike_probe(before, after) == f"another {SHOWN['windows']}"


@pytest.mark.parametrize("many", [1, 2, 3, 4, 5, 7, 12, 50])
def test_made_up_epochs_are_as_many_as_it_takes(monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    def ends() -> list[list]:
        return [list(_ends(Kept(how, many))) for how in ("mean_of_last", "mean_of_best")]

    def stops() -> list:
        return list(_ends(Kept("last", None, many)))

    ends_then, stops_then = ends(), stops()
    waits_longer(monkeypatch)
    assert stops() != stops_then
    assert ends() == ends_then
    gives_up_the_last(monkeypatch)
    assert many == 1 or all(now != then for now, then in zip(ends(), ends_then, strict=True))


def test_the_training_after_it_is_the_same_and_its_network_is_built_once(
    store: PixelStore, model: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    build = module.build_network
    monkeypatch.setattr(module, "build_network", lambda *args, **named: built.append(1) or build(*args, **named))

    section = model(**SECTION, decoder="FPN", arguments={"decoder_dropout": 0.5})

    def train(probed: bool) -> list[torch.Tensor]:
        training = Training(section, Binary(["a"]), "none", CPU)
        if probed:
            probe(training, Material(store, PATCHES, 32, 1))
        run = training.fit(Material(store, PATCHES, 32, 1), None, None, Clock("tiny", 3))
        return [*run.network.state_dict().values(), *run.ema.network.state_dict().values()]

    plain, after = train(False), train(True)
    assert all(map(torch.equal, plain, after))
    assert len(built) == 2


def test_on_another_cpu_the_last_bits_say_nothing(before: dict) -> None:
    here = before
    there = here | {
        "loss": here["loss"] * 1.000001,
        "weights": "x",
        "on": here["on"] | {"cpu": "Abacus", "torch": "0.1"},
    }
    said = unlike_probe(there, here)
    assert said.startswith("cannot be told here")
    assert f"cpu was Abacus, is {here['on']['cpu']}" in said
    assert "torch was 0.1" in said
    assert "another schedule" in unlike_probe(there | {"rates": "y"}, here)
    assert unlike_probe(here | {"on": there["on"]}, here) == ""


def test_a_record_is_compared_key_by_key() -> None:
    record = {"params": {"lr": 0.1, "size": [1, 2], "old": 1}, "parts": [["a", 0, 1]], "seconds": 3}
    assert unlike_record(record, {"params": {"lr": 0.1, "size": (1, 2), "old": 1}, "parts": [("a", 0, 1)]}) == ""
    said = unlike_record(record, {"params": {"lr": 0.2, "size": (1, 2), "new": 5}, "parts": [], "amp": "none"})
    assert said == "lr was 0.1, is 0.2, old was 1, is None, new was None, is 5, another parts, another amp"
