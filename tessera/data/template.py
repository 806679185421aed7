"""Which rows a submission must have, in which order."""

from pathlib import Path

import pandas as pd

from tessera.data.manifest import TEST, row_ids
from tessera.errors import raise_problems
from tessera.labels import read_csv


def build_template(source: Path, name: str | None, id_column: str, manifest: pd.DataFrame) -> pd.DataFrame:
    """The competition's sample submission or, where it has none, `id,rle` for every test image or slice.

    Raises InputError when its ids are not exactly those of the test images.
    """
    ids = [row_id for _, row in manifest[manifest.subset == TEST].iterrows() for row_id in row_ids(row)]
    if name is None:
        return pd.DataFrame({"id": ids, "rle": ""})
    template = read_csv(source / name, id_column)
    known, asked = set(ids), set(template[id_column])
    problems = [f"id {row_id!r} has no test image" for row_id in sorted(asked - known)]
    problems += [f"test image or slice {row_id!r} has no row" for row_id in sorted(known - asked)]
    problems += [f"id {row_id!r} has two rows" for row_id in template[id_column][template[id_column].duplicated()]]
    raise_problems(f"{source / name} does not match the test images", problems)
    return template
