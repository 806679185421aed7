"""Learning rate per step."""

import math
from collections.abc import Callable

import torch


def onecycle(steps: int, warmup: int) -> Callable[[int], float]:
    """Cosine from 1/25 up to 1 within `warmup` steps, then cosine down to 1/10,000. Source: Smith 2018, torch's OneCycleLR."""
    return lambda step: _cosine(1 / 25, 1, step / max(warmup, 1)) if step < warmup else _down(step, steps, warmup, 1e-4)


def cosine(steps: int, warmup: int) -> Callable[[int], float]:
    """Linear from 0 up to 1 within `warmup` steps, then cosine down to 0. Source: Loshchilov & Hutter 2017."""
    return lambda step: (step + 1) / warmup if step < warmup else _down(step, steps, warmup, 0)


def poly(steps: int, warmup: int) -> Callable[[int], float]:
    """Linear from 0 up to 1 within `warmup` steps, then (1 − share of the rest)^0.9 down to 0. Source: Chen et al. 2017, DeepLab."""
    return lambda step: (step + 1) / warmup if step < warmup else max(1 - _share(step, steps, warmup), 0) ** 0.9


SCHEDULES = {"onecycle": onecycle, "cosine": cosine, "poly": poly}


def build_schedule(
    name: str, optimiser: torch.optim.Optimizer, steps: int, warmup: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """The schedule over `steps` optimiser steps; warmup is a share of them."""
    return torch.optim.lr_scheduler.LambdaLR(optimiser, SCHEDULES[name](steps, round(steps * warmup)))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1))) / 2


def _down(step: int, steps: int, warmup: int, end: float) -> float:
    return _cosine(1, end, _share(step, steps, warmup))


def _share(step: int, steps: int, warmup: int) -> float:
    return (step - warmup) / max(steps - warmup, 1)
