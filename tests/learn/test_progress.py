import re
from collections.abc import Iterator

import pytest
import torch

from tessera.learn import progress
from tessera.learn.progress import Clock
from tessera.learn.run import Run


class Time:
    seconds = 1000.0

    def perf_counter(self) -> float:
        return self.seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(progress, "time", time)
    return time


def _run(epoch: int = 0, step: int = 0) -> Run:
    return Run(torch.nn.Linear(999, 10), *[None] * 5, epoch=epoch, step=step)


def _train(clock: Clock, time: Time, lasts: Iterator[float]) -> None:
    for seconds in lasts:
        time.seconds += seconds
        clock.step()


def test_before_the_start_it_says_what_is_ahead(time: Time, capsys: pytest.CaptureFixture) -> None:
    Clock("unet fold 0", 4).start(_run(), patches=1234, steps=50, batch=16)
    assert capsys.readouterr().out == "unet fold 0  0.01 M parameters  1,234 patches  4 epochs of 50 steps of 16\n"


def test_a_run_that_goes_on_says_from_where(time: Time, capsys: pytest.CaptureFixture) -> None:
    Clock("unet", 4).start(_run(epoch=1, step=7), patches=9, steps=50, batch=16)
    assert capsys.readouterr().out.splitlines()[1] == "unet  goes on in epoch 2 after step 7 of 50"


def test_after_20_timed_steps_it_says_how_long_all_takes(time: Time, capsys: pytest.CaptureFixture) -> None:
    clock = Clock("unet", 40)
    clock.start(_run(epoch=1), patches=9, steps=500, batch=16)
    capsys.readouterr()
    _train(clock, time, [60.0] + [2.0] * 19)
    assert not capsys.readouterr().out
    _train(clock, time, [2.0] * 5)
    assert 2 * (39 * 500 - 21) == 10 * 3600 + 49 * 60 + 18
    assert capsys.readouterr().out == "unet  2000 ms a step: about 10:49:18 (h:mm:ss), scoring apart\n"


@pytest.mark.parametrize(
    ("steps", "timed", "left"), [(2, 1, "0:00:00"), (9, 4, "0:00:14"), (21, 10, "0:00:36"), (41, 20, "0:01:12")]
)
def test_a_short_run_says_it_after_half_of_its_steps(
    time: Time, capsys: pytest.CaptureFixture, steps: int, timed: int, left: str
) -> None:
    clock = Clock("unet", 1)
    clock.start(_run(), patches=9, steps=steps, batch=16)
    capsys.readouterr()
    _train(clock, time, [600.0] + [3.6] * (timed - 1))
    assert not capsys.readouterr().out
    _train(clock, time, [3.6] * (steps - timed))
    assert capsys.readouterr().out == f"unet  3600 ms a step: about {left} (h:mm:ss), scoring apart\n"


def test_an_epoch_says_speed_wait_memory_and_time_to_go(time: Time, capsys: pytest.CaptureFixture) -> None:
    clock = Clock("unet", 4)
    clock.start(_run(), patches=9, steps=10, batch=2)
    _train(clock, time, [36.0] * 10)
    time.seconds += 360  # of scoring
    capsys.readouterr()
    row = {"epoch": 1, "loss": 0.5, "score": 0.25, "images": 20, "seconds": 360.0, "data_wait": 0.031}
    clock.say(row)
    said = r"unet  epoch 1/4  loss 0.5000  Dice 0.2500  0.1 img/s  data wait 3%  memory \d+\.\d GiB  ETA 0:36:00\n"
    assert re.fullmatch(said, capsys.readouterr().out)
    clock.say(row | {"score": None})
    assert "Dice" not in capsys.readouterr().out


def test_at_the_end_it_says_how_far_the_last_epoch_is_from_the_best(capsys: pytest.CaptureFixture) -> None:
    Clock("unet fold 2", 4).end({"score_best": 0.81, "score_last": 0.785, "kept": "last"})
    assert capsys.readouterr().out == "unet fold 2  best Dice 0.8100  last 0.7850  best − last 0.0250  kept: last\n"


def test_at_the_end_of_a_training_on_all_folds_it_says_that_none_scored_it(capsys: pytest.CaptureFixture) -> None:
    Clock("unet fold full", 4).end({"score_best": None, "score_last": None, "kept": "last"})
    assert capsys.readouterr().out == "unet fold full  no fold held out  kept: last\n"
