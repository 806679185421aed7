"""Trains one model on the patches of one fold split."""

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch

from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn import ranks
from tessera.learn.augmentations.build import build_augmentation
from tessera.learn.dataset import Shape, Windows
from tessera.learn.ema import Ema
from tessera.learn.kept import Kept
from tessera.learn.loading import Loader
from tessera.learn.loop import Batch, Setup, train_epoch, validate
from tessera.learn.losses.build import build_loss
from tessera.learn.mixing import build_mixing
from tessera.learn.networks.build import Segmenter, build_network
from tessera.learn.networks.trial import tried
from tessera.learn.on_device.choice import build_loader
from tessera.learn.optimiser import build_optimiser, set_training
from tessera.learn.placing import place_scored
from tessera.learn.progress import Clock
from tessera.learn.resume import Keeper, load_state
from tessera.learn.run import Run
from tessera.learn.sampling import draw_epoch
from tessera.learn.schedules import build_schedule
from tessera.learn.sums import Sums
from tessera.machine import Machine
from tessera.metrics.counts import FScore
from tessera.tasks import Binary

if TYPE_CHECKING:
    from tessera.learn.loading import Batches
    from tessera.params.model import Model

UNREAD = 16  # losses that wait on a GPU before they are looked at


Show = Callable[[Batch, Batch], None]


class Material(NamedTuple):
    """What is trained on."""

    store: PixelStore
    patches: pd.DataFrame
    patch_size: int  # working px
    channels: int  # of an image


