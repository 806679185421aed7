"""The training loop: an epoch of steps, and a score of the fold."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from tessera.errors import InputError
from tessera.learn import ranks
from tessera.learn.losses.build import Loss, Predicted
from tessera.learn.mixing import Mixing
from tessera.learn.pieces import Pieces
from tessera.learn.precision import autocast
from tessera.learn.run import Run, random_state, set_random_state
from tessera.learn.sums import Step
from tessera.metrics.counts import tally
from tessera.tasks import Binary


class Batch(NamedTuple):
    """What a step learns from, on the device that trains but for the numbers."""

    items: torch.Tensor  # (B,) int64, their numbers
    windows: torch.Tensor  # (B, C, H, W) uint8
    target: torch.Tensor  # (B, classes, H, W) 0 or 1, of any type; mixed, in [0, 1]
    valid: torch.Tensor  # likewise; 0 where a pixel does not count

    def split(self, count: int) -> "list[Batch]":
        """Up to `count` parts, alike in size."""
        count = min(count, len(self.items))
        return [Batch(*tensors) for tensors in zip(*(tensor.tensor_split(count) for tensor in self), strict=True)]


class Setup(NamedTuple):
    """What a step needs and no step changes."""

    loss: Loss
    mixing: Mixing
    seed: int
    device: torch.device
    amp: str
    clip: float | None  # gradient norm
    note: Callable[[str], None]  # says a line to the person
    least_batch: int = 1  # images that the network trains on at once
    meanwhile: Callable[[], None] = lambda: None  # lets a thread work: a backward pass begins, which needs no Python


def train_epoch(run: Run, batches: Iterable[Batch], setup: Setup, after_step: Callable[[], None]) -> dict:
    """The steps of an epoch, or what is left of them: the epoch's row of the history, but for its score.

    Raises InputError when the loss is no longer finite; `after_step` may raise what it likes.
    """
    bar = tqdm(batches, desc=f"epoch {run.epoch + 1}", unit="batch", leave=False, disable=None)
    before = _Before(run.network, setup.device)
    start = time.perf_counter()
    for batch, waited in _timed(bar):
        lr = run.schedule.get_last_lr()[0]
        before.remember()
        loss = _step(run, batch, setup, before)
        run.step += 1
        now = time.perf_counter()
        run.sums.add(Step(loss, batch.items, lr, run.epoch + 1, run.step), now - start, waited)
        start = now
        after_step()
    return run.sums.row()


def _mixed(run: Run, batch: Batch, setup: Setup) -> Batch:
    """What is mixed with what depends on (seed, epoch, step) alone; a rank mixes its own windows, in ways of its own."""
    own = [ranks.rank()] if ranks.rank() else []
    generator = np.random.default_rng([setup.seed, run.epoch, run.step, *own])
    return Batch(batch.items, *setup.mixing(*batch[1:], generator))


def _step(run: Run, batch: Batch, setup: Setup, before: "_Before") -> torch.Tensor:
    """One optimiser step. Returns the loss where it was computed: reading it would wait for the GPU.

    Ranks exchange gradients once, after the last micro-batch: it does not overlap with the backward pass, as in
    DistributedDataParallel, and needs nothing of the network: no hooks, no wrapper, no rule for frozen weights.
    """
    loss = _gradients_that_fit(run, batch, setup, before)
    try:
        _learn(run, loss, setup.clip)
    except torch.OutOfMemoryError:  # in the first step, which allocates what the optimiser remembers
        raise InputError(
            "the GPU's memory does not hold the network with its gradients and what the optimiser remembers of each weight: "
            "a smaller batch or size would not help; take a smaller encoder, or a GPU with more memory"
        ) from None
    return loss


def _learn(run: Run, loss: torch.Tensor, clip: float | None) -> None:
    """What a step does with its gradients."""
    if ranks.count() > 1:  # to look for what it has learnt takes 1 % of a small network's step
        ranks.average([loss, *ranks.learnt(run.network)])
    if clip:
        run.scaler.unscale_(run.optimiser)
        nn.utils.clip_grad_norm_(run.network.parameters(), clip)
    run.scaler.step(run.optimiser)
    run.scaler.update()
    run.schedule.step()
    run.ema.update(run.network)


def _gradients(run: Run, batch: Batch, setup: Setup, before: "_Before") -> torch.Tensor:
    """Adds up the gradients of the batch's micro-batches, each weighted by its images.

    Equal to the whole batch's, but for batch-norm: a micro-batch has statistics of its own.
    """
    run.optimiser.zero_grad(set_to_none=True)
    total = torch.zeros((), device=setup.device)
    parts = batch.split(run.pieces)
    whole = _first_pass(run, parts, setup, before) if len(parts) > 1 else None
    for number, piece in enumerate(parts):
        predicted = _predict(run, piece, setup)
        with whole.using(number) if whole else nullcontext():
            loss = setup.loss(predicted, piece.target.float(), piece.valid.float())
        loss = loss * (len(piece.items) / len(batch.items))
        setup.meanwhile()
        run.scaler.scale(loss).backward()
        total += loss.detach()
    return total


def _first_pass(run: Run, parts: list[Batch], setup: Setup, before: "_Before") -> Pieces:
    """What the micro-batches add to the sums of the loss. Network and random numbers stay as they are.

    Without a pooled term, those sums (of valid pixels) do not depend on what the network says: it is not asked.
    """
    whole = Pieces([len(piece.items) for piece in parts])
    with torch.no_grad():
        for number, piece in enumerate(parts):
            target, valid = piece.target.float(), piece.valid.float()
            predicted = _predict(run, piece, setup) if setup.loss.pooled else setup.loss.undecided(target)
            with whole.noting(number):
                setup.loss(predicted, target, valid)
    if setup.loss.pooled:
        before.go_back()
    return whole


def _predict(run: Run, piece: Batch, setup: Setup) -> Predicted:
    with autocast(setup.device, setup.amp):
        return run.network(piece.windows)


class _Before:
    """Batch-norm's running statistics and the random numbers of dropout before a step, to go back to.

    Of one epoch: to look the statistics up takes longer than to copy them, of one type all at once.
    """

    def __init__(self, network: nn.Module, device: torch.device):
        buffers = list(network.buffers())
        alike = [[one for one in buffers if one.is_floating_point() == floating] for floating in (True, False)]
        self.pairs = [(some, [torch.empty_like(one) for one in some]) for some in alike if some]
        self.device, self.random = device, {}

    def remember(self) -> None:
        for now, before in self.pairs:
            torch._foreach_copy_(before, now)
        self.random = random_state(self.device)

    @torch.no_grad()
    def go_back(self) -> None:
        for now, before in self.pairs:
            torch._foreach_copy_(now, before)
        set_random_state(self.random, self.device)


def _gradients_that_fit(run: Run, batch: Batch, setup: Setup, before: _Before) -> torch.Tensor:
    """`_gradients` of the mixed batch; out of GPU memory, once more from where they began with micro-batches of half the
    size, and so from then on."""
    most = max(1, len(batch.items) // setup.least_batch)
    while True:
        try:
            return _gradients(run, _mixed(run, batch, setup), setup, before)
        except torch.OutOfMemoryError:  # what it holds is freed when this block is left
            if ranks.count() > 1:  # of which the others already wait for this one
                raise InputError(_too_large(len(batch.items), run.pieces)) from None
            if run.pieces >= most:
                images = (
                    "one image" if setup.least_batch == 1 else f"{setup.least_batch} images, which it needs at once"
                )
                raise InputError(
                    f"the GPU's memory does not hold the training of {images}: lower size, take a smaller encoder, "
                    "or amp: bf16"
                ) from None
        run.pieces = min(2 * run.pieces, most)
        before.go_back()
        run.optimiser.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        setup.note(_halved(run, len(batch.items)))


def _too_large(windows: int, pieces: int) -> str:
    return (
        f"the GPU's memory does not hold the training of {-(-windows // pieces)} windows: among several processes a step "
        "cannot be repeated. Take more of them (TESSERA_RANKS), or raise accumulate, or lower batch or size"
    )


def _halved(run: Run, batch: int) -> str:
    norms = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in run.network.modules())
    return (
        f"out of GPU memory: micro-batches of {-(-batch // run.pieces)} from here on, a step still sees {batch} images"
        + ("; batch-norm's statistics are now those of a micro-batch" if norms else "")
    )


@torch.inference_mode()
def validate(
    network: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    task: Binary,
    device: torch.device,
    amp: str,
) -> np.ndarray:
    """Counts (windows, C, 3) at probability 0.5 of a network in evaluation mode.

    batches: of windows (B, C, H, W) and labels (B, H, W, …), uint8, on any device.
    """
    counts = []
    for windows, labels in batches:
        with autocast(device, amp):
            logits = network(windows.to(device))
        target, valid = task.encode_target(labels.to(device))
        counts.append(torch.stack(tally(task.probabilities(logits) >= 0.5, target, valid), -1))
    return torch.cat(counts).cpu().numpy() if counts else np.zeros((0, task.channels, 3), np.int64)


def _timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Adds the seconds that each batch was waited for."""
    start = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - start
        start = time.perf_counter()
