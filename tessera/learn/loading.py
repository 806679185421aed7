"""Batches, made by processes that load ahead."""

import multiprocessing
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from tessera.errors import InputError
from tessera.learn.dataset import Windows
from tessera.learn.loop import Batch
from tessera.tasks import Binary

AHEAD = 4  # batches that each process has ready
SWITCH = 1e-4  # seconds after which a thread of theirs, or the one that makes batches, makes way for another
LOOK = 1.0  # seconds after which they look whether the trainer lives

Key = tuple[int | None, int]  # epoch and item; None: of what is scored


class Batches:
    """Batches of training items on the device, and of those that are scored; by the same processes to the end.

    Processes make the parts of batches, of a data set whose keys are (epoch, item), (None, item) of what is scored.
    """

    name: str
    ahead = True  # whether a thread makes them while a step runs, until there is no memory for one
    _made: "weakref.ref[Made | _Ahead]"  # of them, those that are asked for at present; they hold this object

    def __init__(
        self,
        parts: Dataset,
        scored: int,
        batch: int,
        workers: int,
        collate: Callable[[list], tuple],
        device: torch.device,
        note: Callable[[str], None],
        pin: bool = False,
    ):
        self.scored, self.batch, self.device, self.note = scored, batch, device, note
        self._keys: list[list[Key]] = []  # of each batch
        self._parts = DataLoader(
            parts, batch_sampler=self._keys, num_workers=workers, collate_fn=collate,
            prefetch_factor=AHEAD if workers else None, persistent_workers=workers > 0, worker_init_fn=_begin,
            pin_memory=pin,
            generator=torch.Generator(),  # of its own: the seeds it draws for its processes are not taken from dropout's
        )  # fmt: skip

    def epoch(self, epoch: int, order: np.ndarray, done: int) -> Iterable[Batch]:
        """The batches of `order` without the first `done`, which are not loaded, and without a last smaller one."""
        starts = range(done * self.batch, len(order) - self.batch + 1, self.batch)
        keys = [(epoch, item) for item in order.tolist()]
        return self._load(keys, self.batch, starts, self._training, at_once=False)

    def each_once(self, batch: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of windows (B, C, H, W) and labels (B, H, W, …), uint8: all that are scored, in order."""
        keys = [(None, item) for item in range(self.scored)]
        return self._load(keys, batch, range(0, len(keys), batch), self._scoring, at_once=True)

    def first(self, order: np.ndarray) -> Batch:
        """The first batch of the first epoch's `order`, made in this process alone."""
        keys = [(0, item) for item in order[: self.batch].tolist()]
        return self._training(self._parts.collate_fn(self._parts.dataset.__getitems__(keys)))

    def make_next(self) -> None:
        """Lets a thread make the next batch; without being told, it does when that is asked for."""
        if made := self._made():
            made.make_next()

    def _load(
        self, keys: list[Key], batch: int, starts: range, make: Callable[..., tuple], at_once: bool
    ) -> "Made | _Ahead":
        self._keys[:] = [keys[start : start + batch] for start in starts]
        batches = Made(make, self._parts)
        made = _Ahead(batches, self, at_once) if self._parts.num_workers else batches
        self._made = weakref.ref(made)
        return made

    def _training(self, part: tuple) -> Batch:
        raise NotImplementedError

    def _scoring(self, part: tuple) -> tuple[torch.Tensor, torch.Tensor]:
        raise NotImplementedError


class Loader(Batches):
    """Batches whose windows the processes read and change."""

    name = "workers"

    def __init__(
        self,
        items: Windows,
        scored: Windows,
        task: Binary,
        batch: int,
        workers: int,
        device: torch.device,
        note: Callable[[str], None] = print,
    ):
        parts, pin = _Items(items, scored), device.type == "cuda"
        super().__init__(parts, len(scored), batch, workers, _collate, device, note, pin)
        self.classes = task.channels
        self.encode = task.encode_soft_target if items.soft else task.encode_target

    def _training(self, part: tuple[list[int], torch.Tensor]) -> Batch:
        numbers, packed = part
        windows, labels = self._unpacked(packed)
        return Batch(torch.tensor(numbers), windows, *self.encode(labels))

    def _scoring(self, part: tuple[list[int], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return self._unpacked(part[1])

    def _unpacked(self, packed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows and labels, on the device."""
        packed = packed.to(self.device, non_blocking=True)
        windows, labels = packed.tensor_split([packed.shape[1] - self.classes], 1)
        return windows, classes_last(labels)


class Made:
    """Batches that are made one by one, when they are asked for."""

    def __init__(self, make: Callable[..., tuple], parts: Sized):
        self.make, self.parts = make, parts

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[tuple]:
        return map(self.make_now, self.parts)

    def make_now(self, part: tuple) -> tuple:
        """A batch, made while no step is. Raises InputError when there is no memory for it."""
        try:
            return self.make(part)
        except torch.OutOfMemoryError:
            raise InputError(
                "the GPU's memory does not hold a batch of windows beside the network: lower batch or size, or take a "
                "smaller encoder; TESSERA_LOADER=workers keeps pixels off the GPU"
            ) from None

    def make_next(self) -> None:
        """Nothing: there is no thread."""


class _Ahead:
    """Batches, of which a thread makes the next one while one is worked on.

    Otherwise each is waited for: the process that made its parts answers when it is not busy with others, and a step
    whose thousands of kernels a CPU can hardly launch as fast as a GPU runs them would launch those of the batch as
    well. The thread launches them while autograd, which needs no Python, launches the backward pass; into the same
    stream, so that all that a step does comes in order. The forward pass would have to take turns with it: the loop
    says when the backward pass begins. at_once: there is none, and the thread need not be told.
    """

    def __init__(self, batches: Made, loader: Batches, at_once: bool):
        self.batches, self.loader, self.at_once = batches, loader, at_once
        self._thread: ThreadPoolExecutor | None = None  # while they are asked for
        self._coming: Future | None = None

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple]:
        self._parts = iter(self.batches.parts)
        with _taking_turns(), ThreadPoolExecutor(1, initializer=_use, initargs=(self.loader.device,)) as self._thread:
            try:
                while (found := self._taken()) is not None:
                    part, batch = found
                    batch = self._made_behind(part) if batch is None else batch
                    if self.at_once:
                        self.make_next()
                    yield batch
            finally:
                self._thread = self._coming = None

    def make_next(self) -> None:
        """Lets the thread begin with the next batch, unless it has; outside an iteration there is none."""
        if self._thread and self.loader.ahead:
            self._submit()

    def _submit(self) -> None:
        if self._coming is None:
            self._coming = self._thread.submit(self._next_one)

    def _taken(self) -> tuple[tuple, tuple | None] | None:
        """The next batch behind what it was made of; None at the end."""
        self._submit()
        coming, self._coming = self._coming, None
        return coming.result()

    def _made_behind(self, part: tuple) -> tuple:
        """A batch for which the thread found no memory. It is not tried again: torch would empty its cache beside each
        step, in vain."""
        batch = self.batches.make_now(part)
        if self.loader.ahead:
            self.loader.ahead = False
            self.loader.note("out of GPU memory for a batch beside a step: from here on each is made behind it")
        return batch

    def _next_one(self) -> tuple[tuple, tuple | None] | None:
        part = next(self._parts, None)
        try:
            return None if part is None else (part, self.batches.make(part))
        except torch.OutOfMemoryError:  # of which the step has most: this batch is made behind it
            return part, None


@contextmanager
def _taking_turns() -> Iterator[None]:
    """A thread that runs Python makes way for another at once: a backward pass launches no kernel while it waits."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _use(device: torch.device) -> None:
    """A thread's own GPU is the first one, unless it is told."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def classes_last(labels: torch.Tensor) -> torch.Tensor:
    """Labels (B, K, H, W) as `PixelStore` has them: (B, H, W) of one class, (B, H, W, K) of several."""
    return labels[:, 0] if labels.shape[1] == 1 else labels.movedim(1, -1)


class _Items(Dataset):
    """By (epoch, number), so that a process that stays alive knows which epoch an item is for; None: a scored one.

    An item is its number and one tensor (C + K, H, W) uint8, the window and behind it its labels: a process hands each
    tensor over by answering the trainer's call, which waits for it.
    """

    def __init__(self, items: Windows, scored: Windows):
        self.items, self.scored = items, scored

    def __getitems__(self, keys: list[Key]) -> list[tuple[int, torch.Tensor]]:
        return [self._item(*key) for key in keys]

    def _item(self, epoch: int | None, number: int) -> tuple[int, torch.Tensor]:
        windows = self.scored if epoch is None else self.items
        if epoch is not None:
            windows.epoch = epoch
        window, labels = windows[number]
        return number, torch.cat([window, labels.reshape(*labels.shape[:2], -1).movedim(-1, 0)])


def _collate(items: list[tuple[int, torch.Tensor]]) -> tuple[list[int], torch.Tensor]:
    numbers, packed = zip(*items, strict=True)
    return list(numbers), default_collate(packed)  # which puts it into shared memory


def _begin(worker: int) -> None:
    # A signal to the whole group (Ctrl-C, a pre-emption) is for the trainer alone, which saves before it ends.
    os.setpgid(0, 0)
    if hasattr(signal, "sigtimedwait"):  # not so on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # here, and in threads to come
        threading.Thread(target=_end_with_trainer, daemon=True).start()
    # The thread that hands tensors over would wait 5 ms, as is usual, for the one that loads.
    sys.setswitchinterval(SWITCH)


def _end_with_trainer() -> None:
    """Ends this process when the trainer asks it to or has died, but not when a pre-emption asks every process of the
    job: the trainer saves then, and would not get to it if it lost a loader."""
    trainer, asked = multiprocessing.parent_process(), None
    while trainer.is_alive() and not (asked and asked.si_pid == trainer.pid):
        asked = signal.sigtimedwait({signal.SIGTERM}, LOOK)
    os._exit(0)
