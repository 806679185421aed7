import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from tessera.data.ingest import build_manifest
from tessera.data.manifest import read_manifest, row_ids, write_manifest
from tessera.data.template import build_template
from tessera.errors import InputError
from tessera.params.data import Data

Competition = Callable[..., Data]


def test_a_row_an_image_with_what_is_known_of_it(competition: Competition) -> None:
    data = competition("volumes")
    rows = build_manifest(data).set_index("image_id")
    assert rows.index.tolist() == ["a", "b", "c", "t"]
    assert rows.subset.tolist() == ["train", "train", "train", "test"]
    a = rows.loc["a"]
    assert (a.height, a.width, a.depth, a.channels, a.slices) == (24, 40, 2, 1, "2/10")
    assert (a.group, a.stratum, a.image, a.label) == ("p_a", "kidney", "train/a/{slice}.tif", "train.csv")
    assert rows.loc["t"].label == ""
    files = [Path(data.source) / "train/a" / name for name in ("2.tif", "10.tif")]
    assert a.digest == hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    assert row_ids(a.to_frame().T.reset_index().rename(columns={"index": "image_id"}).iloc[0]) == ["a_2", "a_10"]


def test_without_groups_each_image_is_its_own(competition: Competition) -> None:
    rows = build_manifest(competition("masks", group=None, stratum=None, meta=[]))
    assert rows.group.tolist() == rows.image_id.tolist()
    assert set(rows.stratum) == {""}


def test_the_group_may_be_the_id(competition: Competition) -> None:
    rows = build_manifest(competition("masks", group="id"))
    assert rows.group.tolist() == rows.image_id.tolist()


def test_the_layout_may_name_the_group_and_more_than_the_slice(competition: Competition) -> None:
    data = competition(
        "volumes", train_images="train/{group}/{image_id}/{slice}_*.tif", group=None, stratum=None, meta=[]
    )
    source = Path(data.source)
    for day, (case, name) in enumerate([("case1", "a"), ("case1", "b"), ("case2", "c")]):
        folder = source / "train" / case / name
        folder.parent.mkdir(exist_ok=True)
        (source / "train" / name).rename(folder)
        for path in sorted(folder.iterdir()):
            path.rename(path.with_stem(f"{path.stem}_{day}"))
    rows = build_manifest(data).set_index("image_id")
    assert rows.group.tolist() == ["case1", "case1", "case2", "t"]
    assert rows.image.tolist()[:2] == ["train/case1/a/{slice}_0.tif", "train/case1/b/{slice}_1.tif"]
    assert rows.loc["b"].slices == "2/10"


def test_the_manifest_survives_its_file_with_the_users_columns(competition: Competition, tmp_path: Path) -> None:
    rows = build_manifest(competition("volumes", group=None))
    write_manifest(rows, tmp_path / "manifest.csv")
    found = read_manifest(tmp_path / "manifest.csv")
    pd.testing.assert_frame_equal(found, rows[found.columns], check_dtype=False)
    assert {"patient", "organ"} <= set(found.columns)
    assert read_manifest(tmp_path / "manifest.csv", "test").image_id.tolist() == ["t"]


def test_every_image_needs_its_pixel_size(competition: Competition) -> None:
    data = competition("masks", pixel_size="um")
    meta = Path(data.source) / "meta.csv"
    with pytest.raises(InputError, match=r"meta\.csv: no column 'um' \(data\.pixel_size\)"):
        build_manifest(data)
    meta.write_text("id,patient,organ,um\na,p,k,0.5\nb,q,k,\nc,r,k,-1\nt,s,k,wide\n")
    with pytest.raises(InputError) as error:
        build_manifest(data)
    for said in ("line 3: image 'b' has um ''", "line 4: image 'c' has um '-1'", "line 5: image 't' has um 'wide'"):
        assert f"meta.csv {said}; µm a pixel, above 0" in str(error.value)


def test_a_volume_in_one_file_names_its_slices_by_number(competition: Competition) -> None:
    data = competition("masks", train_images="vol/{image_id}.tif", train_masks="m/{image_id}/{slice}.png", channels="grey", test_images=None, sample_submission=None, meta=[], group=None, stratum=None)  # fmt: skip
    source = Path(data.source)
    (source / "vol").mkdir()
    (source / "m/v").mkdir(parents=True)
    pixels = np.zeros((12, 20, 30), np.uint16)
    tifffile.imwrite(source / "vol/v.tif", pixels, photometric="minisblack")
    for z in range(12):
        cv2.imwrite(str(source / f"m/v/{z}.png"), np.zeros((20, 30), np.uint8))
    row = build_manifest(data).iloc[0]
    assert (row.depth, row.height, row.width, row.slices) == (12, 20, 30, "/".join(map(str, range(12))))
    assert row_ids(row)[:2] == ["v_0", "v_1"]
    assert row.digest == hashlib.sha256((source / "vol/v.tif").read_bytes()).hexdigest()
    (source / "m/v/11.png").unlink()
    with pytest.raises(InputError, match=r"1 problem\(s\)\n.*m/v/11\.png"):
        build_manifest(data)


def test_a_file_a_slice_holds_one_slice(competition: Competition) -> None:
    data = competition("volumes")
    tifffile.imwrite(Path(data.source) / "train/a/2.tif", np.zeros((3, 24, 40), np.uint16), photometric="minisblack")
    with pytest.raises(InputError, match=r"train/a/2\.tif: holds 3 slices; a pattern with \{slice\} expects"):
        build_manifest(data)


