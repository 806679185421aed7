"""Submission dialects by name. A new one: a line in DIALECTS or, where it is no csv of RLE rows, a class of its own."""

from collections.abc import Callable
from functools import partial

from tessera.deliver.dialects.rle_csv import RleCsv
from tessera.errors import InputError
from tessera.labels import RleForm

DIALECTS: dict[str, Callable[[list[str]], RleCsv]] = {  # data.classes → dialect
    "hubmap": partial(RleCsv, RleForm(), False),
    "sennet": partial(RleCsv, RleForm("row", empty=("1 0", "")), False),
    "uwmadison": partial(RleCsv, RleForm("row"), True),
    "vesuvius": partial(RleCsv, RleForm("row"), False),
}


def build_dialect(name: str, classes: list[str]) -> RleCsv:
    """The dialect called `name`. Raises InputError for an unknown one."""
    if name not in DIALECTS:
        raise InputError(f"submit.dialect {name!r} is not known; there are {', '.join(DIALECTS)}")
    return DIALECTS[name](classes)
