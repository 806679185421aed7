"""The benchmarks still run. What they find is measured by hand, on a quiet machine."""

import json
import subprocess
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch

from benchmarks import inference, real, results, tiling, training, training_gpu, tuning
from tessera.params.model import Model


def test_the_tiling_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """With the peers that are installed; it names the others."""
    tiling.main(quick=True)
    rows, end = json.JSONDecoder().raw_decode(said := capsys.readouterr().out)
    notes, measured = said[end:], [row["what"] for row in rows]
    for peer, module in tiling.PEERS.items():
        named = any(what.endswith(f"beside {peer}") for what in measured)
        assert named != (f"{peer}: not installed" in notes), module
    for task in ("tile", *tiling.LABELLED):
        assert f"deflate tiles: peak RSS of `{task}` on 2048×2048 RGB, MB" in measured
    assert {"a random 512×512×3 window", "a random stack of 9 slices of 512×512"} <= set(measured)


def test_the_training_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    training.main(quick=True)
    said = capsys.readouterr().out
    rows = json.JSONDecoder().raw_decode(said, said.index("[\n"))[0]
    assert [row["peer_name"] for row in rows] == ["bare PyTorch loop", None]


def test_the_benchmark_of_loaders_runs(capsys: pytest.CaptureFixture[str]) -> None:
    training_gpu.main(quick=True)
    said = capsys.readouterr().out
    found = json.JSONDecoder().raw_decode(said, said.index("{\n"))[0]
    assert list(found["img/s"]["tiny"]) == ["network alone", "device", "workers", "naive"]


@pytest.mark.parametrize("loader", ["device", "workers"])
def test_the_benchmark_of_loaders_times_as_many_batches_as_steps(
    tmp_path: Path, model: Callable[..., Model], loader: str
) -> None:
    """A thread makes the first of them during the last step of the warm-up, and one more than is learnt from."""
    size = training_gpu.QUICK._replace(workers=1, warm=2, steps=3)
    store, device = training_gpu.write_images(tmp_path, size), torch.device("cpu")
    way = training_gpu._loaded(store, model(size=size.window), size, device, loader)
    batches, made, found = way.batches(), [], []
    make = batches.batches.make
    batches.batches.make = lambda part: (made.append(part), make(part))[1]
    steps = iter(batches)
    for count in (size.warm, size.steps):
        for _ in islice(steps, count):
            way.meanwhile()
        batches._coming.result()
        found.append(len(made))
    assert found == [size.warm + 1, size.warm + 1 + size.steps]


def test_what_the_benchmark_of_loaders_knows_so_far_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By itself, and without rounding a goal into reach."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(results, "PACKAGES", ("torch", "tessera-of-no-index"))
    ways = {
        "network alone": [100.0, 110.0, 90.0],
        "device": [94.996, 104.4956, 90.0],
        "workers": [80.0],
        "naive": [70.0],
    }
    begun = {"commit": None, "changed": None, "code": "abc"}
    training_gpu.write({"Unet-resnet34": ways}, "A GPU", training_gpu.FULL, begun)
    found = json.loads((tmp_path / "training_gpu.json").read_text())
    assert [(row["ours"], row["met"]) for row in found["rows"]] == [(0.95, False)] + [("not measured", False)] * 2
    assert found["rounds"]["Unet-resnet34"] == ways
    text = (tmp_path / "training_gpu.md").read_text()
    assert "tessera-of-no-index not installed" in text
    assert "| Unet-resnet34 | 100 | 95 | 80 | 70 | 0.95 | 0.950…1.000 |" in text
    assert "git did not say. The code's digest is abc" in text and "The checkout changed meanwhile" in text


def test_a_checkout_says_in_what_it_is_not_its_commit(tmp_path: Path) -> None:
    (tmp_path / "tessera").mkdir()
    (tmp_path / "tessera/a.py").write_text("a = 1\n")
    bare = results.checkout(tmp_path)
    assert (bare["commit"], bare["changed"]) == (None, None)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *command], check=True)
    clean = results.checkout(tmp_path)
    assert len(clean["commit"]) == 12 and clean["changed"] == [] and clean["code"] == bare["code"]
    assert results.said_of(clean, clean) == ""
    (tmp_path / "benchmarks/results").mkdir(parents=True)
    (tmp_path / "benchmarks/results/a.md").write_text("what it writes itself")
    assert results.checkout(tmp_path) == clean
    (tmp_path / "tessera/a.py").write_text("a = 2\n")
    edited = results.checkout(tmp_path)
    assert edited["changed"] == ["tessera/a.py"] and edited["code"] != clean["code"]
    assert "changed were `tessera/a.py`" in results.said_of(edited, edited)
    assert "changed meanwhile, to commit" in results.said_of(clean, edited)


