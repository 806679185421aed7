"""What a training says to the person who waits for it."""

import time
from datetime import timedelta

import torch
from tqdm import tqdm

from tessera.learn.networks.build import parameters_of
from tessera.learn.run import Run
from tessera.machine import peak_memory

# Steps from which the whole is estimated, of a short run half of them; the first one of all, which warms up, is not among
# them.
TIMED = 20


class Clock:
    """Prints what happens, knows how long this process has run and guesses how long it will."""

    def __init__(self, title: str, epochs: int):
        self.title, self.epochs, self.begun = title, epochs, time.perf_counter()
        self.device, self.steps, self.left, self.timing = torch.device("cpu"), 0, 0, TIMED
        self.trained = self.timed = self.begun  # when the first step began, and when it ended

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begun

    def start(self, run: Run, patches: int, steps: int, batch: int) -> None:
        """One line before the first step: parameters, patches and steps; one more for a run that goes on."""
        self.device, self.trained = run.device, time.perf_counter()
        self.left = (self.epochs - run.epoch) * steps - run.step
        self.timing = max(1, min(TIMED, self.left // 2))
        self.note(
            f"{parameters_of(run.network) / 1e6:.2f} M parameters  {patches:,} patches  "
            f"{self.epochs} epochs of {steps} steps of {batch}"
        )
        if self.left and (run.epoch or run.step):
            self.note(f"goes on in epoch {run.epoch + 1} after step {run.step} of {steps}")

    def step(self) -> None:
        """A step is done; once 20 are timed, one line says how long all will take: they are steps of the training."""
        self.steps, self.left = self.steps + 1, self.left - 1
        if self.steps == 1:
            self.timed = time.perf_counter()
        if self.steps == 1 + self.timing:
            a_step = (time.perf_counter() - self.timed) / self.timing
            self.note(f"{1000 * a_step:.0f} ms a step: about {_hours(a_step * self.left)} (h:mm:ss), scoring apart")

    def say(self, row: dict) -> None:
        """One line an epoch: loss, score, img/s, data wait, peak memory, time to go.

        The score is pooled Dice at probability 0.5, whatever `score:` of params.yaml is: it is named, not to be taken for
        that one.
        """
        dice = "" if row["score"] is None else f"  Dice {row['score']:.4f}"
        to_go = (time.perf_counter() - self.trained) / max(self.steps, 1) * self.left
        self.note(
            f"epoch {row['epoch']}/{self.epochs}  loss {row['loss']:.4f}{dice}  "
            f"{row['images'] / row['seconds']:.1f} img/s  data wait {row['data_wait']:.0%}  {self._memory()}  "
            f"ETA {_hours(to_go)}"
        )

    def end(self, record: dict) -> None:
        """One line: the Dice of the best epoch on the fold beside the last one's, and what is kept."""
        best, last = record["score_best"], record["score_last"]
        dice = f"best Dice {best:.4f}  last {last:.4f}  best − last {best - last:.4f}" if best is not None else ""
        self.note(f"{dice or 'no fold held out'}  kept: {record['kept']}")

    def note(self, text: str) -> None:
        """Prints a line, above the bar where there is one."""
        with tqdm.external_write_mode():
            print(f"{self.title}  {text}", flush=True)

    def _memory(self) -> str:
        if self.device.type == "cuda":
            return f"GPU memory {torch.cuda.max_memory_allocated(self.device) / 2**30:.1f} GiB"
        return f"memory {peak_memory() / 2**30:.1f} GiB"


def _hours(seconds: float) -> str:
    """As h:mm:ss, of a short run too; beyond a day: 2 days, 3:05:10."""
    return str(timedelta(seconds=round(seconds)))
