"""What a person reads when a stage fails."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from repository import toy_params

from stages.command import command


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[OSError], str]:
    """A function that runs a stage which fails: its last words."""

    def run(error: OSError) -> str:
        def main() -> None:
            raise error

        with pytest.raises(SystemExit) as end:
            command(main)
        return str(end.value)

    (tmp_path / "params.yaml").write_text(yaml.safe_dump(toy_params()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name="stages.stage"), raising=False)
    return run


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said(said: Callable) -> None:
    with pytest.raises(OSError, match="No space left") as error, open("/dev/full", "w") as file:
        file.write("much")
        file.flush()
    assert "the disk is full" in said(error.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_place_that_is_not_to_be_written_is_named(said: Callable, number: int) -> None:
    error = said(OSError(number, os.strerror(number), "scratch/train"))
    assert error.startswith(f"\nerror: scratch/train: {os.strerror(number)}; a stage reads")


def test_other_errors_of_the_system_are_bugs(said: Callable) -> None:
    with pytest.raises(OSError, match="Input/output error"):
        said(OSError(errno.EIO, os.strerror(errno.EIO)))
