"""report: what a person looks at after a run, on one page."""

import json
from pathlib import Path

import pandas as pd

from stages.command import command
from stages.evidence import oof_evidence
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.data.parts import place_patches, read_folds
from tessera.deliver.plots import gallery
from tessera.deliver.report import build_page, summarize_kind
from tessera.params.load import load_params


def main() -> None:
    params = load_params()
    models, run = params.tune.ensemble, params.fold.run
    scores, folds = (json.loads(path.read_text()) for path in (paths.SCORES, paths.FOLDS_REPORT))
    records = {model: {fold: json.loads(paths.record(model, fold).read_text()) for fold in run} for model in models}
    histories = {model: {fold: pd.read_csv(paths.history(model, fold)) for fold in run} for model in models}
    manifest, parts = read_manifest(paths.CLEAN, "train"), read_folds(paths.FOLDS)

    evidence = oof_evidence(models, run, params.predict.stored_views, params.data)
    patches = place_patches(pd.read_parquet(paths.PATCHES), params.tile.size, evidence.pixels, manifest)
    known = [column for column in ("stratum", "domain") if column == "stratum" or manifest[column].any()]
    kinds = {column: summarize_kind(column, parts[parts.fold.isin(run)], manifest, patches) for column in known}
    title = f"{Path(params.data.source).name}: {', '.join(params.data.classes)}"
    page = build_page(title, scores, records, histories, folds, kinds, gallery(evidence, scores))
    with paths.writing(paths.REPORT) as path:
        path.write_text(page, encoding="utf-8")
    print(f"{paths.REPORT}, {len(page) / 1e6:.1f} MB")


if __name__ == "__main__":
    command(main)
