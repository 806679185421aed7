"""Submission dialects by name. A new one: a line in DIALECTS or, where it is no csv of RLE rows, a class of its own; and
its name in tessera/params/submit.py."""

from collections.abc import Callable
from functools import partial

from tessera.data.csv_names import CsvNames
from tessera.deliver.dialects.rle_csv import RleCsv
from tessera.errors import InputError
from tessera.labels import RleForm

DIALECTS: dict[str, Callable[[list[str], CsvNames], RleCsv]] = {  # data.classes, names in csv files → dialect
    "hubmap": partial(RleCsv, RleForm(), False),
    "sennet": partial(RleCsv, RleForm("row", empty=("1 0", "")), False),
    "uwmadison": partial(RleCsv, RleForm("row"), True),
    "vesuvius": partial(RleCsv, RleForm("row"), False),
}


def build_dialect(name: str, classes: list[str], names: CsvNames | None = None) -> RleCsv:
    """The dialect called `name`; names: of columns and classes. Raises InputError for an unknown one."""
    if name not in DIALECTS:
        raise InputError(f"submit.dialect {name!r} is not known; there are {', '.join(DIALECTS)}")
    return DIALECTS[name](classes, names or CsvNames())
