"""Asks DVC, from a command that a person runs."""

import subprocess
import sys

from tessera.errors import InputError


def dvc(*arguments: str) -> str:
    """What `dvc <arguments>` prints. Raises InputError with what it complains about."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"dvc {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
