"""What the saved states of a training belong to."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import stages.fit
from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.learn.fit import Fit
from tessera.tasks import Binary


@pytest.fixture
def fit(pixel_store: Callable[..., PixelStore], model: Callable) -> Fit:
    store = pixel_store({name: np.zeros((1, 64, 64, 1), np.uint8) for name in "ab"})
    manifest = pd.DataFrame([("a", "g", "d", 1)], columns=["image_id", "group", "digest", "channels"])
    windows, held_out = (pd.DataFrame([(name, 0, 1, 0, 32, 0, 32)], columns=BOX) for name in "ab")
    return Fit("m", 0, model(), Binary(["a"]), "none", 32, store, manifest, windows, windows, held_out)


def test_a_state_is_of_what_was_scored_too(fit: Fit) -> None:
    held_out = fit.held_out
    others = [None, held_out.assign(x1=64), pd.concat([held_out] * 30, ignore_index=True)]
    others.append(others[-1].assign(x1=[*[32] * 15, 64, *[32] * 14]))  # a row in the middle, which print leaves out
    keys = [fit.key, *(fit._replace(held_out=other).key for other in others)]
    assert len(set(keys)) == len(keys)
    assert fit._replace(held_out=held_out.set_axis([7])).key == fit.key  # its place among all folds' parts


@pytest.mark.parametrize("weights", ["imagenet", "encoder.pt", None])
def test_that_the_hub_is_asked_is_said_before(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], weights: str | None
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Fit, "training", stop)
    with pytest.raises(KeyboardInterrupt):
        stages.fit.run(fit._replace(section=fit.section.model_copy(update={"weights": weights})))
    assert ("imagenet weights from the hub's cache or the hub" in capsys.readouterr().out) is (weights == "imagenet")
