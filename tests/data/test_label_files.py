"""Which files a pattern means, and that the folder is looked at once."""

from pathlib import Path

import pytest

from tessera.data.annotations.files import LabelFiles
from tessera.data.layout import Item
from tessera.errors import InputError


def files_of(source: Path, pattern: str, *names: str) -> LabelFiles:
    for name in names:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return LabelFiles(source, pattern)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("{image_id}_*.png", ["a_1.png", "a_1_x.png"]),
        ("./m//{image_id}_*.png", ["m/a_1.png"]),
        ("*/{image_id}_1.png", ["m/a_1.png", "n/a_1.png"]),
        ("*/*{image_id}_1*.png", ["m/a_1.png", "m/ba_1.png", "n/a_1.png"]),
        ("**/{image_id}_1*.png", ["a_1.png", "a_1_x.png", "m/a_1.png", "n/a_1.png", "n/o/a_1.png"]),
        ("n/**/{image_id}_*.png", ["n/a_1.png", "n/o/a_1.png"]),
        ("*[1]/{image_id}_{slice}*.png", ["q[1]/a_2.png"]),
    ],
)
def test_a_star_is_any_part_of_one_name(tmp_path: Path, pattern: str, found: list[str]) -> None:
    names = (
        "a_1.png", "a_1_x.png", "ba_1.png", "m/a_1.png", "m/ba_1.png", "n/a_1.png", "n/o/a_1.png", "a_1.tif",
        "q[1]/a_2.png", "q[1]/a_3.png", "q1/a_2.png",
    )  # fmt: skip
    files = files_of(tmp_path, pattern, *names)
    assert files.of("a", "2") == [(tmp_path / name, "") for name in found]


def test_names_with_stars_are_names(tmp_path: Path) -> None:
    files = files_of(tmp_path, "{image_id}_*.png", "*_1.png", "a_1.png", "{slice}_1.png")
    assert files.of("*", "") == [(tmp_path / "*_1.png", "")]
    assert files.of("{slice}", "2") == [(tmp_path / "{slice}_1.png", "")]
    with pytest.raises(InputError, match=r"b_\*\.png: no file matches"):
        files.of("b", "")


@pytest.mark.parametrize("pattern", ["{image_id}_*.png", "*_{image_id}.png", "{image_id}_{class}.png"])
def test_the_folder_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    scans, glob = [], Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: scans.append(pattern) or glob(self, pattern))
    names = [f"i{n}" for n in range(20)]
    for name in names:
        (tmp_path / pattern.format(image_id=name, **{"class": "0"}).replace("*", "0")).touch()
    files = LabelFiles(tmp_path, pattern, ("0", "1") if "{class}" in pattern else ("",))
    assert [len(files.of(name, "")) for name in names] == [1] * 20
    assert files.misplaced([Item(name, "", ()) for name in names], "mask") == []
    assert len(scans) == 1
