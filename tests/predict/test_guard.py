import pandas as pd
import pytest

from tessera.errors import InputError
from tessera.predict.guard import refuse_seen

MANIFEST = pd.DataFrame(
    [("a", "ga", "da"), ("b", "gb", "db"), ("c", "gc", "dc")], columns=["image_id", "group", "digest"]
)


def _parts(*rows: tuple[str, int, int]) -> pd.DataFrame:
    parts = pd.DataFrame(rows, columns=["image_id", "z0", "z1"])
    return parts.assign(part_id=[f"{image_id}@{z0}-{z1}" for image_id, z0, z1 in rows])


def _about(parts: list = (), groups: tuple = (), digests: tuple = ()) -> dict:
    return {"model": "m", "fold": 2, "parts": [list(part) for part in parts], "groups": groups, "digests": digests}


CLEAN = _about([("b", 0, 9)], ["gb"], ["db"])


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (_about([("a", 0, 9)]), "slices 0…8 of a; slices 0…8 were trained on"),
        (_about([("a", 3, 4)]), "slices 3…3 were trained on"),
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


def test_an_overlapping_block_is_refused_whatever_the_buffer() -> None:
    with pytest.raises(InputError, match="1 problem"):
        refuse_seen(_about([("a", 0, 11)]), _parts(("a", 10, 15)), MANIFEST, "part", 0)


def test_every_seen_part_is_listed() -> None:
    about = _about([("a", 0, 9)], ["gb"], ["dc"])
    with pytest.raises(InputError, match=r"3 problem\(s\)(?s:.)*a@0-9(?s:.)*b@0-9(?s:.)*c@0-9"):
        refuse_seen(about, _parts(("a", 0, 9), ("b", 0, 9), ("c", 0, 9)), MANIFEST, "image", 0)
