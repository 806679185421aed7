"""Law 4: no part is predicted, out of fold, by a checkpoint that has seen it."""

import pandas as pd

from tessera.data.boxes import BOX, near
from tessera.data.parts import plane_of
from tessera.errors import raise_problems


def refuse_seen(about: dict, parts: pd.DataFrame, manifest: pd.DataFrame, unit: str, buffer: int) -> None:
    """Raises InputError when a checkpoint, by its own account `about`, trained on one of `parts`.

    unit image: on its image, its group or a file with its digest. unit part, where the parts of one image share all
    three: on pixels of it, or nearer than `buffer` slices, or original px, to it.
    """
    problems = []
    seen = pd.DataFrame(about["parts"], columns=BOX)
    parts = parts.merge(manifest[["image_id", "group", "digest"]], on="image_id")
    reach = buffer if unit == "part" else 0
    met = {part: box for box, part in near(seen, parts, reach, reach)[::-1]}  # the first box of each part
    for number, part in enumerate(parts.itertuples()):
        if number in met:
            box = seen.iloc[met[number]]
            problems.append(
                f"part {part.part_id} is slices {part.z0}…{part.z1 - 1} of {part.image_id}, px {plane_of(part)}; slices "
                f"{box.z0}…{box.z1 - 1}, px {plane_of(box)}, were trained on (fold.buffer {buffer})"
            )
        elif unit == "image" and part.group in about["groups"]:
            problems.append(f"part {part.part_id}: its group {part.group!r} was trained on")
        elif unit == "image" and part.digest in about["digests"]:
            problems.append(f"part {part.part_id}: a file with its digest was trained on")
    title = f"the checkpoint of {about['model']} fold {about['fold']} has seen what it should predict; train it again"
    raise_problems(title, problems)
