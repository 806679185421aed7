"""Where every artefact lives, relative to the repository root. Only stages use this."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SAMPLE = Path("data/raw/sample")
MANIFEST = Path("data/manifest.csv")
SAMPLE_SUBMISSION = Path("data/sample_submission.csv")
TILES = Path("data/tiles.h5")
PATCHES = Path("data/patches.parquet")
FOLDS = Path("folds/folds.csv")
FOLDS_REPORT = Path("folds/report.json")
RECIPE = Path("submissions/recipe.json")
SCORES = Path("submissions/scores.json")
SUBMISSION = Path("submissions/submission.csv")
REPORT = Path("reports/report.html")
SCRATCH = Path("scratch")  # partial files, all of them: never beside an artefact


def weights(model: str, fold: int) -> Path:
    return Path(f"checkpoints/weights/{model}/fold_{fold}.safetensors")


def record(model: str, fold: int) -> Path:
    return Path(f"checkpoints/records/{model}/fold_{fold}.json")


def history(model: str, fold: int) -> Path:
    return Path(f"checkpoints/histories/{model}/fold_{fold}.csv")


def first_batch(model: str, fold: int) -> Path:
    return Path(f"checkpoints/first_batches/{model}/fold_{fold}.png")


def oof(model: str, fold: int) -> Path:
    return Path(f"oof/{model}/fold_{fold}.h5")


def predictions(model: str) -> Path:
    return Path(f"predictions/{model}.h5")


@contextmanager
def scratch_file(name: str) -> Iterator[Path]:
    """Yields a path in scratch/; what is there afterwards is removed. A killed stage's file is overwritten by its rerun."""
    SCRATCH.mkdir(exist_ok=True)
    temporary = SCRATCH / name
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in scratch/; once the block ends well, that file is synced and becomes `path`.

    Killed or failed at any moment, `path` is either whole or not there.
    """
    with scratch_file("-".join(path.parts)) as temporary:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, path)


def undeclared(pattern: str, declared: list[Path]) -> list[str]:
    """One line for files that match the pattern and that params.yaml does not name: left over, and not read."""
    strange = sorted(set(Path().glob(pattern)) - set(declared))
    return [f"left over and not read; remove with: rm {' '.join(map(str, strange))}"] if strange else []
