"""The graph: dvc.yaml lists exactly what the stages import and read."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from closure import ROOT, import_closure, params_read

from tessera.params.load import Params
from tessera.params.section import Section

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
CODE = ("stages/", "tessera/")


def difference(listed: list[str], found: list[str]) -> str:
    """What is wrong with a list of dvc.yaml; empty when nothing is."""
    lines = [f"missing: {one}" for one in found if one not in listed]
    lines += [f"surplus: {one}" for one in listed if one not in found]
    return "\n".join([*lines, "the exact list is:", *(f"      - {one}" for one in found)]) if lines else ""


def code_of(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith(CODE)]


def test_every_stage_has_a_script_and_every_script_a_stage():
    by_hand = {
        "audit",
        "check",
        "diagnose",
        "keep",
        "leak_estimate",
        "pseudo",
    }  # commands that write no artefact of a stage
    shared = {
        "__init__",
        "asking",
        "command",
        "dvc",
        "evidence",
        "finished",
        "fit",
        "freezing",
        "options",
        "predicting",
    }
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - shared - by_hand
    assert scripts == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_import_closure(stage):
    assert not (wrong := difference(code_of(stage), import_closure(stage))), f"{stage}: deps in dvc.yaml\n{wrong}"


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_the_keys_read(stage):
    assert not (wrong := difference(STAGES[stage]["params"], params_read(stage))), (
        f"{stage}: params in dvc.yaml\n{wrong}"
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_removed_or_added_line_is_found(stage):
    """The two tests above do fail: each single line of each list is needed, and a further one is too much."""
    for listed, found in ((code_of(stage), import_closure(stage)), (STAGES[stage]["params"], params_read(stage))):
        for line in listed:
            assert f"missing: {line}" in difference([one for one in listed if one != line], found)
        assert "surplus: tessera/strange.py" in difference([*listed, "tessera/strange.py"], found)


def test_a_new_import_or_key_in_the_code_is_found(tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / "tessera").mkdir()
    (tmp_path / "tessera/near.py").write_text("def f():\n    from tessera import far\n")
    (tmp_path / "tessera/far.py").write_text("")
    (tmp_path / "tessera/typed.py").write_text("")
    text = "from tessera.near import f\nif TYPE_CHECKING:\n    from tessera.typed import T\n"
    (tmp_path / "stages/new.py").write_text(
        text + "def main(model):\n    params.models[model].lr\n    params.tile.model_dump()\n"
    )
    assert import_closure("new", tmp_path) == ["stages/new.py", "tessera/far.py", "tessera/near.py"]
    assert params_read("new", tmp_path) == ["models.${item.model}", "tile"]


def test_a_stage_may_not_pass_params_whole(tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/new.py").write_text("def main():\n    build(params)\n")
    with pytest.raises(AssertionError, match="passes `params` whole"):
        params_read("new", tmp_path)


@pytest.mark.parametrize("key", sorted({key for stage in STAGES.values() for key in stage["params"] if "$" not in key}))
def test_keys_that_dvc_reads_have_no_default(key):
    """DVC stops at a key that params.yaml leaves out."""
    section = Params
    for name in key.split("."):
        assert section.model_fields[name].is_required(), f"{key}: give it no default in tessera/params"
        section = section.model_fields[name].annotation
        if not (isinstance(section, type) and issubclass(section, Section)):
            break


def test_training_is_not_repeated_for_what_comes_after_it():
    rooms = ("tessera/predict/", "tessera/decide/", "tessera/deliver/")
    assert not [path for path in import_closure("train") if path.startswith(rooms)]


@pytest.mark.parametrize("stage", ["train", "oof", "predict"])
def test_stages_with_a_network_know_left_and_right(stage):
    """`data.flip_pairs` reaches them in tiles.h5: DVC stops at an optional key that params.yaml leaves out."""
    (task,) = re.findall(r"build_task\(.*\)", (ROOT / f"stages/{stage}.py").read_text())
    assert "store.flip_pairs" in task
    assert "data/tiles.h5" in STAGES[stage]["deps"]


def test_stages_are_short():
    for path in (ROOT / "stages").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 80, path


def test_what_fails_silently_in_dvc_is_not_used():
    for name, stage in STAGES.items():
        assert "always_changed" not in stage, name
        assert all(isinstance(out, str) for out in stage["outs"]), (
            f"{name}: outs are plain paths (cached, not persisted)"
        )
        assert "TESSERA_" not in stage["cmd"], name


def test_artefacts_are_ignored_by_git_and_code_is_not():
    outs = [
        out.replace("${item.model}", "m").replace("${item.fold}", "0") for s in STAGES.values() for out in s["outs"]
    ]
    assert git_ignores(outs) == set(outs)
    code = [path.relative_to(ROOT).as_posix() for room in CODE for path in (ROOT / room).rglob("*.py")]
    assert not git_ignores([*code, *(f"{Path(out).parts[0]}/.gitkeep" for out in outs)])


def git_ignores(paths: list[str]) -> set[str]:
    said = subprocess.run(["git", "check-ignore", "--no-index", *paths], cwd=ROOT, capture_output=True, text=True)
    if said.returncode == 128:
        pytest.skip(f"git cannot tell here: {said.stderr.strip()}")
    return set(said.stdout.split())
