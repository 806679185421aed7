import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import pytest

from tessera.data.likeness import alike, hash_images, near_duplicates, thumbnail
from tessera.data.pixels import PixelStore
from tessera.errors import InputError

Store = Callable[..., PixelStore]


def _scene(seed: int, size: tuple[int, int] = (96, 120)) -> np.ndarray:
    """A grey picture (H, W) float of blobs."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, size).astype(np.float32), (0, 0), 5)
    return np.clip(128 + 40 * noise / noise.std(), 0, 255)


def _volume(*slices: np.ndarray) -> np.ndarray:
    return np.stack(slices).astype(np.uint8)[..., None]


CHANGES = {
    "re-encoded": lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0),
    "rescaled": lambda p: cv2.resize(p, (60, 48), interpolation=cv2.INTER_AREA),
    "brightened": lambda p: np.clip(p * 1.1 + 20, 0, 255),
    "noisy": lambda p: np.clip(p + np.random.default_rng(9).normal(0, 15, p.shape), 0, 255),
}
TURNS = {
    "90": np.rot90, "180": lambda p: np.rot90(p, 2), "270": lambda p: np.rot90(p, 3), "left to right": np.fliplr,
    "upside down": np.flipud, "along a diagonal": np.transpose, "along the other": lambda p: np.rot90(p, 2).T,
}  # fmt: skip


def _world(pixel_store: Store, pictures: dict[str, np.ndarray], folds: dict[str, int], **groups: str) -> tuple:
    """(parts, manifest, store); a picture without fold is a test image, its group is its name unless given."""
    store = pixel_store(
        {name: picture if picture.ndim == 4 else _volume(picture) for name, picture in pictures.items()}
    )
    manifest = pd.DataFrame({"image_id": list(pictures)})
    manifest["group"] = [groups.get(name, name) for name in pictures]
    manifest["digest"] = manifest.image_id
    parts = pd.DataFrame(list(folds.items()), columns=["image_id", "fold"])
    return parts, manifest, store


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_across_folds_and_between_train_and_test(pixel_store: Store, change: str) -> None:
    pictures = {f"i{seed}": _scene(seed) for seed in range(6)}
    pictures |= {"copy": CHANGES[change](_scene(1)), "tested": CHANGES[change](_scene(2))}
    folds = {name: number % 2 for number, name in enumerate(list(pictures)[:7])}
    problems, notes = near_duplicates(*_world(pixel_store, pictures, folds), 6, [], "bring them together")
    assert [problem.partition(" look alike")[0] for problem in problems] == [
        "i1 (fold 1) and copy (fold 0)", "i2 (fold 0) and tested (test)",
    ]  # fmt: skip
    for problem, ways in zip(problems, ["bring them together, leave one out (clean.drop: [copy])",
                                        "leave the training image out (clean.drop: [i2])"], strict=True):  # fmt: skip
        assert problem.partition(" bits differ: ")[2].startswith(f"{ways} or, once you have looked at them, list [i")
    assert problems[0].endswith("list [i1, copy] in fold.allow")
    assert notes == []


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_or_mirrored_copy_is_found(pixel_store: Store, turn: str) -> None:
    copy = TURNS[turn](CHANGES["re-encoded"](_scene(1).astype(np.uint8)))
    pictures = {f"i{seed}": _scene(seed) for seed in range(4)} | {"copy": copy}
    world = _world(pixel_store, pictures, {name: number % 2 for number, name in enumerate(pictures)})
    (problem,), _ = near_duplicates(*world, 6, [])
    assert problem.startswith("i1 (fold 1) and copy (fold 0) look alike, one of them turned or mirrored, ")


@pytest.mark.parametrize("turn", TURNS)
def test_the_hashes_of_a_turned_picture_are_those_of_the_picture(pixel_store: Store, turn: str) -> None:
    _, (lying, turned) = hash_images(
        pixel_store({"a": _volume(_scene(3, (96, 96))), "b": _volume(TURNS[turn](_scene(3, (96, 96))))}), ["a", "b"]
    )
    assert len(set(lying)) == 8
    assert set(lying) == set(turned)


@pytest.mark.parametrize("kind", ["one fold", "one group", "reviewed"])
def test_a_copy_that_leaks_nothing_is_no_problem(pixel_store: Store, kind: str) -> None:
    pictures = {"a": _scene(0), "b": _scene(1), "copy": CHANGES["noisy"](_scene(1))}
    folds = {"a": 0, "b": 1, "copy": 1 if kind == "one fold" else 0}
    world = _world(pixel_store, pictures, folds, **{"copy": "b"} if kind == "one group" else {})
    allowed = [("copy", "b")] if kind == "reviewed" else []
    assert near_duplicates(*world, 6, allowed) == ([], [])


def test_of_parts_two_images_leak_whatever_their_folds(pixel_store: Store) -> None:
    parts, manifest, store = _world(pixel_store, {"a": _scene(0), "b": _scene(0) + 3}, {})
    parts = pd.DataFrame([("a", 0), ("a", 1), ("b", 0), ("b", 1)], columns=["image_id", "fold"])
    problems, _ = near_duplicates(parts, manifest, store, 6, [])
    assert problems[0].startswith(
        "a (several folds) and b (several folds) look alike, 0 of 64 bits differ: leave one out"
    )


def test_flat_pictures_look_like_any_other_and_are_only_counted(pixel_store: Store) -> None:
    rng = np.random.default_rng(0)
    flat = {"black": np.zeros((64, 64)), "white": np.full((64, 64), 255.0), "grain": 100 + rng.normal(0, 4, (64, 64))}
    gradient = np.linspace(0, 255, 64)[:, None].repeat(64, 1)
    pictures = flat | {"gradient": gradient, "turned": gradient.T, "real": _scene(0)}
    world = _world(pixel_store, pictures, {name: n for n, name in enumerate(pictures)})
    assert near_duplicates(*world, 6, []) == ([], ["5 image(s) are too flat to be compared with others"])


def test_mostly_empty_pictures_are_told_apart_by_what_is_in_them(pixel_store: Store) -> None:
    pictures = {}
    for number, (y, x) in enumerate([(20, 20), (20, 60), (50, 20), (50, 40)]):
        pictures[f"i{number}"] = cv2.circle(np.zeros((96, 96)), (x, y), 9, 220, -1)
    world = _world(pixel_store, pictures, {name: n for n, name in enumerate(pictures)})
    assert near_duplicates(*world, 6, []) == ([], [])


def test_volumes_stand_as_slices_at_the_quarters_of_their_depth(pixel_store: Store) -> None:
    first = _volume(*(_scene(n) for n in range(8)))
    neighbour = _volume(*(_scene(n) for n in (0, 1, 11, 3, 12, 5, 13, 7)))  # shares slices, not those at 2, 4 and 6
    copy = np.clip(first.astype(int) + 9, 0, 255).astype(np.uint8)
    world = _world(pixel_store, {"v": first, "w": neighbour, "copy": copy}, {"v": 0, "w": 1, "copy": 2})
    problems, _ = near_duplicates(*world, 6, [])
    assert len(problems) == 1 and problems[0].startswith("v slice 4 (fold 0) and copy slice 4 (fold 2)")


def test_a_volume_that_holds_a_piece_of_another_is_found(pixel_store: Store) -> None:
    """Slices 2…7 of the first come again, turned; and a single picture is its slice 6."""
    first = _volume(*(_scene(n) for n in range(8)))
    piece = _volume(*(np.rot90(_scene(n)) for n in (2, 3, 4, 5, 6, 7)))  # at 3 its slice 5, at 1 its 3, at 4 its 6
    world = _world(pixel_store, {"v": first, "piece": piece, "one": _scene(6)}, {"v": 0, "piece": 1, "one": 2})
    problems, _ = near_duplicates(*world, 6, [])
    assert [problem.partition(", ")[0] for problem in problems] == [
        "v slice 6 (fold 0) and piece slice 4 (fold 1) look alike", "v slice 6 (fold 0) and one (fold 2) look alike",
        "piece slice 4 (fold 1) and one (fold 2) look alike",
    ]  # fmt: skip


def test_many_pairs_are_cut_short_and_an_unknown_id_is_named(pixel_store: Store) -> None:
    pictures = {f"i{number}": _scene(0) for number in range(8)}
    world = _world(pixel_store, pictures, {name: n for n, name in enumerate(pictures)})
    problems, _ = near_duplicates(*world, 6, [])
    assert len(problems) == 21
    assert problems[-1] == "8 more pairs look alike; a fold.near below 6 finds fewer"
    with pytest.raises(InputError, match="fold.allow names gone: data/clean.csv has no such image"):
        near_duplicates(*world, 6, [("i0", "gone")])


@pytest.mark.parametrize("distance", [0, 3, 20])
def test_all_pairs_within_the_distance_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch, distance: int) -> None:
    monkeypatch.setattr("tessera.data.likeness.BLOCK", 100)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**16, (90, 8)).astype(np.uint64)
    expected = set()
    for a, b in itertools.combinations(range(90), 2):
        bits = [(int(hashes[a, 0]) ^ int(turned)).bit_count() for turned in hashes[b]]
        if min(bits) <= distance:
            expected.add((a, b, min(bits), bits.index(min(bits))))
    assert set(map(tuple, alike(hashes, distance).tolist())) == expected


@pytest.mark.parametrize("size", [(9, 13), (96, 120), (130, 31)])
def test_a_thumbnail_read_in_bands_is_the_same(pixel_store: Store, monkeypatch, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
    store = pixel_store({"v": pixels})
    whole = thumbnail(store, "v", 1)
    if min(size) >= 32:
        expected = cv2.resize(pixels[1].astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA).mean(2)
        np.testing.assert_allclose(whole, expected, atol=1)
    monkeypatch.setattr("tessera.data.likeness.READ", 3 * size[1])
    np.testing.assert_array_equal(thumbnail(store, "v", 1), whole)


def test_hashes_of_no_images_are_none(pixel_store: Store) -> None:
    assert [len(found) for found in hash_images(pixel_store({"a": _volume(_scene(0))}), [])] == [0, 0]
