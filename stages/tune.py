"""tune: decides weights, levels and post-processing on OOF only, and scores them honestly."""

import json

import numpy as np

from stages.command import command
from stages.evidence import oof_evidence
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.decide.evidence import test_rows
from tessera.decide.honest import evaluate, unmeasured
from tessera.decide.recipe import build_recipe
from tessera.decide.search import Search, simplex
from tessera.decide.thresholds import offer_strata, score_curves
from tessera.metrics.build import build_score
from tessera.params.load import load_params


def main() -> None:
    params = load_params()
    tune, score = params.tune, build_score(params.score)
    manifest = read_manifest(paths.MANIFEST)
    declared = [paths.oof(model, fold) for model in params.train.models for fold in params.fold.run]
    notes = paths.undeclared("oof/*/fold_*.h5", declared)
    evidence = oof_evidence(tune.ensemble, params.fold.run, params.predict.views, params.data)
    rows, asked = evidence.rows, test_rows(manifest[manifest.subset == "test"], params.data.pixel_size)
    by, refusal = offer_strata(tune.thresholds, rows, asked)
    full = unmeasured([name for name in tune.ensemble if name in params.train.full], params.train.full_use)

    weights = simplex(len(tune.ensemble), tune.step)
    search = Search(evidence, weights, by, tune.steps.candidates, score)
    ensemble = evaluate(search, None, tune.bootstrap, tune.seed)
    models = {}
    for number, name in enumerate(tune.ensemble):
        alone = np.flatnonzero(weights[:, number] == 1)
        models[name] = evaluate(search, alone, tune.bootstrap, tune.seed) if len(weights) > 1 else ensemble
    scores = {
        "score": params.score.model_dump() | {"name": score.name}, "classes": params.data.classes, "notes": [*refusal, *full],
        "ensemble": ensemble, "models": models,
        "selected_on_validation": [name for name in tune.ensemble if params.models[name].selected_on_validation],
        "curves": score_curves(search, ensemble["decision"]), "rows": rows.to_dict("list"),
    }  # fmt: skip
    with paths.writing(paths.SCORES) as path:
        path.write_text(json.dumps(scores, indent=1, ensure_ascii=False) + "\n")
    checkpoints = {
        name: [f"{name}/{path.name}" for path in paths.predicting(name, params.fold.run, params.train.full, params.train.full_use)]
        for name in tune.ensemble
    }  # fmt: skip
    recipe = build_recipe(
        ensemble["decision"], params.data, params.tile, params.models, checkpoints, params.predict, params.train.amp,
        channels=int(manifest.channels.iloc[0]), notes=full,
    )  # fmt: skip
    with paths.writing(paths.RECIPE) as path:
        path.write_text(json.dumps(recipe, indent=1, ensure_ascii=False) + "\n")
    for note in [*notes, *refusal, *full]:
        print(note)
    print(f"optimistic {ensemble['optimistic']:.4f}, cross-fitted {ensemble['crossfitted'] or ensemble['reason']}")


if __name__ == "__main__":
    command(main)
