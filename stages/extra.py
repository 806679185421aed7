"""extra: the patches of pseudo-labelled images that each training draws beside the labelled ones; none, where it names no round."""

from functools import cache

import pandas as pd

from stages.command import command
from tessera import paths
from tessera.data.extra_rows import index_round, no_rows
from tessera.data.manifest import TEST, read_manifest
from tessera.data.parts import read_folds
from tessera.data.pixels import PixelStore
from tessera.data.rounds import read_round
from tessera.errors import InputError, raise_problems
from tessera.params.load import load_params
from tessera.predict.guard import refuse_leaks


def main() -> None:
    params = load_params()
    store, manifest, parts = PixelStore(paths.TILES), read_manifest(paths.CLEAN), read_folds(paths.FOLDS)
    test = manifest[manifest.subset == TEST]

    @cache
    def rows_of(name: str, fit: int | str) -> pd.DataFrame:
        one = read_round(paths.ROUNDS / f"{name}.h5")
        rows = index_round(one, str(fit), store, test, params.tile, params.data.classes)
        if fit != paths.FULL:
            refuse_leaks(
                one.fits[str(fit)], name, parts[parts.fold == fit], manifest, params.fold.unit, params.fold.buffer
            )
        return rows

    raise_problems("rounds of pseudo-labels cannot be found", unknown(params.models, params.train.models))
    for model in params.train.models:
        for fit in [*params.fold.run, *[paths.FULL] * (model in params.train.full)]:
            rows = [rows_of(name, fit) for name in params.models[model].extra]
            with paths.writing(paths.extra_rows(model, fit)) as path:
                joined(model, rows).to_csv(path, index=False)


def unknown(models: dict, declared: list[str]) -> list[str]:
    """A line for each round that a declared model names and that is not there."""
    known = sorted({path.name.partition(".")[0] for path in paths.ROUNDS.glob("*.h5*")})
    return [
        f"models.{model}.extra names {name!r}; there are {', '.join(known) or 'none'}. Make it with `python -m stages.pseudo {name}`"
        for model in declared
        for name in models[model].extra
        if name not in known
    ]


def joined(model: str, rounds: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of a model's rounds. Raises InputError where two label one image."""
    rows = pd.concat(rounds, ignore_index=True) if rounds else no_rows()
    pairs = rows.drop_duplicates(["image_id", "round"])
    twice = pairs[pairs.image_id.duplicated()]
    if len(twice):
        first = pairs[pairs.image_id == twice.image_id.iloc[0]]
        raise InputError(
            f"models.{model}.extra: {' and '.join(first['round'])} both label {first.image_id.iloc[0]}, which is learnt from one "
            f"round: name one of them alone, such as extra: [{first['round'].iloc[-1]}]"
        )
    return rows


if __name__ == "__main__":
    command(main)
