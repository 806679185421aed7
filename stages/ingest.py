"""ingest: reads the raw layout, checks every file, writes one row an image."""

from stages.command import command
from tessera import machine, paths
from tessera.data.ingest import build_manifest
from tessera.data.manifest import write_manifest
from tessera.data.template import build_template
from tessera.params.load import load_params


def main() -> None:
    params = load_params()
    manifest = build_manifest(params.data, machine.threads())
    template = build_template(params.data, manifest)
    with paths.writing(paths.MANIFEST) as path:
        write_manifest(manifest, path)
    with paths.writing(paths.SAMPLE_SUBMISSION) as path:
        template.to_csv(path, index=False)
    print(
        manifest.groupby("subset").agg(
            images=("image_id", "size"), slices=("depth", "sum"), groups=("group", "nunique")
        )
    )


if __name__ == "__main__":
    command(main)
