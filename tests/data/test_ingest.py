import hashlib
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
from tessera.params import Data

Competition = Callable[..., Data]


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _png(path: Path, pixels: np.ndarray) -> None:
    assert cv2.imwrite(str(path), pixels)


def _row(path: Path, number: int, *cells: str) -> None:
    """Replaces a line of a csv (0 is the header), or adds one."""
    lines = path.read_text().splitlines()
    lines[number : number + 1] = [",".join(cells)]
    path.write_text("\n".join(lines) + "\n")


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


def test_the_manifest_survives_its_file_with_the_users_columns(competition: Competition, tmp_path: Path) -> None:
    rows = build_manifest(competition("volumes", group=None))
    write_manifest(rows, tmp_path / "manifest.csv")
    found = read_manifest(tmp_path / "manifest.csv")
    pd.testing.assert_frame_equal(found, rows[found.columns], check_dtype=False)
    assert {"patient", "organ"} <= set(found.columns)
    assert read_manifest(tmp_path / "manifest.csv", "test").image_id.tolist() == ["t"]


# How the raw folder is broken, and what the error says of it.
VOLUME_FAULTS = {
    "truncated tiff": (lambda s: _cut(s / "train/a/2.tif"), ["train/a/2.tif"]),
    "zero bytes": (lambda s: (s / "test/t/10.tif").write_bytes(b""), ["test/t/10.tif: is empty"]),
    "slices of two sizes": (
        lambda s: tifffile.imwrite(s / "test/t/2.tif", np.zeros((9, 8), np.uint16)),
        ["test/t/{slice}.tif: the slices of a volume must be alike", "(9, 8, 1)", "(31, 37, 1)"],
    ),
    "slices of two types": (
        lambda s: tifffile.imwrite(s / "test/t/2.tif", np.zeros((31, 37), np.uint8)),
        ["test/t/{slice}.tif: the slices of a volume must be alike", "uint8", "uint16"],
    ),
    "odd rle": (lambda s: _row(s / "train.csv", 1, "a_2", "1 2 3"), ["train.csv line 2 (id a_2)", "3 numbers"]),
    "rle outside": (
        lambda s: _row(s / "train.csv", 6, "c_10", "900 200"), ["train.csv line 7 (id c_10)", "outside a 40×24 image"],
    ),
    "rle row without image": (
        lambda s: _row(s / "train.csv", 7, "z_1", ""), ["train.csv line 8: id 'z_1' has no image"],
    ),
    "image without rle row": (
        lambda s: _row(s / "train.csv", 1, "other", ""), ["train.csv: no row for id 'a_2'", "'other' has no image"],
    ),
    "two rle rows": (lambda s: _row(s / "train.csv", 7, "b_2", ""), ["train.csv line 8: id 'b_2'", "second time"]),
    "id in train and test": (
        lambda s: (s / "test/t").rename(s / "test/b"), ["id 'b' stands for two images", "train/b", "test/b"],
    ),
    "no group": (lambda s: _edit(s / "meta.csv", "p_b", ""), ["meta.csv line 3: image 'b' has no patient (data.group)"]),
    "no stratum": (lambda s: _edit(s / "meta.csv", "liver", ""), ["meta.csv line 3: image 'b' has no organ (data.stratum)"]),
    "no meta row": (
        lambda s: _edit(s / "meta.csv", "c,p_c,liver\n", ""), ["meta.csv: no row for image 'c'", "train/c"],
    ),
    "two meta rows": (lambda s: _row(s / "meta.csv", 5, "b", "x", "y"), ["meta.csv line ", "id 'b' has a second row"]),
    "no group column": (
        lambda s: _edit(s / "meta.csv", "patient", "person"),
        ["meta.csv: no column 'patient' (data.group); there are id, person, organ"],
    ),
}  # fmt: skip
MASK_FAULTS = {
    "truncated png": (lambda s: _cut(s / "train/a.png"), ["train/a.png: is truncated"]),
    "mask of another size": (
        lambda s: _png(s / "masks/a.png", np.zeros((40, 24), np.uint8)), ["masks/a.png", "40×24", "24×40"],
    ),
    "undeclared value": (
        lambda s: _png(s / "masks/b.png", np.eye(33, 20, dtype=np.uint8) * 7),
        ["masks/b.png: value 7 at row 0, column 0 (20 such pixels)", "data.positive 1", "data.ignore 2"],
    ),
    "mask in colours": (
        lambda s: _png(s / "masks/b.png", np.arange(33 * 20 * 3, dtype=np.uint8).reshape(33, 20, 3)),
        ["masks/b.png: a mask must be grey"],
    ),
    "no mask": (lambda s: (s / "masks/c.png").unlink(), ["masks/c.png: cannot be opened"]),
    "mask without image": (
        lambda s: _png(s / "masks/stray.png", np.zeros((4, 4), np.uint8)), ["masks/stray.png: this mask has no image"],
    ),
    "truncated mask": (lambda s: _cut(s / "masks/c.png"), ["masks/c.png: is truncated"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "fault"), [("volumes", name) for name in VOLUME_FAULTS] + [("masks", name) for name in MASK_FAULTS]
)
def test_a_fault_is_named_with_its_place(competition: Competition, kind: str, fault: str) -> None:
    data = competition(kind)
    break_it, said = (VOLUME_FAULTS | MASK_FAULTS)[fault]
    break_it(Path(data.source))
    with pytest.raises(InputError) as error:
        build_manifest(data)
    for piece in said:
        assert piece in str(error.value)


def test_all_faults_are_listed_in_one_error(competition: Competition) -> None:
    data = competition("volumes")
    faults = ("truncated tiff", "zero bytes", "rle outside", "rle row without image", "no group")
    for name in faults:
        VOLUME_FAULTS[name][0](Path(data.source))
    with pytest.raises(InputError) as error:
        build_manifest(data)
    for name in faults:
        for piece in VOLUME_FAULTS[name][1]:
            assert piece in str(error.value)
    assert f"{len(faults)} problem(s)" in str(error.value)


def test_a_truncated_jpeg_is_named(competition: Competition) -> None:
    data = competition("masks", train_images="train/{image_id}.jpg")
    source = Path(data.source)
    for path in sorted((source / "train").glob("*.png")):
        _png(path.with_suffix(".jpg"), cv2.imread(str(path)))
    _cut(source / "train/b.jpg")
    with pytest.raises(InputError, match=r"1 problem\(s\)\n.*train/b\.jpg: is truncated"):
        build_manifest(data)


def test_mixed_channels_need_a_conversion(competition: Competition) -> None:
    data = competition("masks", channels="all")
    _png(Path(data.source) / "train/c.png", np.zeros((40, 24), np.uint8))
    with pytest.raises(InputError, match=r"train/c\.png: has 1 channels, train/a\.png has 3; set data\.channels"):
        build_manifest(data)
    assert set(build_manifest(data.model_copy(update={"channels": "grey"})).channels) == {1}


def test_the_columns_of_several_meta_files_are_named(competition: Competition) -> None:
    data = competition("masks", meta=["meta.csv", "more.csv"], group="hospital")
    (Path(data.source) / "more.csv").write_text("id,age\nz,7\n")
    with pytest.raises(InputError, match=r"no column 'hospital' \(data\.group\); there are id, patient, organ, age$"):
        build_manifest(data)


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
        _png(source / f"m/v/{z}.png", np.zeros((20, 30), np.uint8))
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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "nowhere"}, "nowhere: no such folder"),
        ({"train_images": "train/{image_id}.bmp"}, "no file matches 'train/{image_id}.bmp'"),
        ({"meta": ["gone.csv"]}, "gone.csv: cannot be read"),
        ({"id": "image"}, "meta.csv: has no column 'image'"),
    ],
)
def test_what_is_not_there_is_named(competition: Competition, changes: dict, said: str) -> None:
    with pytest.raises(InputError) as error:
        build_manifest(competition("masks", **changes))
    assert said in str(error.value)


def test_the_template_is_the_sample_submission_in_its_own_order(competition: Competition) -> None:
    data = competition("volumes")
    manifest = build_manifest(data)
    (Path(data.source) / "sample.csv").write_text("id,predicted\nt_10,\nt_2,1 1\n")
    template = build_template(Path(data.source), "sample.csv", "id", manifest)
    assert template.to_dict("list") == {"id": ["t_10", "t_2"], "predicted": ["", "1 1"]}
    assert build_template(Path(data.source), None, "id", manifest).to_dict("list") == {
        "id": ["t_2", "t_10"], "rle": ["", ""],
    }  # fmt: skip


def test_a_template_with_other_ids_lists_each(competition: Competition) -> None:
    data = competition("volumes")
    manifest = build_manifest(data)
    (Path(data.source) / "sample.csv").write_text("id,rle\nt_2,\nt_2,\nt_3,\n")
    with pytest.raises(InputError) as error:
        build_template(Path(data.source), "sample.csv", "id", manifest)
    for said in ("sample.csv", "'t_3' has no test image", "'t_10' has no row", "'t_2' has two rows"):
        assert said in str(error.value)
