"""clean: leaves out, or weighs down, the training images that `clean:` of params.yaml names; the manifest stays as it is."""

from stages.command import command
from tessera import paths
from tessera.data.cleaning import cleaned
from tessera.data.manifest import read_manifest, write_manifest
from tessera.params.load import load_params


def main() -> None:
    params = load_params()
    manifest = read_manifest(paths.MANIFEST)
    with paths.writing(paths.CLEAN) as path:
        write_manifest(cleaned(manifest, params.clean), path)
    print(f"{len(manifest)} images, {len(params.clean.drop)} dropped, {len(params.clean.weight)} weighed")


if __name__ == "__main__":
    command(main)
