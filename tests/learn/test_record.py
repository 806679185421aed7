import pandas as pd
import pytest

from tessera.errors import InputError
from tessera.learn.record import describe_seen
from tessera.predict.guard import refuse_seen

MANIFEST = pd.DataFrame(
    [("a", "g1", "da"), ("b", "g1", "db"), ("c", "g2", "dc")], columns=["image_id", "group", "digest"]
)


def _patches(**depths: list[int]) -> pd.DataFrame:
    rows = [(name, z) for name, listed in depths.items() for z in listed]
    return pd.DataFrame(rows, columns=["image_id", "z"])


def test_a_checkpoint_lists_the_slices_groups_and_digests_it_saw() -> None:
    seen = describe_seen(_patches(a=[7, 2, 3, 1, 3], c=[0]), MANIFEST)
    assert seen == {
        "parts": [["a", 1, 4], ["a", 7, 8], ["c", 0, 1]], "groups": ["g1", "g2"], "digests": ["da", "dc"],
    }  # fmt: skip


@pytest.mark.parametrize("z", range(10))
def test_the_guard_knows_every_slice_that_was_listed(z: int) -> None:
    about = {"model": "m", "fold": 0} | describe_seen(_patches(a=[7, 2, 3, 1]), MANIFEST)
    part = pd.DataFrame([("a", z, z + 1, "part")], columns=["image_id", "z0", "z1", "part_id"])
    if z in (1, 2, 3, 7):
        with pytest.raises(InputError, match="were trained on"):
            refuse_seen(about, part, MANIFEST, "part", 0)
    else:
        refuse_seen(about, part, MANIFEST, "part", 0)
