"""Trains on pseudo-labelled patches beside the labelled ones."""

from pathlib import Path

import pandas as pd

from tessera.data.manifest import WEIGHT
from tessera.data.rounds import OWN, LaidOver, read_round
from tessera.errors import InputError
from tessera.learn.fit import Fit
from tessera.learn.placing import place_everywhere


def read_extra(path: Path) -> pd.DataFrame:
    """The extra rows of a model and fit: candidate patches with `OWN`; none where the model names no round."""
    text = dict.fromkeys(("image_id", "round", "digest"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, float_precision="round_trip")


def with_extra(fit: Fit, rows: pd.DataFrame, folder: Path, test: pd.DataFrame) -> Fit:
    """The training with `rows` beside its own patches, their labels read from the rounds in `folder`; itself without any.

    test: the manifest of the test images. Its own patches weigh 1 where their images have no weight.
    Raises InputError when a round is not the one that the rows were made from.
    """
    if rows.empty:
        return fit
    labels, rounds, soft = {}, {}, False
    for name, digest in rows.groupby("round", sort=True).digest.first().items():
        one = read_round(folder / f"{name}.h5")
        made = one.fits.get(str(fit.fold))
        if made is None or not made.digest.startswith(digest):
            raise InputError(f"round {name} has changed since the stage extra read it: `dvc repro extra`")
        labels |= made.images
        rounds[name], soft = made.digest, soft or one.soft
    store = LaidOver(fit.store.path, labels, soft)
    manifest = pd.concat([fit.manifest, test[test.image_id.isin(rows.image_id)]], ignore_index=True)
    candidates = rows.drop(columns=[name for name in OWN if name != WEIGHT])
    patches, windows = place_everywhere(candidates, fit.patch_size, fit.section, store, manifest)
    own = fit.patches if WEIGHT in fit.patches else fit.patches.assign(**{WEIGHT: 1.0})
    return fit._replace(
        store=store,
        manifest=manifest,
        patches=pd.concat([own, patches], ignore_index=True),
        windows=pd.concat([fit.windows, windows], ignore_index=True),
        rounds=rounds,
    )
