"""diagnose: which bug reproduces a score of the leaderboard, as `--leaderboard 0.34`.

No stage: run it by hand after `dvc repro submit`. The out-of-fold predictions are scored as each bug would leave them;
for bugs of the networks' input, the folds' checkpoints predict some slices of `--items` images or volumes again.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from tqdm import tqdm

from stages.command import command
from stages.dvc import refuse_stale
from stages.evidence import oof_evidence
from stages.options import score
from stages.predicting import Setup
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.data.pixels import PixelStore
from tessera.decide.bugs import AS_DECIDED, bugs
from tessera.decide.decision import Decision
from tessera.decide.diagnosis import Diagnosis, Finding, boxes_of, few_rows, on_few, table
from tessera.decide.evidence import Evidence
from tessera.metrics.build import build_score
from tessera.params.load import Params, load_params
from tessera.predict.input_bugs import InputBug, input_bugs
from tessera.predict.write import write_predictions
from tessera.tasks import build_task

SLICES = 4  # of a volume that is predicted again


def main(*, leaderboard: score, items: int = 3) -> None:
    refuse_stale()
    params, manifest = load_params(), read_manifest(paths.CLEAN, "train")
    decision = Decision(**json.loads(paths.RECIPE.read_text())["decision"])
    how = decision, build_score(params.score), params.tune.bootstrap, params.tune.seed
    evidence = oof_evidence(decision.models, params.fold.run, decision.views, params.data)
    rows, diagnosis = evidence.rows, Diagnosis(evidence, *how)
    offered = bugs(params.data.classes, square=bool((rows.y1 - rows.y0 == rows.x1 - rows.x0).all()))
    plain, few = diagnosis.of(AS_DECIDED), few_rows(rows, items, SLICES)
    findings = [diagnosis.of(bug) for bug in tqdm(offered, desc="diagnose", unit="bug", disable=None)]

    def as_decided(stores: dict[str, dict[int, Path]]) -> Finding:
        seen = Evidence(few, stores, decision.views, evidence.pixels, evidence.task)
        return Diagnosis(seen, *how).of(AS_DECIDED)

    if len(few):
        right = as_decided(
            {model: {fold: paths.oof(model, fold) for fold in set(few.fold)} for model in decision.models}
        )
        paths.SCRATCH.mkdir(exist_ok=True)
        for bug in input_bugs(int(manifest.channels.iloc[0])):
            with TemporaryDirectory(prefix="diagnose-", dir=paths.SCRATCH) as folder:
                wrong = {model: _predict(bug, model, few, params, manifest, Path(folder)) for model in decision.models}
                findings.append(on_few(bug.name, bug.look, as_decided(wrong), right, plain, len(few)))
    print(table(findings, leaderboard, plain))


def _predict(
    bug: InputBug, model: str, rows: pd.DataFrame, params: Params, manifest: pd.DataFrame, folder: Path
) -> dict[int, Path]:
    """fold → a store, in the folder, of the rows' items as the fold's network sees them through the bug."""
    store, stores = PixelStore(paths.TILES), {}
    task = build_task(params.data.task, params.data.classes, store.flip_pairs)
    setup = Setup(params.models[model], params.predict, params.train.amp, task, store, int(manifest.channels.iloc[0]))
    for fold, own in rows.groupby("fold"):
        network = bug.change(setup.network(paths.weights(model, fold)))
        predictor, stores[fold] = setup.predictor([network]), folder / f"{model}-{fold}.h5"
        finished = folder / f"{model}-{fold}"
        write_predictions(stores[fold], predictor, store, boxes_of(own, manifest), {}, finished)
    return stores


if __name__ == "__main__":
    command(main)
