import numpy as np
import pytest

from tessera.params.predict import Predict
from tessera.predict.views import VIEWS, turn

KNOWN = Predict.model_json_schema()["properties"]["views"]["items"]["enum"]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("shape", [(5, 7), (2, 6, 3), (2, 3, 4, 5)])
def test_a_view_is_its_own_inverse(view: str, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).random(shape)
    assert turn(pixels, view).shape == shape
    np.testing.assert_array_equal(turn(turn(pixels, view), view), pixels)


def test_views_say_what_they_do() -> None:
    pixels = np.array([[1, 2], [3, 4]])
    turned = {view: turn(pixels, view).tolist() for view in VIEWS}
    assert turned == {
        "identity": [[1, 2], [3, 4]], "flip_h": [[2, 1], [4, 3]], "flip_v": [[3, 4], [1, 2]], "rot180": [[4, 3], [2, 1]],
    }  # fmt: skip


def test_params_offer_exactly_the_views_there_are() -> None:
    assert set(KNOWN) == set(VIEWS)
