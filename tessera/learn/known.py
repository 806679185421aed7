"""Whether a training of now would end as one that is finished: by its run record, and by its probe."""

import json
from collections.abc import Iterable, Iterator

SHOWN = {
    "groups": "learning rate, decay or constant of the optimiser",
    "rates": "schedule of the learning rate",
    "orders": "choice or order of windows",
    "frozen": "choice of what is frozen",
    "kept": "choice of epochs that are kept",
    "ends": "choice of epochs that are kept, or of the one to stop after",
    "scored": "choice of epochs that are scored",
    "precision": "precision",
    "windows": "reading or change of windows",
    "loss": "loss of two steps",
    "weights": "result of two steps",
    "score": "score",
}  # what each part of a probe tells, in the order of telling
MEASURED = {"windows", "loss", "weights", "score"}  # whose last bits depend on the kind of CPU and the libraries

ON_DEVICE = ("tessera/learn/on_device/",)
OF_RANKS = ("tessera/learn/ranks.py", "tessera/learn/launch.py")


def unseen(record: dict, files: Iterable[str]) -> str:
    """Which of the changed files a training ran and its probe, in one process on the CPU, does not; empty without."""
    if here := ", ".join(file for file in files if file.startswith(ON_DEVICE) and record["loader"] == "device"):
        return f"its windows were made on the device, by code that a probe on the CPU does not run: {here}"
    if here := ", ".join(file for file in files if file in OF_RANKS and record.get("ranks", 1) > 1):
        return f"it was trained by {record['ranks']} ranks, with code that a probe, of one, does not run: {here}"
    return ""


def unlike_record(record: dict, said: dict) -> str:
    """What a training of now says of itself and the run record does not; empty when they agree."""
    said = json.loads(json.dumps(said))
    was, now = record["params"], said["params"]
    found = [f"{key} was {was.get(key)}, is {now.get(key)}" for key in was | now if was.get(key) != now.get(key)]
    found += [f"another {key}" for key in said if key != "params" and said[key] != record.get(key)]
    return ", ".join(found)


def unlike_probe(then: dict, now: dict) -> str:
    """What tells two probes of one training apart; empty when nothing does. Older probes lack keys: those of both count."""
    if others := ", ".join(_others(then.get("given", {}), now["given"])):  # older probes do not say what was given
        return others
    differ = [key for key in SHOWN if key in then and then[key] != now[key]]
    moved = [f"{name} was {was}, is {now['on'][name]}" for name, was in then["on"].items() if was != now["on"][name]]
    if not differ:
        return ""
    if moved and set(differ) <= MEASURED:
        return f"cannot be told here, where the last bits may differ ({', '.join(moved)})"
    values = f" ({then['loss']:.7g}, now {now['loss']:.7g})" if differ[0] == "loss" else ""
    return f"another {SHOWN[differ[0]]}{values}"


def _others(then: object, now: object, name: str = "") -> Iterator[str]:
    """What was given then and is not now, or is another value. Keys that only now knows are younger than the training:
    what it records says whether they have their default, which means what always was."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key, value in then.items():
            place = f"{name}.{key}" if name else key
            yield from _others(value, now[key], place) if key in now else [f"{place} is gone"]
    elif _many(then) and _many(now) and len(then) == len(now):
        for number, (was, is_) in enumerate(zip(then, now, strict=True)):
            yield from _others(was, is_, f"{name}.{was.get('name', number)}")
    elif then != now:
        yield f"{name} was {then}, is {now}"


def _many(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(one, dict) for one in values)
