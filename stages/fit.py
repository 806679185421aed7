"""What train and full share: the way from a training to the files that it leaves."""

import json
from pathlib import Path

import pandas as pd

from stages import finished
from tessera import machine, paths
from tessera.learn import ranks
from tessera.learn.checkpoints import save_checkpoint
from tessera.learn.first_batch import write_first_batch
from tessera.learn.fit import Fit
from tessera.learn.lock import locked
from tessera.learn.loop import Batch
from tessera.learn.probe import probe
from tessera.learn.progress import Clock
from tessera.learn.record import describe
from tessera.learn.training import Training

SCRATCH = paths.SCRATCH / "train"
OUTS = (paths.first_batch, paths.weights, paths.history, paths.record)


def run(fit: Fit) -> None:
    """Trains, or goes on from the last saved step, and writes first batch, weights, history and run record."""
    model, fold = fit.model, fit.fold
    scratch, outs = SCRATCH / f"{model}-{fold}-{fit.key}", [of(model, fold) for of in OUTS]
    clock = Clock(f"{model} fold {fold}", fit.section.epochs)
    with locked(SCRATCH / f"{model}-{fold}.lock"):
        if ranks.from_first(lambda: finished.put_back(scratch, outs)):
            clock.note(
                f"was trained to its end on these data by this code: its files are put back (rm -r {scratch}: trains anew)"
            )
            return
        _train(fit, scratch, clock)
        if ranks.first():
            finished.keep(scratch, outs)
            finished.forget(SCRATCH.glob(f"{model}-{fold}-*"), scratch)


def _train(fit: Fit, scratch: Path, clock: Clock) -> None:
    model, fold, said, here = fit.model, fit.fold, fit.said, machine.here()
    if ranks.first() and fit.section.weights == "imagenet":
        clock.note(
            "takes its imagenet weights from the hub's cache or the hub, which offline gives up within a minute or two"
        )
    training = fit.training(here)
    picture, of = scratch / "first_batch.png", paths.first_batch(model, fold)

    def show(indexed: Batch, trained: Batch) -> None:
        with paths.writing(picture) as path:
            write_first_batch(path, indexed, trained, fit.material.channels)
        finished.copy(picture, of)

    if ranks.first():
        probed = _probed(fit, training, scratch / "probe.json", clock)
    run = training.fit(fit.material, fit.held_out, scratch / "state.pt", clock, show)
    if not ranks.first():
        return

    about, record = describe(said, run, clock, here.device)
    run.kept.finish(run.ema.network)
    size = sum(tensor.nbytes for tensor in run.ema.network.state_dict().values())
    with finished.writing(paths.weights(model, fold), size) as path:
        save_checkpoint(path, run.ema.network, about)
    history = pd.DataFrame(run.history).to_csv(index=False, na_rep="nan")  # DVC's plots would show nothing as 0
    finished.write(paths.history(model, fold), history)
    finished.copy(picture, of)  # again: DVC, started beside this training, removes what is there
    finished.write(paths.record(model, fold), json.dumps(record | {"probe": probed}, indent=1) + "\n")
    clock.end(record)


def _probed(fit: Fit, training: Training, path: Path, clock: Clock) -> dict:
    """The training's probe, made before its first step and found again by a run that goes on."""
    if not path.exists():
        clock.note("two steps on the CPU first, by which stages.keep will know this training again")
        finished.write(path, json.dumps(probe(training, fit.material)))
    return json.loads(path.read_text())
