"""A temporary clone of the working tree, with a toy competition, in which DVC really runs."""

import copy
import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from closure import ROOT

from tessera.data.sample import write_sample

TOY_SAMPLE = {"patients": 6, "test_patients": 2, "volumes": 1, "slices": 3, "seed": 1}
SOURCE = "data/raw/toy"


def toy_params() -> dict:
    """The shipped params, shrunk: two folds, one epoch of a few small patches, the user's own folder as source."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["sample"] = TOY_SAMPLE
    params["data"]["source"] = SOURCE
    params["fold"] |= {"count": 2, "run": [0, 1]}
    params["predict"] |= {"window": 128, "views": ["identity", "flip_h"]}
    params["tune"] |= {"steps": {"min_area": [8]}, "step": 0.5, "bootstrap": 100}
    toy = params["models"].pop("unet_2d") | {"size": 64, "epochs": 2, "patches": 8, "batch": 4}
    params["models"] = {"flat": toy, "deep": toy | {"slices": 3}}
    params["train"]["models"] = params["tune"]["ensemble"] = ["flat", "deep"]
    return params


def run_stage(name: str, *arguments: str | int) -> None:
    """Runs a stage's main() in this process, in the current folder."""
    importlib.import_module(f"stages.{name}").main(*arguments)


@contextmanager
def inside(folder: Path, params: dict | None = None) -> Iterator[None]:
    """In the folder, on the CPU; with these params written there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TESSERA_DEVICE", "cpu")
        if params:
            Path("params.yaml").write_text(yaml.safe_dump(params))
        yield


def run_stages(params: dict) -> None:
    """Runs ingest to report, every declared model and fold, in the current folder; its raw files are there."""
    for stage in ("ingest", "tile", "clean", "fold"):
        run_stage(stage)
    for model in params["train"]["models"]:
        for fold in params["fold"]["run"]:
            run_stage("train", model, fold)
            run_stage("oof", model, fold)
        run_stage("predict", model)
    for stage in ("tune", "submit", "report"):  # submit reads both scores back (law 8)
        run_stage(stage)


class Repository:
    """A git and DVC repository in a folder of its own."""

    def __init__(self, folder: Path, params: dict):
        self.folder, self.params = folder, copy.deepcopy(params)

    @classmethod
    def create(cls, folder: Path, params: dict) -> "Repository":
        """A fresh repository with the code of the working tree and a toy competition where a user would put it."""
        said = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in said.stdout.splitlines():
            if (ROOT / name).is_file() and not name.startswith(("tests/", "dvc.lock")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        repository = cls(folder, params)
        repository.write_params()
        write_sample(folder / SOURCE, **TOY_SAMPLE)
        repository.run("git", "init", "-q")
        repository.commit()
        return repository

    def clone(self, folder: Path) -> "Repository":
        """A git clone elsewhere: what git holds, and no raw data."""
        self.run("git", "clone", "-q", ".", str(folder))
        return Repository(folder, self.params)

    def write_params(self) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params))

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces a text of a file, wherever it stands."""
        text = (self.folder / path).read_text()
        assert old in text, f"{path}: no {old!r}"
        (self.folder / path).write_text(text.replace(old, new))

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "state", "--allow-empty")

    def run(self, *command: str, expect: int = 0) -> str:
        """Runs a command in the repository and returns all it printed."""
        environment = os.environ | {"TESSERA_THREADS": "1", "TESSERA_DEVICE": "cpu", "PYTHONPATH": ""}
        environment.pop("DVC_ROOT", None)
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == expect, f"{command} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def repro(self, *arguments: str) -> set[str]:
        """Runs `dvc repro` and returns the stages that it really ran."""
        return set(re.findall(r"Running stage '(\S+)'", self.run("dvc", "repro", *arguments)))

    def read(self, path: str | Path) -> bytes:
        return (self.folder / path).read_bytes()

    def raw_state(self) -> dict[str, tuple[bytes, int]]:
        """Content and modification time of every file of the user's own data."""
        files = sorted((self.folder / SOURCE).rglob("*"))
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files if path.is_file()}
