import re

import numpy as np
import pytest

from tessera.decide.decision import Decision
from tessera.deliver import audit
from tessera.deliver.audit import build_audit, by_image, doubts


def _decision(threshold: int, **weights: float) -> Decision:
    return Decision(weights, ["identity"], "probabilities", "threshold", "", {"*": [threshold]}, {})


@pytest.fixture
def evidence(memory_evidence: type):
    """Four rows of two images. The label of `wrong` misses an object that the network is sure of; `unsure` is a guess
    everywhere; `invented` has a label on what the network is sure is nothing; `right` is right."""
    labels = np.zeros((4, 20, 30), np.uint8)
    labels[:, 2:8, 3:9] = 1
    labels[2, 10:18, 10:20] = 1
    maps = np.where(labels == 1, 250, 5).astype(np.uint8)
    maps[0, 10:18, 10:28] = 240
    maps[1] = 127
    maps[2, 10:18, 10:20] = 20
    labels[3, 10:] = 255
    maps[3, 10:] = 255  # ignored
    names = ["wrong", "unsure", "invented", "right"]
    return memory_evidence({"m": maps[:, None]}, labels, row_id=names, image_id=["one", "two", "one", "two"])


def _decisions(evidence) -> dict[str, Decision]:
    return dict.fromkeys(evidence.rows.row_id, _decision(128, m=1.0))


def test_sure_predictions_of_the_opposite_come_first_and_guesses_last(evidence) -> None:
    table = doubts(evidence, _decisions(evidence))
    assert table.row_id.tolist()[:2] == ["wrong", "invented"]
    by_name = table.set_index("row_id")
    assert by_name.disagreement["right"] == 0
    assert by_name.disagreement["unsure"] < 0.01
    np.testing.assert_allclose(by_name.found["wrong"], 8 * 18 / 600 * (2 * 240 / 255 - 1))
    assert by_name.missed["wrong"] == 0
    np.testing.assert_allclose(by_name.missed["invented"], 8 * 10 / 600 * (1 - 2 * 20 / 255))
    assert by_name.found["invented"] == 0


def test_the_score_beside_is_that_of_the_row_s_own_decision(evidence) -> None:
    decisions = _decisions(evidence) | {"wrong": _decision(245, m=1.0)}
    by_name = doubts(evidence, decisions).set_index("row_id")
    assert by_name.dice["wrong"] == 1  # 240 is below its threshold
    assert by_name.dice["right"] == 1
    np.testing.assert_allclose(by_name.dice["invented"], 2 * 36 / (36 + 36 + 80))


def test_ignored_pixels_raise_no_doubt(evidence) -> None:
    before = doubts(evidence, _decisions(evidence))
    evidence._maps["m"]["identity"][3, :, 10:] = 0
    np.testing.assert_array_equal(doubts(evidence, _decisions(evidence)).disagreement, before.disagreement)


def test_an_image_has_the_doubts_of_all_its_rows(evidence) -> None:
    table = doubts(evidence, _decisions(evidence))
    images = by_image(table).set_index("image_id")
    assert images.index.tolist() == ["one", "two"]
    of_rows = table.set_index("row_id").disagreement
    np.testing.assert_allclose(images.disagreement["one"], (of_rows["wrong"] + of_rows["invented"]) / 2)
    np.testing.assert_allclose(images.disagreement["two"], of_rows["unsure"] * 600 / 900)
    assert images.worst["one"] == "wrong"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that are drawn; no pixels are."""
    rows = []

    def draw(_: object, row: int, mask: np.ndarray) -> str:
        assert mask.dtype == bool
        rows.append(row)
        return f"data:image/jpeg;base64,row{row}"

    monkeypatch.setattr(audit, "draw_row", draw)
    return rows


def test_the_page_shows_the_worst_rows_each_with_its_own_picture_and_line(evidence, drawn: list[int]) -> None:
    page = build_audit("toy", evidence, _decisions(evidence), 2)
    assert sorted(drawn) == [0, 2]
    assert re.findall(r"row(\d)\"", page) == ["0", "2"]
    assert re.findall(r"<strong>\d\. (\w+)", page) == ["wrong", "invented"]
    assert (
        page.count("<code>drop: [&#34;one&#34;]</code> or <code>weight: {&#34;one&#34;: 0.5}</code>") == 3
    )  # and the table
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)


def test_rows_without_any_disagreement_are_not_shown(evidence, drawn: list[int]) -> None:
    build_audit("toy", evidence, _decisions(evidence), 60)
    assert sorted(drawn) == [0, 1, 2]


def test_ids_are_escaped_and_images_of_one_row_have_no_table(evidence, drawn: list[int]) -> None:
    evidence.rows["image_id"] = ['<a>"', "b", "c", "d"]
    page = build_audit("toy", evidence, _decisions(evidence), 60)
    assert "<h2>Images</h2>" not in page
    assert "<a>" not in page
    assert "[&#34;&lt;a&gt;\\&#34;&#34;]" in page
