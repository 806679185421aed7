"""What the bars of `ingest` and `tile` count."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from label_ways import SIZES
from tqdm import tqdm

from tessera.data import ingest, tiling
from tessera.params.data import Data
from tessera.params.tile import Tile

Competition = Callable[..., Data]


class Bar(tqdm):
    """Shown, and a millisecond old."""

    def __init__(self, *args: object, **options: object):
        super().__init__(*args, **options | {"disable": False, "file": io.StringIO()})
        self.most = 0
        bars.append(self)

    def update(self, n: float = 1) -> bool | None:
        shown = super().update(n)
        self.most = max(self.most, self.n / self.total)
        return shown

    @property
    def format_dict(self) -> dict:
        return super().format_dict | {"elapsed": 1e-3}


bars: list[Bar] = []


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    bars.clear()
    for module in (ingest, tiling):
        monkeypatch.setattr(module, "tqdm", Bar)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("scaling", ["volume", "dataset"])
def test_tile_counts_the_bytes_of_the_sources_type(
    competition: Competition, tmp_path: Path, mixed: bool, scaling: str
) -> None:
    data = competition("volumes")
    for name in ("2", "10") if mixed else ():
        tifffile.imwrite(Path(data.source) / f"train/b/{name}.tif", np.ones(SIZES["b"], np.uint8))
    manifest = ingest.build_manifest(data)
    tile = Tile(scale=1.0, size=16, stride=16, keep_empty=1.0, scaling=scaling)
    tiling.write_tiles(manifest, data, tile, tmp_path / "tiles.h5")
    bar = next(bar for bar in bars if bar.desc.startswith("tile"))
    values = manifest.depth * manifest.height * manifest.width
    expected = sum(values * np.where(mixed & (manifest.image_id == "b"), 1, 2))
    assert bar.n == bar.total == expected
    assert bar.most == 1


def test_ingest_says_the_megabytes_of_the_files(competition: Competition) -> None:
    data = competition("masks")
    ingest.build_manifest(data)
    for bar, folder in zip(bars, ("train", "test"), strict=True):
        size = sum(path.stat().st_size for path in (Path(data.source) / folder).iterdir())
        assert bar.n == len(list((Path(data.source) / folder).iterdir()))
        assert size > 1000
        assert bar.postfix == f"{size / 1e3:.1f} MB/s"
