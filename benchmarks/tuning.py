"""What the search costs beside the loops that one writes by hand, and that it finds the same.

uv run python -m benchmarks.tuning [--quick]

CPU seconds of one thread, medians of interleaved rounds. --quick: small images, nothing written to results/.
"""

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.results import claim, write_results
from tessera.decide.blending import blend
from tessera.decide.evidence import Evidence
from tessera.decide.fitting import Fitted, Fitting, Option
from tessera.decide.histograms import counts_by_threshold, histogram
from tessera.decide.levels import Rule
from tessera.decide.tables import Mix
from tessera.decide.weights import simplex
from tessera.metrics.counts import FScore, count
from tessera.tasks import Binary

COMMAND = "uv run python -m benchmarks.tuning"
MODELS, STEP, LEVELS = ("a", "b", "c"), 0.05, 64
POOLED, PER_IMAGE = FScore("pooled", 1.0), FScore("per_image", 1.0)
RULE = Rule("", False, "max", 0)
FASTER_THRESHOLDS, FASTER_WEIGHTS = 300, 30
HEADER = ["what", "CPU s", "range", "× slower than ours"]


class Drawn(Evidence):
    """Rows that are drawn anew each time they are asked for: nothing of them is held.

    sure: 1 for confident models, whose best threshold is in the middle; near 0 they find little, and the best threshold is
    a few 255ths.
    """

    def __init__(self, rows: int, size: int, sure: float, held: bool = False):
        names = [f"r{row}" for row in range(rows)]
        about = {"row_id": names, "item": names, "fold": np.arange(rows) % 5, "group": names, "domain": ""}
        self.rows = pd.DataFrame(about).assign(stratum=["x" if row % 2 else "y" for row in range(rows)], pixel_size=1.0)
        self.models, self.views, self.task = list(MODELS), ["identity"], Binary(["a"])
        self.size, self.sure = size, sure
        self._held = {row: self._draw(row) for row in range(rows)} if held else {}

    def maps(self, row: int, models: list[str], views: list[str]) -> np.ndarray:
        maps = self._of(row)[0]
        return np.stack([maps[MODELS.index(model)] for model in models])

    def truth(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        return self._of(row)[1:]

    def _of(self, row: int) -> tuple[np.ndarray, ...]:
        return self._held[row] if row in self._held else self._draw(row)

    def _draw(self, row: int) -> tuple[np.ndarray, ...]:
        """Maps (3, 1, size, size), target, valid: blobs, found with errors of a few px's width of each model's own."""
        rng = np.random.default_rng(row)
        truth = self._noise(rng, 12)
        target = truth > 1.2
        maps = []
        for number in range(len(MODELS)):
            logits = 6 * (truth - 1.2) + (0.5 + 0.4 * number) * self._noise(rng, 3)
            maps.append(255 * self.sure / 2 * (1 + np.tanh(logits)))
        valid = np.ones_like(target)
        valid[: self.size // 20] = False
        return np.stack(maps)[:, None].astype(np.float32), target[None], valid[None]

    def _noise(self, rng: np.random.Generator, width: float) -> np.ndarray:
        noise = cv2.GaussianBlur(rng.normal(size=(self.size, self.size)).astype(np.float32), (0, 0), width)
        return noise / noise.std()


def main(quick: bool) -> None:
    cv2.setNumThreads(1)
    threadpool_limits(1)  # BLAS's second thread waits for memory, and its waiting counts as CPU seconds
    size, rounds = (256, 1) if quick else (2048, 3)
    parts = [
        compare_thresholds(size, 1 if quick else 3),
        compare_weights(size, rounds, 1.0, "confident models"),
        compare_weights(size, rounds, 0.05, "an extreme threshold"),
        measure_memory(6 if quick else 300, 64 if quick else 256),
    ]
    tables, rows = [table for table, _ in parts], [row for _, found in parts for row in found]
    if quick:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    write_results("tuning", "The search", COMMAND, tables, rows)


def compare_thresholds(size: int, rounds: int) -> tuple[tuple, list[dict]]:
    """One pass against a mask and its counts at every threshold; then all aggregates from that pass."""
    evidence = Drawn(4, size, 1.0, held=True)
    blended = [np.rint(evidence.maps(row, ["a"], [])[0]).astype(np.uint8) for row in range(4)]
    truth = [evidence.truth(row) for row in range(4)]

    def ours() -> np.ndarray:
        return np.stack([counts_by_threshold(histogram(one, *of)) for one, of in zip(blended, truth, strict=True)])

    def naive() -> np.ndarray:
        one, of = blended[0], truth[0]
        return np.stack([count(one >= threshold, *of) for threshold in range(1, 256)], 1)

    seconds, found = _timed({"ours": ours, "a mask a threshold": naive}, rounds)
    np.testing.assert_array_equal(found["ours"][0], found["a mask a threshold"])
    seconds["ours"] = [one / 4 for one in seconds["ours"]]
    start = time.process_time()
    curves = _aggregates(found["ours"], evidence.rows.stratum.to_numpy())
    after = time.process_time() - start
    body = [*_body(seconds), [f"of 4 images: {', '.join(curves)}", f"{after:.5f}", "", ""]]
    what = f"CPU s, exact scores at 255 thresholds of an image of {size}²"
    return ([*HEADER], body), [_faster(what, seconds, FASTER_THRESHOLDS)]


def _aggregates(counts: np.ndarray, strata: np.ndarray) -> dict[str, np.ndarray]:
    """Scores by threshold from the counts (rows, C, 255, 3) of one pass; domains are made as strata are."""
    curves = {}
    for name, score in (("pooled", POOLED), ("mean of images", PER_IMAGE)):
        statistics = score.statistics(counts)
        curves[f"{name}, a class"] = score.finish(statistics.sum(0))
        curves[f"{name}, a stratum or domain"] = np.stack(
            [score.finish(statistics[strata == one].sum(0)) for one in sorted(set(strata))]
        )
    return curves


def compare_weights(size: int, rounds: int, sure: float, what: str) -> tuple[tuple, list[dict]]:
    """Coarse joint histograms with an exact look at the best, against an exact look at every combination."""
    evidence = Drawn(2, size, sure, held=True)
    units, option = np.arange(2), Option(("identity",), "probabilities", MODELS)

    def ours() -> Fitted:
        return Fitting(evidence, POOLED, "threshold", STEP, 0).fit(option, units, RULE)

    def every() -> Fitted:
        return max((_exact(evidence, one) for one in simplex(3, STEP).tolist()), key=lambda fitted: fitted.score)

    seconds, found = _timed({"ours": ours, "one histogram a combination": every}, rounds)
    best, all_of_them = found["ours"], found["one histogram a combination"]
    alone = _coarse_alone(evidence)
    combinations = len(simplex(3, STEP))
    body = _body(seconds)
    for name, fitted in (("ours", best), ("every combination", all_of_them), ("64 equal levels alone", alone)):
        body.append(
            [
                f"{name}: weights {fitted.mix.weights}, threshold {fitted.levels['*'][0]}",
                "",
                "",
                f"Dice {fitted.score:.6f}",
            ]
        )
    title = f"{what}: {combinations} combinations of 3 models on 2 images of {size}²"
    return ([title, *HEADER[1:]], body), [
        _faster(f"CPU s, {title}", seconds, FASTER_WEIGHTS),
        claim(f"{what}: Dice below the best of all combinations", f"{all_of_them.score - best.score:.2e}", "0", best.score == all_of_them.score),
        claim(f"{what}: Dice lost by 64 equal levels alone", f"{all_of_them.score - alone.score:.2e}", "is shown", True),
    ]  # fmt: skip


def _exact(evidence: Evidence, weights: list[float], levels: Callable = lambda maps: maps) -> Fitted:
    """The best threshold of a combination from its histograms."""
    found = []
    for row in evidence.rows.index:
        blended = blend(levels(evidence.maps(row, list(MODELS), ["identity"])), weights)
        found.append(counts_by_threshold(histogram(blended, *evidence.truth(row))))
    statistics = POOLED.statistics(np.stack(found))
    curve = POOLED.finish(statistics.sum(0))[0]
    best = np.flatnonzero(curve >= curve.max() - 1e-12)
    threshold = int(best[len(best) // 2])
    return Fitted(Mix(("identity",), "probabilities", tuple(weights)), {"*": [threshold + 1]}, float(curve[threshold]))


def _coarse_alone(evidence: Evidence) -> Fitted:
    """What the best of all combinations on maps of 64 equal levels really scores at the threshold found there."""
    width = 256 // LEVELS
    found = max(
        (
            _exact(evidence, one, lambda maps: maps // width * width + (width - 1) / 2)
            for one in simplex(3, STEP).tolist()
        ),
        key=lambda fitted: fitted.score,
    )
    counts = [
        count(blend(evidence.maps(row, list(MODELS), ["identity"]), list(found.mix.weights)) >= found.levels["*"][0], *evidence.truth(row))
        for row in evidence.rows.index
    ]  # fmt: skip
    return found._replace(score=POOLED.of(np.stack(counts)))


def measure_memory(rows: int, size: int) -> tuple[tuple, list[dict]]:
    """What a search over many images holds: statistics, no pixels."""
    evidence = Drawn(rows, size, 1.0)
    fitting = Fitting(evidence, POOLED, "threshold", STEP, 0)
    option, units = Option(("identity",), "probabilities", MODELS), np.arange(rows)
    fitting.crossfit(option, units, RULE)
    held, maps = fitting.nbytes, rows * len(MODELS) * 2048**2 * 4
    body = [
        [rows, f"{held / 2**20:.1f}", f"{held / rows / 2**10:.0f}", f"{maps / 2**30:.1f}"],
    ]
    header = ["images", "held, MiB", "an image, KiB (whatever its size)", "their maps at 2048², GiB"]
    what = f"MiB held after a cross-fitted search of {len(simplex(3, STEP))} combinations on {rows} images"
    return (header, body), [claim(what, f"{held / 2**20:.1f}", "≤ 1 % of their maps at 2048²", held <= maps / 100)]


def _timed(what: dict[str, Callable], rounds: int) -> tuple[dict[str, list[float]], dict]:
    """CPU seconds of each, by interleaved rounds, and what each returned last."""
    seconds, found = {name: [] for name in what}, {}
    for _ in range(rounds):
        for name, function in what.items():
            start = time.process_time()
            found[name] = function()
            seconds[name].append(time.process_time() - start)
    return seconds, found


def _ratio(seconds: dict[str, list[float]], name: str) -> float:
    return float(median(np.divide(seconds[name], seconds["ours"])))


def _body(seconds: dict[str, list[float]]) -> list[list]:
    return [
        [name, f"{median(found):.4f}", f"{min(found):.4f}…{max(found):.4f}", f"{_ratio(seconds, name):.0f}"]
        for name, found in seconds.items()
    ]


def _faster(what: str, seconds: dict[str, list[float]], goal: int) -> dict:
    (peer,) = (name for name in seconds if name != "ours")
    ratio = _ratio(seconds, peer)
    return {
        "what": what, "ours": round(median(seconds["ours"]), 4), "peer": round(median(seconds[peer]), 4), "peer_name": peer,
        "ratio": round(ratio, 1), "goal": f"≥ {goal} × faster", "met": ratio >= goal,
    }  # fmt: skip


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
