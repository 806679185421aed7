"""The whole: every stage in order on a toy competition, in one process and by DVC."""

import json
import multiprocessing
import shutil

import h5py
import pandas as pd
import pytest
import torch
from repository import SOURCE, TOY_SAMPLE, Repository, inside, run_stage, run_stages, toy_params

from stages import audit
from stages.finished import DONE
from tessera import paths
from tessera.data.sample import write_sample
from tessera.errors import InputError
from tessera.learn.checkpoints import digest_of
from tessera.learn.lock import locked


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which every main() has run, and what each left before the next began."""
    folder = tmp_path_factory.mktemp("toy")
    params = toy_params()
    write_sample(folder / SOURCE, **TOY_SAMPLE)
    with inside(folder, params):
        run_stage("sample")
        run_stages(params)
    return folder


@pytest.fixture
def home(finished):
    with inside(finished):
        yield finished


def test_the_submission_has_the_sample_submissions_ids_in_its_order(home):
    wanted = pd.read_csv(f"{SOURCE}/sample_submission.csv")
    assert pd.read_csv(paths.SUBMISSION).id.tolist() == wanted.id.tolist()


def test_every_slice_is_predicted_out_of_fold_once(home):
    parts = pd.read_csv(paths.FOLDS)
    for fold in (0, 1):
        with h5py.File(paths.oof("flat", fold)) as file:
            assert set(file) == set(parts[parts.fold == fold].image_id)


def test_scores_say_how_they_came_about(home):
    scores = json.loads(paths.SCORES.read_text())
    assert scores["ensemble"]["crossfitted"] <= scores["ensemble"]["optimistic"] + 1e-9
    assert set(scores["models"]) == {"flat", "deep"}
    low, high = scores["ensemble"]["interval"]
    assert low <= scores["ensemble"]["crossfitted"] <= high


def test_the_audit_shows_rows_to_review(home, monkeypatch):
    monkeypatch.setattr(audit, "refuse_stale", lambda: None)  # here the stages ran without DVC
    audit.main(shown=2)
    page = paths.AUDIT.read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 2
    assert "drop: [" in page and "http" not in page


def test_the_report_needs_no_network(home):
    page = paths.REPORT.read_text()
    assert 'src="http' not in page and 'href="http' not in page


def half_written():
    """What is in scratch/ beside locks and what finished trainings left."""
    files = [path for path in paths.SCRATCH.rglob("*") if path.is_file()]
    return [path for path in files if path.suffix != ".lock" and path.parent.name != DONE]


def forget_training(model, fold):
    """Lets the same training begin again."""
    for state in paths.SCRATCH.glob(f"train/{model}-{fold}-*"):
        shutil.rmtree(state)


def test_nothing_half_written_is_left(home):
    assert not half_written()


def test_training_again_gives_the_same_bytes(home):
    before = paths.weights("deep", 0).read_bytes()
    forget_training("deep", 0)
    run_stage("train", "deep", 0)
    assert paths.weights("deep", 0).read_bytes() == before


@pytest.mark.parametrize("finished_epochs", [1, 2])
def test_a_killed_training_goes_on_after_its_last_epoch(home, monkeypatch, finished_epochs):
    """Killed right after an epoch was saved, the rerun neither repeats it nor ends elsewhere."""
    from tessera.learn.progress import Clock

    before, said = paths.weights("deep", 0).read_bytes(), []

    def say(self, row):
        said.append(row["epoch"])
        if len(said) == finished_epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(Clock, "say", say)
    forget_training("deep", 0)
    with pytest.raises(KeyboardInterrupt):
        run_stage("train", "deep", 0)
    run_stage("train", "deep", 0)
    assert said == [1, 2]
    assert paths.weights("deep", 0).read_bytes() == before


def test_a_second_trainer_is_refused(home):
    fork = multiprocessing.get_context("fork")
    held, done = fork.Event(), fork.Event()

    def hold():
        with locked(paths.SCRATCH / "train" / "deep-0.lock"):
            held.set()
            done.wait()

    first = fork.Process(target=hold)
    first.start()
    held.wait()
    try:
        with pytest.raises(InputError, match=rf"deep-0\.lock is held by process {first.pid}"):
            run_stage("train", "deep", 0)
    finally:
        done.set()
        first.join()


def test_oof_refuses_a_checkpoint_that_saw_the_part(home):
    own = paths.weights("deep", 1).read_bytes()
    paths.weights("deep", 1).write_bytes(paths.weights("deep", 0).read_bytes())
    try:
        with pytest.raises(InputError, match="has seen what it should predict"):
            run_stage("oof", "deep", 1)
    finally:
        paths.weights("deep", 1).write_bytes(own)


def test_a_network_of_all_folds_predicts_as_params_say_and_never_out_of_fold(home, capsys):
    def run(*stages, **train):
        params = toy_params()
        params["train"] |= train
        with inside(home, params):
            for stage in stages:
                run_stage(*stage)

    def predict(**train):
        run(("predict", "flat"), **train)
        with h5py.File(paths.predictions("flat")) as file:
            return list(file.attrs["checkpoints"])

    files = paths.predictions("flat"), paths.oof("flat", 0), paths.weights("flat", 0)
    before = [path.read_bytes() for path in files]
    run(("extra",), ("full", "flat"), full=["flat"])
    full = paths.weights("flat", paths.FULL)
    record = json.loads(paths.record("flat", paths.FULL).read_text())
    assert record["score_last"] is None
    assert {box[0] for box in record["parts"]} == set(pd.read_csv(paths.FOLDS).image_id)
    folds = [digest_of(paths.weights("flat", fold)) for fold in (0, 1)]
    assert predict(full=["flat"], full_use="beside") == [*folds, digest_of(full)]
    assert predict(full=["flat"], full_use="alone") == [digest_of(full)]
    assert "left over" not in capsys.readouterr().out
    assert predict(full=[]) == folds
    assert f"left over and not read; remove with: rm {full}" in capsys.readouterr().out
    run_stage("oof", "flat", 0)
    assert [path.read_bytes() for path in files] == before
    shutil.copy(full, paths.weights("flat", 0))
    with pytest.raises(InputError, match="the checkpoint of flat fold full has seen what it should predict"):
        run_stage("oof", "flat", 0)
    paths.weights("flat", 0).write_bytes(before[2])


@pytest.mark.parametrize(("stage", "fold"), [("predict", ()), ("oof", (0,))])
def test_a_killed_prediction_goes_on_with_the_next_item(home, monkeypatch, stage, fold):
    from tessera.predict import write

    path = paths.oof("flat", 0) if fold else paths.predictions("flat")
    before, written, predict = path.read_bytes(), [], write._write_item

    def once(*arguments):
        if written:
            raise KeyboardInterrupt
        predict(*arguments)
        written.append(arguments[0])

    monkeypatch.setattr(write, "_write_item", once)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, "flat", *fold)
    (kept,) = written
    assert kept.parent.parent == paths.SCRATCH / "predict"
    monkeypatch.setattr(write, "_write_item", lambda file, *rest: (written.append(file), predict(file, *rest)))
    run_stage(stage, "flat", *fold)
    assert written.count(kept) == 1 < len(written)
    assert path.read_bytes() == before
    assert not [left for left in (paths.SCRATCH / "predict").glob("flat-*") if left.is_dir()]


def test_compiled_networks_predict_and_strange_views_are_warned_of(home, monkeypatch, capsys):
    path = paths.predictions("flat")
    before, compiled, params = path.read_bytes(), [], toy_params()
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network: compiled.append(network))
    run_stage("predict", "flat")
    assert (compiled, "predict.views" in capsys.readouterr().out) == ([], False)
    monkeypatch.setenv("TESSERA_COMPILE", "1")
    params["predict"] |= {"views": ["identity", "rot90@0.5"], "store": "merged", "merge": "logits"}
    with inside(home, params):
        run_stage("predict", "flat")
    assert len(compiled) == 2
    said = capsys.readouterr().out
    assert "predict.views rot90@0.5: training never showed flat such windows" in said
    with h5py.File(path) as file:
        assert file.attrs["merge"] == "logits"
        assert {view for item in file.values() for view in item} == {"merged"}
    path.write_bytes(before)
    with inside(home, toy_params()):  # as it was
        pass


def test_submit_refuses_scores_that_its_own_csv_does_not_give(home):
    text = paths.SCORES.read_text()
    scores = json.loads(text)
    scores["ensemble"]["crossfitted"] += 1e-6
    paths.SCORES.write_text(json.dumps(scores))
    before = paths.SUBMISSION.read_bytes()
    try:
        with pytest.raises(InputError, match="read back scores"):
            run_stage("submit")
    finally:
        paths.SCORES.write_text(text)
    assert paths.SUBMISSION.read_bytes() == before


def test_a_sample_submission_with_columns_of_its_own_is_filled(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    before = pd.read_csv(paths.SUBMISSION)
    for name in ("sample_submission", "solution"):
        table = pd.read_csv(f"{SOURCE}/{name}.csv")
        table[["rle", "id"]].assign(height=7).to_csv(f"{SOURCE}/{name}.csv", index=False)
    run_stage("ingest")
    run_stage("submit")
    after = pd.read_csv(paths.SUBMISSION)
    assert before.rle.notna().any()
    pd.testing.assert_frame_equal(after, before[["rle", "id"]].assign(height=7))


@pytest.mark.parametrize("stage", ["ingest", "tile"])
def test_bad_input_leaves_nothing_half_written(finished, tmp_path, monkeypatch, stage):
    """The last test slice is cut short after ingest has (not) seen it."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    left = {"ingest": [paths.MANIFEST, paths.SAMPLE_SUBMISSION], "tile": [paths.TILES, paths.PATCHES]}[stage]
    for path in left:  # DVC removes a stage's outs before it runs it
        path.unlink()
    broken = sorted(tmp_path.glob(f"{SOURCE}/test_images/*/*.tif"))[-1]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(InputError, match=broken.name):
        run_stage(stage)
    assert not [path for path in left if path.exists()]
    assert not half_written()


