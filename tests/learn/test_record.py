import json

import pandas as pd
import pytest
import torch
from torch import nn

from tessera.data.boxes import BOX
from tessera.errors import InputError
from tessera.learn.kept import Kept
from tessera.learn.progress import Clock
from tessera.learn.record import describe, describe_seen
from tessera.learn.run import Run
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


@pytest.mark.parametrize(
    ("how", "count", "epochs"),
    [("last", None, [3]), ("best", None, [2]), ("mean_of_best", 2, [1, 2]), ("mean_of_last", 2, [2, 3])],
)
def test_checkpoint_and_record_say_which_epochs_are_kept(how: str, count: int | None, epochs: list[int]) -> None:
    network, kept, history = nn.Linear(1, 1), Kept(how, count), []
    for epoch, score in enumerate([0.6, 0.8, 0.5], 1):
        kept.offer(epoch, score, network)
        history.append({"score": score, "images": 4, "seconds": 1.0})
    run = Run(network, *[None] * 5, epoch=3, history=history, kept=kept)
    for said in describe({"model": "m"}, run, Clock("tiny", 3), torch.device("cpu")):
        assert (said["model"], said["epochs"], said["kept"], said["kept_epochs"]) == ("m", 3, how, epochs)
