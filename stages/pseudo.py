"""pseudo: freezes confident predictions of the test images as labels, a round of its own: data/extra/<round>.h5.

No stage: run it by hand after `dvc repro`. The labels that a training beside a fold sees are made by that fold's networks
alone, those for `train.full` by the mean over the folds. `models.<name>.extra: [<round>]` trains on them.
"""

import hashlib
import json
import re
from pathlib import Path

from stages.command import command
from stages.dvc import dvc, refuse_stale, way_here
from stages.freezing import write_round
from tessera import paths
from tessera.data.pixels import PixelStore
from tessera.data.rounds import unlike
from tessera.data.stacks import Stack
from tessera.decide.decision import Decision
from tessera.decide.pseudo import Labelling, refuse_unlike
from tessera.errors import InputError
from tessera.learn.checkpoints import digest_of
from tessera.params.load import Params, load_params


def main(round: str) -> None:
    params, path = load_params(), paths.ROUNDS / f"{round}.h5"
    check(round, path, params)
    store, recipe = PixelStore(paths.TILES), json.loads(paths.RECIPE.read_text())
    decision = Decision(**recipe["decision"])
    refuse_unlike(decision, params.pseudo)
    about = params.pseudo.model_dump() | {
        "classes": params.data.classes, "recipe": hashlib.sha256(paths.RECIPE.read_bytes()).hexdigest(),
        "tiles": store.digest,
        "checkpoints": [digest_of(paths.weights(model, fold)) for fold in params.fold.run for model in decision.models],
    }  # fmt: skip
    if not path.exists():
        stacks = [Stack.of(params.models[model]) for model in decision.models]
        with paths.writing(path) as temporary:
            labelling = Labelling(params.pseudo, decision, len(params.data.classes), stacks, store)
            write_round(temporary, about, labelling, params)
    elif differs := unlike(path, about):
        raise InputError(f"{path} is there and frozen, made of another {differs}; give the new round another name")
    dvc("add", str(path))
    print(f"{path} is frozen: git add {path}.dvc; models.<name>.extra: [{round}] trains on it")


def check(round: str, path: Path, params: Params) -> None:
    """Raises InputError for a bad name, params without `pseudo:`, a round that is elsewhere, a recipe that is not of now."""
    if not re.fullmatch("[a-z0-9_]+", round):
        raise InputError(f"{round!r} cannot name a round: take a-z, 0-9 and _")
    if params.pseudo is None:
        raise InputError("params.yaml has no section pseudo, such as {labels: hard, bounds: [0.2, 0.8], weight: 0.5}")
    if not path.exists() and Path(f"{path}.dvc").exists():
        raise InputError(way_here(f"{path}.dvc"))
    refuse_stale()


if __name__ == "__main__":
    command(main)
