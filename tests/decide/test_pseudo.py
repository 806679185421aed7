"""Probabilities as labels."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tessera.data.pixels import PixelStore
from tessera.data.stacks import Stack
from tessera.decide import pseudo
from tessera.decide.decision import Decision
from tessera.decide.pseudo import Labelling, decided_without, label, refuse_unlike
from tessera.errors import InputError
from tessera.params.pseudo import Pseudo
from tessera.predict.store import Plane, ProbabilityStore, create_item

PLAIN = Decision({"m": 0.75, "n": 0.25}, ["one", "two"], "probabilities", "threshold", "", {"*": [140]}, {})
DECISION = replace(PLAIN, by="stratum", levels={"*": [128], "liver": [60]}, steps={"min_area": 9})
HEIGHT, WIDTH = 20, 12


def _pseudo(labels: str = "hard", bounds: tuple = (0.5, 0.5)) -> Pseudo:
    return Pseudo(labels=labels, bounds=bounds, weight=1)


def _label(values: list[int], stratum: str = "", **keys: object) -> list[int]:
    """The labels of pixels that both models see alike."""
    maps = np.tile(np.array(values, np.float32), (2, 1, 1, 1))
    return label(maps, DECISION, stratum, _pseudo(**keys)).ravel().tolist()


def test_hard_labels_are_those_of_the_decision() -> None:
    assert _label([0, 59, 60, 127, 128, 255]) == [0, 0, 0, 0, 1, 1]
    assert _label([0, 59, 60, 127, 128, 255], stratum="liver") == [0, 0, 1, 1, 1, 1]


def test_models_are_blended_with_their_weights() -> None:
    maps = np.array([[[[100, 200]]], [[[255, 0]]]], np.float32)  # 138.75, 150
    assert label(maps, DECISION, "", _pseudo("soft")).ravel().tolist() == [138, 149]
    assert label(maps, PLAIN, "", _pseudo()).ravel().tolist() == [0, 1]


def test_what_lies_between_the_bounds_is_ignored() -> None:
    values = [0, 51, 52, 128, 203, 204, 255]  # of 255: 0.2 is 51, 0.8 is 204
    assert _label(values, bounds=(0.2, 0.8)) == [0, 0, 255, 255, 255, 1, 1]
    assert _label(values, labels="soft", bounds=(0.2, 0.8)) == [0, 51, 255, 255, 255, 203, 254]
    with pytest.raises(ValidationError, match="bounds must rise"):
        _pseudo(bounds=(0.8, 0.2))


def test_soft_labels_never_say_1_which_is_certain_nor_255_which_is_ignored() -> None:
    labels = _label(list(range(256)), labels="soft")
    assert sorted(set(labels)) == [0, *range(2, 255)]
    assert np.abs(np.array(labels) / 254 - np.arange(256) / 255).max() < 0.005


@pytest.mark.parametrize(
    ("changes", "labels", "said"),
    [
        ({"cut": "quantile"}, "hard", "pseudo.labels soft"),
        ({"blend": "ranks"}, "soft", "blend ranks"),
        ({"cut": "triplet"}, "soft", None),
    ],
)
def test_a_decision_that_looks_beyond_a_pixel_is_refused(changes: dict, labels: str, said: str | None) -> None:
    with pytest.raises(InputError, match=said) if said else nullcontext():
        refuse_unlike(replace(PLAIN, **changes), _pseudo(labels))


def test_a_fold_has_a_decision_if_one_was_made_without_all_of_its_rows() -> None:
    rows = {"row_id": ["a", "b", "c", "d"], "fold": [0, 1, 1, 2]}
    others = [replace(PLAIN, levels={"*": [level]}) for level in (1, 2, 3)]

    def found(*sets: list[str]) -> dict[int, Decision]:
        holdouts = [{"rows": out, "decision": asdict(one)} for out, one in zip(sets, others, strict=True)]
        return decided_without({"holdouts": holdouts}, rows)

    assert found(["a"], ["b", "c"], ["d"]) == dict(enumerate(others))
    assert found(["b"], ["a", "c"], ["d"]) == {0: others[1], 2: others[2]}  # sets of groups
    assert decided_without({"reason": "1 group(s)"}, rows) == {}


def _store(path: Path, fill: float, classes: int) -> ProbabilityStore:
    """Views at fill and fill + 2, in every slice."""
    plane = Plane(0, HEIGHT, 0, WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH)
    with h5py.File(path, "w") as file:
        group = create_item(file, "t", "t", (0, 3), plane, ["one", "two"], classes)
        for view, more in (("one", 0), ("two", 2)):
            group[view][:] = np.arange(classes)[:, None, None, None] * 100 + fill + more
    return ProbabilityStore(path)


@pytest.mark.parametrize("classes", [1, 2])
def test_an_image_is_labelled_in_bands_from_the_mean_over_folds(
    tmp_path: Path, pixel_store: Callable[..., PixelStore], monkeypatch: pytest.MonkeyPatch, classes: int
) -> None:
    monkeypatch.setattr(pseudo, "ROWS", 8)
    pixels = pixel_store({"t": np.zeros((3, HEIGHT, WIDTH, 1), np.uint8)})
    stores = [
        {name: _store(tmp_path / f"{name}{fold}.h5", value, classes) for name, value in zip("mn", values, strict=True)}
        for fold, values in enumerate(((20, 60), (40, 80)))
    ]
    decision = replace(PLAIN, weights={"m": 0.5, "n": 0.5})
    stacks = [Stack(), Stack(depths=(1, 3))]  # the second model does not predict slice 0
    labelling = Labelling(_pseudo("soft"), decision, classes, stacks, pixels)
    test = pd.DataFrame({"image_id": ["t"], "digest": ["d"], "stratum": [""]})
    valid = np.ones((HEIGHT, WIDTH), np.uint8)
    valid[5:, :4] = 0
    monkeypatch.setattr(PixelStore, "valid", lambda self, image_id, z: valid if z == 2 else None)
    for chosen, expected in ((stores[:1], 41), (stores[1:], 61), (stores, 51)):
        (made,) = labelling.images(test, chosen)
        found = np.full(made.shape, 7, np.uint8)
        for z, y, rows in made.bands:
            assert len(rows) <= 8
            found[z, y : y + len(rows)] = rows
        assert (made.image_id, made.source) == ("t", "d")
        assert made.shape == (3, HEIGHT, WIDTH, *[2] * (classes > 1))
        assert (found[0] == 255).all()
        values = [round((expected + 100 * number) * 254 / 255) for number in range(classes)]
        assert (found[1] == (values if classes > 1 else values[0])).all()
        assert (found[2][valid > 0] == (values if classes > 1 else values[0])).all()
        assert (found[2][valid == 0] == 255).all()  # beyond the valid area
