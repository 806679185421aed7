"""The page on which a person reviews labels: where out-of-fold predictions are sure, and the label says otherwise.

Source of the idea: Northcutt et al. 2021, "Confident Learning", by the confidence of predictions out of fold.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from tqdm import tqdm

from tessera.decide.blending import blend
from tessera.decide.decision import Decision
from tessera.decide.evidence import Evidence
from tessera.decide.histograms import histogram
from tessera.deliver.plots import PREDICTION, TRUTH, draw_row
from tessera.deliver.report import percent
from tessera.metrics.counts import count, f_score

_VALUES = np.arange(256) / 255
# By the blended value, how sure the prediction is of the opposite of the label: from 0 at a probability of 0.5 to 1.
_FOUND, _MISSED = np.clip(2 * _VALUES - 1, 0, 1), np.clip(1 - 2 * _VALUES, 0, 1)


def doubts(evidence: Evidence, decisions: dict[str, Decision]) -> pd.DataFrame:
    """A row each of `evidence`, by its number, the largest disagreement first.

    found, missed: over the valid px of all classes, the mean of how sure the prediction is of what is not labelled, and of
    the absence of what is. disagreement: their sum. dice: mean over classes, NaN where truth and mask are both empty.
    decisions: row_id → decision, best one that has not seen the row. Only numbers are held.
    """
    found = []
    masks = evidence.masks_under(decisions)
    for row, mask in tqdm(masks, "audit", len(evidence.rows), unit="row", disable=None):
        target, valid = evidence.truth(row)
        decision = decisions[evidence.rows.row_id[row]]
        maps = evidence.maps(row, decision.models, decision.views)
        blended = blend(maps, [decision.weights[model] for model in decision.models])
        counted = histogram(blended, target, valid).sum(0)  # (2, 256)
        pixels = max(counted.sum(), 1)
        dice = f_score(count(mask, target, valid), np.nan)
        found.append((counted[0] @ _FOUND / pixels, counted[1] @ _MISSED / pixels, _mean(dice), pixels))
    table = pd.DataFrame(found, evidence.rows.index, ["found", "missed", "dice", "pixels"])
    table["disagreement"] = table.found + table.missed
    about = evidence.rows[["row_id", "image_id", "group", "stratum"]]
    return about.join(table).sort_values("disagreement", ascending=False, kind="stable")


def by_image(table: pd.DataFrame) -> pd.DataFrame:
    """The doubts of whole images, over the valid px of their rows; the largest first, with their worst row."""
    weighted = table.assign(disagreement=table.disagreement * table.pixels)
    images = weighted.groupby("image_id", sort=False).agg(
        group=("group", "first"), stratum=("stratum", "first"), rows=("row_id", "size"), worst=("row_id", "first"),
        disagreement=("disagreement", "sum"), pixels=("pixels", "sum"),
    )  # fmt: skip
    images["disagreement"] /= images.pixels
    return images.reset_index().sort_values("disagreement", ascending=False, kind="stable")


def build_audit(title: str, evidence: Evidence, decisions: dict[str, Decision], shown: int) -> str:
    """The page: the `shown` rows of the largest disagreement with their pictures, and as many images where an image has
    several rows."""
    table = doubts(evidence, decisions)
    images = by_image(table)
    worst = table[table.disagreement > 0].head(shown)
    pictures = dict(_pictures(evidence, decisions, sorted(worst.index)))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"percent": percent, "quoted": _quoted, "name": lambda text: text or "–"}
    return environment.get_template("audit.html.jinja").render(
        title=title, rows=list(worst.itertuples()), pictures=pictures, total=len(table), truth=TRUTH, prediction=PREDICTION,
        images=list(images.head(shown).itertuples()) if len(images) < len(table) else [], image_total=len(images),
    )  # fmt: skip


def _pictures(evidence: Evidence, decisions: dict[str, Decision], rows: list[int]) -> Iterator[tuple[int, str]]:
    masks = evidence.masks_under(decisions, rows)
    for row, mask in tqdm(masks, "pictures", len(rows), unit="row", disable=None):
        yield row, draw_row(evidence, row, mask)


def _mean(dice: np.ndarray) -> float:
    known = dice[~np.isnan(dice)]
    return float(known.mean()) if len(known) else float("nan")


def _quoted(image_id: str) -> str:
    """As YAML reads it as text, whatever it looks like."""
    return json.dumps(image_id, ensure_ascii=False)
