"""One process at a time trains, or predicts, the same."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tessera.errors import InputError
from tessera.learn import ranks

HELD = (errno.EACCES, errno.EAGAIN)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path` for this process; the system lets go of it when the process ends, however it ends.

    The file stays: were it deleted, two processes could hold two files of its name. A POSIX lock, because loader
    processes would inherit the other kind and keep it after their parent was killed. Of several ranks, the first one
    holds it for all.

    Raises InputError when a living process holds it, or the file system has no locks.
    """
    if not ranks.first():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in HELD:
                raise InputError(
                    f"{path} cannot be locked ({error.strerror}): without locks two processes could spoil each other's work; "
                    f"make {path.parent} a link to a folder on a local disk"
                ) from None
            file.seek(0)
            holder = file.read().strip()
            raise InputError(
                f"{path} is held by process {holder}, which is at the same work (killing DVC alone leaves it alive): wait "
                f"for it, or end it with `kill {holder}`; what it has done is gone on from"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
