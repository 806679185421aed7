"""What the training loop costs beside a bare PyTorch loop, and how long it waits for data.

uv run python -m benchmarks.training [--quick]

Rounds are interleaved, each on a thread; CPU seconds (user + system) of the whole process are medians.
--quick: two rounds of few steps, nothing written to results/.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from benchmarks.results import claim, write_results
from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore, create_image
from tessera.learn.ema import Ema
from tessera.learn.loop import Batch, Setup, train_epoch
from tessera.learn.losses.build import build_loss
from tessera.learn.mixing import build_mixing
from tessera.learn.networks.build import build_network
from tessera.learn.progress import Clock
from tessera.learn.resume import Keeper
from tessera.learn.run import Run
from tessera.learn.schedules import build_schedule
from tessera.learn.sums import Sums
from tessera.learn.training import Material, Training
from tessera.machine import Machine
from tessera.params.model import Model
from tessera.tasks import Binary

COMMAND = "uv run python -m benchmarks.training"
CPU = torch.device("cpu")
OVERHEAD, WAIT = 0.03, 0.02  # shares
MODEL = Model(
    decoder="Unet", encoder="tu-test_resnet.r160_in1k", arguments={"decoder_channels": [32, 32, 16, 8, 8]},
    size=96, epochs=1, batch=4, lr=1e-3, loss={"bce": 1.0, "dice": 1.0}, clip=1.0, ema=0.98,
    augment={"scale": 0.1, "rotate": 15, "brightness": 0.1, "contrast": 0.1},
)  # fmt: skip


def main(quick: bool) -> None:
    torch.set_num_threads(1)
    rounds, steps, epochs = (2, 4, 2) if quick else (11, 40, 6)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts = [compare_loops(folder, rounds, steps), measure_wait(folder, 8 if quick else 40, epochs)]
    tables, rows = [table for table, _ in parts], [row for _, found in parts for row in found]
    if quick:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    write_results("training", "The training loop", COMMAND, tables, rows)


def compare_loops(folder: Path, rounds: int, steps: int) -> tuple[tuple, list[dict]]:
    """Ours, with its sums, checks, bar and saved states, and twice a bare loop that makes the same steps.

    States are saved when a training whose epochs these rounds were would save them, which is not in every round: what
    they take, a share of all rounds, is added to the median.

    The bare loop twice, because the difference between the two is what this machine cannot tell apart.
    """
    batches = _batches(steps)
    loops = {"bare": _bare, "ours": _Ours(folder / "state.pt"), "bare again": _bare}
    cpu: dict[str, list[float]] = {name: [] for name in loops}
    ends, saving = {}, 0.0
    for number in range(1 + rounds):  # the first one warms up
        for name, loop in loops.items():
            seconds, saved, ends[name] = _timed(loop, _run(steps), batches)
            cpu[name] += [seconds] if number else []
            saving += saved
    assert torch.equal(ends["ours"], ends["bare"]), "the two loops do not make the same steps"
    middle = {name: median(found) for name, found in cpu.items()}
    ratio = {name: median(np.divide(cpu[name], cpu["bare"])) for name in ("ours", "bare again")}
    saving /= (1 + rounds) * middle["ours"]
    ratio["ours"] += saving
    body = [
        [name, f"{middle[name]:.3f}", f"{ratio.get(name, 1):.3f}", f"{min(cpu[name]):.3f}…{max(cpu[name]):.3f}"]
        for name in loops
    ]
    header = [f"{steps} steps of {MODEL.batch} × {MODEL.size} px", "CPU s", "× bare, median of rounds", "range"]
    row = {
        "what": f"CPU s of {steps} steps (bare beside bare: {ratio['bare again']:.3f}; of ours, saved states: {saving:.2%})", "ours": round(middle["ours"], 3),
        "peer": round(middle["bare"], 3), "peer_name": "bare PyTorch loop", "ratio": round(ratio["ours"], 4),
        "goal": f"≤ {1 + OVERHEAD} × bare", "met": bool(ratio["ours"] <= 1 + OVERHEAD),
    }  # fmt: skip
    return (header, body), [row]


def measure_wait(folder: Path, steps: int, epochs: int) -> tuple[tuple, list[dict]]:
    """The share of an epoch that the network waits for windows of two loader processes; the first epoch starts them."""
    run = _fit(folder, steps, epochs, workers=2)
    shares = [row["data_wait"] for row in run.history]
    later = median(shares[1:])
    header = ["epoch", "data wait", "img/s"]
    body = [[row["epoch"], f"{row['data_wait']:.2%}", f"{row['images'] / row['seconds']:.1f}"] for row in run.history]
    what = "data wait with 2 loader processes, median of the epochs after the first"
    return (header, body), [claim(what, f"{later:.2%}", f"≤ {WAIT:.0%}", later <= WAIT)]


def _batches(count: int) -> list[Batch]:
    draw = torch.Generator().manual_seed(0)
    shape = (MODEL.batch, 1, MODEL.size, MODEL.size)
    return [
        Batch(
            torch.arange(MODEL.batch),
            torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw),
            torch.rand(shape, generator=draw) < 0.2,
            torch.rand(shape, generator=draw) < 0.9,
        )
        for _ in range(count)
    ]


def _run(steps: int) -> Run:
    torch.manual_seed(0)
    network = build_network(MODEL, 1, 1, pretrained=False)
    optimiser = torch.optim.AdamW(network.parameters(), MODEL.lr, weight_decay=MODEL.weight_decay)
    schedule = build_schedule(MODEL.schedule, optimiser, steps, MODEL.warmup)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return Run(network, Ema(network, MODEL.ema), optimiser, schedule, scaler, Sums(str))


def _timed(loop: Callable, run: Run, batches: list[Batch]) -> tuple[float, float, torch.Tensor]:
    """CPU seconds of the loop's steps, and of saving behind them, and the weights that it ends with."""
    start = _cpu_seconds()
    saving = loop(run, batches)
    seconds = _cpu_seconds() - start - saving
    return seconds, saving, torch.cat([parameter.detach().flatten() for parameter in run.network.parameters()])


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class _Ours:
    """Our loop; its rounds are epochs to what saves, whose clock stands still between them."""

    def __init__(self, state: Path):
        self.before, self.started = 0.0, time.perf_counter()  # seconds of the rounds before; when this one began
        self.keeper = Keeper(state, 60, lambda: self.run.state(), self._now)

    def __call__(self, run: Run, batches: Iterable[Batch]) -> float:
        self.run, self.started = run, time.perf_counter()
        clock = Clock("ours", 1)
        clock.note = lambda text: None
        setup = Setup(build_loss(MODEL.loss), build_mixing(MODEL.mix), MODEL.seed, CPU, "none", MODEL.clip, clock.note)

        def after_step() -> None:
            clock.step()
            self.keeper.after_step()

        train_epoch(run, batches, setup, after_step)
        start = _cpu_seconds()
        self.keeper.after_epoch(last=False)
        self.keeper.finish()
        self.before = self._now()
        return _cpu_seconds() - start

    def _now(self) -> float:
        return self.before + time.perf_counter() - self.started


