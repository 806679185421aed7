"""The report's figures: SVG of matplotlib and pictures of rows, as data: addresses that a page holds inline."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tessera.decide.decision import EVERYWHERE, Decision, held_out_decisions
from tessera.decide.evidence import Evidence
from tessera.deliver.submission import masks
from tessera.errors import InputError
from tessera.metrics.counts import count, f_score

# Okabe & Ito 2008: told apart by colour-blind eyes. Black is kept for "all rows".
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", ":", "-.")  # a second turn of the colours gets another style
TRUTH, PREDICTION = "#56B4E9", "#E69F00"
BEST, WORST = 3, 5  # rows shown
LONG_SIDE = 700  # px of a picture; smaller images are enlarged, so that contours follow their pixels
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
_LOOK = {
    "svg.hashsalt": "tessera", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 11,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#9aa0a6", "axes.grid": True,
    "axes.labelcolor": "#3c4043", "grid.color": "#e8eaed", "text.color": "#202124", "xtick.color": "#5f6368",
    "ytick.color": "#5f6368", "lines.linewidth": 1.6, "legend.frameon": False, "legend.fontsize": 10,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the gallery; `address` is its picture."""

    row_id: str
    group: str
    stratum: str
    dice: float
    address: str


def learning_curves(histories: dict[str, dict[int, pd.DataFrame]]) -> dict[str, str]:
    """A figure a model: loss, score and learning rate by epoch, a line a fold; all models share their axes' ranges.

    histories: model → fold → epoch, loss, lr, score (NaN in epochs that were not scored).
    """
    every = pd.concat([one for by_fold in histories.values() for one in by_fold.values()])
    return {name: _learning_curve(by_fold, every) for name, by_fold in histories.items()}


def _learning_curve(by_fold: dict[int, pd.DataFrame], every: pd.DataFrame) -> str:
    with matplotlib.rc_context(_LOOK):
        figure = Figure(figsize=(6, 6), layout="constrained")
        upper, lower, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1))
        for number, (fold, history) in enumerate(sorted(by_fold.items())):
            line = _line(number)
            scored = history.dropna(subset="score")
            upper.plot(history.epoch, history.loss, label=f"fold {fold}", **line)
            lower.plot(scored.epoch, scored.score, marker="o", markersize=4, **line)
            rate.plot(history.epoch, history.lr, **line)
        upper.set(ylabel="training loss", ylim=_range(every.loss))
        lower.set(ylabel="Dice of the fold", ylim=_range(every.score))
        rate.set(ylabel="learning rate", ylim=_range(every.lr), xlabel="epoch")
        rate.xaxis.get_major_locator().set_params(integer=True)
        _legend(upper, len(by_fold))
        return _svg(figure)


def threshold_curves(curves: dict[str, list[list[float]]], decision: Decision, classes: list[str]) -> str:
    """The score at every threshold 1…255, a line a class; what was chosen is marked.

    Where there are strata, a panel a class, with a line a stratum and one for all rows. curves: stratum or "*" → (C, 255)
    scores. A hollow mark is a threshold that no stratum of these rows uses; other cuts than by threshold have no marks.
    """
    strata = [name for name in curves if name != EVERYWHERE]
    numbers = range(len(classes))
    by_class = not strata and len(classes) > 1
    panels = [[(name, c) for name in (EVERYWHERE, *strata)] for c in numbers]
    if by_class:
        panels = [[(EVERYWHERE, c) for c in numbers]]
    with matplotlib.rc_context(_LOOK):
        figure = Figure(figsize=(11, 4.4 * len(panels)), layout="constrained")
        for axes, lines in zip(figure.subplots(len(panels), squeeze=False).flat, panels, strict=True):
            for number, (name, c) in enumerate(lines):
                all_rows = name == EVERYWHERE and not by_class
                label = classes[c] if by_class else "all rows" if all_rows else name
                line = {"color": "#202124", "linestyle": "-"} if all_rows else _line(number if by_class else number - 1)
                used = name in decision.levels and (name != EVERYWHERE or len(decision.levels) == 1)
                chosen = decision.levels_of(name)[c] if decision.cut == "threshold" else None
                _threshold_curve(axes, curves[name][c], chosen, label, used, line)
            axes.set(ylabel="score", xlim=(0, 256), xticks=[1, 32, 64, 96, 128, 160, 192, 224, 255])
            _legend(axes, len(lines), title=classes[c] if strata and len(classes) > 1 else None)
        axes.set(xlabel="threshold (of 255)")
        return _svg(figure)


def _threshold_curve(
    axes: Axes, curve: list[float], chosen: int | None, label: str, used: bool, line: dict[str, str]
) -> None:
    axes.plot(np.arange(1, 256), curve, label=label if chosen is None else f"{label}: {chosen}", **line)
    if chosen is None:
        return
    face = line["color"] if used else "white"
    axes.plot(chosen, curve[chosen - 1], "o", markersize=8, color=line["color"], markerfacecolor=face, zorder=3)


