"""pseudo: freezes confident predictions of the test images as labels, a round of its own: data/extra/<round>.h5.

No stage: run it by hand after `dvc repro`. The labels that a training beside a fold sees are made by that fold's networks
alone and by the decision that tune made without the fold, those for `train.full` by the mean over the folds and by the
recipe. `models.<name>.extra: [<round>]` trains on them.
"""

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path

from stages.asking import SCRATCH, forget
from stages.command import command
from stages.dvc import dvc, refuse_stale, way_here
from stages.freezing import Decisions, networks_of, write_round
from tessera import paths
from tessera.data.manifest import TEST, read_manifest
from tessera.data.pixels import PixelStore
from tessera.data.rounds import unlike
from tessera.decide.decision import Decision
from tessera.decide.pseudo import decided_without, refuse_unlike
from tessera.errors import InputError
from tessera.learn.checkpoints import digest_of
from tessera.learn.lock import locked
from tessera.params.load import Params, load_params


def main(round: str) -> None:
    params, path = load_params(), paths.ROUNDS / f"{round}.h5"
    check(round, path, params)
    store, decisions = PixelStore(paths.TILES), decisions_of(params.fold.run)
    for decision in decisions.values():
        refuse_unlike(decision, params.pseudo)
    about = params.pseudo.model_dump() | {
        "classes": params.data.classes, "recipe": hashlib.sha256(paths.RECIPE.read_bytes()).hexdigest(),
        "decisions": hashlib.sha256(json.dumps([asdict(one) for one in decisions.values()]).encode()).hexdigest(),
        "tiles": store.digest,
        "checkpoints": [digest_of(paths.weights(model, fold)) for fold, own in networks_of(decisions).items() for model in own],
    }  # fmt: skip
    with locked(SCRATCH / "round.lock"):
        if not path.exists():
            with paths.writing(path) as temporary:
                write_round(temporary, about, decisions, store, params)
        elif differs := unlike(path, about):
            raise InputError(f"{path} is there and frozen, made of another {differs}; give the new round another name")
        forget()
    dvc("add", str(path))
    print(f"{path} is frozen: git add {path}.dvc; models.<name>.extra: [{round}] trains on it")


def check(round: str, path: Path, params: Params) -> None:
    """Raises InputError for a bad name, params without `pseudo:`, a round elsewhere, a stale recipe, no test images."""
    if not re.fullmatch("[a-z0-9_]+", round):
        raise InputError(f"{round!r} cannot name a round: take a-z, 0-9 and _")
    if params.pseudo is None:
        raise InputError("params.yaml has no section pseudo, such as {labels: hard, bounds: [0.2, 0.8], weight: 0.5}")
    if not path.exists() and Path(f"{path}.dvc").exists():
        raise InputError(way_here(f"{path}.dvc"))
    refuse_stale()
    if read_manifest(paths.CLEAN, TEST).empty:
        raise InputError("there are no test images, which a round labels: data.test_images says where they are")


def decisions_of(folds: list[int]) -> Decisions:
    """The decisions that make the labels: for a fold the one made without it or, which a line says, the recipe's."""
    recipe, scores = (json.loads(path.read_text()) for path in (paths.RECIPE, paths.SCORES))
    final, without = Decision(**recipe["decision"]), decided_without(scores["ensemble"], scores["rows"])
    if seen := [str(fold) for fold in folds if fold not in without]:
        reason = scores["ensemble"]["reason"] or "fewer than three folds: groups were held out"
        print(
            f"fold {', '.join(seen)}: labels follow the recipe, which was decided with it; none was without ({reason})"
        )
    return {fold: without.get(fold, final) for fold in folds} | {paths.FULL: final}


if __name__ == "__main__":
    command(main)
