import base64
import re
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from searching import searching

from tessera.data.parts import summarize
from tessera.data.pixels import PixelStore, create_image
from tessera.decide.decision import EVERYWHERE, Decision
from tessera.decide.evidence import Evidence, oof_rows
from tessera.decide.levels import Rule
from tessera.decide.thresholds import score_curves
from tessera.decide.verdict import verdict
from tessera.deliver.plots import BEST, LONG_SIDE, WORST, gallery, picture, threshold_curves
from tessera.deliver.report import build_page, decided, summarize_kind
from tessera.errors import InputError
from tessera.metrics.counts import FScore, f_score
from tessera.predict.store import Plane, create_item
from tessera.tasks import Binary

MODELS = ["first", "second"]
SECTIONS = [
    "Score",
    "Models",
    "Folds and strata",
    "What each step gained",
    "Learning curves",
    "Score by threshold",
    "Best and worst rows",
]
RECORD = {
    "parameters": 1234567, "train_seconds": 90.0, "images": 4500, "images_per_second": 50.0, "device": "cpu",
    "peak_rss_bytes": 3 * 2**30, "peak_gpu_bytes": None, "commit": "0123456789abcdef+", "threads": 2, "torch": "2.6",
    "amp": "none",
}  # fmt: skip


class Run:
    """What a run of `images` images (a group and a fold each), two slices a volume, leaves behind."""

    def __init__(self, folder: Path, images: int):
        names = [f"image_{number}" for number in range(images)]
        self.manifest = pd.DataFrame(
            {
                "image_id": names, "group": [f"<g{number}>" for number in range(images)], "height": 40, "width": 56,
                "stratum": ["kidney" if number % 2 else "liver" for number in range(images)], "domain": "", "slices": "0/1",
            }
        )  # fmt: skip
        self.parts = pd.DataFrame(
            {
                "image_id": names,
                "z0": 0,
                "z1": 2,
                "y0": 0,
                "y1": 40,
                "x0": 0,
                "x1": 56,
                "part_id": names,
                "fold": [number % 4 for number in range(images)],
            }
        )
        self.folds = sorted(set(self.parts.fold))
        self.patches = self.parts.assign(z0=1, valid_fraction=0.5, positive_fraction=0.25)
        random = np.random.default_rng(0)
        stores = {model: dict.fromkeys(self.folds, folder / f"{model}.h5") for model in MODELS}
        files = [h5py.File(next(iter(stores[model].values())), "w") for model in MODELS]
        with h5py.File(folder / "tiles.h5", "w") as tiles:
            for number, name in enumerate(names):
                labels = np.zeros((2, 40, 56), np.uint8)
                labels[:, 8 : 12 + 4 * number, 8:40] = 1
                labels[1, :, 50:] = 255
                image = create_image(tiles, name, (2, 40, 56, 1), (40, 56), classes=1)
                image["pixels"][:] = random.integers(0, 255, (2, 40, 56, 1))
                image["labels"][:] = labels
                for file in files:
                    item = create_item(file, name, name, (0, 2), Plane(0, 40, 0, 56, 40, 56, 40, 56), ["identity"], 1)
                    item["identity"][0] = np.clip((labels == 1) * 120 + random.normal(60, 40, labels.shape), 0, 255)
        for file in files:
            file.close()
        rows = oof_rows(self.parts, self.manifest, self.folds, None)
        self.evidence = Evidence(rows, stores, ["identity"], PixelStore(folder / "tiles.h5"), Binary(["vessel"]))

    def scores(self) -> dict:
        rule = Rule("stratum", False, "max", 0)
        search, free = searching(self.evidence, FScore("pooled", 1.0), 0.5, rule=rule, steps={"min_area": [4]})
        said = verdict(search, free, 100, 0)
        ensemble = said["ensemble"]
        return {
            "classes": ["vessel"], "score": {"metric": "dice", "average": "pooled", "empty": 1.0, "name": "F0.5"},
            "notes": ["a <note>"], **said,
            "selected_on_validation": [], "curves": score_curves(search, Decision(**ensemble["decision"])),
            "rows": self.evidence.rows.to_dict("list"),
        }  # fmt: skip

    def page(self, scores: dict, kinds: tuple[str, ...] = ("stratum", "domain")) -> str:
        history = pd.DataFrame(
            {"epoch": [1, 2, 3], "lr": [1e-3, 5e-4, 0], "loss": [0.9, 0.5, 0.4], "score": [None, None, 0.7]}
        )
        return build_page(
            "sample: vessel",
            scores,
            {model: dict.fromkeys(self.folds, RECORD) for model in MODELS},
            {model: dict.fromkeys(self.folds, history) for model in MODELS},
            summarize(self.parts, self.manifest, self.patches, len(self.folds)),
            {column: summarize_kind(column, self.parts, self.manifest, self.patches) for column in kinds},
            gallery(self.evidence, scores),
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("run"), 6)


