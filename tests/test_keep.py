"""Which finished trainings an edit of code lets stay; the whole, with DVC, is in test_end_to_end."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from stages import keep
from tessera import paths


@pytest.mark.parametrize(
    ("loader", "file", "stays"),
    [
        ("device", "tessera/learn/on_device/hue.py", False),
        ("device", "tessera/learn/loop.py", True),
        ("workers", "tessera/learn/on_device/hue.py", True),
        ("workers", "data/extra_rows/m/fold_0.csv", True),
    ],
)
def test_windows_made_on_a_device_are_not_judged_by_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: str, file: str, stays: bool
) -> None:
    probed = dict.fromkeys(
        ["loss", "weights", "score", "groups", "rates", "orders", "frozen", "kept", "precision"], "a"
    ) | {"given": {"lr": 0.1}}
    monkeypatch.chdir(tmp_path)
    path = paths.record("m", 0)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"params": {}, "loader": loader, "probe": probed | {"on": {}}}))
    fit = SimpleNamespace(said={"params": {}}, training=lambda machine: None, material=None)
    monkeypatch.setattr(keep.train, "prepare", lambda model, fold: fit)
    monkeypatch.setattr(keep, "probe", lambda training, material: probed | {"on": {}})
    reason = keep._reason("train@m-0", [{"changed deps": {file: "modified"}}])
    assert reason == "" if stays else "made on the device" in reason and file in reason