def gallery(evidence: Evidence, scores: dict) -> tuple[list[Row], list[Row]]:
    """The best and the worst rows by Dice among those with any truth or prediction, best and worst first.

    A row's mask is that of the held-out decision where there is one, so that it belongs to the cross-fitted score.
    Raises InputError when the scores are of other rows.
    """
    said = scores["ensemble"]
    if scores["rows"]["row_id"] != evidence.rows.row_id.tolist():
        raise InputError("submissions/scores.json is of other rows than folds/folds.csv: rerun `dvc repro tune`")
    decisions = dict.fromkeys(evidence.rows.row_id, Decision(**said["decision"])) | held_out_decisions(said)
    found = zip(evidence.rows.index, masks(evidence, decisions), strict=True)
    counts = np.stack([count(mask, *evidence.truth(row)) for row, (_, mask) in found])
    seen = counts.sum(2) > 0  # (rows, C): truth or prediction
    by_row = (f_score(counts, 0) * seen).sum(1) / np.maximum(seen.sum(1), 1)
    order = np.argsort(np.where(seen.any(1), by_row, np.inf), kind="stable")[: seen.any(1).sum()]
    best = min(BEST, len(order) // 2)
    worst = min(WORST, len(order) - best)
    return tuple(
        [_shown(evidence, decisions, row, by_row[row]) for row in rows] for rows in (order[::-1][:best], order[:worst])
    )


def _shown(evidence: Evidence, decisions: dict[str, Decision], row: int, score: float) -> Row:
    about = evidence.rows.loc[row]
    ((_, mask),) = evidence.masks(decisions[about.row_id], [row])
    return Row(about.row_id, about.group, about.stratum, float(score), draw_row(evidence, row, mask))


def draw_row(evidence: Evidence, row: int, mask: np.ndarray) -> str:
    """The `picture` of a row. mask: (C, H, W) bool."""
    about = evidence.rows.loc[row]
    _, *working = evidence.pixels.shape(about.image_id)
    original = evidence.pixels.read_truth(about.image_id, about.z).shape[:2]
    y, x = (start * side // length for start, side, length in zip((about.y0, about.x0), working, original, strict=True))
    height, width = (
        -(-length * side // whole)
        for length, side, whole in zip((about.y1 - about.y0, about.x1 - about.x0), working, original, strict=True)
    )
    z = evidence.pixels.depth(about.image_id).slice_of(about.z)
    image = evidence.pixels.read_window(about.image_id, z, y, x, height, width)
    truth, valid = evidence.truth(row)
    return picture(image, truth, mask, valid)


def picture(image: np.ndarray, truth: np.ndarray, mask: np.ndarray, valid: np.ndarray) -> str:
    """A row's image with the contours of its truth and of its prediction; what is not valid is paled.

    image: (h, w, channels) uint8 at the working scale. truth, mask, valid: (C, H, W) bool at the original resolution.
    """
    factor = LONG_SIDE / max(truth.shape[1:])
    height, width = (max(1, round(length * factor)) for length in truth.shape[1:])
    shown = image[:, :, :3] if image.shape[2] >= 3 else image[:, :, :1].repeat(3, 2)
    shrinks = height < image.shape[0]
    canvas = cv2.resize(
        np.ascontiguousarray(shown[:, :, ::-1]), (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )  # fmt: skip
    pale = ~_fit(valid.any(0), height, width)
    canvas[pale] = canvas[pale] // 2 + 128
    for planes, colour, thickness in ((truth, TRUTH, 5), (mask, PREDICTION, 2)):
        for plane in planes:
            found, _ = cv2.findContours(
                _fit(plane, height, width).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
            )
            cv2.drawContours(canvas, found, -1, _bgr(colour), thickness, cv2.LINE_AA)
    written, encoded = cv2.imencode(".jpg", canvas, _JPEG)
    assert written
    return _address("image/jpeg", encoded.tobytes())


def _fit(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """A plane (H, W) bool at another size: true where at least half of the covered area is."""
    way = cv2.INTER_AREA if height < plane.shape[0] else cv2.INTER_NEAREST
    return cv2.resize(plane.astype(np.uint8) * 255, (width, height), interpolation=way) >= 128


def _line(number: int) -> dict[str, str]:
    turn, place = divmod(number, len(COLOURS))
    return {"color": COLOURS[place], "linestyle": STYLES[turn % len(STYLES)]}


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Limits of an axis that hold all finite values, with room to both sides."""
    low, high = np.nanmin(list(values)), np.nanmax(list(values))
    room = 0.06 * (high - low) or 0.06 * abs(high) or 0.05
    return float(low - room), float(high + room)


def _legend(axes: Axes, lines: int, title: str | None = None) -> None:
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1), ncols=min(lines, 5), handlelength=1.6, columnspacing=1.4, title=title,
        title_fontproperties={"weight": "bold"},
    )  # fmt: skip


def _svg(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _address("image/svg+xml", buffer.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _bgr(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))[::-1]
