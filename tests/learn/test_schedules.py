import numpy as np
import pytest
import torch

from tessera.learn.schedules import SCHEDULES, build_schedule

ENDS = {  # first (of all but onecycle: one of ten warm-up steps), half-way down, and last
    "onecycle": (1 / 25, (1 + 1e-4) / 2, 1e-4), "cosine": (0.1, 0.5, 0.0), "poly": (0.1, 0.5**0.9, 0.0),
}  # fmt: skip


def _rates(name: str, steps: int, warmup: float, lr: float = 1.0) -> list[float]:
    """The learning rate of each step, and what would come after the last."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
    schedule = build_schedule(name, optimiser, steps, warmup)
    rates = [optimiser.param_groups[0]["lr"]]
    for _ in range(steps):
        optimiser.step()
        schedule.step()
        rates.append(optimiser.param_groups[0]["lr"])
    return rates


def test_every_schedule_has_its_ends() -> None:
    assert set(ENDS) == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_rises_to_the_peak_and_falls_to_its_end(name: str) -> None:
    rates = _rates(name, 100, 0.1)
    assert rates[0] == pytest.approx(ENDS[name][0])
    assert rates[10] == pytest.approx(1)
    assert rates[100] == pytest.approx(ENDS[name][2], abs=1e-9)
    assert (np.diff(rates[:10]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[55] == pytest.approx(ENDS[name][1])


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_shares_of_the_learning_rate(name: str) -> None:
    np.testing.assert_allclose(_rates(name, 20, 0.2, lr=3e-3), 3e-3 * np.array(_rates(name, 20, 0.2)))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 1.0), (3, 0.1), (10, 0.0), (10, 1.0)])
def test_short_runs_and_extreme_warm_ups_stay_within_0_and_1(name: str, steps: int, warmup: float) -> None:
    rates = _rates(name, steps, warmup)[:steps]
    assert min(rates) > 0
    assert max(rates) <= 1 + 1e-9
    if warmup == 0:
        assert rates[0] == 1
