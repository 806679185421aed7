"""How every benchmark runs a whole pipeline and writes its table."""

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "segmentation-models-pytorch", "timm", "albumentations", "numpy", "opencv-python-headless", "dvc")


class Finished(NamedTuple):
    """A `dvc repro` that has run: seconds by stage in order, of the whole, and its peak memory."""

    stages: list[tuple[str, float]]
    seconds: float
    peak_rss: int  # bytes, of the largest single process


def clone(folder: Path) -> Path:
    """A fresh clone of the committed state, as a new user would have it."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder


def repro(folder: Path, *targets: str) -> Finished:
    """Runs `dvc repro` in a clone, its output passed through."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    start = time.perf_counter()
    process = subprocess.Popen(
        ["dvc", "repro", *targets], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    begun: list[tuple[str, float]] = []
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if found := re.search(r"Running stage '(\S+)'", line):
            begun.append((found[1], time.perf_counter()))
    _, status, usage = os.wait4(process.pid, 0)
    end = time.perf_counter()
    if status:
        sys.exit(f"dvc repro failed in {folder}")
    ends = [moment for _, moment in begun[1:]] + [end] * bool(begun)  # nothing runs where nothing is stale
    stages = [(name, after - moment) for (name, moment), after in zip(begun, ends, strict=True)]
    return Finished(stages, end - start, usage.ru_maxrss * 1024)


def write_results(
    name: str,
    title: str,
    command: str,
    tables: list[tuple[list[str], list[list]]],
    rows: list[dict],
    note: str = "",
    begun: dict | None = None,
    **more: object,
) -> None:
    """Writes results/<name>.md (the tables) and .json (rows of what, ours, peer, peer_name, ratio, goal, met; and `more`).

    begun: the `checkout` when it began, of what runs in it, not in a clone.
    """
    about = {
        "command": command, "date": datetime.now(UTC).strftime("%Y-%m-%d"), **(begun or {"commit": commit()}),
        "machine": f"{os.cpu_count()} × {processor()}", "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
    }  # fmt: skip
    lines = [f"# {title}", "", f"`{command}` on {about['machine']}, commit {about['commit']}, {about['date']}."]
    if begun and (said := said_of(begun, checkout())):
        lines += ["", said]
    lines += ["", ", ".join(f"{package} {number}" for package, number in about["versions"].items()) + "."]
    for header, body in [
        *tables,
        (
            ["claim", "measured", "goal", "met"],
            [[r["what"], r["ours"], r["goal"], "yes" if r["met"] else "NO"] for r in rows],
        ),
    ]:
        lines += ["", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        lines += ["| " + " | ".join(map(str, row)) + " |" for row in body]
    text = "\n".join(lines + (["", note] if note else [])) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.json").write_text(
        json.dumps(about | {"rows": rows} | more, indent=1, ensure_ascii=False) + "\n"
    )
    print(f"\n{text}")


def claim(what: str, ours: object, goal: str, met: bool) -> dict:
    """A row without a peer."""
    return {"what": what, "ours": ours, "peer": None, "peer_name": None, "ratio": None, "goal": goal, "met": bool(met)}


def commit(root: Path = ROOT) -> str:
    """The commit that a clone gets."""
    return subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def checkout(root: Path = ROOT) -> dict[str, object]:
    """What runs: the commit, the files that differ from it but for results, and a digest of all code, which says what
    ran where git does not (of a copy on a rented machine, say): commit and changed are then None."""
    code = hashlib.sha256()
    for path in sorted(path for room in ("tessera", "stages", "benchmarks") for path in root.glob(f"{room}/**/*.py")):
        code.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    found: dict[str, object] = {"commit": None, "changed": None, "code": code.hexdigest()[:12]}
    if not (root / ".git").exists():
        return found
    status = ["git", "status", "--porcelain", "--untracked-files=all", "--", ".", ":!benchmarks/results"]
    try:
        said = subprocess.run(status, cwd=root, capture_output=True, text=True, check=True).stdout
        return found | {"commit": commit(root), "changed": [line[3:] for line in said.splitlines()]}
    except (OSError, subprocess.CalledProcessError):  # no git, or one that does not trust the folder's owner
        return found


def said_of(begun: dict, now: dict) -> str:
    """What a person must know of a checkout that is not, or not all the time, the commit it names; else nothing."""
    lines = []
    if begun["commit"] is None:
        lines.append(
            f"No commit: git did not say. The code's digest is {begun['code']} (`benchmarks.results.checkout`)."
        )
    if changed := begun["changed"]:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        lines.append(f"Not the commit alone: changed were {', '.join(f'`{name}`' for name in changed[:5])}{more}.")
    if any(begun[key] != now[key] for key in ("commit", "code")):
        lines.append(f"The checkout changed meanwhile, to commit {now['commit']}, code {now['code']}.")
    return " ".join(lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # which a rented machine may lack, if this benchmark does not need it
        return "not installed"


def processor() -> str:
    """The processor's name."""
    try:
        return re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()
