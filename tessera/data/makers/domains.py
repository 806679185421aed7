"""Whole images; each fold is a domain (a scanner, a hospital), so that every score is of one that training never saw."""

from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.parts import whole_images
from tessera.errors import InputError

if TYPE_CHECKING:
    from tessera.params.fold import Fold


def make_domains(train: pd.DataFrame, patches: pd.DataFrame, fold: "Fold") -> pd.DataFrame:
    """Fold k holds the k-th domain in alphabetical order."""
    lacking = train[train.domain == ""]
    if len(lacking):
        raise InputError(
            f"fold.maker domains: image {lacking.image_id.iloc[0]!r} and {len(lacking) - 1} more have no domain; "
            "name its column of the meta in data.domain"
        )
    names = sorted(set(train.domain))
    if len(names) != fold.count:
        raise InputError(
            f"fold.maker domains: fold.count is {fold.count}, but there are {len(names)} domains "
            f"({', '.join(names)}); set fold.count: {len(names)}"
        )
    return whole_images(train).assign(fold=train.domain.map(names.index))
