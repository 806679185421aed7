import pandas as pd
import pytest

from tessera.data.boxes import BOX
from tessera.data.rounds import FitLabels
from tessera.errors import InputError
from tessera.predict.guard import refuse_leaks, refuse_seen

MANIFEST = pd.DataFrame(
    [("a", "ga", "da"), ("b", "gb", "db"), ("c", "gc", "dc")], columns=["image_id", "group", "digest"]
)


PLANE = (0, 50, 0, 80)  # y0, y1, x0, x1


def _parts(*rows: tuple) -> pd.DataFrame:
    """Parts (image_id, z0, z1) of the whole plane, or with their own."""
    parts = pd.DataFrame([(*row, *PLANE)[:7] for row in rows], columns=BOX)
    return parts.assign(part_id=[f"{image_id}@{z0}-{z1}" for image_id, z0, z1, *_ in rows])


def _about(parts: list = (), groups: tuple = (), digests: tuple = ()) -> dict:
    boxes = [[*part, *PLANE][:7] for part in parts]
    return {"model": "m", "fold": 2, "parts": boxes, "groups": groups, "digests": digests}


CLEAN = _about([("b", 0, 9)], ["gb"], ["db"])


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (_about([("a", 0, 9)]), "slices 0…8 of a, px y0-50x0-80; slices 0…8, px y0-50x0-80, were trained on"),
        (_about([("a", 3, 4)]), "slices 3…3, px y0-50x0-80, were trained on"),
        (_about([("b", 0, 9)], ["ga"]), "its group 'ga' was trained on"),
        (_about([("b", 0, 9)], ["gb"], ["db", "da"]), "a file with its digest was trained on"),
    ],
    ids=["image", "one slice", "group", "digest"],
)
def test_a_whole_image_is_refused_to_a_checkpoint_that_saw_it(about: dict, said: str) -> None:
    refuse_seen(CLEAN, _parts(("a", 0, 9)), MANIFEST, "image", 0)
    with pytest.raises(InputError, match="the checkpoint of m fold 2 has seen") as error:
        refuse_seen(about, _parts(("a", 0, 9)), MANIFEST, "image", 0)
    assert said in str(error.value)


@pytest.mark.parametrize("buffer", [0, 1, 3])
@pytest.mark.parametrize("gap", range(5))
@pytest.mark.parametrize("below", [True, False])
def test_a_block_is_refused_when_fewer_slices_than_the_buffer_lie_between(buffer: int, gap: int, below: bool) -> None:
    trained = ("a", 0, 10 - gap) if below else ("a", 15 + gap, 30)
    about = _about([trained], ["ga"], ["da"])  # blocks of one volume share group and digest
    if gap >= buffer:
        refuse_seen(about, _parts(("a", 10, 15)), MANIFEST, "part", buffer)
    else:
        with pytest.raises(InputError, match=f"slices 10…14 of a.*fold.buffer {buffer}"):
            refuse_seen(about, _parts(("a", 10, 15)), MANIFEST, "part", buffer)


@pytest.mark.parametrize("buffer", [0, 10])
@pytest.mark.parametrize("gap", [0, 9, 10, 11])
@pytest.mark.parametrize("axis", ["y", "x"])
def test_a_block_of_the_plane_is_refused_when_fewer_px_than_the_buffer_lie_between(
    buffer: int, gap: int, axis: str
) -> None:
    part = ("a", 0, 9, 20, 30, 20, 30)
    away = (0, 20 - gap, 0, 80) if axis == "y" else (0, 50, 30 + gap, 80)
    about = _about([("a", 0, 9, *away), ("b", 0, 9)], ["ga"], ["da"])
    if gap >= buffer:
        refuse_seen(about, _parts(part), MANIFEST, "part", buffer)
    else:
        with pytest.raises(InputError, match=f"px y20-30x20-30; slices 0…8, px y.*fold.buffer {buffer}"):
            refuse_seen(about, _parts(part), MANIFEST, "part", buffer)


def test_an_overlapping_block_is_refused_whatever_the_buffer() -> None:
    with pytest.raises(InputError, match="1 problem"):
        refuse_seen(_about([("a", 0, 11)]), _parts(("a", 10, 15)), MANIFEST, "part", 0)


def test_every_seen_part_is_listed() -> None:
    about = _about([("a", 0, 9)], ["gb"], ["dc"])
    with pytest.raises(InputError, match=r"3 problem\(s\)(?s:.)*a@0-9(?s:.)*b@0-9(?s:.)*c@0-9"):
        refuse_seen(about, _parts(("a", 0, 9), ("b", 0, 9), ("c", 0, 9)), MANIFEST, "image", 0)


@pytest.mark.parametrize(
    ("seen", "images", "said"),
    [
        ([CLEAN, _about([("a", 0, 9)])], ["c"], "made by m fold 2, part a@0-9 is slices 0…8 of a"),
        ([CLEAN, _about([("b", 0, 9)], ["ga"])], ["c"], "made by m fold 2, part a@0-9: its group 'ga' was trained on"),
        ([CLEAN], ["c", "same_group"], "same_group: its group 'ga' is held out"),
        ([CLEAN], ["same_file"], "same_file: its digest 'da' is held out"),
    ],
    ids=["network", "network by group", "group", "digest"],
)
def test_pseudo_labels_that_would_tell_of_the_held_out_fold_are_refused(seen: list, images: list, said: str) -> None:
    others = pd.DataFrame([("same_group", "ga", "dx"), ("same_file", "gx", "da")], columns=MANIFEST.columns)
    manifest = pd.concat([MANIFEST, others], ignore_index=True)
    refuse_leaks(FitLabels("", [CLEAN], {"c": None}), "r1", _parts(("a", 0, 9)), manifest, "image", 0)
    labels = FitLabels("", seen, dict.fromkeys(images))
    with pytest.raises(InputError, match="round r1 would leak the held-out fold; make a new one") as error:
        refuse_leaks(labels, "r1", _parts(("a", 0, 9)), manifest, "image", 0)
    assert "1 problem" in str(error.value)
    assert said in str(error.value)
