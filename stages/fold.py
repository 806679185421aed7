"""fold: folds of whole images or of parts; refuses leaks."""

import json

import pandas as pd

from stages.command import command
from tessera import paths
from tessera.data.leaks import check_folds
from tessera.data.makers.build import make_folds
from tessera.data.manifest import read_manifest
from tessera.data.parts import place_patches, summarize
from tessera.data.pixels import PixelStore
from tessera.params.load import load_params


def main() -> None:
    params = load_params()
    manifest, store = read_manifest(paths.CLEAN), PixelStore(paths.TILES)
    patches = place_patches(pd.read_parquet(paths.PATCHES), params.tile.size, store, manifest)
    parts = make_folds(manifest, patches, params.fold, params.data, params.clean.drop)
    notes = check_folds(parts, manifest, patches, params.fold, store)
    summary = summarize(parts, manifest, patches, params.fold.count)
    with paths.writing(paths.FOLDS) as path:
        parts.to_csv(path, index=False)
    with paths.writing(paths.FOLDS_REPORT) as path:
        path.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    print(pd.DataFrame(summary).to_string(index=False))
    for note in notes:
        print(f"note: {note}")


if __name__ == "__main__":
    command(main)
