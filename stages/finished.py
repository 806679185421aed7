"""What a training leaves; once it has ended, kept in scratch/ until the next one of its model and fold.

DVC knows the files of a stage once it has hashed them, behind its end. Killed before, alone or with the machine, it deletes
them and asks for them again: in its last minute, days of training would be lost.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tessera import paths
from tessera.disk import room_for

DONE = "done"  # in the folder of a training, there once all files are in it


def write(path: Path, text: str) -> None:
    """Raises InputError as `writing`."""
    with writing(path, len(text)) as temporary:
        temporary.write_text(text)


@contextmanager
def writing(path: Path, size: int) -> Iterator[Path]:
    """`paths.writing`. Raises InputError when the disk has no room for so many bytes."""
    with room_for(size, path), paths.writing(path) as temporary:
        yield temporary


def keep(training: Path, files: list[Path]) -> None:
    """Keeps the files beside the states of their training. As links: what DVC's cache has as well takes no room twice."""
    making = training / f"{DONE}.new"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for file in files:
        try:
            os.link(file, making / _name(file))
        except OSError:  # a disk without links
            shutil.copyfile(file, making / _name(file))
    os.replace(making, training / DONE)


def put_back(training: Path, files: list[Path]) -> bool:
    """Copies the files back, if they are kept; copies, lest what happens to them there reaches those that are kept."""
    kept = training / DONE
    if not kept.exists():
        return False
    for file in files:
        copy(kept / _name(file), file)
    return True


def copy(source: Path, path: Path) -> None:
    """Raises InputError as `writing`."""
    with writing(path, source.stat().st_size) as temporary:
        shutil.copyfile(source, temporary)


def forget(trainings: Iterable[Path], training: Path) -> None:
    """Removes the states of the training, which has ended, and all of others, which were given up."""
    for other in set(trainings) - {training}:
        shutil.rmtree(other)
    for state in training.iterdir():
        if state.name != DONE:
            state.unlink()


def _name(file: Path) -> str:
    return "-".join(file.parts)
