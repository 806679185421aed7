import numpy as np
import pytest

from tessera.params.predict import Predict
from tessera.predict.windows import BESIDE, WEIGHTS, build_weights, plan_windows, running_shares

SIZES = [(1, 1), (5, 40), (32, 32), (33, 31), (64, 96), (100, 65), (129, 70)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("window", [32, 96])
@pytest.mark.parametrize("multiple", [1, 32])
def test_windows_are_alike_inside_and_multiples(size: tuple[int, int], window: int, multiple: int) -> None:
    plan = plan_windows(*size, window, 0.25, multiple)
    for axis in (0, 1):
        assert plan.size[axis] <= window
        assert plan.size[axis] % multiple == 0
        assert size[axis] <= plan.padded[axis] < size[axis] + multiple
    places = [place for row in plan.rows for place in row]
    assert all(
        place.y + plan.size[0] <= plan.padded[0] and place.x + plan.size[1] <= plan.padded[1] for place in places
    )
    assert len({(place.y, place.x) for place in places}) == len({place[:2] for place in places}) == len(places)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_neighbours_overlap_at_least_by_the_share(overlap: float) -> None:
    assert max(np.diff(plan_windows(301, 64, 64, overlap, 32).starts[0])) <= 64 * (1 - overlap)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("side", [64, 65, 301])
@pytest.mark.parametrize("name", WEIGHTS)
def test_running_shares_give_each_window_its_weight(overlap: float, side: int, name: str) -> None:
    starts = plan_windows(side, 64, 64, overlap, 32).starts[0]
    weights = build_weights(name, (64, 64), overlap)[0]
    values, total = np.random.default_rng(0).random((len(starts), 64)), np.zeros((2, side))
    mean = np.full(side, 1e6)  # what was there before
    for start, share, value in zip(starts, running_shares(weights, starts), values, strict=True):
        mean[start : start + 64] += (value - mean[start : start + 64]) * share
        total[:, start : start + 64] += value * weights, weights
    np.testing.assert_allclose(mean, total[0] / total[1], rtol=1e-5, atol=1e-6)


def test_params_offer_exactly_the_weights_there_are() -> None:
    assert set(Predict.model_json_schema()["properties"]["weights"]["enum"]) == set(WEIGHTS)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("size", [(1, 1), (32, 64), (33, 7)])
def test_weights_are_symmetric_positive_and_largest_in_the_middle(name: str, size: tuple[int, int]) -> None:
    for length, weights in zip(size, build_weights(name, size, 0.5), strict=True):
        assert len(weights) == length
        if name != "centre" or length % 2 == 0:  # a stride of 16 of 33 px has no middle
            np.testing.assert_allclose(weights, weights[::-1])
        assert 0 < weights.min() <= weights.max() == weights[length // 2]


def test_each_kind_of_weights_falls_as_its_name_says() -> None:
    sides = {name: build_weights(name, (64, 64), 0.25)[0] for name in WEIGHTS}
    assert sides["gaussian"][32 - 8] / sides["gaussian"][32] == pytest.approx(np.exp(-0.5), rel=0.1)  # σ is 8
    assert np.diff(sides["pyramid"], 2)[:30] == pytest.approx(0, abs=1e-6)
    assert [int((sides["centre"] == 1).sum()), sides["centre"][7], sides["centre"][8]] == [48, BESIDE, 1]
    assert (build_weights("centre", (64, 64), 0)[0] == 1).all()
