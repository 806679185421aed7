"""tile: brings pixels to the working scale once; indexes candidate patches."""

from stages.command import command
from tessera import machine, paths
from tessera.data.manifest import read_manifest
from tessera.data.tiling import write_tiles
from tessera.params.load import load_params

WORST = 5  # images named under the ceiling


def main() -> None:
    params = load_params()
    manifest = read_manifest(paths.MANIFEST)
    with paths.writing(paths.TILES) as tiles, paths.writing(paths.PATCHES) as index:
        patches, ceilings = write_tiles(manifest, params.data, params.tile, tiles, machine.threads())
        patches.to_parquet(index, index=False)
    positive = (patches.positive_fraction > 0).sum()
    print(f"{len(manifest)} images, {len(patches)} candidate patches, {positive} with positives")
    if len(ceilings):
        worst = ", ".join(f"{name} {dice:.4f}" for name, dice in ceilings.nsmallest(WORST).items())
        print(
            f"ceiling (Dice of the truth brought to the working scale and back): mean {ceilings.mean():.4f}; worst {worst}"
        )


if __name__ == "__main__":
    command(main)
