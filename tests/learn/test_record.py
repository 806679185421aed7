import json

import pandas as pd
import pytest

from tessera.data.boxes import BOX
from tessera.errors import InputError
from tessera.learn.record import describe_seen
from tessera.predict.guard import refuse_seen

MANIFEST = pd.DataFrame(
    [("a", "g1", "da"), ("b", "g1", "db"), ("c", "g2", "dc")], columns=["image_id", "group", "digest"]
)


def _windows(**depths: list[int]) -> pd.DataFrame:
    """Two windows side by side in each slice listed."""
    rows = [(name, z, z + 1, 0, 9, x, x + 6) for name, listed in depths.items() for z in listed for x in (0, 5)]
    return pd.DataFrame(rows, columns=BOX)


def test_a_checkpoint_lists_the_pixels_groups_and_digests_it_saw() -> None:
    seen = describe_seen(_windows(a=[7, 2, 3, 1, 3], c=[0]), MANIFEST)
    boxes = [["a", 1, 4, 0, 9, 0, 11], ["a", 7, 8, 0, 9, 0, 11], ["c", 0, 1, 0, 9, 0, 11]]
    assert seen == {"parts": boxes, "groups": ["g1", "g2"], "digests": ["da", "dc"]}
    assert json.loads(json.dumps(seen)) == seen


def test_a_checkpoint_says_which_images_weighed_less_or_more() -> None:
    windows = _windows(a=[1], c=[0])
    alike = describe_seen(windows, MANIFEST.assign(weight=[1.0, 0.5, 1.0]))  # b trains nothing here
    assert alike == describe_seen(windows, MANIFEST)
    assert describe_seen(windows, MANIFEST.assign(weight=[1.0, 0.5, 0.25])) == alike | {"weights": {"c": 0.25}}


@pytest.mark.parametrize("z", range(10))
def test_the_guard_knows_every_slice_that_was_listed(z: int) -> None:
    about = {"model": "m", "fold": 0} | describe_seen(_windows(a=[7, 2, 3, 1]), MANIFEST)
    part = pd.DataFrame([("a", z, z + 1, 0, 9, 0, 11, "part")], columns=[*BOX, "part_id"])
    if z in (1, 2, 3, 7):
        with pytest.raises(InputError, match="were trained on"):
            refuse_seen(about, part, MANIFEST, "part", 0)
    else:
        refuse_seen(about, part, MANIFEST, "part", 0)