@pytest.fixture(scope="module")
def scores(run: Run) -> dict:
    return run.scores()


@pytest.fixture(scope="module")
def page(run: Run, scores: dict) -> str:
    return run.page(scores)


def _text(page: str) -> str:
    """What a person reads: without style, tags and doubled spaces."""
    page = re.sub(r"<(style|svg).*?</\1>", " ", page, flags=re.S)
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_page_says_what_each_freedom_gained_and_how_far_to_trust_it(page: str, scores: dict) -> None:
    text = _text(page)
    for rung in scores["ladder"]:
        assert f"{rung['what']} {', '.join(rung['models'])}; {', '.join(rung['views'])}" in text
    for one in scores["tried"]:
        assert f"{one['kind']} {one['name']} {one['alone']:.4f}" in text
    assert "How stable the levels are" in text and "kidney" in scores["stability"]
    assert text.count(f"95 % interval, {len(scores['ensemble']['by_group'])} groups") == 2


@pytest.mark.parametrize("gain", [0.0018, -0.0018])
def test_the_page_compares_the_submitted_recipe_with_the_highest_of_the_others(
    run: Run, scores: dict, gain: float
) -> None:
    other = {"name": "first alone", "crossfitted": 0.7927, "gain": gain, "se": 0.0007}
    splits = {"splits": 1000, "left_out": 0, "public_groups": 2, "private_groups": 4}
    shares = {"other_wins": 0.975, "leader_loses": 0.23, "drop": 0.0004, "both_gain": 0.0019}
    text = _text(run.page(scores | {"other": other, "shake_up": splits | shares}))
    assert (
        f"the other way that scores highest is first alone , 0.7927: {'+' if gain > 0 else '−'}0.0018 ± 0.0007" in text
    )
    assert ("It scores higher" in text) == (gain > 0)
    percent = "\N{NARROW NO-BREAK SPACE}%"
    assert f"first alone beats the submitted recipe on the private part in 97.50{percent}" in text
    assert "changes by −0.0004" in text and "are worth +0.0019 over" in text
    assert "lacks a class" not in text
    assert "7 more splits are left out" in _text(
        run.page(scores | {"other": other, "shake_up": splits | shares | {"left_out": 7}})
    )
    text = _text(run.page(scores | {"other": other, "shake_up": None}))
    assert "No shake-up: one group holds all of a class" in text
    text = _text(run.page(scores | {"other": None, "shake_up": None}))
    assert "Which two to submit" not in text


