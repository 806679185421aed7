"""tile: brings pixels to the working scale once; indexes candidate patches."""

from stages.command import command
from tessera import paths
from tessera.data.manifest import read_manifest
from tessera.data.tiling import write_tiles
from tessera.params import load_params


def main() -> None:
    params = load_params()
    manifest = read_manifest(paths.MANIFEST)
    with paths.writing(paths.TILES) as tiles, paths.writing(paths.PATCHES) as index:
        patches = write_tiles(manifest, params.data, params.tile, tiles)
        patches.to_parquet(index, index=False)
    positive = (patches.positive_fraction > 0).sum()
    print(f"{len(manifest)} images, {len(patches)} candidate patches, {positive} with positives")


if __name__ == "__main__":
    command(main)
