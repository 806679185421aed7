"""One training in two processes on a CPU: as in one, and together to the end."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn import launch, ranks, resume, training
from tessera.learn.dataset import Windows
from tessera.learn.launch import launch as launched
from tessera.learn.losses.build import LOSSES, build_loss
from tessera.learn.progress import Clock
from tessera.learn.ranks import PeerLostError, part_of_batches
from tessera.learn.record import describe
from tessera.learn.run import Run
from tessera.learn.training import Material, Training
from tessera.machine import Machine
from tessera.params.loss import Loss
from tessera.params.model import Model
from tessera.tasks import Binary

CPU = torch.device("cpu")
EPOCHS, STEPS = 2, 3  # of four windows of thirteen patches
IN_PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
FORK = multiprocessing.get_context("fork")
SUM = dict.fromkeys(LOSSES, 0.3) | {
    "dice": 1.0, "jaccard": {"weight": 0.5, "per_image": True}, "fbeta": {"weight": 0.3, "beta": 2},
}  # fmt: skip


@pytest.fixture(autouse=True)
def two_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every `launched`; torch is imported already, so they are forked."""
    monkeypatch.setenv("TESSERA_RANKS", "2")
    monkeypatch.setattr(launch, "START", "fork")
    monkeypatch.setattr(launch, "POLL", 0.02)
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def train(pixel_store: Callable[..., PixelStore], model: Callable[..., Model], tmp_path: Path) -> Callable[..., Run]:
    """A function that trains on two images, the second held out in three windows; its state lies in tmp_path/<name>."""
    rng = np.random.default_rng(0)
    sizes = {"a": (64, 64), "b": (32, 96)}
    path = pixel_store({name: rng.integers(0, 256, (1, *size, 1), np.uint8) for name, size in sizes.items()}).path
    places = [("a", 0, y, x) for y in (0, 10, 21, 32) for x in (0, 16, 32)] + [("a", 0, 5, 5)]
    patches = pd.DataFrame(places, columns=["image_id", "z", "y", "x"]).assign(positive_fraction=0.3)
    held_out = pd.DataFrame([("b", 0, 1, 0, 32, 0, 96)], columns=BOX)

    def fit(
        name: str,
        at_step: Callable[[int], None] = lambda step: None,
        workers: int = 0,
        frozen: bool = False,
        **changes: object,
    ) -> Run:
        torch.set_num_threads(1)

        class Watched(Clock):
            def step(self) -> None:
                super().step()
                at_step(self.steps)

        section = model(
            **{
                "epochs": EPOCHS,
                "batch": 4,
                "lr": 1e-4,
                "ema": 0.9,
                "clip": 1.0,
                "augment": {"rotate": 15},
                "loss": SUM,
            }
            | changes
        ).model_copy(update={"freeze_norms": frozen})  # of which the params ask for pretrained weights
        return Training(section, Binary(["a"]), "none", Machine(CPU, workers, save_seconds=1000)).fit(
            Material(PixelStore(path), patches, 32, 1), held_out, tmp_path / name / "state.pt", Watched("tiny", EPOCHS)
        )

    return fit


