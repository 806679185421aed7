from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from searching import searching

import tessera.decide.search as search_module
from tessera.data.boxes import BOX
from tessera.data.pixels import PixelStore
from tessera.decide.decision import EVERYWHERE, Decision, held_out_decisions
from tessera.decide.evidence import Evidence, oof_rows, test_rows
from tessera.decide.honest import evaluate
from tessera.decide.levels import Rule
from tessera.deliver.dialects.build import build_dialect
from tessera.deliver.submission import check_score, masks, rows_asked_for, shapes_of
from tessera.errors import InputError
from tessera.metrics.counts import FScore, IoU
from tessera.metrics.score import Score
from tessera.metrics.surface import SurfaceDice, UWMadison
from tessera.params.data import Data
from tessera.predict.store import Plane, create_item
from tessera.tasks import Binary

hubmap = build_dialect("hubmap", ["a"])
rows_of_test = test_rows  # pytest would collect the function under its own name
del test_rows
VIEWS = ["identity", "flip_h", "flip_v"]
MANIFEST = pd.DataFrame(
    [
        (name, f"p{number}", "kl"[number % 2], f"d_{name}", 12 + number, 15, 2, "0/1", 0.5 + number)
        for number, name in enumerate("abc")
    ],
    columns=["image_id", "group", "stratum", "domain", "height", "width", "depth", "slices", "px size"],
)
PARTS = pd.DataFrame(
    [(name, 0, 2, 0, 12 + fold, 0, 15, fold, name) for fold, name in enumerate("abc")],
    columns=[*BOX, "fold", "part_id"],
)


HALVES = pd.concat(
    [
        PARTS.assign(y1=6, part_id=PARTS.image_id + "@upper"),
        PARTS.assign(y0=6, fold=(PARTS.fold + 1) % 3, part_id=PARTS.image_id + "@lower"),
    ],
    ignore_index=True,
)


@pytest.fixture
def evidence(pixel_store: Callable[..., PixelStore], tmp_path: Path) -> Evidence:
    """Real stores of two models and three folds, at half the resolution of the truth."""
    return _evidence(PARTS, pixel_store, tmp_path)


