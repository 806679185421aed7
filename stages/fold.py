"""fold: grouped, stratified folds; refuses leaks."""

import json

import pandas as pd

from stages.command import command
from tessera import paths
from tessera.data.folds import check_folds, split_depth, split_images
from tessera.data.manifest import read_manifest
from tessera.data.parts import summarize
from tessera.params import load_params


def main() -> None:
    params = load_params()
    manifest = read_manifest(paths.MANIFEST)
    if params.fold.unit == "part":
        parts = split_depth(manifest, params.fold.count)
    else:
        parts = split_images(manifest, params.fold.count, params.fold.seed)
    check_folds(parts, manifest, params.fold.count, params.fold.unit)
    summary = summarize(parts, manifest, pd.read_parquet(paths.PATCHES), params.fold.count)
    with paths.writing(paths.FOLDS) as path:
        parts.to_csv(path, index=False)
    with paths.writing(paths.FOLDS_REPORT) as path:
        path.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    print(pd.DataFrame(summary).to_string(index=False))


if __name__ == "__main__":
    command(main)