@pytest.fixture
def with_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks whose batch-norms are group-norms."""
    original = training.build_network

    def build(*arguments: object, **options: object) -> nn.Module:
        network = original(*arguments, **options)
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, nn.GroupNorm(1, child.num_features))
        return network

    monkeypatch.setattr(training, "build_network", build)


def outcome(run: Run) -> dict:
    """What must not depend on the number of ranks."""
    rows = [{key: row[key] for key in ("epoch", "lr", "loss", "images", "score")} for row in run.history]
    return {"network": run.network.state_dict(), "ema": run.ema.network.state_dict(), "history": rows}


def in_two(folder: Path, function: Callable[[], object]) -> list:
    """What the function says on each rank."""
    folder.mkdir(exist_ok=True)
    launched(lambda: torch.save(function(), folder / f"said-{ranks.rank()}"))
    return [torch.load(folder / f"said-{rank}", weights_only=False) for rank in range(2)]


def assert_alike(one: dict, other: dict) -> None:
    for name in ("network", "ema"):
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-6)
    for row, expected in zip(one["history"], other["history"], strict=True):
        assert row == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_ranks_end_with_the_weights_of_one_process(
    train: Callable, with_groups: None, tmp_path: Path, accumulate: int
) -> None:
    alone = outcome(train("one"))
    first, second = in_two(tmp_path, lambda: outcome(train("two", accumulate=accumulate)))
    assert_alike(first, alone)
    assert all(map(torch.equal, first["network"].values(), second["network"].values()))
    assert first["history"] == second["history"]
    assert alone["history"][0]["images"] == STEPS * 4


def test_a_rank_that_trains_by_itself_in_micro_batches_stays_by_itself(train: Callable) -> None:
    """As in its probe; the other one waits, and would be waited for."""

    def rank() -> None:
        if ranks.first():
            with ranks.alone():
                train("alone", accumulate=2, epochs=1)
                assert ranks.count() == 1
        ranks.any_says(True)

    launched(rank)


def test_frozen_batch_norms_do_too(train: Callable, tmp_path: Path) -> None:
    how = {"frozen": True, "arguments": {"decoder_channels": [16, 16, 8, 8, 8], "decoder_use_norm": False}}
    alone = outcome(train("one", **how))
    assert_alike(in_two(tmp_path, lambda: outcome(train("two", **how)))[0], alone)


def test_batch_statistics_are_the_mean_of_the_ranks(train: Callable, tmp_path: Path) -> None:
    first, second = in_two(tmp_path, lambda: outcome(train("two")))
    assert any(name.endswith("running_var") for name in first["ema"])
    for name in ("network", "ema"):
        assert all(map(torch.equal, first[name].values(), second[name].values()))


def test_the_record_says_how_many(train: Callable, tmp_path: Path) -> None:
    def record() -> dict:
        return describe({}, train("two", epochs=1, loss={"bce": 1.0}), Clock("tiny", 1), CPU)[1]

    for said in in_two(tmp_path, record):
        assert (said["ranks"], said["images"]) == (2, 4 * STEPS)


def test_every_term_is_that_of_the_whole_batch(tmp_path: Path) -> None:
    options = {"fbeta": {"beta": 2}}
    terms = [{name: {"weight": 1.0, **options.get(name, {})}} for name in LOSSES]
    terms += [
        {name: term[name] | {"per_image": True}} for term in terms for name in term if name not in ("bce", "focal")
    ]
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 2, 8, 8, generator=draw)
    target, valid = (torch.rand(2, 4, 2, 8, 8, generator=draw) > 0.6).float()

    def of(term: dict, part: slice) -> list[torch.Tensor]:
        leaf = logits[part].clone().requires_grad_()
        value = build_loss(Loss(**term))(leaf, target[part], valid[part])
        value.backward()
        value = value.detach()
        ranks.average([value])
        return [value, leaf.grad / ranks.count()]  # averaged with ranks that know nothing of these windows

    parts = in_two(tmp_path, lambda: [of(term, ranks.part(4)) for term in terms])
    for term, (value, gradient), (other, rest) in zip(terms, *parts, strict=True):
        whole = of(term, slice(None))
        for one, expected in zip((value, other, torch.cat([gradient, rest])), (whole[0], *whole), strict=True):
            torch.testing.assert_close(one, expected, msg=lambda text, term=term: f"{term}: {text}")


def test_an_epoch_has_the_same_samples_and_each_window_is_scored_once(
    train: Callable, with_groups: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Windows.__getitem__

    def windows() -> tuple[list, list]:
        trained, scored = [], []

        def get(self: Windows, item: int) -> tuple:
            (trained if self.augmentation else scored).append(
                (self.epoch, item) if self.augmentation else self.places[item]
            )
            return original(self, item)

        monkeypatch.setattr(Windows, "__getitem__", get)
        train(f"run-{ranks.count()}-of", accumulate=2)
        return np.reshape(trained, (EPOCHS * STEPS, 2, -1, 2)), scored

    trained, scored = windows()
    parts = in_two(tmp_path, windows)
    assert np.array_equal(np.concatenate([part for part, _ in parts], 2), trained)  # in each micro-batch
    each = [part[: len(part) // EPOCHS] for _, part in parts]
    assert [len(part) for part in each] == [1, 2]
    assert each[0] + each[1] == scored[:3]


def test_what_is_learnt_is_the_mean_of_the_ranks(tmp_path: Path) -> None:
    """By hand: a training would not show a factor on all gradients, which AdamW divides by their size."""

    def learn() -> dict[str, float]:
        norm = nn.BatchNorm1d(1, eps=1e-9)
        windows = torch.tensor([[[0.0], [2.0]], [[4.0], [8.0]]])[ranks.rank()]  # of mean 1 and 6, of variance 2 and 8
        ((ranks.rank() + 1) * norm(windows))[1].backward()
        ranks.average(ranks.learnt(norm))
        grads = {f"{name}.grad": weight.grad for name, weight in norm.named_parameters()}
        return {name: tensor.item() for name, tensor in (grads | dict(norm.named_buffers())).items()}

    expected = {
        "weight.grad": (1 + 2) / 2, "bias.grad": (1 + 2) / 2, "num_batches_tracked": 1,
        "running_mean": 0.1 * (1 + 6) / 2, "running_var": 0.9 + 0.1 * (2 + 8) / 2,
    }  # fmt: skip
    assert in_two(tmp_path, learn) == [pytest.approx(expected)] * 2


def test_a_batch_that_cannot_be_divided_is_refused(train: Callable) -> None:
    with pytest.raises(InputError, match=r"batch of 3 windows, in 1 micro-batches, cannot be divided evenly among 2"):
        launched(lambda: train("two", batch=3))
    with pytest.raises(InputError, match="batch of 2 windows.* with at least 2 each"):
        launched(lambda: train("two", batch=2, mix={"mixup": 1.0}))
    assert part_of_batches(np.arange(7), 3, 2, 5).tolist() == list(range(7))  # alone, all is as it was


def test_ranks_mix_in_ways_of_their_own(
    train: Callable, with_groups: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draws() -> list[float]:
        drawn = []
        monkeypatch.setattr(
            training, "build_mixing", lambda mix: lambda *batch: (drawn.append(batch[3].random()), *batch)[1:4]
        )
        train(f"of-{ranks.count()}", loss={"bce": 1.0})
        return drawn

    alone, (first, second) = draws(), in_two(tmp_path, draws)
    assert first == alone
    assert len(set(first + second)) == 2 * EPOCHS * STEPS


def living(processes: list[int]) -> list[int]:
    """Those of the processes that have not ended."""
    states = {}
    for process in processes:
        try:
            states[process] = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            continue
    return [process for process, state in states.items() if state != "Z"]


def _wait_until(true: Callable[[], object]) -> bool:
    for _ in range(2000):
        if true():
            return True
        time.sleep(0.01)
    return False


def kill(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def fail(error: Exception) -> Callable[[], None]:
    def raise_() -> None:
        raise error

    return raise_


@pytest.mark.parametrize(
    ("victim", "waiting", "end", "kind", "said"),
    [
        (0, True, fail(InputError("file x: is not there")), InputError, "^file x: is not there$"),
        (1, False, fail(InputError("file x: is not there")), InputError, "^file x: is not there$"),
        (
            1,
            True,
            fail(ZeroDivisionError("mine")),
            RuntimeError,
            r"a rank of the training died of\nTraceback(.|\n)*mine",
        ),
        (0, True, kill(signal.SIGKILL), InputError, r"rank 0 \(process \d+\) was killed by SIGKILL without a word"),
        (1, False, kill(signal.SIGKILL), InputError, r"rank 1 \(process \d+\) was killed by SIGKILL without a word"),
        (1, True, lambda: os._exit(3), InputError, r"rank 1 \(process \d+\) ended with exit code 3 without a word"),
    ],
)
def test_a_rank_that_dies_stops_the_others_with_its_own_error(
    victim: int, waiting: bool, end: Callable, kind: type, said: str
) -> None:
    """Whether the other one waits for it in an exchange, and notices itself, or does something else."""

    def rank() -> None:
        ranks.any_says(True)
        if ranks.rank() == victim:
            end()
        ranks.any_says(True) if waiting else time.sleep(1000)

    with pytest.raises(kind, match=said):
        launched(rank)


def test_a_lost_rank_of_another_machine_is_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "GRACE", 0.1)

    def rank() -> None:
        if ranks.first():
            raise PeerLostError("gone")
        time.sleep(1000)

    with pytest.raises(InputError, match="gone"):
        launched(rank)


def test_a_loss_that_is_no_number_names_the_patches_of_all_ranks(train: Callable) -> None:
    place = r"\(a, z 0, y \d+, x \d+\)"
    with pytest.raises(InputError, match=rf"the loss is (nan|inf) in step .* Its batch was {place}(, {place}){{3}}$"):
        launched(lambda: train("two", lr=1e30, epochs=9, loss={"bce": 1.0}))


def test_only_the_first_rank_prints(capfd: pytest.CaptureFixture) -> None:
    launched(lambda: print(f"rank {ranks.rank()} of {ranks.count()}", flush=True))
    assert capfd.readouterr().out == "rank 0 of 2\n"


@pytest.fixture(scope="module")
def kept() -> dict[str, list[dict]]:
    return {}


HARD = {"decoder": "FPN", "arguments": {"decoder_dropout": 0.5, "decoder_pyramid_channels": 16}, "keep": "best"}


@pytest.fixture
def undisturbed(train: Callable, kept: dict[str, list[dict]], tmp_path: Path) -> list[dict]:
    """What two ranks end with that nobody disturbs; with dropout and batch-norm."""
    return kept.get("whole") or kept.setdefault("whole", in_two(tmp_path, lambda: outcome(train("whole", **HARD))))


def assert_same(said: list[dict], expected: list[dict]) -> None:
    for one, other in zip(said, expected, strict=True):
        assert one["history"] == other["history"]
        for name in ("network", "ema"):
            assert all(map(torch.equal, one[name].values(), other[name].values()))


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], int]:
    """How many states have been written, in all processes."""
    original = resume.save_state

    def save(path: Path, state: dict) -> None:
        original(path, state)
        with open(tmp_path / "saves", "a") as file:
            file.write("x")

    monkeypatch.setattr(resume, "save_state", save)
    return lambda: len((tmp_path / "saves").read_text())


def at(last: int, victim: int, end: Callable[[], None]) -> Callable[[int], None]:
    return lambda step: end() if step == last and ranks.rank() == victim else None


def test_asked_to_end_all_end_after_one_save_and_go_on_to_the_same_bytes(
    train: Callable, undisturbed: list[dict], saves: Callable, tmp_path: Path
) -> None:
    def rank() -> None:
        def twice() -> None:  # by its group and by what started it
            kill(signal.SIGTERM)()
            kill(signal.SIGTERM)()

        train("cut", at(2, 1, twice), workers=1, **HARD)

    with pytest.raises(KeyboardInterrupt):
        launched(rank)
    assert saves() == 1
    assert torch.load(tmp_path / "cut" / "state.pt", weights_only=True)["step"] == 2
    assert_same(in_two(tmp_path, lambda: outcome(train("cut", workers=1, **HARD))), undisturbed)


def test_asked_to_end_while_it_scores_it_scores_again(
    train: Callable,
    undisturbed: list[dict],
    saves: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ranks have one and two batches to score."""
    original = Binary.probabilities

    def ending(self: Binary, logits: torch.Tensor) -> torch.Tensor:
        if ranks.rank() == 1:
            kill(signal.SIGTERM)()
        return original(self, logits)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Binary, "probabilities", ending)
        launched(lambda: train("cut", **HARD))
    assert saves() == 1
    assert torch.load(tmp_path / "cut" / "state.pt", weights_only=True)["step"] == STEPS
    assert_same(in_two(tmp_path, lambda: outcome(train("cut", **HARD))), undisturbed)


