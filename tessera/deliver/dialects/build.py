"""Submission dialects by name. A new one: a module here with write, read and validate, and a line in DIALECTS."""

from types import ModuleType

from tessera.deliver.dialects import hubmap
from tessera.errors import InputError

DIALECTS = {"hubmap": hubmap}


def build_dialect(name: str) -> ModuleType:
    """The dialect called `name`. Raises InputError for an unknown one."""
    if name not in DIALECTS:
        raise InputError(f"submit.dialect {name!r} is not known; there are {', '.join(DIALECTS)}")
    return DIALECTS[name]