def test_the_template_is_the_sample_submission_in_its_own_order(competition: Competition) -> None:
    data = competition("volumes")
    manifest = build_manifest(data)
    (Path(data.source) / "sample.csv").write_text("id,predicted\nt_10,\nt_2,1 1\n")
    template = build_template(data.model_copy(update={"sample_submission": "sample.csv"}), manifest)
    assert template.to_dict("list") == {"id": ["t_10", "t_2"], "predicted": ["", "1 1"]}
    assert build_template(data.model_copy(update={"sample_submission": None}), manifest).to_dict("list") == {
        "id": ["t_2", "t_10"], "rle": ["", ""],
    }  # fmt: skip


def test_a_template_with_other_ids_lists_each(competition: Competition) -> None:
    data = competition("volumes")
    manifest = build_manifest(data)
    (Path(data.source) / "sample.csv").write_text("id,rle\nt_2,\nt_2,\nt_3,\n")
    with pytest.raises(InputError) as error:
        build_template(data.model_copy(update={"sample_submission": "sample.csv"}), manifest)
    for said in ("sample.csv", "'t_3' has no test image", "'t_10' has no row", "'t_2' has two rows"):
        assert said in str(error.value)


def _template(competition: Competition, text: str, **changes: object) -> pd.DataFrame:
    """The template of the slices t_2 and t_10, from a sample submission of this text."""
    data = competition("volumes")
    manifest = build_manifest(data)
    (Path(data.source) / "sample.csv").write_text(text)
    return build_template(data.model_copy(update=changes), manifest)


SAMPLES = [
    ("rle,id,height\n,t_10,31\n,t_2,31\n", {}),
    ("height,class,id,predicted\n31,vessel,t_10,\n31,vessel,t_2,\n", {"rle_column": "predicted"}),
    ("predicted,id,class\n,t_10,vessel\n,t_2,vessel\n", {}),  # the only one left
]


@pytest.mark.parametrize(("text", "changes"), SAMPLES)
def test_a_template_may_have_more_columns_in_any_order(competition: Competition, text: str, changes: dict) -> None:
    template = _template(competition, text, **changes)
    assert template.id.tolist() == ["t_10", "t_2"]
    assert list(template.columns) == text.splitlines()[0].split(",")


def test_a_template_has_the_names_that_data_says_where_no_sample_submission_says_others(
    competition: Competition,
) -> None:
    keys = {"sample_submission": None, "id": "ImageId", "rle_column": "EncodedPixels", "classes": ["a", "b"]}
    assert _template(competition, "", **keys, task="multilabel", class_column="kind").to_dict("list") == {
        "ImageId": ["t_2", "t_2", "t_10", "t_10"], "kind": ["a", "b"] * 2, "EncodedPixels": [""] * 4,
    }  # fmt: skip


TWO = {"task": "multilabel", "classes": ["large_bowel", "stomach"], "class_names": {"Large bowel": "large_bowel"}}
ROWS = ["t_10,stomach,", "t_10,Large bowel,", "t_2,stomach,", "t_2,Large bowel,"]


@pytest.mark.parametrize("header", ["id,class,rle", "id,kind,rle", "id,class,predicted"])
def test_a_template_calls_classes_as_class_names_says(competition: Competition, header: str) -> None:
    template = _template(competition, "\n".join([header, *ROWS]) + "\n", **TWO)
    assert template.iloc[:, 1].tolist() == ["stomach", "Large bowel"] * 2


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("name,class,rle", ROWS, [r"has no column 'id' \(data\.id\); its columns are name, class, rle"]),
        ("id,kind,predicted", ROWS, [r"has no column 'class'.*data\.class_column", r"no column 'rle'.*data\.rle_column"]),
        ("id,class", [row[:-1] for row in ROWS], [r"has no column 'rle' \(data\.rle_column\); its columns are id, class"]),
        ("id,rle", ["t_10,", "t_2,"], [r"has no column 'class' \(data\.class_column\); its columns are id, rle"]),
        ("id,class,rle", ROWS[:-1], [r"id 't_2' has no row of class 'large_bowel'"]),
        ("id,class,rle", [*ROWS, ROWS[0]], [r"line 6: id 't_10' has two rows"]),
        ("id,class,rle", [*ROWS, "t_2,large_bowel,"], [r"line 6: id 't_2' has two rows"]),
        ("id,class,rle", [*ROWS, "t_2,Stomach,"], [r"line 6: class 'Stomach' is not known.*data\.class_names"]),
    ],
)  # fmt: skip
def test_what_a_template_lacks_is_said_with_the_key(
    competition: Competition, header: str, rows: list[str], said: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        _template(competition, "\n".join([header, *rows]) + "\n", **TWO)
    assert len(error.value.args) == len(said)
    for problem, piece in zip(error.value.args, said, strict=True):
        assert re.search(rf"sample\.csv.*{piece}", problem)


def test_several_columns_that_may_be_the_rle_are_not_guessed_at(competition: Competition) -> None:
    with pytest.raises(
        InputError, match=r"no column 'rle' \(data\.rle_column\); its columns are id, height, predicted"
    ):
        _template(competition, "id,height,predicted\nt_10,31,\nt_2,31,\n")


def test_equal_placeholders_before_the_ids_are_no_two_rows(competition: Competition) -> None:
    assert len(_template(competition, "rle,id\n1 1,t_10\n1 1,t_2\n")) == 2
