import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tessera.data.pixels import PixelStore
from tessera.data.stacks import Stack
from tessera.errors import InputError
from tessera.learn.augmentations.build import build_augmentation
from tessera.learn.dataset import Shape, Windows
from tessera.learn.loading import SWITCH, Loader
from tessera.learn.loop import Batch
from tessera.params.model import Model
from tessera.tasks import Binary

CPU = torch.device("cpu")
FORK = multiprocessing.get_context("fork")
LINUX = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux tells who sent a signal")
ORDER = np.array([3, 1, 4, 1, 5, 9, 2])


@pytest.fixture
def items(pixel_store: Callable[..., PixelStore], model: Callable[..., Model]) -> Windows:
    rng = np.random.default_rng(0)
    store = pixel_store({"a": rng.integers(0, 256, (1, 64, 64, 1), np.uint8)})
    augmentation = build_augmentation(model(), 1, Binary(["a"]))
    return Windows(store, _patches(), 32, Shape(32, Stack(1)), augmentation, seed=1)


def _patches() -> pd.DataFrame:
    places = [("a", 0, 0, 0), ("a", 0, 16, 16), ("a", 0, 32, 32)]
    return pd.DataFrame(places, columns=["image_id", "z", "y", "x"])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 3])
def test_batches_are_the_orders_from_the_first_that_is_not_done(items: Windows, workers: int, done: int) -> None:
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=workers, device=CPU)
    for epoch in (0, 2):
        batches = list(loader.epoch(epoch, ORDER, done))
        assert [batch.items.tolist() for batch in batches] == [[3, 1], [4, 1], [5, 9]][done:]
        items.epoch = epoch
        for batch in batches:
            for number, item in enumerate(batch.items.tolist()):
                window, labels = items[item]
                assert torch.equal(batch.windows[number], window)
                assert torch.equal(batch.target[number, 0], labels == 1)
                assert torch.equal(batch.valid[number, 0], labels != 255)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_batch_can_be_had_without_the_processes(items: Windows, workers: int) -> None:
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=workers, device=CPU)
    first, found = loader.first(ORDER), next(iter(loader.epoch(0, ORDER, 0)))
    assert all(map(torch.equal, first, found))


def test_what_is_done_is_not_loaded(items: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    original, loaded = Windows.__getitem__, []
    monkeypatch.setattr(Windows, "__getitem__", lambda self, item: (loaded.append(item), original(self, item))[1])
    list(Loader(items, items, Binary(["a"]), batch=2, workers=0, device=CPU).epoch(0, ORDER, 2))
    assert loaded == [5, 9]


def test_loading_leaves_torchs_random_numbers_alone(items: Windows) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for workers in (0, 2):
        list(Loader(items, items, Binary(["a"]), batch=2, workers=workers, device=CPU).epoch(0, ORDER, 0))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_processes_load_every_epoch_and_what_is_scored(items: Windows) -> None:
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=2, device=CPU)
    list(loader.epoch(0, ORDER, 0))
    first = [worker.pid for worker in loader._parts._iterator._workers]
    for _ in range(2):
        list(loader.each_once(2))
        list(loader.epoch(1, ORDER, 0))
    assert [worker.pid for worker in loader._parts._iterator._workers] == first


def _wait(items: Windows, pids: Connection) -> None:
    """A trainer that says by which processes it loads, and then waits for nothing."""
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=2, device=CPU)
    list(loader.epoch(0, ORDER, 0))
    pids.send([worker.pid for worker in loader._parts._iterator._workers])
    time.sleep(60)


@LINUX
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_the_trainer(items: Windows, end: int) -> None:
    ours, theirs = FORK.Pipe()
    trainer = FORK.Process(target=_wait, args=(items, theirs))
    trainer.start()
    opened = [os.pidfd_open(pid) for pid in ours.recv()]
    os.kill(trainer.pid, end)
    trainer.join()
    for one in opened:
        assert wait([one], timeout=60)
        os.close(one)


