"""audit: images sorted by how surely out-of-fold predictions disagree with their labels, on a page to review them.

No stage: run it by hand after `dvc repro tune`. What it shows goes, once reviewed, into `clean:` of params.yaml.
"""

import json
from pathlib import Path

from stages.command import command
from stages.dvc import refuse_stale
from stages.evidence import oof_evidence
from stages.options import positive
from tessera import paths
from tessera.decide.decision import Decision, held_out_decisions
from tessera.deliver.audit import build_audit
from tessera.params.load import load_params

SHOWN = 60  # rows


def main(*, shown: positive = SHOWN) -> None:
    params = load_params()
    refuse_stale()
    scores = json.loads(paths.SCORES.read_text())
    evidence = oof_evidence(params.tune.ensemble, params.fold.run, params.predict.stored_views, params.data)
    said = scores["ensemble"]
    decisions = dict.fromkeys(evidence.rows.row_id, Decision(**said["decision"])) | held_out_decisions(said)
    page = build_audit(Path(params.data.source).name, evidence, decisions, shown)
    with paths.writing(paths.AUDIT) as path:
        path.write_text(page, encoding="utf-8")
    print(f"{paths.AUDIT}, {len(page) / 1e6:.1f} MB")


if __name__ == "__main__":
    command(main)
