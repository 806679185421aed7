"""Which rows a submission must have, in which order."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.manifest import TEST, row_ids
from tessera.errors import InputError
from tessera.labels import read_csv

if TYPE_CHECKING:
    from tessera.params.data import Data


def build_template(data: "Data", manifest: pd.DataFrame) -> pd.DataFrame:
    """The competition's sample submission or, where it has none, a row a test image or slice (and class).

    Its ids end in `data.id_ending`. Raises InputError when they, or its classes, are not exactly those of the test images.
    """
    ids = [row_id for _, row in manifest[manifest.subset == TEST].iterrows() for row_id in row_ids(row)]
    if data.sample_submission is None:
        return _made(ids, data)
    path = Path(data.source) / data.sample_submission
    template = read_csv(path, id=data.id)
    asked = template[data.id].str.removesuffix(data.id_ending)
    known, there = set(ids), set(asked)
    places = [f"{path} line {line}: id {row_id!r}" for line, row_id in zip(asked.index + 2, asked, strict=True)]
    problems = [
        f"{place} has no test image" for place, row_id in zip(places, asked, strict=True) if row_id not in known
    ]
    problems += [f"{path}: test image or slice {row_id!r} has no row" for row_id in ids if row_id not in there]
    by_class = len(data.classes) > 1  # then the second column names the row's class
    again = template.iloc[:, : 1 + by_class].duplicated()
    problems += [f"{place} has two rows" for place, twice in zip(places, again, strict=True) if twice]
    if by_class and set(template.iloc[:, 1]) != set(data.classes):
        found = ", ".join(sorted(set(template.iloc[:, 1]))[:10])
        problems.append(f"{path}: its second column holds {found}; data.classes are {', '.join(data.classes)}")
    if problems:
        raise InputError(*problems)
    return template


def _made(ids: list[str], data: "Data") -> pd.DataFrame:
    if len(data.classes) == 1:
        return pd.DataFrame({"id": [row_id + data.id_ending for row_id in ids], "rle": ""})
    rows = [(row_id + data.id_ending, name, "") for row_id in ids for name in data.classes]
    return pd.DataFrame(rows, columns=["id", "class", "rle"])