@IN_PROC
def test_killed_it_goes_on_from_its_last_save_to_the_same_bytes(
    train: Callable, undisturbed: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes that load end as well: they look for their trainer now and then."""
    monkeypatch.setattr(torch.utils.data._utils.worker, "MP_STATUS_CHECK_INTERVAL", 0.1)

    def end(step: int) -> None:
        if step == STEPS + 2:
            loading = [str(process.pid) for process in multiprocessing.active_children()]
            (tmp_path / f"loading-{ranks.rank()}").write_text(" ".join(loading))
            ranks.any_says(True)
            at(step, 1, kill(signal.SIGKILL))(step)

    with pytest.raises(InputError, match="rank 1 .* was killed by SIGKILL"):
        launched(lambda: train("cut", end, workers=1, **HARD))
    loading = [int(pid) for rank in range(2) for pid in (tmp_path / f"loading-{rank}").read_text().split()]
    assert len(loading) == 2
    assert _wait_until(lambda: living(loading) == [])
    assert torch.load(tmp_path / "cut" / "state.pt", weights_only=True)["epoch"] == 1
    assert_same(in_two(tmp_path, lambda: outcome(train("cut", **HARD))), undisturbed)


@pytest.mark.parametrize("first", [1, 2])
def test_it_goes_on_with_another_number_of_ranks(
    train: Callable, with_groups: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    alone = outcome(train("one"))
    for number in (first, 3 - first):
        monkeypatch.setenv("TESSERA_RANKS", str(number))
        if number == first:
            with pytest.raises(KeyboardInterrupt):
                launched(lambda: train("cut", at(2, 0, kill(signal.SIGTERM))))
        else:
            launched(lambda: torch.save(outcome(train("cut")), tmp_path / f"said-{ranks.rank()}"))
    assert_alike(torch.load(tmp_path / "said-0", weights_only=False), alone)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[Callable], tuple]]:
    """A function that launches in a process of its own; that process and those of its ranks, once they are at work."""

    def start(body: Callable[[], None]) -> tuple[FORK.Process, list[int]]:
        def rank() -> None:
            (tmp_path / f"pid-{ranks.rank()}").write_text(str(os.getpid()))
            ranks.any_says(True)
            (tmp_path / f"ready-{ranks.rank()}").touch()
            body()

        process = FORK.Process(target=launched, args=(rank,))
        process.start()
        while len(list(tmp_path.glob("ready-*"))) < 2 and process.is_alive():
            time.sleep(0.01)
        return process, [int((tmp_path / f"pid-{number}").read_text()) for number in range(2)]

    return start


@IN_PROC
def test_ranks_end_with_the_process_that_started_them(started: Callable) -> None:
    process, pids = started(lambda: time.sleep(1000))
    assert living(pids) == pids
    process.kill()
    process.join()
    assert _wait_until(lambda: living(pids) == [])


def test_the_process_that_started_them_passes_the_wish_to_end_on(
    train: Callable, undisturbed: list[dict], saves: Callable, started: Callable, tmp_path: Path
) -> None:
    def body() -> None:
        def wait_for_the_signal(step: int) -> None:
            if step == 2:
                ask, came = signal.getsignal(signal.SIGTERM), []
                signal.signal(signal.SIGTERM, lambda *said: came.append(ask(*said)))
                (tmp_path / f"step-{ranks.rank()}").touch()
                _wait_until(lambda: came)

        train("cut", wait_for_the_signal, **HARD)

    process, _ = started(body)
    assert _wait_until(lambda: len(list(tmp_path.glob("step-*"))) == 2)
    os.kill(process.pid, signal.SIGINT)  # Ctrl-C
    process.join()
    assert process.exitcode == 1
    assert saves() == 1
    assert_same(in_two(tmp_path, lambda: outcome(train("cut", **HARD))), undisturbed)


def test_a_rank_starts_afresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As out of tests; a process that loads is still forked, with what cannot be pickled."""
    monkeypatch.setattr(launch, "START", "spawn")
    loading = (
        "from torch.utils.data import DataLoader; list(DataLoader([1], num_workers=1, collate_fn=lambda one: one))"
    )
    launch._watch(launch._start(1, f"file://{tmp_path}/meeting", exec, (loading,)))


def test_ranks_of_two_machines_train_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of each, or one that torchrun has started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("WORLD_SIZE", "2")

    def machine(number: int, here: int) -> None:
        os.environ |= {"RANK": str(number), "TESSERA_RANKS": str(here), "MASTER_PORT": str(port + here)}
        launched(lambda: (tmp_path / f"{here}-{ranks.rank()}").write_text(str(ranks.gathered(ranks.rank()))))

    for here in (1, 2):
        machines = [FORK.Process(target=machine, args=(number, here)) for number in range(2)]
        for process in machines:
            process.start()
        for process in machines:
            process.join()
        everyone = list(range(2 * here))
        assert [(tmp_path / f"{here}-{rank}").read_text() for rank in everyone] == [str(everyone)] * len(everyone)


def test_machines_with_other_files_are_refused(train: Callable) -> None:
    """A state lies at a path that says what is trained."""
    with pytest.raises(InputError, match="do not train the same"):
        launched(lambda: train(f"key-{ranks.rank()}"))


def test_the_batch_norm_of_all_ranks_keeps_names_and_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), BatchNormAct2d(4)).eval()
    images = torch.randn(2, 1, 4, 4)
    names, expected = list(network.state_dict()), network(images)
    assert ranks.with_common_norms(network, torch.device("cuda")) is network
    monkeypatch.setattr(ranks, "count", lambda: 2)
    assert ranks.with_common_norms(network, CPU) is network
    common = ranks.with_common_norms(network, torch.device("cuda"))
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in common.modules()) == 2
    assert list(common.state_dict()) == names
    assert torch.equal(common(images), expected)
