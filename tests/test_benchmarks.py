"""The benchmarks still run. What they find is measured by hand, on a quiet machine."""

import json

import pytest

from benchmarks import inference, tiling, training, training_gpu, tuning


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
