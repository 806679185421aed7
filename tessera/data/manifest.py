"""data/manifest.csv: one row an image or volume."""

from pathlib import Path

import pandas as pd

COLUMNS = [
    "image_id", "subset", "group", "stratum", "domain", "height", "width", "depth", "channels",
    "image", "label", "slices", "digest",
]  # fmt: skip
LABEL_UNIT = "label_unit"  # a further column, "volume", where one label stands for all depth of a volume
WEIGHT = "weight"  # a further column of data/clean.csv: how often an image's patches are drawn, beside others' 1
TRAIN, TEST = "train", "test"
_TEXT = {name: str for name in COLUMNS if name not in ("height", "width", "depth", "channels")}


def write_manifest(rows: pd.DataFrame, path: Path) -> None:
    """Writes the manifest: `COLUMNS` first, then the user's own. `slices` are names joined by "/" ("" for an image)."""
    rest = [name for name in rows.columns if name not in COLUMNS]
    rows[COLUMNS + rest].to_csv(path, index=False)


def read_manifest(path: Path, subset: str | None = None) -> pd.DataFrame:
    """The manifest, or the rows of one subset. What is not known (a group, a stratum) is ""."""
    rows = pd.read_csv(path, dtype=_TEXT, keep_default_na=False)
    return rows if subset is None else rows[rows.subset == subset].reset_index(drop=True)


def slice_names(row: pd.Series) -> tuple[str, ...]:
    """The slice names of a manifest row, empty for an image."""
    return tuple(row.slices.split("/")) if row.slices else ()


def label_slices(row: pd.Series) -> tuple[str, ...]:
    """The names of what has a label, and a submission row, of its own: the slices; or one "" for an image, and for a
    volume where one label stands for all depth."""
    alone = getattr(row, LABEL_UNIT, "slice") == "volume"
    return (() if alone else slice_names(row)) or ("",)


def row_ids(row: pd.Series) -> list[str]:
    """The submission's ids of a manifest row, by depth: the image_id, or `<volume>_<slice>`."""
    return [f"{row.image_id}_{name}" if name else row.image_id for name in label_slices(row)]