@LINUX
def test_processes_that_are_asked_to_end_load_on_until_the_trainer_ends_them(items: Windows) -> None:
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=2, device=CPU)
    list(loader.epoch(0, ORDER, 0))
    workers = loader._parts._iterator._workers
    asking = [FORK.Process(target=os.kill, args=(worker.pid, signal.SIGTERM)) for worker in workers]  # not the trainer
    for process in asking:
        process.start()
        process.join()
    assert not wait([worker.sentinel for worker in workers], timeout=0.5)
    assert len(list(loader.epoch(1, ORDER, 0))) == 3
    for worker in workers:
        worker.terminate()
        worker.join()
        assert worker.exitcode == 0


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_scored_comes_once_and_in_order(items: Windows, workers: int) -> None:
    scored = Windows(items.stores["xy"], _patches(), 32, items.shape)
    loader = Loader(items, scored, Binary(["a"]), batch=3, workers=workers, device=CPU)
    batches = loader.each_once(2)
    windows, labels = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    assert len(batches) == 2
    for number, (window, label) in enumerate(map(scored.__getitem__, range(3))):
        assert torch.equal(windows[number], window)
        assert torch.equal(labels[number], label)
    assert len(windows) == len(scored)


def test_nothing_to_score_is_no_batch(items: Windows) -> None:
    none = Windows(items.stores["xy"], _patches()[:0], 32, items.shape)
    assert list(Loader(items, none, Binary(["a"]), batch=2, workers=0, device=CPU).each_once(2)) == []


def test_an_error_of_a_process_is_raised_by_the_batch(items: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Windows, item: int) -> tuple:
        raise ValueError("this window")

    monkeypatch.setattr(Windows, "__getitem__", broken)
    with pytest.raises(ValueError, match="this window"):
        list(Loader(items, items, Binary(["a"]), batch=2, workers=1, device=CPU).epoch(0, ORDER, 0))


@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="a process's own memory is told by Linux alone"
)
def test_processes_share_the_pixels(pixel_store: Callable[..., PixelStore]) -> None:
    """Each reads all of them, and has none of its own."""
    side, count = 4096, 2
    store = pixel_store({"a": np.ones((1, side, side, 3), np.uint8)})
    with open(store.path, "rb") as file:
        os.fsync(file.fileno())  # what waits to be written would count as memory of its reader
    places = [("a", 0, y, x) for y in range(0, side, 256) for x in range(0, side, 256)]
    patches = pd.DataFrame(places, columns=["image_id", "z", "y", "x"])
    items = Windows(store, patches, 256, Shape(256, Stack(1)))
    loader = Loader(items, items, Binary(["a"]), batch=16, workers=count, device=CPU)
    one, all_of_it = np.zeros(count * len(items), int), np.tile(np.arange(len(items)), count)
    own = []
    for order in (one, one, all_of_it):  # the first fills the queues
        list(loader.epoch(0, order, 0))
        own.append(sum(private_bytes(process.pid) for process in multiprocessing.active_children()))
    assert own[2] - own[1] < side * side * 3 / 4


def private_bytes(process: int) -> int:
    """Memory that no other process has."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) * 1024


def test_a_batch_for_which_there_is_no_memory_is_made_behind_the_step(
    items: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so are those to come, of later epochs as well: torch would empty its cache beside each step, in vain."""
    said, failed, tried = [], [], threading.Event()
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=1, device=CPU, note=said.append)
    expected = [batch.items.tolist() for batch in loader.epoch(0, ORDER, 0)]
    make, steps = loader._training, threading.Lock()

    def full(part: tuple) -> Batch:
        beside = steps.locked()
        tried.set()
        if beside:
            failed.append(part[0])
            raise torch.OutOfMemoryError("no memory")
        return make(part)

    monkeypatch.setattr(loader, "_training", full)
    for epoch in range(2):
        found = []
        for batch in loader.epoch(epoch, ORDER, 0):
            found.append(batch.items.tolist())
            tried.clear()
            with steps:
                loader.make_next()
                assert tried.wait(0.1 if failed else 60) == (len(found) == 1 and epoch == 0)
        assert found == expected
    assert failed == [expected[1]]
    assert len(said) == 1 and "each is made behind" in said[0]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["_training", "_scoring"])