def test_the_inference_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """With the peers that are installed; it names the others."""
    inference.main(quick=True)
    rows, end = json.JSONDecoder().raw_decode(said := capsys.readouterr().out)
    for peer in inference.MODULES:
        assert any(row["peer_name"] == peer for row in rows) != (f"{peer}: not installed" in said[end:])
    assert {row["peer_name"] for row in rows} >= {"naive numpy", "crop + 2 forwards"}
    assert sum("extra RSS" in row["what"] for row in rows) >= 2


def test_the_benchmark_of_the_search_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """And finds on small images as well what an exact look at every combination finds."""
    tuning.main(quick=True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["peer_name"] for row in rows if row["peer_name"]] == [
        "a mask a threshold", "one histogram a combination", "one histogram a combination",
    ]  # fmt: skip
    lost = [row for row in rows if row["what"].endswith("below the best of all combinations")]
    assert len(lost) == 2 and all(row["met"] for row in lost)


def _rung(what: str, crossfitted: float, **more: object) -> dict:
    said = {"models": ["a", "b"], "views": ["identity"], "optimistic": 0.8, "interval": [0.6, 0.9]}
    return said | {"what": what, "crossfitted": crossfitted} | more


def _way(crossfitted: float, interval: list[float] | None) -> dict:
    return {"crossfitted": crossfitted, "optimistic": 0.8, "interval": interval}


SCORES = {
    "models": {"a": _way(0.7927, None), "b": _way(0.78, [0.7, 0.8])},
    "ensemble": _way(0.7909, [0.7, 0.8]),
    "ladder": [
        _rung("single model", 0.78, interval=None),
        _rung("+ TTA", 0.79, gain=0.01, se=0.002),
        _rung("+ ensemble", 0.791, gain=0.001, se=0.002),
        _rung("+ rule", 0.7909, gain=-0.0001, se=0.0001),
    ],
    "tried": [
        {"kind": "model", "name": "b", "alone": 0.78, "gain": 0.001, "se": 0.003, "kept": True},  # with others
        {"kind": "step", "name": "min_area", "alone": 0.79, "gain": 0.0007, "se": 0.0006, "kept": True},
        {"kind": "step", "name": "largest", "alone": 0.78, "gain": -0.002, "se": 0.001, "kept": False},
    ],
}


def test_the_tables_of_real_competitions_have_a_dash_where_one_group_has_no_interval() -> None:
    lines = real.ladder("few", SCORES, 1, {"tune": 60.0, "train@a-0": 120.0})
    assert [line[3] for line in lines] == ["–", *["0.6000…0.9000"] * 3]
    assert lines[2] == [
        "few",
        "+ ensemble (a, b; identity)",
        "0.7910",
        "0.6000…0.9000",
        "+0.0010 ± 0.0020",
        "0.8000",
        "3.0",
    ]
    assert real.tried("few", SCORES)[1] == ["few", "step min_area", "0.7900", "+0.0007 ± 0.0006", "yes"]


def test_what_did_not_help_is_said_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = real.unhelpful(SCORES)
    assert said == [
        "the ensemble, 0.7909, is below the best single model, a with 0.7927",
        "+ ensemble gains 0.0010 ± 0.0020, within its standard error",
        "+ rule scores 0.0001 ± 0.0001 lower than the line before it, though min_area was kept by a gain beyond its standard "
        "error (+0.0007 ± 0.0006)",
        "tried and left out: step largest (-0.0020 ± 0.0010)",
    ]  # fmt: skip
    better = SCORES | {"ensemble": _way(0.8, None), "ladder": SCORES["ladder"][:2], "tried": SCORES["tried"][:2]}
    assert real.unhelpful(better) == []
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    real.write({"few": {"rows": [], "unhelpful": said}})
    assert f"What did not help:\n\n- few: {said[0]}.\n" in (tmp_path / "real.md").read_text()
    assert json.loads((tmp_path / "real.json").read_text())["sets"]["few"]["unhelpful"] == said
    real.write({"few": {"rows": [], "unhelpful": []}})
    assert "did not help" not in (tmp_path / "real.md").read_text()
