"""What a training says about itself: to the checkpoint and to the run record."""

import platform
import subprocess

import pandas as pd
import torch

from tessera.data.boxes import union
from tessera.data.manifest import WEIGHT
from tessera.learn import ranks
from tessera.learn.networks.build import parameters_of
from tessera.learn.progress import Clock
from tessera.learn.run import Run
from tessera.machine import peak_memory


def describe_seen(windows: pd.DataFrame, manifest: pd.DataFrame) -> dict:
    """What a checkpoint has seen: its training windows, united into boxes [image_id, z0, z1, y0, y1, x0, x1] (original
    px, half-open), and the groups and file digests of their images; and the weights of those that weigh less or more."""
    images = manifest[manifest.image_id.isin(windows.image_id)]
    weights = images.set_index("image_id")[WEIGHT] if WEIGHT in images else pd.Series()
    return {
        "parts": union(windows).to_numpy().tolist(),
        "groups": sorted(set(images.group)), "digests": sorted(set(images.digest)),
    } | ({"weights": weights[weights != 1].to_dict()} if (weights != 1).any() else {})  # fmt: skip


def describe(said: dict, run: Run, clock: Clock, device: torch.device) -> tuple[dict, dict]:
    """The checkpoint's account of itself (the same bytes on every run) and the run record (machine, time, memory)."""
    scores = [row["score"] for row in run.history if row["score"] is not None]
    about = said | {
        "parameters": parameters_of(run.network), "epochs": run.epoch,
        "kept": run.kept.how, "kept_epochs": run.kept.numbers or [run.epoch],
    }  # fmt: skip
    images, seconds = (sum(row[key] for row in run.history) for key in ("images", "seconds"))
    record = about | {
        "commit": _commit(), "machine": platform.node(), "platform": platform.platform(), "device": str(device), "loader": run.loader,
        "ranks": ranks.count(),
        "torch": torch.__version__, "threads": torch.get_num_threads(),
        "seconds": clock.seconds, "train_seconds": seconds, "images": images, "images_per_second": images / seconds,
        "peak_rss_bytes": peak_memory(),
        "peak_gpu_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
        "score_last": scores[-1] if scores else None, "score_best": max(scores, default=None),
    }  # fmt: skip
    return about, record


def _commit() -> str | None:
    """The commit of the working tree, with + where it has changes; None outside git."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=40"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()
