"""submit: applies the recipe, writes the submission, reads it back and checks it."""

import json
from pathlib import Path

from stages.command import command
from stages.evidence import oof_evidence
from tessera import paths
from tessera.data.csv_names import csv_names
from tessera.data.manifest import read_manifest
from tessera.decide.decision import Decision, held_out_decisions
from tessera.decide.evidence import Evidence, test_rows
from tessera.deliver.dialects.build import build_dialect
from tessera.deliver.scoreboard import solution_score, table
from tessera.deliver.submission import check_score, masks, rows_asked_for, shapes_of
from tessera.errors import raise_problems
from tessera.labels import read_csv
from tessera.metrics.build import build_score
from tessera.params.load import load_params


def main() -> None:
    params = load_params()
    recipe, scores = (json.loads(path.read_text()) for path in (paths.RECIPE, paths.SCORES))
    score = build_score(params.score)
    dialect = build_dialect(params.submit.dialect, params.data.classes, csv_names(params.data))
    manifest = read_manifest(paths.CLEAN)
    decision = Decision(**recipe["decision"])

    oof = oof_evidence(params.tune.ensemble, params.fold.run, params.predict.stored_views, params.data)
    said = scores["ensemble"]
    with paths.scratch_file("oof.csv") as path:
        check_score(path, dialect, oof, dict.fromkeys(oof.rows.row_id, decision), score, said["optimistic"])
        if said["crossfitted"] is not None:
            check_score(path, dialect, oof, held_out_decisions(said), score, said["crossfitted"])

    for line in paths.undeclared("predictions/*.h5", [paths.predictions(model) for model in params.train.models]):
        print(line)
    template = read_csv(paths.SAMPLE_SUBMISSION)
    rows = rows_asked_for(test_rows(manifest[manifest.subset == "test"], params.data.pixel_size), template, params.data)
    stores = {model: {-1: paths.predictions(model)} for model in decision.models}
    test = Evidence(rows, stores, decision.views, oof.pixels, oof.task)
    shapes = shapes_of(rows)
    with paths.writing(paths.SUBMISSION) as path:
        dialect.fill(path, template, masks(test, dict.fromkeys(rows.row_id, decision)))
        raise_problems("the submission would be refused", dialect.validate(path, template, shapes))
    print(table(scores))
    if params.data.solution:
        solution = Path(params.data.source) / params.data.solution
        print(f"{'test (solution.csv)':<24}{solution_score(paths.SUBMISSION, solution, dialect, test, score):>11.4f}")


if __name__ == "__main__":
    command(main)
