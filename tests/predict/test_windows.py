from itertools import pairwise

import numpy as np
import pytest

from tessera.params.predict import Predict
from tessera.predict.windows import BESIDE, WEIGHTS, build_weights, plan_windows, runs_of

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
@pytest.mark.parametrize("side", [64, 65, 301, 20_000])
def test_runs_are_the_axis_and_as_few_on_a_long_one(overlap: float, side: int) -> None:
    starts = plan_windows(side, 64, 64, overlap, 32).starts[0]
    runs = runs_of(starts, 64)
    assert [start for run in runs for start in run.starts] == starts
    assert runs[-1].starts.stop == side
    assert all(run.starts.stop == after.start for run, after in pairwise(runs))
    for run in runs:
        for start in run.starts:
            reaching = [other for other in starts if start - 64 < other < start + run.length and other != start]
            assert [start + other for other in run.others] == reaching
    assert len(runs) <= 3 + 2 * 64 / (64 - round(64 * overlap))


def test_params_offer_exactly_the_weights_there_are() -> None:
    assert set(Predict.model_json_schema()["properties"]["weights"]["enum"]) == set(WEIGHTS)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("size", [(1, 1), (32, 64), (33, 7)])
def test_weights_are_symmetric_positive_and_largest_in_the_middle(name: str, size: tuple[int, int]) -> None:
    weights = build_weights(name, size, 0.5)
    assert weights.dtype == np.float32
    if name != "centre" or (size[0] * size[1]) % 2 == 0:  # a stride of 16 of 33 px has no middle
        np.testing.assert_allclose(weights, weights[::-1, ::-1])
    assert 0 < weights.min() <= weights.max() == weights[size[0] // 2, size[1] // 2]


def test_each_kind_of_weights_falls_as_its_name_says() -> None:
    rows = {name: build_weights(name, (64, 64), 0.25)[32] for name in WEIGHTS}
    assert rows["gaussian"][32 - 8] / rows["gaussian"][32] == pytest.approx(np.exp(-0.5), rel=0.1)  # σ is 8
    assert np.diff(rows["pyramid"], 2)[2:28] == pytest.approx(0, abs=1e-6)
    assert [int((rows["centre"] == 1).sum()), rows["centre"][7], rows["centre"][8]] == [48, np.float32(BESIDE), 1]
    assert (build_weights("centre", (64, 64), 0) == 1).all()
