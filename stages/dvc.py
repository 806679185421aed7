"""Asks DVC, from a command that a person runs."""

import json
import subprocess
import sys

from tessera import paths
from tessera.errors import InputError


def dvc(*arguments: str) -> str:
    """What `dvc <arguments>` prints. Raises InputError with what it complains about."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"dvc {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def refuse_stale() -> None:
    """Raises InputError, with the command to run, unless `tune` and all before it are of now: params, code and files.

    DVC hashes a file again only where its size or time is another one.
    """
    unread = [{"changed deps": {str(paths.ROUNDS): "modified"}}]  # by a round that no network has seen yet
    status = json.loads(dvc("status", "--json", "--with-deps", "tune"))
    stale = [stage for stage, changes in status.items() if changes != unread]
    if lost := [stage for stage in stale if stage.endswith(".dvc") and _deleted(status[stage])]:
        raise InputError("\n".join(map(way_here, lost)))
    if stale:
        raise InputError(f"{paths.RECIPE} is not of now: run `dvc repro tune`, for which {', '.join(stale)} would run")


def way_here(file: str) -> str:
    """A line on data of which only the .dvc file is here."""
    return (
        f"{file.removesuffix('.dvc')} is not here: `dvc checkout {file}` brings it from this machine's cache, `dvc pull {file}` "
        "from the remote"
    )


def _deleted(changes: list[dict | str]) -> bool:
    return any("deleted" in one.get("changed outs", {}).values() for one in changes if isinstance(one, dict))
