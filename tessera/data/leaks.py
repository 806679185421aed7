"""Refuses folds that leak, and folds that cannot be scored."""

from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.boxes import holders
from tessera.data.likeness import near_duplicates
from tessera.data.manifest import TEST, TRAIN
from tessera.data.parts import with_manifest
from tessera.data.pixels import PixelStore
from tessera.errors import raise_problems

if TYPE_CHECKING:
    from tessera.params.fold import Fold

TOGETHER = {  # what puts images into one fold, by maker; parts of any image are in all folds
    "stratified": "give them one group (data.group)",
    "domains": "give them one domain (data.domain)",
    "given": "give them one fold (fold.given)",
}


def check_folds(
    parts: pd.DataFrame, manifest: pd.DataFrame, patches: pd.DataFrame, fold: "Fold", store: PixelStore
) -> list[str]:
    """Raises InputError listing every leak with its two places, and every fold or stratum that cannot be scored.

    patches: with their bounds. Returns what a person should know though it cannot be otherwise.
    """
    problems = [f"fold {number} is empty" for number in range(fold.count) if not (parts.fold == number).any()]
    joined = with_manifest(parts, manifest)
    together = TOGETHER.get(fold.maker_name)
    for column in ("group", "digest") if fold.unit == "image" else ("digest",):  # parts of one image share its group
        problems += _shared(joined, column, together)
    problems += _in_both_subsets(manifest)
    problems += _without_positives(parts, patches)
    absent, notes = _absent_strata(joined, fold)
    problems += absent
    if fold.near is not None:
        likenesses, flat = near_duplicates(parts, manifest, store, fold.near, fold.allow, together)
        problems += likenesses
        notes += flat
    raise_problems("the folds leak or cannot be scored", problems)
    return notes


def _shared(joined: pd.DataFrame, column: str, together: str | None) -> list[str]:
    """Groups, or files, that different images in different folds share."""
    problems = []
    several = joined.groupby(column)[["image_id", "fold"]].transform("nunique").gt(1).all(axis=1)
    for value, rows in joined[several].groupby(column):
        first, second = next(
            (one, other)
            for one in rows.itertuples()
            for other in rows.itertuples()
            if one.image_id != other.image_id and one.fold != other.fold
        )
        places = f"fold {first.fold} (image {first.image_id}) and in fold {second.fold} (image {second.image_id})"
        if column == "group":
            problems.append(f"group {value!r} is in {places}: {together}")
        else:
            ways = [together] * bool(together) + [f"leave one out (clean.drop: [{second.image_id}])"]
            problems.append(f"identical files are in {places}: {' or '.join(ways)}")
    return problems


def _in_both_subsets(manifest: pd.DataFrame) -> list[str]:
    problems = []
    train, test = (manifest[manifest.subset == subset] for subset in (TRAIN, TEST))
    for column in ("group", "digest"):
        for value in sorted((set(train[column]) & set(test[column])) - {""}):
            trained, tested = (rows.image_id[rows[column] == value] for rows in (train, test))
            said = f"group {value!r} is" if column == "group" else "identical files are"
            finer = " or take finer groups (data.group)" if column == "group" else ""
            problems.append(
                f"{said} in train ({trained.iloc[0]}) and in test ({tested.iloc[0]}): leave out what would train "
                f"(clean.drop: [{', '.join(trained)}]){finer}"
            )
    return problems


def _without_positives(parts: pd.DataFrame, patches: pd.DataFrame) -> list[str]:
    """Folds whose parts hold no patch with positives: no score of them means anything."""
    held = holders(patches, parts)
    known = set(parts.fold.iloc[held[(held >= 0) & (patches.positive_fraction > 0)]])
    return [
        f"fold {number} holds no patch with positives; use fewer folds, another fold.seed or fold.maker, or larger parts"
        for number in sorted(set(parts.fold) - known)
    ]


def _absent_strata(joined: pd.DataFrame, fold: "Fold") -> tuple[list[str], list[str]]:
    """(problems, notes): strata that a fold has none of, though enough groups have them; and where too few do."""
    problems, notes = [], []
    unit = {"image": "domain" if fold.maker_name == "domains" else "group", "part": None}[fold.unit]
    for column in fold.strata:
        for value, rows in joined.groupby(joined[column].astype(str)):
            absent = sorted(set(range(fold.count)) - set(rows.fold))
            if not absent or value == "":  # unknown
                continue
            have = rows[unit].nunique() if unit else len(rows)
            said = f"{column} {value!r} is absent from fold {', '.join(map(str, absent))}: {have} {unit or 'part'}(s) have it"
            if have < fold.count:
                notes.append(f"{said}, fewer than folds, so some fold must lack it")
            else:
                problems.append(f"{said}; use another fold.seed, fewer folds, or take {column} out of fold.strata")
    return problems, notes