def test_the_page_says_how_folds_strata_and_domains_differ(run: Run, scores: dict) -> None:
    said = scores["ensemble"]
    changed = said | {"by_domain": {"lab a": 0.61, "lab b": 0.72}}
    rows = scores["rows"] | {"domain": ["lab a"] * 3 + ["lab b"] * (len(scores["rows"]["row_id"]) - 3)}
    text = _text(run.page(scores | {"ensemble": changed, "rows": rows}, kinds=("stratum",)))
    assert f"From the worst to the best held-out set: {said['spread']:.4f} ." in text
    assert "Worst of 2 domains: lab a , 0.6100 on 3 rows." in text
    worst = min(said["by_stratum"], key=said["by_stratum"].get)
    assert f"Worst of 2 strata: {worst} , {said['by_stratum'][worst]:.4f} on 6 rows." in text


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(addresses) == len(MODELS) + 1 + BEST + WORST
    assert all(address.startswith(("data:image/svg+xml;base64,", "data:image/jpeg;base64,")) for address in addresses)


def test_the_learning_rate_is_drawn_beside_loss_and_score(page: str) -> None:
    figures = [base64.b64decode(one).decode() for one in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', page)]
    labels = ["training loss", "Dice of the fold", "learning rate"]
    assert sum(all(f">{label}</text>" in figure for label in labels) for figure in figures) == len(MODELS)


def test_every_section_is_there(page: str) -> None:
    assert re.findall(r"<h2>(.*?)</h2>", page) == SECTIONS


def test_the_scores_are_those_of_tune(page: str, scores: dict) -> None:
    said, text = scores["ensemble"], _text(page)
    assert f"cross-fitted {said['crossfitted']:.4f} 95 % interval {said['interval'][0]:.4f} … " in text
    assert f"optimistic {said['optimistic']:.4f}" in text
    assert f"difference {said['optimistic'] - said['crossfitted']:+.4f}".replace("-", "−") in text
    for name, score in said["by_stratum"].items():
        assert f"{name} {score:.4f} 3 3 6 25.00\N{NARROW NO-BREAK SPACE}%" in text
    worst = min(said["by_group"], key=said["by_group"].get)
    assert f"of 6 groups: {worst.replace('<', '&lt;').replace('>', '&gt;')}" in text


def test_costs_come_from_the_run_records(page: str) -> None:
    weighted = "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567 0:06:00 50.0 3.0 GiB 0123456789+"
    assert weighted in _text(page)


def test_a_missing_score_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    run = Run(tmp_path, 2)
    scores = run.scores()
    reason = scores["ensemble"]["reason"]
    assert scores["ensemble"]["crossfitted"] is None
    text = _text(run.page(scores))
    assert f"cross-fitted – {reason}" in text
    assert f"difference – {reason}" in text
    assert text.count(f"– {reason} –") == len(MODELS) + 1  # the table: score, reason, no interval
    assert "0.0000" not in text


@pytest.mark.parametrize("strata", [[], ["kidney", "liver"]])
@pytest.mark.parametrize("classes", [["vessel"], ["bowel", "stomach", "liver_2"]])
def test_every_class_has_a_line_with_its_own_threshold(classes: list[str], strata: list[str]) -> None:
    """Where there are strata, a panel with a line each."""
    rng = np.random.default_rng(0)
    names = ["*", *strata]
    curves = {name: rng.random((len(classes), 255)).tolist() for name in names}
    thresholds = {name: [100 + 10 * n + c for c in range(len(classes))] for n, name in enumerate(names)}
    decision = Decision({"m": 1.0}, ["identity"], "probabilities", "threshold", "stratum", thresholds, {})
    address = threshold_curves(curves, decision, classes)
    words = re.findall(r"<text[^>]*>([^<]*)</text>", base64.b64decode(address.partition(",")[2]).decode())
    for n, name in enumerate(names):
        for c, one in enumerate(classes):
            label = name if name != "*" else "all rows" if strata or len(classes) == 1 else one
            assert f"{label}: {100 + 10 * n + c}" in words
    assert words.count("score") == (len(classes) if strata else 1)
    if strata and len(classes) > 1:
        assert set(classes) <= set(words)


def test_all_of_a_decision_is_said_beside_what_held_out_sets_chose() -> None:
    def one(low: int, steps: dict, views: list[str]) -> dict:
        levels = {"*": [[low, 200]], "k": [[10, 20]]}
        return {"weights": {"m": 1.0}, "views": views, "blend": "ranks", "cut": "hysteresis", "by": "stratum",
                "levels": levels, "steps": steps}  # fmt: skip

    said = {
        "decision": one(90, {"gate": 5}, ["identity"]),
        "holdouts": [
            {"decision": one(80, {}, ["identity"])},
            {"decision": one(85, {"largest": 2}, ["identity", "flip_h"])},
        ],
    }
    assert decided(said) == [
        ("weight of m", "1", "1"),
        ("views", "identity", "identity, identity + flip_h"),
        ("blend", "ranks", "ranks"),
        ("hysteresis, other strata", "90…200", "80…200, 85…200"),
        ("hysteresis, k", "10…20", "10…20"),
        ("gate", "5", "off"),
        ("largest", "off", "off, 2"),
    ]


def test_the_page_says_which_score_it_is(page: str) -> None:
    assert "F0.5, over all pixels of all rows; 1 where truth and prediction are both empty." in _text(page)


def test_choosing_on_the_folds_is_said_of_models_that_weigh(run: Run, scores: dict, page: str) -> None:
    warning = "the validation fold chose what was kept of {} (keep, patience); the interval does not cover that choice"
    weights = scores["ensemble"]["decision"]["weights"]
    for name, weight in weights.items():
        assert (warning.format(name) in run.page(scores | {"selected_on_validation": [name]})) == (weight > 0)
    assert "validation fold" not in page


def test_notes_and_names_are_escaped(page: str) -> None:
    assert "a &lt;note&gt;" in page
    assert "<g0>" not in page


def test_the_same_run_gives_the_same_bytes(run: Run, scores: dict, page: str) -> None:
    assert run.page(scores) == page


def test_the_gallery_holds_the_best_and_the_worst_rows(run: Run, scores: dict) -> None:
    by_row = f_score(np.array(scores["ensemble"]["statistics"]), np.nan)[:, 0]  # of pooled Dice they are the counts
    best, worst = gallery(run.evidence, scores)
    assert [row.dice for row in best] == sorted(by_row, reverse=True)[:BEST]
    assert [row.dice for row in worst] == sorted(by_row)[:WORST]
    numbers = dict(zip(run.evidence.rows.row_id, by_row, strict=True))
    assert all(numbers[row.row_id] == row.dice for row in best + worst)


def test_a_row_without_truth_and_prediction_is_not_shown(
    run: Run, scores: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = run.evidence.truth
    empty = [np.zeros((1, 40, 56), bool), np.ones((1, 40, 56), bool)]
    monkeypatch.setattr(run.evidence, "truth", lambda row: truth(row) if row < 3 else empty)
    nothing = scores["ensemble"]["decision"] | {"levels": {EVERYWHERE: [255]}, "steps": {"gate": 40 * 56}}
    held_out = [{"rows": run.evidence.rows.row_id[3:].tolist(), "decision": nothing}]
    best, worst = gallery(run.evidence, scores | {"ensemble": scores["ensemble"] | {"holdouts": held_out}})
    assert len(best) == 1
    assert len(worst) == 2


def test_scores_of_other_rows_are_refused(run: Run, scores: dict) -> None:
    with pytest.raises(InputError, match="rerun `dvc repro tune`"):
        gallery(run.evidence, scores | {"rows": {"row_id": ["another"]}})


def test_pictures_stay_small_whatever_the_image() -> None:
    random = np.random.default_rng(0)
    noise = partial(random.random, (1, 1200, 2000))
    image = random.integers(0, 255, (1200, 2000, 3), np.uint8)
    address = picture(image, noise() > 0.5, noise() > 0.5, noise() > 0.1)
    assert LONG_SIDE == 700
    assert len(address) < 700_000  # eight of them and the figures stay below 6 MB
