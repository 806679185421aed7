"""Law 4: no part is predicted, out of fold, by a checkpoint that has seen it."""

from typing import TYPE_CHECKING

import pandas as pd

from tessera.data.boxes import BOX, near
from tessera.data.parts import plane_of
from tessera.errors import raise_problems

if TYPE_CHECKING:
    from tessera.data.rounds import FitLabels


def refuse_seen(about: dict, parts: pd.DataFrame, manifest: pd.DataFrame, unit: str, buffer: int) -> None:
    """Raises InputError when a checkpoint, by its own account `about`, trained on one of `parts`.

    unit image: on its image, its group or a file with its digest. unit part, where the parts of one image share all
    three: on pixels of it, or nearer than `buffer` slices, or original px, to it.
    """
    title = f"the checkpoint of {about['model']} fold {about['fold']} has seen what it should predict; train it again"
    raise_problems(title, _seen(about, parts, manifest, unit, buffer))


def refuse_leaks(
    labels: "FitLabels", name: str, parts: pd.DataFrame, manifest: pd.DataFrame, unit: str, buffer: int
) -> None:
    """Raises InputError when pseudo-labels of round `name` would tell a training of the held-out `parts`: a network that
    made them has seen one (as `refuse_seen`), or a labelled image shares a group, or its file, with one."""
    problems = [
        f"made by {about['model']} fold {about['fold']}, {problem}"
        for about in labels.seen
        for problem in _seen(about, parts, manifest, unit, buffer)
    ]
    held_out = manifest[manifest.image_id.isin(parts.image_id)]
    for image in manifest[manifest.image_id.isin(labels.images)].itertuples():
        for column in ("group", "digest"):
            if (value := getattr(image, column)) in set(held_out[column]):
                problems.append(f"{image.image_id}: its {column} {value!r} is held out")
    title = f"round {name} would leak the held-out fold; make a new one with `python -m stages.pseudo <round>`"
    raise_problems(title, problems)


def _seen(about: dict, parts: pd.DataFrame, manifest: pd.DataFrame, unit: str, buffer: int) -> list[str]:
    """How a checkpoint trained on each of `parts` that it did; arguments as `refuse_seen`."""
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
    return problems