def test_a_batch_for_which_there_is_no_memory_behind_a_step_is_an_error(
    items: Windows, monkeypatch: pytest.MonkeyPatch, workers: int, kind: str
) -> None:
    def full(part: tuple) -> Batch:
        raise torch.OutOfMemoryError("no memory")

    said = []
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=workers, device=CPU, note=said.append)
    monkeypatch.setattr(loader, kind, full)
    batches = loader.epoch(0, ORDER, 0) if kind == "_training" else loader.each_once(2)
    with pytest.raises(InputError, match=r"does not hold a batch of windows.*lower batch or size"):
        next(iter(batches))
    assert not said


def test_the_next_batch_is_made_from_when_the_loop_says(items: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is scored, at once; and unless the loop says so, when it is asked for."""
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=1, device=CPU)
    made, begun = [], threading.Semaphore(0)
    for kind in ("_training", "_scoring"):
        make = getattr(loader, kind)
        monkeypatch.setattr(
            loader, kind, lambda part, make=make: (made.append(part[0]), begun.release(), make(part))[2]
        )

    batches = iter(loader.epoch(0, ORDER, 0))
    assert next(batches).items.tolist() == [3, 1] and begun.acquire(timeout=60)
    assert not begun.acquire(timeout=0.2)
    loader.make_next()
    loader.make_next()
    assert begun.acquire(timeout=60)
    assert not begun.acquire(timeout=0.2)
    assert [batch.items.tolist() for batch in batches] == [[4, 1], [5, 9]]
    assert made == [[3, 1], [4, 1], [5, 9]]

    made.clear()
    begun = threading.Semaphore(0)
    scored = iter(loader.each_once(1))
    next(scored)
    assert begun.acquire(timeout=60) and begun.acquire(timeout=60)
    assert len(list(scored)) == 2
    assert made == [[0], [1], [2]]


def test_outside_an_iteration_the_loop_may_say_so_in_vain(items: Windows) -> None:
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=1, device=CPU)
    held = loader.epoch(0, ORDER, 0)
    loader.make_next()
    assert [batch.items.tolist() for batch in held] == [[3, 1], [4, 1], [5, 9]]
    loader.make_next()
    begun = iter(held)
    next(begun)
    loader.make_next()
    begun.close()
    loader.make_next()
    assert [batch.items.tolist() for batch in held] == [[3, 1], [4, 1], [5, 9]]


@pytest.mark.parametrize("end", [list, next, Generator.close], ids=["at its end", "let go of", "closed"])
def test_threads_take_turns_more_often_while_one_makes_batches(items: Windows, end: Callable) -> None:
    usual = sys.getswitchinterval()
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=1, device=CPU)
    batches = iter(loader.epoch(0, ORDER, 0))
    assert sys.getswitchinterval() == usual
    next(batches)
    assert sys.getswitchinterval() == pytest.approx(SWITCH) != usual
    end(batches)
    del batches
    assert sys.getswitchinterval() == usual


def test_a_loader_that_is_let_go_of_is_gone_at_once(items: Windows) -> None:
    """With its processes and what it holds of a GPU's memory: nothing that it refers to refers to it."""
    loader = Loader(items, items, Binary(["a"]), batch=2, workers=1, device=CPU)
    list(loader.epoch(0, ORDER, 0))
    next(iter(loader.each_once(1)))
    kept = weakref.ref(loader)
    gc.disable()
    del loader
    gc.enable()
    assert kept() is None
