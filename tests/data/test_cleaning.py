import pandas as pd
import pytest

from tessera.data.cleaning import cleaned
from tessera.errors import InputError
from tessera.params.clean import Clean

MANIFEST = pd.DataFrame(
    [("slide_1", "train", "g"), ("slide_2", "train", "g"), ("10044", "train", ""), ("t", "test", "h")],
    columns=["image_id", "subset", "group"],
)


def test_dropped_images_are_left_out_and_the_others_have_their_weight() -> None:
    before = MANIFEST.copy()
    found = cleaned(MANIFEST, Clean(drop=["slide_1"], weight={"slide_2": 0.5}))
    assert found.image_id.tolist() == ["slide_2", "10044", "t"]
    assert found.weight.tolist() == [0.5, 1.0, 1.0]
    pd.testing.assert_frame_equal(found[MANIFEST.columns], MANIFEST[1:].reset_index(drop=True))
    pd.testing.assert_frame_equal(MANIFEST, before)


def test_without_a_list_all_images_weigh_1() -> None:
    pd.testing.assert_frame_equal(cleaned(MANIFEST, Clean(drop=[], weight={})), MANIFEST.assign(weight=1.0))


def test_an_id_that_yaml_reads_as_a_number_is_known() -> None:
    assert "10044" not in cleaned(MANIFEST, Clean(drop=[10044], weight={})).image_id.tolist()
    assert cleaned(MANIFEST, Clean(drop=[], weight={10044: 2})).weight.tolist() == [1, 1, 2, 1]


def test_what_is_no_training_image_is_said_with_the_nearest_one() -> None:
    with pytest.raises(InputError) as error:
        cleaned(MANIFEST, Clean(drop=["slide_3", "t"], weight={"silde_1": 2}))
    said = str(error.value)
    assert "3 problem(s)" in said
    for piece in (
        "clean.drop: there is no image 'slide_3'; did you mean 'slide_",
        "clean.drop: 't' is a test image",
        "clean.weight: there is no image 'silde_1'; did you mean 'slide_1'?",
    ):
        assert piece in said


def test_dropping_all_images_is_refused() -> None:
    with pytest.raises(InputError, match="leaves none of 3 training images"):
        cleaned(MANIFEST, Clean(drop=["slide_1", "slide_2", "10044"], weight={}))
