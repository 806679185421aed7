from pathlib import Path

import pytest

from tessera.data.layout import find_items, natural
from tessera.errors import InputError


def _touch(source: Path, *names: str) -> Path:
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    return source


def test_slices_stand_in_natural_order(tmp_path: Path) -> None:
    source = _touch(tmp_path, *(f"v/{name}.tif" for name in ("10", "2", "1", "100", "20")))
    (item,) = find_items(source, "{image_id}/{slice}.tif")
    assert item.slices == ("1", "2", "10", "20", "100")
    assert [path.stem for path in item.files(source)] == list(item.slices)


@pytest.mark.parametrize(
    "ordered", [["a1b2", "a1b10", "a2b1"], ["a", "1", "2"], ["z2", "z10", "z10a"], ["s_9", "s_10"], ["007", "8"]]
)
def test_numbers_inside_names_count_as_numbers(ordered: list[str]) -> None:
    backwards = ordered[::-1]
    assert sorted(backwards, key=natural) == ordered


def test_the_order_does_not_depend_on_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [_touch(tmp_path, f"v/{name}.tif") / f"v/{name}.tif" for name in ("1", "01", "001")]
    orders = []
    for listed in (files, files[::-1]):
        monkeypatch.setattr(Path, "glob", lambda self, pattern, listed=listed: iter(listed))
        orders.append(find_items(tmp_path, "{image_id}/{slice}.tif")[0].slices)
    assert orders[0] == orders[1]


def test_images_are_found_by_id_and_have_no_slices(tmp_path: Path) -> None:
    source = _touch(tmp_path, "train/b.png", "train/a.png", "train/a.txt", "train/deep/c.png", "test/t.png")
    items = find_items(source, "train/{image_id}.png")
    assert [(item.image_id, item.slices) for item in items] == [("a", ()), ("b", ())]
    assert items[0].files(source) == [source / "train/a.png"]


def test_parts_of_a_name_around_the_id_are_literal(tmp_path: Path) -> None:
    source = _touch(tmp_path, "scan.a.x.tif", "scan.a-x.tif")
    assert [item.image_id for item in find_items(source, "scan.{image_id}.x.tif")] == ["a"]


def test_nothing_found_names_folder_and_pattern(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file matches 'train/\{image_id\}\.png'"):
        find_items(tmp_path, "train/{image_id}.png")


def test_a_star_stands_for_any_part_of_a_name_and_is_filled_in(tmp_path: Path) -> None:
    source = _touch(tmp_path, *(f"v/scan_{n}_266_1.50.png" for n in (10, 9)), "v/scan_1.png", "w/scan_1_310_1.63.png")
    v, w = find_items(source, "{image_id}/{slice}_*_*.png")
    assert (v.pattern, v.slices) == ("v/{slice}_266_1.50.png", ("scan_9", "scan_10"))
    assert v.files(source) == [source / "v/scan_9_266_1.50.png", source / "v/scan_10_266_1.50.png"]
    assert w.pattern == "w/{slice}_310_1.63.png"


def test_stars_that_differ_between_slices_name_each_file(tmp_path: Path) -> None:
    source = _touch(tmp_path, "v/2-at-noon.tif", "v/10-at-one.tif")
    (item,) = find_items(source, "{image_id}/{slice}-at-*.tif")
    assert (item.pattern, item.slices) == ("v/2-at-noon.tif//v/10-at-one.tif", ("2", "10"))
    assert item.files(source) == [source / "v/2-at-noon.tif", source / "v/10-at-one.tif"]


def test_images_may_have_stars_in_folders_and_names(tmp_path: Path) -> None:
    source = _touch(tmp_path, "one/a_x.png", "two/b_y.png", "deep/er/c_z.png")
    items = find_items(source, "*/{image_id}_*.png")
    assert [(item.image_id, item.pattern) for item in items] == [("a", "one/a_x.png"), ("b", "two/b_y.png")]


def test_two_files_of_a_slice_are_both_named(tmp_path: Path) -> None:
    source = _touch(tmp_path, "v/1_a.png", "v/1_b.png")
    with pytest.raises(InputError, match="v/1_a.png and v/1_b.png are both slice '1' of image 'v'"):
        find_items(source, "{image_id}/{slice}_*.png")


def test_an_image_in_two_groups_is_named_with_both(tmp_path: Path) -> None:
    source = _touch(tmp_path, "k/v/1.png", "l/v/2.png")
    with pytest.raises(InputError, match="k/v/1.png and l/v/2.png put image 'v' into two groups"):
        find_items(source, "{group}/{image_id}/{slice}.png")


def test_two_files_of_an_image_are_both_named(tmp_path: Path) -> None:
    source = _touch(tmp_path, "a_2.png", "a_1.png", "b_1.png", "c_1.png", "c_9.png")
    with pytest.raises(InputError) as error:
        find_items(source, "{image_id}_*.png")
    assert len(error.value.args) == 2
    assert "a_1.png and a_2.png are both image 'a'; one file is expected" in error.value.args[0]


def test_a_folder_or_a_part_of_the_name_is_the_group(tmp_path: Path) -> None:
    source = _touch(tmp_path, "train/case2/case2_day1/scans/slice_0001_266_266_1.50_1.50.png", "p7-left.png")
    (day,) = find_items(source, "train/{group}/{image_id}/scans/{slice}_*_*_*_*.png")
    assert (day.image_id, day.group, day.slices) == ("case2_day1", "case2", ("slice_0001",))
    (eye,) = find_items(source, "{group}-{image_id}.png")
    assert (eye.image_id, eye.group) == ("left", "p7")


@pytest.mark.parametrize("name", ["a b", "[1]", "a+b(c)", "ü", "x²", "-1", "a.b", "{x}", "a_b_c"])
def test_strange_names_are_names(tmp_path: Path, name: str) -> None:
    source = _touch(tmp_path, f"[t]/{name}/{name}_0.png", f"[t]/{name}/{name}{name}_0.png")
    (item,) = find_items(source, "[t]/{image_id}/{slice}_*.png")
    assert (item.image_id, set(item.slices)) == (name, {name, name + name})
    assert all(path.is_file() for path in item.files(source))
