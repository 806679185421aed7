"""Masks of all slices in one file: opened once an image, and closed with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from label_ways import BOXES, SIZES, read_label

from tessera.data.annotations import volumes
from tessera.data.ingest import build_manifest
from tessera.data.labelling import Labels
from tessera.data.readers.base import Reader
from tessera.data.tiling import write_tiles
from tessera.params.data import Data
from tessera.params.tile import Tile

Competition = Callable[..., Data]
DEPTH = 12
NAMES = tuple(map(str, range(DEPTH)))
A_CLASS = {"task": "multilabel", "classes": ["vessel", "nerve"], "train_masks": "masks/{image_id}_{class}.tif"}


class Opened:
    """Counts what `OpenVolumes` opens and what of it is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.readers, self.closed, open_image = [], set(), volumes.open_image

        def counted(*said: object) -> Reader:
            reader = open_image(*said)
            self.readers.append(reader)
            close = reader.close
            monkeypatch.setattr(reader, "close", lambda: (self.closed.add(id(reader)), close()))
            return reader

        monkeypatch.setattr(volumes, "open_image", counted)

    @property
    def still(self) -> list[Path]:
        return [reader.path for reader in self.readers if id(reader) not in self.closed]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


def write_volumes(competition: Competition, depth: int = DEPTH, **changes: object) -> Data:
    """Images, masks and valid areas of `depth` pages a file, compressed: each slice differs from the next."""
    data = competition(
        "volumes", train_images="stacks/{image_id}.tif", test_images=None, train_rle=None, sample_submission=None,
        meta=[], group=None, stratum=None, **{"train_masks": "masks/{image_id}.tif"} | changes,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for name in BOXES:
        for stem in (f"stacks/{name}", f"masks/{name}", f"masks/{name}_vessel", f"masks/{name}_nerve", f"valid/{name}"):
            path = Path(data.source) / f"{stem}.tif"
            path.parent.mkdir(exist_ok=True)
            if "{class}" in data.train_masks or "_" not in stem:
                pages = rng.integers(0, 2, (depth, *SIZES[name]), np.uint8)
                tifffile.imwrite(path, pages, photometric="minisblack", compression="zlib")
    return data


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({}, 1),
        ({"mask_kind": "instances"}, 2),  # once to see whether it holds slices, once for its pixels
        ({"valid_masks": "valid/{image_id}.tif"}, 3),
        (A_CLASS, 2),
    ],
    ids=["grey", "instances", "valid", "classes"],
)
def test_a_file_of_all_slices_is_opened_once_and_closed(
    competition: Competition, opened: Opened, changes: dict, most: int
) -> None:
    data = write_volumes(competition, **changes)
    with Labels.open(data, []) as labels:
        slices = [read_label(labels, "b", z, NAMES) for z in range(DEPTH)]
        assert 0 < len(opened.readers) <= most
        assert opened.still
    assert not opened.still
    if not changes:
        np.testing.assert_array_equal(slices, tifffile.imread(Path(data.source) / "masks/b.tif"))


def test_of_very_many_files_some_are_opened_anew(
    competition: Competition, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "MOST_OPEN", 1)
    data = write_volumes(competition, **A_CLASS)
    with Labels.open(data, []) as labels:
        for z in range(DEPTH):
            read_label(labels, "b", z, NAMES)
            assert len(opened.still) == 1
    assert not opened.still


def test_ingest_and_tile_keep_no_file_open_from_image_to_image(
    competition: Competition, opened: Opened, tmp_path: Path
) -> None:
    data = write_volumes(competition, valid_masks="valid/{image_id}.tif")
    manifest = build_manifest(data)
    assert len(opened.readers) <= 3 * len(BOXES)
    assert not opened.still
    write_tiles(manifest, data, Tile(scale=1.0, size=16, stride=16, keep_empty=1.0), tmp_path / "tiles.h5")
    assert len(opened.readers) <= 6 * len(BOXES)
    assert not opened.still
