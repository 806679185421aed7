import numpy as np
import pytest

from tessera.decide.shake_up import shake_up
from tessera.metrics.counts import FScore

MEAN = FScore("per_image", 1.0)  # statistics are (a row's score, 1): the score of rows is their mean
SEVEN = np.array(list("abcdefg"))


def _rows(*scores: float) -> np.ndarray:
    return np.array([[[score, 1]] for score in scores])


def test_three_groups_by_hand() -> None:
    """Public is one of a, b, c. In private the submitted one has .45, .7, .55 and the other .55, .5, .55: it wins once."""
    submitted, other = _rows(0.8, 0.3, 0.6), _rows(0.5, 0.6, 0.5)
    found = shake_up(submitted, other, np.array(list("abc")), MEAN, 0.33, 100, 0)
    assert (found["splits"], found["public_groups"], found["private_groups"]) == (3, 1, 2)
    assert found["other_wins"] == pytest.approx(1 / 3)
    # leaders in public: the submitted one, the other, the submitted one; they have .45, .5 and .55 in private
    assert found["leader_loses"] == pytest.approx(2 / 3)
    assert found["drop"] == pytest.approx(((0.8 - 0.45) + (0.6 - 0.5) + (0.6 - 0.55)) / 3)
    assert found["both_gain"] == pytest.approx((0.55 - 0.45) / 3)


def test_a_recipe_that_is_better_everywhere_never_loses() -> None:
    first = _rows(*np.linspace(0.5, 0.8, 7))
    found = shake_up(first, first - [0.01, 0], SEVEN, MEAN, 0.3, 1000, 0)
    assert (found["splits"], found["public_groups"]) == (21, 2)  # 7 choose 2
    assert (found["other_wins"], found["leader_loses"]) == (0, 0)
    assert found["drop"] == pytest.approx(0)  # all splits together: neither part is better
    swapped = shake_up(first - [0.01, 0], first, SEVEN, MEAN, 0.3, 1000, 0)
    assert (swapped["other_wins"], swapped["leader_loses"]) == (1, 0)
    assert found["both_gain"] == 0 and swapped["both_gain"] == pytest.approx(0.01)


def test_equal_recipes_never_beat_each_other() -> None:
    first = _rows(*np.linspace(0.5, 0.8, 7))
    found = shake_up(first, first, SEVEN, MEAN, 0.5, 50, 0)
    assert (found["other_wins"], found["leader_loses"]) == (0, 0)


def test_drawn_splits_come_near_to_all_of_them() -> None:
    rng = np.random.default_rng(0)
    groups = np.array([f"g{number:02d}" for number in range(16)])
    first, second = (_rows(*rng.normal(mean, 0.1, 16)) for mean in (0.70, 0.69))
    everything = shake_up(first, second, groups, MEAN, 0.25, 10_000, 0)
    drawn = shake_up(first, second, groups, MEAN, 0.25, 1800, 0)
    assert (everything["splits"], drawn["splits"]) == (1820, 1800)
    for key in ("other_wins", "leader_loses"):
        assert drawn[key] == pytest.approx(everything[key], abs=0.05)
    assert drawn["drop"] == pytest.approx(everything["drop"], abs=0.01)
    assert shake_up(first, second, groups, MEAN, 0.25, 300, 1) == shake_up(first, second, groups, MEAN, 0.25, 300, 1)
    assert shake_up(first, second, groups, MEAN, 0.25, 300, 1) != shake_up(first, second, groups, MEAN, 0.25, 300, 2)


def test_groups_are_never_torn() -> None:
    """Two rows a group, one good and one bad: each group scores the same, whatever is public."""
    rows, groups = _rows(*[0.2, 0.8] * 5), np.repeat(list("abcde"), 2)
    assert shake_up(rows, rows - [0.1, 0], groups, MEAN, 0.4, 100, 0)["drop"] == pytest.approx(0)


@pytest.mark.parametrize(("public", "shown"), [(0.0, 1), (0.01, 1), (0.5, 2), (0.99, 3), (1.0, 3)])
def test_both_parts_hold_a_group(public: float, shown: int) -> None:
    rows = _rows(0.1, 0.2, 0.3, 0.4)
    assert shake_up(rows, rows, np.array(list("abcd")), MEAN, public, 100, 0)["public_groups"] == shown


def test_one_group_cannot_be_split() -> None:
    assert shake_up(_rows(0.5, 0.6), _rows(0.4, 0.7), np.array(["a", "a"]), MEAN, 0.3, 100, 0) is None


def test_pixels_pool_within_the_parts() -> None:
    counts = np.array([[[0, 1, 1]], [[9, 1, 1]], [[4, 0, 2]]])
    found = shake_up(counts, counts, np.array(["a", "b", "c"]), FScore("pooled", 1.0), 0.3, 10, 0)
    assert found["drop"] == pytest.approx(((0 - 26 / 30) + (18 / 20 - 8 / 12) + (8 / 10 - 18 / 22)) / 3)


def test_splits_of_which_a_part_lacks_a_class_are_left_out() -> None:
    """Of four groups two hold it, one of them must be public: in 2 of the 4 splits. The others would score 1 in public."""
    counts = np.array([[[4, 2, 2]], [[4, 2, 2]], [[0, 0, 0]], [[0, 0, 0]]])
    found = shake_up(counts, counts, np.array(list("abcd")), FScore("pooled", 1.0), 0.3, 100, 0)
    assert (found["splits"], found["left_out"]) == (2, 2)
    assert found["drop"] == 0
    assert shake_up(counts[1:], counts[1:], np.array(list("bcd")), FScore("pooled", 1.0), 0.3, 100, 0) is None