class Training:
    """What stays the same while a model is trained."""

    def __init__(self, model: "Model", task: Binary, amp: str, machine: Machine):
        self.model, self.task, self.amp, self.machine = model, task, amp, machine
        self.device, self.shape = machine.device, Shape.of(model)
        self.build = functools.cache(self._build)  # pretrained weights may come from far
        self.augmentation = functools.cache(lambda channels: build_augmentation(model, channels, task))

    def on_cpu(self, **changes: object) -> "Training":
        """The same training on the CPU in single precision; changes: of keys of the model that leave its network and
        the changes of its windows."""
        other = Training(self.model.model_copy(update=changes), self.task, "none", Machine(torch.device("cpu")))
        other.build, other.augmentation = self.build, self.augmentation
        return other

    def fit(
        self,
        material: Material,
        held_out: pd.DataFrame | None,
        state: Path | None,
        clock: Clock,
        show: Show | None = None,
    ) -> Run:
        """Trains on the material, scores on `held_out`; a state at `state` is gone on from, at its very step.

        held_out: the fold's parts as boxes in working px; None: nothing is scored. state: a path that says what is
        trained, the same on all ranks; None: nothing is saved. `clock` is told what happens. show: is given the windows
        of the first step, on the first rank, before any: without and with the changes made of them, before `mix`.

        Raises KeyboardInterrupt once it is saved what SIGTERM or SIGINT ended; InputError for a loss that is not
        finite, a state that cannot be saved, a GPU that is too small.
        """
        items, train = self.items(material), material.patches
        windows = place_scored(held_out, self.shape, material.store)
        scored = Windows(material.store, windows[ranks.part(len(windows))], self.shape.span, self.shape)
        batch, steps = self.batches(train)
        run = self.start(material.channels, steps * self.model.epochs, train)
        run.pieces = min(self.model.accumulate, batch // self.model.least_batch)
        ranks.refuse_differences(str(state))
        if state and (saved := ranks.from_first(lambda: load_state(state, clock.note))):
            run.restore(saved)
        keeper = Keeper(state, self.machine.save_seconds, run.state)
        loader = build_loader(
            items, scored, self.model, self.task, batch // ranks.count(), self.machine, clock.note, run.loader
        )
        run.load_with(loader.name, clock.note)
        if show and ranks.first():
            self._show_first_batch(show, material, loader, self._order(train, 0, batch, run.pieces))
        setup = self._setup(clock, loader)

        def after_step() -> None:
            clock.step()
            keeper.after_step()

        clock.start(run, len(items), steps, batch)
        with keeper.listening():
            while not run.finished(self.model.epochs):
                run.begin_epoch(self.seed(run.epoch))
                set_training(run.network, self.model, run.epoch)
                order = self._order(train, run.epoch, batch, run.pieces)
                row = train_epoch(run, loader.epoch(run.epoch, order, run.step), setup, after_step)
                row = {"epoch": run.epoch + 1, "lr": run.schedule.get_last_lr()[0], **row, "score": None}
                if len(windows) and self.is_scored(row["epoch"]):
                    row["score"] = self._score(run, loader, keeper)
                run.end_epoch(row)
                keeper.after_epoch(last=run.finished(self.model.epochs))
                clock.say(row)
        return run

    def _setup(self, clock: Clock, loader: "Batches") -> Setup:
        loss, mixing = build_loss(self.model.loss, self.model.auxiliary), build_mixing(self.model.mix)
        return Setup(
            loss, mixing, self.model.seed, self.device, self.amp, self.model.clip, clock.note, self.model.least_batch,
            loader.make_next,
        )  # fmt: skip

    def is_scored(self, epoch: int) -> bool:
        """Whether a held-out fold scores an epoch, of 1, 2, …"""
        return epoch % self.model.validate_every == 0 or epoch == self.model.epochs

    def _order(self, train: pd.DataFrame, epoch: int, batch: int, pieces: int) -> np.ndarray:
        """The items of an epoch's batches that this rank takes."""
        return ranks.part_of_batches(draw_epoch(train, self.model, epoch), batch, pieces, self._least())

    def _show_first_batch(self, show: Show, material: Material, loader: "Batches", order: np.ndarray) -> None:
        plain = Windows(material.store, material.patches, material.patch_size, self.shape)
        unchanged = Loader(plain, plain, self.task, loader.batch, workers=0, device=torch.device("cpu"))
        show(unchanged.first(order), loader.first(order))

    def items(self, material: Material) -> Windows:
        """The windows of training items, changed anew in every epoch."""
        store, patches, patch_size, channels = material
        return Windows(store, patches, patch_size, self.shape, self.augmentation(channels), self.model.seed)

    def batches(self, train: pd.DataFrame) -> tuple[int, int]:
        """The windows of a step, and the steps of an epoch. Raises InputError when the network needs more windows."""
        count, least = self.model.patches or len(train), self.model.least_batch
        if count < least:
            raise InputError(
                f"an epoch has {count} window(s), and decoder {self.model.decoder} trains on {least} at once: raise "
                "patches, or take decoder Unet, FPN or Segformer"
            )
        batch = min(self.model.batch, count)
        return batch, count // batch

    def start(self, channels: int, steps: int, train: pd.DataFrame) -> Run:
        """A run before the first of its `steps` steps."""
        network = copy.deepcopy(self.build(channels)).to(self.device)
        network = ranks.with_common_norms(network, self.device)
        ema = Ema(network, self.model.ema)
        if self.machine.compile:
            network.compile()  # in place: the names of its weights stay
        if cuda := self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # batches are of one shape: it pays to try which kernels are fastest
        optimiser = build_optimiser(network, self.model)
        schedule = build_schedule(self.model.schedule, optimiser, steps, self.model.warmup)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp == "fp16")
        sums = Sums(lambda item: _place(train, item), every=UNREAD if cuda else 1)
        kept = Kept(self.model.keep, self.model.keep_epochs, self.model.patience)
        return Run(network, ema, optimiser, schedule, scaler, sums, kept=kept)

    def _least(self) -> int:
        """Windows of a micro-batch that a rank needs, where batch-norm sees only its own, and to mix them."""
        return max(self.model.least_batch if self.device.type == "cpu" else 1, 2 if self.model.mix.share else 1)

    def _build(self, channels: int) -> Segmenter:
        torch.manual_seed(self.model.seed)
        network = build_network(self.model, channels, self.task.channels, pretrained=True)
        return tried(network, self.model, self.task.channels)

    def seed(self, epoch: int) -> int:
        """Of random numbers of the rank's own: its windows are others."""
        return np.random.SeedSequence([self.model.seed, epoch]).generate_state(1)[0].item() + ranks.rank()

    def _score(self, run: Run, loader: "Batches", keeper: Keeper) -> float:
        batch = -(-self.model.batch // (run.pieces * ranks.count()))  # what is known to fit
        batches = keeper.watching(loader.each_once(batch))
        counts = validate(run.ema.network, batches, self.task, self.device, self.amp)
        return FScore("pooled", empty=1.0).of(np.concatenate(ranks.gathered(counts)))


def _place(patches: pd.DataFrame, item: int) -> str:
    """The patch of an item of `Windows`, for a person to find it."""
    patch = patches.iloc[item % len(patches)]
    return f"({patch.image_id}, z {patch.z}, y {patch.y}, x {patch.x})"