def test_an_edit_of_code_that_changes_no_training_keeps_them(finished, tmp_path):
    params = toy_params()
    params["fold"]["run"] = [0]
    home = Repository.create(tmp_path, params)
    for folder in ("data", "folds", "checkpoints"):
        shutil.copytree(finished / folder, tmp_path / folder, dirs_exist_ok=True)
    home.run("dvc", "commit", "-f", "train")
    before = home.read(paths.weights("flat", 0))

    home.edit("tessera/learn/loop.py", "import time\n", "import time  # of steps\n")
    shutil.copy(tmp_path / "tessera/learn/losses/mcc.py", tmp_path / "tessera/learn/losses/new.py")
    home.edit(
        "tessera/learn/losses/build.py", "import mcc\n", "import mcc\nfrom tessera.learn.losses.new import mcc as new\n"
    )
    home.edit("tessera/learn/losses/build.py", '"mcc": mcc,', '"mcc": mcc, "new": new,')
    home.edit(
        "tessera/params/loss.py", "    lovasz: Region", "    new: Region | None = later(None)\n    lovasz: Region"
    )
    line = "      - tessera/learn/losses/mcc.py\n"
    home.edit("dvc.yaml", line, line + line.replace("mcc", "new"))
    assert set(json.loads(home.run("dvc", "status", "--json", "train"))) == {"train@flat-0", "train@deep-0"}
    said = home.run("python", "-m", "stages.keep", "train")
    assert said.count(" kept\n") == 2
    assert json.loads(home.run("dvc", "status", "--json", "train")) == {}
    assert home.read(paths.weights("flat", 0)) == before

    home.edit("tessera/params/mix.py", "mixup: Share = 0 ", "mixup: Share = 0.2 ")  # which records leave out
    said = home.run("python", "-m", "stages.keep", "train")
    assert said.count("runs again: mix.mixup was 0, is 0.2\n") == 2
    home.edit("tessera/params/mix.py", "mixup: Share = 0.2 ", "mixup: Share = 0 ")
    home.edit("tessera/params/model.py", "ge=0, default=0.01)", "ge=0, default=0.02)")
    home.params["models"]["deep"]["lr"] = 0.1
    home.write_params()
    said = home.run("python", "-m", "stages.keep", "train")
    assert "train@flat-0                runs again: weight_decay was 0.01, is 0.02\n" in said
    assert "train@deep-0                runs again: params.yaml models.deep\n" in said
    home.edit("tessera/params/model.py", "ge=0, default=0.02)", "ge=0, default=0.01)")
    home.edit("tessera/learn/losses/valid.py", "SMOOTH = 1.0", "SMOOTH = 2.0")
    said = home.run("python", "-m", "stages.keep", "train@flat-0")
    assert "train@flat-0                runs again: another loss of two steps" in said
    assert set(json.loads(home.run("dvc", "status", "--json", "train"))) == {"train@flat-0", "train@deep-0"}
    assert home.read(paths.weights("flat", 0)) == before
