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
