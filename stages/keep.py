"""keep: finished trainings that an edit of their code would not have changed stay, and are not run again.

No stage: run it by hand after such an edit. `keep train`, `keep full` or one of theirs, as `keep train@unet-0`. Each is
probed again (two steps on the CPU) and compared with the probe of its run record; only those that agree are committed.
"""

import json

import torch
from tqdm import tqdm

from stages import full, train
from stages.command import command
from stages.dvc import dvc
from tessera import paths
from tessera.errors import InputError
from tessera.learn.known import unlike_probe, unlike_record, unseen
from tessera.learn.probe import probe
from tessera.machine import Machine

CODE = ("stages/", "tessera/")
TOLD = (*CODE, str(paths.CLEAN), f"{paths.EXTRA_ROWS}/")  # what has changed of these, record and probe tell
GROUPS = ("train", "full")


def main(target: str) -> None:
    group = target.partition("@")[0]
    if group not in GROUPS:
        raise InputError(f"keep {target}: there are {', '.join(GROUPS)}, or one of theirs such as train@unet-0")
    changed = json.loads(dvc("status", "--json", target))
    for stage, changes in tqdm(changed.items(), desc="keep", unit="stage", disable=None):
        try:
            reason = _reason(stage, changes)
        except InputError as error:  # what this one lacks, others may have
            reason = f"it cannot be begun here: {str(error).splitlines()[0]}"
        if not reason:
            dvc("commit", "-f", stage)
        with tqdm.external_write_mode():
            print(f"{stage:<28}{f'runs again: {reason}' if reason else 'kept'}", flush=True)
    if not changed:
        print(f"{target}: nothing has changed")


def _reason(stage: str, changes: list[dict | str]) -> str:
    """Why a stage has to run again; empty when its code alone changed, and trains as it did."""
    group, _, item = stage.partition("@")
    model, fold = (item, paths.FULL) if group == "full" else item.split("-")
    path = paths.record(model, fold)
    if not path.exists():
        return f"{path} is not there: dvc pull brings it, if it was ever trained"
    changed = _changed(changes)
    if beyond := ", ".join(f"{name} {how}" for name, how in changed.items() if not name.startswith(TOLD)):
        return beyond
    fit = full.prepare(model) if group == "full" else train.prepare(model, int(fold))
    record = json.loads(path.read_text())
    if unlike := unlike_record(record, fit.said):
        return unlike
    if "probe" not in record:
        return f"{path} is older than probes are"
    if untold := unseen(record, changed):
        return untold
    return unlike_probe(record["probe"], probe(fit.training(Machine(torch.device("cpu"))), fit.material))


def _changed(changes: list[dict | str]) -> dict[str, str]:
    """What `dvc status` says has changed, and how."""
    files = [next(iter(change.values())) if isinstance(change, dict) else {change: ""} for change in changes]
    return {name: ", ".join(how) if isinstance(how, dict) else how for each in files for name, how in each.items()}


if __name__ == "__main__":
    command(main)
