import numpy as np
import pytest

from tessera.decide.bootstrap import left_out_error, paired_gain
from tessera.decide.choose import Tried, forward, say
from tessera.metrics.counts import FScore

SCORE = FScore("per_image", 1.0)


def _forward(names: str, scores: dict[str, float], errors: dict[str, float], keep_gain: float = 1.0):
    """Statistics are the names joined; their score is looked up, the error is that of what was added last."""
    return forward(
        "view",
        tuple(names),
        lambda kept: "".join(sorted(kept)),
        lambda before, after: (scores[after] - scores[before], errors.get(after, 0.1)),
        lambda some: scores["".join(some)],
        keep_gain,
    )


def test_what_gains_more_than_its_error_is_kept_and_the_rest_tried_again() -> None:
    scores = {"": 0.5, "a": 0.7, "b": 0.65, "ab": 0.75}
    kept, tried = _forward("ab", scores, {})
    assert kept == ("a",)
    assert [(one.name, one.kept) for one in tried] == [("a", True), ("b", False)]  # a does not carry b with it
    assert tried[0].gain == pytest.approx(0.2)
    assert tried[1].gain == pytest.approx(0.05)  # over a, when it was tried again
    assert tried[1].alone == 0.65
    assert _forward("ab", scores, {}, keep_gain=0.4)[0] == ("a", "b")


def test_what_gains_only_together_is_found() -> None:
    kept, tried = _forward("ab", {"": 0.5, "a": 0.5, "b": 0.49, "ab": 0.9}, {})
    assert kept == ("a", "b")
    assert tried[-1] == Tried("view", "a + b", 0.9, pytest.approx(0.4), 0.1, True)


def test_an_uncertain_gain_does_not_stand_in_the_way_of_a_certain_one() -> None:
    scores = {"": 0.5, "a": 0.8, "b": 0.7, "ab": 0.4}
    assert _forward("ab", scores, {"a": 0.5})[0] == ("b",)


def test_no_gain_keeps_nothing_even_where_none_is_asked() -> None:
    assert _forward("a", {"": 0.5, "a": 0.5}, {"a": 0.0}, keep_gain=0)[0] == ()
    assert _forward("", {}, {}) == ((), [])


def test_each_that_was_tried_has_a_line() -> None:
    one = Tried("view", "flip_h", 0.8, 0.0123, 0.004, True)
    (line,) = say([one._asdict()], 1.5)
    assert line == "kept      view flip_h: alone 0.8000, gain +0.0123, asked for more than 1.5 × 0.0040"
    assert say([one._replace(kept=False)._asdict()], 1.5)[0].startswith("not kept  view flip_h")


def test_the_error_of_a_mean_of_groups_is_the_classical_one() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(9)
    statistics = np.stack([scores, np.ones(9)], -1)[:, None]
    error = left_out_error(statistics, np.arange(9), lambda sums: SCORE.finish(sums).mean(-1))
    assert error == pytest.approx(scores.std(ddof=1) / 3)


def test_a_gain_is_paired_over_groups() -> None:
    """All groups gain the same: however they differ, there is no doubt."""
    scores = np.random.default_rng(0).random(8)
    first, second = (np.stack([one, np.ones(8)], -1)[:, None] for one in (scores, scores + 0.1))
    gain, error = paired_gain(first, second, np.arange(8) // 2, SCORE)
    assert gain == pytest.approx(0.1)
    assert error == pytest.approx(0, abs=1e-12)
