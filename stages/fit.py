"""What train and full share: the way from a training to the files that it leaves."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from tessera import machine, paths
from tessera.disk import room_for
from tessera.learn import ranks
from tessera.learn.checkpoints import save_checkpoint
from tessera.learn.fit import Fit
from tessera.learn.lock import locked
from tessera.learn.probe import probe
from tessera.learn.progress import Clock
from tessera.learn.record import describe
from tessera.learn.training import Training

SCRATCH = paths.SCRATCH / "train"


def run(fit: Fit) -> None:
    """Trains, or goes on from the last saved step, and writes first batch, weights, history and run record."""
    with locked(SCRATCH / f"{fit.model}-{fit.fold}.lock"):
        _run(fit)


def _run(fit: Fit) -> None:
    model, fold, said, here = fit.model, fit.fold, fit.said, machine.here()
    scratch = SCRATCH / f"{model}-{fold}-{fit.key}"
    clock = Clock(f"{model} fold {fold}", fit.section.epochs)
    if ranks.first() and fit.section.weights == "imagenet":
        clock.note(
            "takes its imagenet weights from the hub's cache or the hub, which offline gives up within a minute or two"
        )
    training = fit.training(here)
    if ranks.first():
        with paths.writing(paths.first_batch(model, fold)) as path:
            training.draw_first_batch(path, fit.material)
        probed = _probed(fit, training, scratch / "probe.json", clock)
    run = training.fit(fit.material, fit.held_out, scratch / "state.pt", clock)
    if not ranks.first():
        return

    about, record = describe(said, run, clock, here.device)
    run.kept.finish(run.ema.network)
    size = sum(tensor.nbytes for tensor in run.ema.network.state_dict().values())
    with _writing(paths.weights(model, fold), size) as path:
        save_checkpoint(path, run.ema.network, about)
    _write(paths.history(model, fold), pd.DataFrame(run.history).to_csv(index=False))
    _write(paths.record(model, fold), json.dumps(record | {"probe": probed}, indent=1) + "\n")
    for state in SCRATCH.glob(f"{model}-{fold}-*"):  # of this run, and of runs that were given up
        shutil.rmtree(state)
    clock.end(record)


def _probed(fit: Fit, training: Training, path: Path, clock: Clock) -> dict:
    """The training's probe, made before its first step and found again by a run that goes on."""
    if not path.exists():
        clock.note("two steps on the CPU first, by which stages.keep will know this training again")
        _write(path, json.dumps(probe(training, fit.material)))
    return json.loads(path.read_text())


def _write(path: Path, text: str) -> None:
    with _writing(path, len(text)) as temporary:
        temporary.write_text(text)


@contextmanager
def _writing(path: Path, size: int) -> Iterator[Path]:
    """`paths.writing`. Raises InputError when the disk has no room for so many bytes."""
    with room_for(size, path), paths.writing(path) as temporary:
        yield temporary
