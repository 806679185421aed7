"""Which rows a submission must have, in which order."""

from pathlib import Path

import pandas as pd

from tessera.data.manifest import TEST, row_ids
from tessera.errors import InputError
from tessera.labels import read_csv


def build_template(
    source: Path, name: str | None, id_column: str, manifest: pd.DataFrame, id_ending: str = ""
) -> pd.DataFrame:
    """The competition's sample submission or, where it has none, `id,rle` for every test image or slice.

    `id_ending` is what its ids have behind ours. Raises InputError when they are not exactly those of the test images.
    """
    ids = [row_id for _, row in manifest[manifest.subset == TEST].iterrows() for row_id in row_ids(row)]
    if name is None:
        return pd.DataFrame({"id": [row_id + id_ending for row_id in ids], "rle": ""})
    template = read_csv(source / name, id_column)
    asked = template[id_column].str.removesuffix(id_ending)
    known, there = set(ids), set(asked)
    places = [f"{source / name} line {line}: id {row_id!r}" for line, row_id in enumerate(asked, 2)]
    problems = [
        f"{place} has no test image" for place, row_id in zip(places, asked, strict=True) if row_id not in known
    ]
    problems += [f"{source / name}: test image or slice {row_id!r} has no row" for row_id in ids if row_id not in there]
    problems += [f"{place} has two rows" for place, again in zip(places, asked.duplicated(), strict=True) if again]
    if problems:
        raise InputError(*problems)
    return template
