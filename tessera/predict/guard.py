"""Law 4: no part is predicted, out of fold, by a checkpoint that has seen it."""

import pandas as pd

from tessera.errors import raise_problems


def refuse_seen(about: dict, parts: pd.DataFrame, manifest: pd.DataFrame, unit: str, buffer: int) -> None:
    """Raises InputError when a checkpoint, by its own account `about`, trained on one of `parts`.

    unit image: on its image, its group or a file with its digest. unit part, where blocks of one volume share all
    three: on a slice of it, or nearer than `buffer` slices to it.
    """
    problems = []
    seen = pd.DataFrame(about["parts"], columns=["image_id", "z0", "z1"])
    reach = buffer if unit == "part" else 0
    for part in parts.merge(manifest[["image_id", "group", "digest"]], on="image_id").itertuples():
        near = seen[(seen.image_id == part.image_id) & (seen.z0 < part.z1 + reach) & (seen.z1 > part.z0 - reach)]
        if len(near):
            problems.append(
                f"part {part.part_id} is slices {part.z0}…{part.z1 - 1} of {part.image_id}; slices "
                f"{near.z0.iloc[0]}…{near.z1.iloc[0] - 1} were trained on (fold.buffer {buffer})"
            )
        elif unit == "image" and part.group in about["groups"]:
            problems.append(f"part {part.part_id}: its group {part.group!r} was trained on")
        elif unit == "image" and part.digest in about["digests"]:
            problems.append(f"part {part.part_id}: a file with its digest was trained on")
    title = f"the checkpoint of {about['model']} fold {about['fold']} has seen what it should predict; train it again"
    raise_problems(title, problems)
