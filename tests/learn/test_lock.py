import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tessera.errors import InputError
from tessera.learn.lock import locked

HOLD = """
import os, sys, time
from pathlib import Path
from tessera.learn.lock import locked
with locked(Path(sys.argv[1])):
    if os.fork():
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds tmp_path/"lock", and a child that it forked while it did."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True, process_group=0
    )
    process.stdout.readline()
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_second_trainer_is_refused_with_the_firsts_number(tmp_path: Path, holder: subprocess.Popen) -> None:
    with (
        pytest.raises(InputError, match=rf"lock is held by process {holder.pid}, .*kill {holder.pid}"),
        locked(tmp_path / "lock"),
    ):
        pass


def test_a_dead_trainers_lock_is_free_though_its_loaders_live(tmp_path: Path, holder: subprocess.Popen) -> None:
    holder.kill()
    holder.wait()
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network disks of rented machines are."""

    def none(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", none)
    with (
        pytest.raises(InputError, match="cannot be locked .No locks available.*a local disk"),
        locked(tmp_path / "lock"),
    ):
        pass


def test_a_lock_is_free_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "made" / "lock"):
            pass
    assert (tmp_path / "made" / "lock").exists()
