"""Room on the disk: looked for before HDF5 writes, and said where it lacks."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tessera.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SPARE = 64 * 2**20  # bytes that stay free behind what HDF5 is given, of which it writes a part later


def require_room(size: int, path: Path) -> None:
    """Raises InputError where `path` has no room for so many bytes, and `SPARE`.

    To call before HDF5 is given them: on a full disk it ends the process without a word (2.0: a segmentation fault).
    """
    if shutil.disk_usage(_folder(path)).free < size + SPARE:
        raise _lacks(size + SPARE, path, "the disk is nearly full")


@contextmanager
def room_for(size: int, path: Path) -> Iterator[None]:
    """Raises InputError when the block cannot write its so many bytes to `path`; on a full disk, it says how many."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise (
            _lacks(size, path, why) if error.errno in FULL else InputError(f"{path} cannot be saved ({why})")
        ) from None


def _lacks(size: int, path: Path, why: str) -> InputError:
    folder = _folder(path)
    return InputError(
        f"{path} cannot be saved ({why}): {size:,} bytes are needed in {folder}, {shutil.disk_usage(folder).free:,} are "
        "free. Make room and run the same command again: it goes on from what it has saved"
    )


def _folder(path: Path) -> Path:
    return next(one for one in path.resolve().parents if one.exists())
