"""Which rows a submission must have, in which order."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.csv_names import CsvNames, csv_names
from tessera.data.manifest import TEST, row_ids
from tessera.errors import InputError
from tessera.labels import read_csv

if TYPE_CHECKING:
    from tessera.params.data import Data


def build_template(data: "Data", manifest: pd.DataFrame) -> pd.DataFrame:
    """The competition's sample submission with all its columns or, where it has none, a row a test image or slice (and class).

    Its ids end in `data.id_ending`. Raises InputError when a column that is needed is not there, and when its ids, or their
    classes, are not exactly those of the test images.
    """
    ids = [row_id for _, row in manifest[manifest.subset == TEST].iterrows() for row_id in row_ids(row)]
    names = csv_names(data)
    if data.sample_submission is None:
        return _made(ids, names, data)
    path = Path(data.source) / data.sample_submission
    template = read_csv(path)
    by_class = len(data.classes) > 1
    columns = names.find(path, list(template.columns), by_class)
    asked = template[columns[0]].str.removesuffix(data.id_ending)
    known, there = set(ids), set(asked)
    places = [f"{path} line {line}: id {row_id!r}" for line, row_id in zip(asked.index + 2, asked, strict=True)]
    problems = [
        f"{place} has no test image" for place, row_id in zip(places, asked, strict=True) if row_id not in known
    ]
    problems += [f"{path}: test image or slice {row_id!r} has no row" for row_id in ids if row_id not in there]
    keys = pd.DataFrame({"id": asked})
    if by_class:
        keys["class"] = template[columns[1]].map(names.class_of)
        problems += _wrong_classes(path, keys, template[columns[1]], data)
    again = keys.duplicated()
    problems += [f"{place} has two rows" for place, twice in zip(places, again, strict=True) if twice]
    if problems:
        raise InputError(*problems)
    return template


def _wrong_classes(path: Path, keys: pd.DataFrame, said: pd.Series, data: "Data") -> list[str]:
    """Classes of the rows that are none of `data`, each once, or else ids that lack one. said: what the cells say."""
    strange = said[~keys["class"].isin(data.classes)].drop_duplicates()
    if len(strange):
        return [
            f"{path} line {line}: class {name!r} is not known, data.classes are {', '.join(data.classes)}; say in "
            "data.class_names which of them it is"
            for line, name in zip(strange.index + 2, strange, strict=True)
        ]
    return [
        f"{path}: id {row_id!r} has no row of class {name!r}"
        for row_id, found in keys.groupby("id", sort=False)["class"]
        for name in data.classes
        if name not in set(found)
    ]


def _made(ids: list[str], names: CsvNames, data: "Data") -> pd.DataFrame:
    rows = [(row_id + data.id_ending, name) for row_id in ids for name in data.classes]
    *key, rle = names.columns(by_class=len(data.classes) > 1)
    return pd.DataFrame(rows, columns=[names.row_id, names.class_name])[key].assign(**{rle: ""})
