import errno
import os
from pathlib import Path

import pytest

from tessera.disk import room_for
from tessera.errors import InputError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_of_a_full_disk_it_says_what_is_needed(tmp_path: Path, number: int) -> None:
    with pytest.raises(InputError, match=r"cannot be saved .*: 1,234 bytes are needed"), room_for(1234, tmp_path / "a"):
        raise OSError(number, os.strerror(number))


def test_another_error_is_not_taken_for_a_lack_of_room(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/a cannot be saved \(Read-only file system\)$"), room_for(1, tmp_path / "a"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