def _evidence(parts: pd.DataFrame, pixel_store: Callable[..., PixelStore], tmp_path: Path) -> Evidence:
    rng = np.random.default_rng(0)
    pixels = pixel_store(
        {row.image_id: np.zeros((2, row.height, row.width, 1), np.uint8) for row in MANIFEST.itertuples()}
    )
    stores = {}
    for model in ("one", "two"):
        for part in parts.itertuples():
            height, width = MANIFEST.set_index("image_id").loc[part.image_id, ["height", "width"]]
            path = tmp_path / f"{model}_{part.fold}.h5"
            with h5py.File(path, "a") as file:
                plane = Plane(part.y0, part.y1, part.x0, part.x1, height, width, height // 2, width // 2)
                group = create_item(file, part.part_id, part.image_id, (0, 2), plane, VIEWS, 1)
                for view in VIEWS:
                    group[view][:] = rng.integers(0, 256, group[view].shape)
            stores.setdefault(model, {})[part.fold] = path
    return Evidence(oof_rows(parts, MANIFEST, [0, 1, 2], None), stores, VIEWS, pixels, Binary(["a"]))


def test_test_rows_stand_in_the_order_and_under_the_ids_of_the_sample_submission() -> None:
    data = Data.model_construct(id_ending=".jpg", id="ImageId")
    template = pd.DataFrame({"rle": "", "ImageId": ["c_1.jpg", "a_0.jpg"]})
    rows = rows_asked_for(rows_of_test(MANIFEST, None), template, data)
    assert rows[["row_id", "image_id", "z"]].to_numpy().tolist() == [["c_1.jpg", "c", 1], ["a_0.jpg", "a", 0]]
    assert rows.index.tolist() == [0, 1]


def test_rows_are_the_slices_of_the_parts_that_were_run() -> None:
    rows = oof_rows(PARTS, MANIFEST, [0, 2], None)
    assert rows.row_id.tolist() == ["a_0", "a_1", "c_0", "c_1"]
    assert rows.fold.tolist() == [0, 0, 2, 2]
    assert rows.group.tolist() == ["p0", "p0", "p2", "p2"]
    blocks = pd.DataFrame([("a", z, z + 1, 0, 12, 0, 15, z, f"a@{z}-{z + 1}") for z in (0, 1)], columns=PARTS.columns)
    of_parts = oof_rows(blocks, MANIFEST, [0, 1], None)
    assert of_parts.row_id.tolist() == ["a_0", "a_1"]
    assert of_parts.group.tolist() == ["a@0-1", "a@1-2"]  # one image in several parts: each its own group
    assert set(rows_of_test(MANIFEST, None).fold) == {-1}


def test_a_column_of_the_manifest_may_have_a_part_s_name() -> None:
    pd.testing.assert_frame_equal(
        oof_rows(PARTS, MANIFEST.assign(fold=7, z0=7), [0, 2], None), oof_rows(PARTS, MANIFEST, [0, 2], None)
    )


def test_maps_are_at_the_truths_resolution_and_ignored_pixels_not_valid(evidence: Evidence) -> None:
    for row in evidence.rows.index:
        target, valid = evidence.truth(row)
        assert evidence.maps(row, ["two"], VIEWS).shape == (1, *target.shape)
        labels = evidence.pixels.read_truth(*evidence.rows.loc[row, ["image_id", "z"]])
        np.testing.assert_array_equal(valid[0], labels != 255)


def test_of_a_part_of_the_plane_only_its_own_pixels_are_in_a_row(
    pixel_store: Callable[..., PixelStore], tmp_path: Path
) -> None:
    evidence = _evidence(HALVES, pixel_store, tmp_path)
    assert evidence.rows.row_id.tolist()[:2] == ["a_0@y0-6x0-15", "a_1@y0-6x0-15"]
    assert len(set(evidence.rows.row_id)) == 12 and set(evidence.rows.group) == set(HALVES.part_id)
    for row in evidence.rows.itertuples():
        target, valid = evidence.truth(row.Index)
        labels = evidence.pixels.read_truth(row.image_id, row.z)[row.y0 : row.y1]
        np.testing.assert_array_equal(valid[0], labels != 255)
        np.testing.assert_array_equal(target[0] & valid[0], labels == 1)
        assert evidence.maps(row.Index, ["one"], VIEWS)[0].shape == target.shape
        assert shapes_of(evidence.rows)[row.row_id] == target.shape[1:]


LAW_8 = [  # score, cut, steps, blends
    (FScore("pooled", 1.0), "threshold", {"min_area": [4]}, ("probabilities",)),
    (FScore("per_image", 1.0), "threshold", {"fill_holes": [3], "largest": [2]}, ("probabilities", "ranks")),
    (FScore("pooled", 1.0, beta=0.5), "quantile", {"gate": [20], "split": [3]}, ("probabilities",)),
    (IoU("per_image", 1.0), "hysteresis", {"min_volume": [12]}, ("probabilities",)),
    (FScore("pooled", 1.0), "triplet", {}, ("ranks", "probabilities")),
    (UWMadison(), "threshold", {"min_area": [4], "min_volume": [12]}, ("probabilities",)),
    (SurfaceDice(1.0, "pooled", 1.0), "triplet", {"min_area": [4]}, ("probabilities",)),
]


@pytest.fixture
def all_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is tried is kept, so that it is in the decisions; the first view is left out."""
    monkeypatch.setattr(search_module, "paired_gain", lambda *_: (1.0, 0.0))


@pytest.mark.parametrize(("score", "cut", "steps", "blends"), LAW_8)
def test_both_scores_equal_the_submission_read_back(
    evidence: Evidence, tmp_path: Path, all_gain: None, score: Score, cut: str, steps: dict, blends: tuple[str, ...]
) -> None:
    _check_law_8(evidence, tmp_path, score, cut, steps, blends)


def test_parts_of_images_obey_as_well(pixel_store: Callable[..., PixelStore], tmp_path: Path, all_gain: None) -> None:
    _check_law_8(_evidence(HALVES, pixel_store, tmp_path), tmp_path, *LAW_8[0])


def _check_law_8(
    evidence: Evidence, folder: Path, score: Score, cut: str, steps: dict, blends: tuple[str, ...]
) -> None:
    rule = Rule("stratum", False, "plateau", 1)
    search, free = searching(evidence, score, 0.5, cut, rule, steps=steps, blends=blends)
    said = evaluate(search, free, 100, 0)
    assert set(said["decision"]["steps"]) == set(steps) and said["decision"]["views"] == VIEWS[1:]
    final = dict.fromkeys(evidence.rows.row_id, Decision(**said["decision"]))
    crossed = held_out_decisions(said)
    for decisions, printed in ((final, said["optimistic"]), (crossed, said["crossfitted"])):
        check_score(folder / "oof.csv", hubmap, evidence, decisions, score, printed)
        with pytest.raises(InputError, match=r"read back scores .* rerun `dvc repro"):
            check_score(folder / "oof.csv", hubmap, evidence, decisions, score, printed + 1e-6)


def test_each_row_is_decided_by_its_own_decision_and_stratum(evidence: Evidence) -> None:
    low, high = (
        Decision({model: 1.0}, VIEWS, "probabilities", "threshold", "stratum", levels, {})
        for model, levels in (("one", {EVERYWHERE: [1], "l": [255]}), ("two", {EVERYWHERE: [255]}))
    )
    decisions = {row_id: low if number % 2 else high for number, row_id in enumerate(evidence.rows.row_id)}
    found = dict(masks(evidence, decisions))
    assert list(found) == evidence.rows.row_id.tolist()
    for row, (row_id, stratum) in enumerate(zip(evidence.rows.row_id, evidence.rows.stratum, strict=True)):
        decision = decisions[row_id]
        maps = evidence.maps(row, decision.models, VIEWS)
        np.testing.assert_array_equal(found[row_id], decision.mask(maps, stratum, (1.0, 1.0)))


def test_maps_are_the_mean_of_the_views_asked_for(evidence: Evidence) -> None:
    first, second, both = (evidence.maps(2, ["one"], views) for views in (VIEWS[:1], VIEWS[1:2], VIEWS[:2]))
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-3)
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(evidence.maps(2, ["one"], VIEWS[:1]), first)  # another than the last one kept


def test_rows_say_their_domain_and_the_size_of_a_pixel(evidence: Evidence) -> None:
    for rows in (oof_rows(PARTS, MANIFEST, [0, 2], "px size"), rows_of_test(MANIFEST[::2], "px size")):
        assert rows.domain.tolist() == ["d_a", "d_a", "d_c", "d_c"]
        assert rows.pixel_size.tolist() == [0.5, 0.5, 2.5, 2.5]
    evidence.rows = rows
    assert evidence.spacing(3) == (2.5, 2.5, 2.5)
    assert set(oof_rows(PARTS, MANIFEST, [0], None).pixel_size) == {1.0}


def test_shapes_are_those_of_the_images() -> None:
    assert shapes_of(oof_rows(PARTS, MANIFEST, [1], None)) == {"b_0": (13, 15), "b_1": (13, 15)}