def _bare(run: Run, batches: Iterable[Batch]) -> float:
    """What one writes by hand: the same network, loss, clipping, optimiser, schedule and average, and a bar. Saves nothing."""
    network, loss_of, total = run.network.train(), build_loss(MODEL.loss), 0.0
    for batch in tqdm(batches, leave=False, disable=None):
        loss = loss_of(network(batch.windows), batch.target.float(), batch.valid.float())
        run.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), MODEL.clip)
        run.optimiser.step()
        run.schedule.step()
        run.ema.update(network)
        total += loss.item()
    return 0.0


def _fit(folder: Path, steps: int, epochs: int, workers: int) -> Run:
    """A whole training on random pixels; scored once, at its end."""
    draw = np.random.default_rng(0)
    with h5py.File(folder / "tiles.h5", "w") as file:
        file.attrs["digest"] = "generated"
        for name, side in (("train", 1024), ("held_out", 96)):
            group = create_image(file, name, (1, side, side, 1), (side, side), classes=1)
            group.attrs["scale"] = 1.0
            group["pixels"][:] = draw.integers(0, 256, (1, side, side, 1), np.uint8)
            group["labels"][:] = draw.integers(0, 2, (1, side, side), np.uint8)
    places = [("train", 0, *draw.integers(0, 1024 - 128, 2)) for _ in range(steps * MODEL.batch)]
    patches = pd.DataFrame(places, columns=["image_id", "z", "y", "x"]).assign(positive_fraction=0.5)
    held_out = pd.DataFrame([("held_out", 0, 1, 0, 96, 0, 96)], columns=BOX)
    model = MODEL.model_copy(update={"epochs": epochs, "validate_every": epochs})
    training = Training(model, Binary(["a"]), "none", Machine(CPU, workers))
    start = time.perf_counter()
    material = Material(PixelStore(folder / "tiles.h5"), patches, 128, 1)
    run = training.fit(material, held_out, folder / "fit.pt", Clock("data wait", epochs))
    print(f"{time.perf_counter() - start:.0f} s")
    return run


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
