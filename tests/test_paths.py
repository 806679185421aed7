from pathlib import Path

import pytest

from tessera import paths


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _files() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def test_a_written_file_appears_at_the_end_and_scratch_is_empty() -> None:
    with paths.writing(Path("a/b/c.txt")) as path:
        path.write_text("new")
        assert path.parent == paths.SCRATCH
        assert not Path("a").exists()
    assert _files() == ["a/b/c.txt"]
    assert Path("a/b/c.txt").read_text() == "new"


def _fail_to_write(target: str, error: type[BaseException]) -> None:
    with paths.writing(Path(target)) as path:
        path.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_neither_the_file_nor_a_temporary(error: type[BaseException]) -> None:
    with pytest.raises(error):
        _fail_to_write("a/b.txt", error)
    assert _files() == []


def test_a_failure_leaves_the_old_file() -> None:
    Path("b.txt").write_text("old")
    with pytest.raises(RuntimeError):
        _fail_to_write("b.txt", RuntimeError)
    assert _files() == ["b.txt"]
    assert Path("b.txt").read_text() == "old"


def test_an_old_file_is_replaced() -> None:
    Path("b.txt").write_text("old")
    with paths.writing(Path("b.txt")) as path:
        path.write_text("new")
    assert Path("b.txt").read_text() == "new"


def test_in_scratch_the_temporary_is_beside_the_file() -> None:
    """A folder there may be a link to another disk, across which nothing is renamed."""
    with paths.writing(paths.SCRATCH / "train/a/probe.json") as path:
        path.write_text("new")
        assert path == paths.SCRATCH / "train/a/new-probe.json"
    assert _files() == ["scratch/train/a/probe.json"]


def test_two_files_of_one_name_in_two_folders_do_not_meet() -> None:
    with paths.writing(Path("a/x.txt")) as first, paths.writing(Path("b/x.txt")) as second:
        first.write_text("a")
        second.write_text("b")
    assert (Path("a/x.txt").read_text(), Path("b/x.txt").read_text()) == ("a", "b")


def test_every_model_and_fold_has_its_own_artefacts() -> None:
    places = [
        make(model, fold)
        for make in (paths.weights, paths.record, paths.history, paths.first_batch, paths.oof)
        for model in "ab"
        for fold in (0, 1)
    ]
    assert len(set(places)) == len(places)


def test_left_over_files_are_named_with_the_command_that_removes_them() -> None:
    for model, fold in (("a", 0), ("a", 1), ("old", 0)):
        path = paths.oof(model, fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    declared = [paths.oof("a", 0), paths.oof("a", 1)]
    (line,) = paths.undeclared("oof/*/fold_*.h5", declared)
    assert "rm oof/old/fold_0.h5" in line
    assert paths.undeclared("oof/a/fold_*.h5", declared) == []


@pytest.mark.parametrize(
    ("full", "use", "names"),
    [
        ([], "alone", ["fold_0", "fold_2"]),
        (["a"], "beside", ["fold_0", "fold_2", "full"]),
        (["a"], "alone", ["full"]),
        (["b"], "alone", ["fold_0", "fold_2"]),
    ],
)
def test_the_networks_that_predict_test_images(full: list[str], use: str, names: list[str]) -> None:
    assert paths.predicting("a", [0, 2], full, use) == [
        Path(f"checkpoints/weights/a/{name}.safetensors") for name in names
    ]
