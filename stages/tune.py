"""tune: decides weights, levels and post-processing on OOF only, and scores them honestly."""

import json

from stages.command import command
from stages.evidence import oof_evidence
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.decide.choose import say
from tessera.decide.decision import Decision
from tessera.decide.evidence import test_rows
from tessera.decide.honest import doubts, unlike_whole_rows, unmeasured
from tessera.decide.levels import Rule
from tessera.decide.recipe import build_recipe
from tessera.decide.search import Freedoms, Search
from tessera.decide.thresholds import offer_strata, offer_views, score_curves
from tessera.decide.verdict import outscored, verdict
from tessera.metrics.build import build_score
from tessera.params.load import load_params


def main() -> None:
    params = load_params()
    tune, score = params.tune, build_score(params.score)
    manifest = read_manifest(paths.CLEAN)
    declared = [paths.oof(model, fold) for model in params.train.models for fold in params.fold.run]
    notes = paths.undeclared("oof/*/fold_*.h5", declared)
    evidence = oof_evidence(tune.ensemble, params.fold.run, params.predict.stored_views, params.data)
    rows, asked = evidence.rows, test_rows(manifest[manifest.subset == "test"], params.data.pixel_size)
    by, refusal = offer_strata(tune.thresholds, rows, asked)
    refusal += offer_views(params.predict.views, params.predict.stored_views)
    full = unmeasured([name for name in tune.ensemble if name in params.train.full], params.train.full_use)

    rule = Rule(by, tune.thresholds == "one", tune.rule, tune.shrink)
    free = Freedoms(
        tuple(evidence.views), tuple(tune.ensemble), tuple(tune.blend), tune.steps.candidates, rule, tune.keep_gain
    )
    search = Search(evidence, score, tune.cut, tune.step, tune.seed)
    said = verdict(search, free, tune.bootstrap, tune.seed)
    ensemble = said["ensemble"]
    remarks = [
        *refusal, *full, *unlike_whole_rows(Decision(**ensemble["decision"]), rows), *outscored(said),
        *doubts(ensemble, params.data.classes),
    ]  # fmt: skip
    scores = {
        "score": params.score.model_dump() | {"name": score.name}, "classes": params.data.classes, "notes": remarks,
        **said,
        "selected_on_validation": [name for name in tune.ensemble if params.models[name].selected_on_validation],
        "curves": score_curves(search, Decision(**ensemble["decision"])),
        "units": search.about.to_dict("list"), "rows": rows.to_dict("list"),
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
    ) | {"tried": said["tried"]}  # fmt: skip
    with paths.writing(paths.RECIPE) as path:
        path.write_text(json.dumps(recipe, indent=1, ensure_ascii=False) + "\n")
    for line in [*notes, *remarks, *say(said["tried"], tune.keep_gain)]:
        print(line)
    crossfitted = ensemble["reason"] or f"{ensemble['crossfitted']:.4f}"
    print(f"optimistic {ensemble['optimistic']:.4f}, cross-fitted {crossfitted}")


if __name__ == "__main__":
    command(main)
