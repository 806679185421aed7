"""Where every artefact lives, relative to the repository root. Only stages use this."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SAMPLE = Path("data/raw/sample")
MANIFEST = Path("data/manifest.csv")
CLEAN = Path("data/clean.csv")
SAMPLE_SUBMISSION = Path("data/sample_submission.csv")
TILES = Path("data/tiles.h5")
PATCHES = Path("data/patches.parquet")
ROUNDS = Path("data/extra")
EXTRA_ROWS = Path("data/extra_rows")
FOLDS = Path("folds/folds.csv")
FOLDS_REPORT = Path("folds/report.json")
RECIPE = Path("submissions/recipe.json")
SCORES = Path("submissions/scores.json")
SUBMISSION = Path("submissions/submission.csv")
REPORT = Path("reports/report.html")
AUDIT = Path("reports/audit.html")
SCRATCH = Path("scratch")  # partial files, all of them: never beside an artefact

FULL = "full"  # instead of a fold: the fit on all of them


def weights(model: str, fold: int | str) -> Path:
    return Path(f"checkpoints/weights/{model}/{_fit(fold)}.safetensors")


def record(model: str, fold: int | str) -> Path:
    return Path(f"checkpoints/records/{model}/{_fit(fold)}.json")


def history(model: str, fold: int | str) -> Path:
    return Path(f"checkpoints/histories/{model}/{_fit(fold)}.csv")


def first_batch(model: str, fold: int | str) -> Path:
    return Path(f"checkpoints/first_batches/{model}/{_fit(fold)}.png")


def extra_rows(model: str, fold: int | str) -> Path:
    return EXTRA_ROWS / model / f"{_fit(fold)}.csv"


def oof(model: str, fold: int) -> Path:
    return Path(f"oof/{model}/fold_{fold}.h5")


def predictions(model: str) -> Path:
    return Path(f"predictions/{model}.h5")


def predicting(model: str, folds: list[int], full: list[str], full_use: str) -> list[Path]:
    """The checkpoints whose mean predicts the test images; full, full_use: of `train:`."""
    fits = [FULL] if model in full else []
    if not fits or full_use == "beside":
        fits = [*folds, *fits]
    return [weights(model, fit) for fit in fits]


@contextmanager
def scratch_file(name: str) -> Iterator[Path]:
    """Yields a path in scratch/; what is there afterwards is removed. A killed stage's file is overwritten by its rerun."""
    temporary = SCRATCH / name
    temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in scratch/; once the block ends well, that file is synced and becomes `path`.

    Killed or failed at any moment, `path` is either whole or not there. In scratch/, whose folders may be links to other
    disks, the temporary path is beside it.
    """
    beside = path.with_name(f"new-{path.name}").relative_to(SCRATCH) if path.is_relative_to(SCRATCH) else None
    with scratch_file(str(beside or "-".join(path.parts))) as temporary:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, path)


def undeclared(pattern: str, declared: list[Path]) -> list[str]:
    """One line for files that match the pattern and that params.yaml does not name: left over, and not read."""
    strange = sorted(set(Path().glob(pattern)) - set(declared))
    return [f"left over and not read; remove with: rm {' '.join(map(str, strange))}"] if strange else []


def _fit(fold: int | str) -> str:
    return FULL if fold == FULL else f"fold_{fold}"
