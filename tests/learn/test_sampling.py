"""Which patches an epoch draws."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tessera.errors import InputError
from tessera.learn.sampling import draw_epoch, positive_share, with_kinds

POSITIVE = np.array([True] * 10 + [False] * 90)


def _patches(positive: np.ndarray = POSITIVE, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"positive_fraction": positive * 0.5} | columns)


@pytest.fixture
def draw(model: Callable) -> Callable[..., np.ndarray]:
    """A function (patches, epoch, keys of the model) → the patch numbers that are drawn."""

    def draw(table: pd.DataFrame, epoch: int = 0, /, **keys: object) -> np.ndarray:
        items = draw_epoch(table, model(**keys), epoch)
        assert len(set(items)) == len(items), "a patch that comes again is another item, changed in another way"
        return items % len(table)

    return draw


@pytest.mark.parametrize("share", [0.0, 0.25, 0.7, 1.0])
@pytest.mark.parametrize("count", [8, 40, 100, 300])
def test_an_epoch_has_the_share_of_positives_and_repeats_as_little_as_possible(
    draw: Callable, share: float, count: int
) -> None:
    drawn = draw(_patches(), patches=count, positive_share=share)
    assert len(drawn) == count
    assert POSITIVE[drawn].sum() == round(count * share)
    times = np.bincount(drawn, minlength=100)
    for kind in (POSITIVE, ~POSITIVE):
        assert times[kind].max() - times[kind].min() <= 1


def test_without_a_share_every_patch_comes_once(draw: Callable) -> None:
    assert sorted(draw(_patches())) == list(range(100))


@pytest.mark.parametrize("positive", [np.ones(7, bool), np.zeros(7, bool)])
def test_patches_of_one_kind_are_all_there_is_to_draw(draw: Callable, positive: np.ndarray) -> None:
    assert sorted(draw(_patches(positive), patches=7, positive_share=0.5)) == list(range(7))


NUMBERS = np.arange(100)
COLUMNS = {"group": NUMBERS % 7, "domain": np.where(NUMBERS % 10 < 3, "rare", "common")}


@pytest.mark.parametrize("keys", [{}, {"balance": "group"}, {"domain_weights": {"rare": 2}}])
def test_seed_and_epoch_alone_decide_the_draw(draw: Callable, keys: dict) -> None:
    patches = _patches(**COLUMNS)
    first = draw(patches, 2, patches=40, positive_share=0.5, seed=1, **keys)
    np.testing.assert_array_equal(first, draw(patches, 2, patches=40, positive_share=0.5, seed=1, **keys))
    for seed, epoch in ((1, 3), (2, 2), (2, 1)):
        other = draw(patches, epoch, patches=40, positive_share=0.5, seed=seed, **keys)
        assert not np.array_equal(first, other)


def test_the_share_of_positives_goes_straight_from_the_first_epoch_to_the_last(draw: Callable, model: Callable) -> None:
    keys = {"patches": 80, "positive_share": [0.9, 0.3], "epochs": 4}
    shares = [POSITIVE[draw(_patches(), epoch, **keys)].mean() for epoch in range(4)]
    np.testing.assert_allclose(shares, [0.9, 0.7, 0.5, 0.3], atol=1e-9)
    assert positive_share(model(positive_share=[0.9, 0.3], epochs=1), 0) == 0.9


@pytest.mark.parametrize("share", [None, 0.5])
def test_domains_come_as_often_as_they_weigh(draw: Callable, share: float | None) -> None:
    patches = _patches(**COLUMNS)
    drawn = draw(patches, patches=200, positive_share=share, domain_weights={"rare": 4.0})
    for half in (POSITIVE, ~POSITIVE) if share else (np.ones(100, bool),):
        mine = drawn[half[drawn]]
        rare = (patches.domain == "rare").to_numpy()
        assert abs(rare[mine].sum() - len(mine) * 4 * 0.3 / (4 * 0.3 + 0.7)) <= 1
        times = np.bincount(drawn, minlength=100)
        for kind in (half & rare, half & ~rare):
            assert times[kind].max() - times[kind].min() <= 1


@pytest.mark.parametrize("balance", ["group", "stratum"])
def test_groups_and_strata_come_equally_often_in_each_half(draw: Callable, balance: str) -> None:
    names = np.array(["a"] * 5 + ["b"] * 4 + ["c"] + ["a"] * 60 + ["b"] * 25 + ["c"] * 5)
    drawn = draw(_patches(**{balance: names}), patches=90, positive_share=1 / 3, balance=balance)
    assert pd.crosstab(names[drawn], POSITIVE[drawn]).to_numpy().tolist() == [[20, 10]] * 3
    drawn = draw(_patches(**{balance: names}), patches=90, balance=balance)
    assert pd.Series(names[drawn]).value_counts().tolist() == [30] * 3


def test_weights_count_on_top_of_balance(draw: Callable) -> None:
    names = np.repeat(["a", "b", "c"], [10, 30, 60])
    patches = _patches(group=names, domain=np.where(names == "c", "other", "own"))
    drawn = draw(patches, patches=80, balance="group", domain_weights={"other": 2.0})
    assert pd.Series(names[drawn]).value_counts().to_dict() == {"c": 40, "a": 20, "b": 20}


def test_more_groups_than_patches_take_turns(draw: Callable) -> None:
    patches = _patches(group=NUMBERS // 2)
    times = np.zeros(50, int)
    for epoch in range(60):
        drawn = draw(patches, epoch, patches=10, balance="group", epochs=60)
        assert len(set(drawn // 2)) == 10
        times += np.bincount(drawn // 2, minlength=50)
    assert times.min() > 0


def _of_classes() -> pd.DataFrame:
    """60 patches with class a, every third of them with b too, 6 of those with c; 40 with none."""
    a, b, c = NUMBERS < 60, (NUMBERS < 60) & (NUMBERS % 3 == 0), (NUMBERS < 60) & (NUMBERS % 10 == 0)
    return _patches(a, positive_a=a * 0.4, positive_b=b * 0.2, positive_c=c * 0.1)


@pytest.mark.parametrize("share", [None, 0.9])
def test_classes_come_equally_often_each_patch_for_its_rarest(draw: Callable, share: float | None) -> None:
    patches = _of_classes()
    drawn = draw(patches, patches=100, positive_share=share, balance="class")
    positives = round(100 * (share or 0.6))
    c, b = ((patches[name] > 0).to_numpy() for name in ("positive_c", "positive_b"))
    assert (drawn >= 60).sum() == 100 - positives
    assert c[drawn].sum() == (b & ~c)[drawn].sum() == positives // 3
    times = np.bincount(drawn, minlength=100)
    assert times[c].max() - times[c].min() <= 1


@pytest.mark.parametrize("keys", [{"balance": "class"}, {"balance": "group", "positive_share": [1, 0], "epochs": 9}])
def test_the_count_is_kept_whatever_is_asked(draw: Callable, keys: dict) -> None:
    patches = _of_classes().assign(group=NUMBERS % 13)
    for epoch in range(9):
        for count in (1, 7, 33, 250):
            assert len(draw(patches, epoch, patches=count, **keys)) == count


def test_patches_learn_the_kinds_of_their_images(model: Callable) -> None:
    images = pd.DataFrame(
        {"image_id": ["x", "y"], "group": ["p", "q"], "stratum": ["s", "t"], "domain": ["d", "e"], "depth": [1, 1]}
    )
    patches = pd.DataFrame({"image_id": ["y", "x", "y"], "z": [3, 2, 1]})
    found = with_kinds(patches, images, model(domain_weights={"e": 3}))
    assert found.to_numpy().tolist() == [
        ["y", 3, "q", "t", "e"], ["x", 2, "p", "s", "d"], ["y", 1, "q", "t", "e"],
    ]  # fmt: skip
    with pytest.raises(InputError, match="domain_weights names 'f'; training images are of d, e"):
        with_kinds(patches, images, model(domain_weights={"f": 3}))


IMAGES = np.repeat(["a", "b", "c"], [20, 30, 50])


@pytest.mark.parametrize("share", [None, 0.5])
@pytest.mark.parametrize("keys", [{}, {"balance": "group"}])
def test_images_come_as_often_as_they_weigh(draw: Callable, share: float | None, keys: dict) -> None:
    patches = _patches(
        NUMBERS % 2 == 0, group=IMAGES, weight=np.where(IMAGES == "a", 0.5, np.where(IMAGES == "b", 2, 1))
    )
    names, counts = np.unique(IMAGES[draw(patches, patches=240, positive_share=share, **keys)], return_counts=True)
    wanted = np.array([1, 1, 1] if keys else [20, 30, 50]) * [0.5, 2, 1]
    assert names.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(counts, 240 * wanted / wanted.sum(), atol=2)


def test_a_weight_that_all_have_changes_no_draw(draw: Callable) -> None:
    keys = {"patches": 70, "positive_share": 0.6, "balance": "group", "domain_weights": {"rare": 2}}
    patches = _patches(**COLUMNS)
    for weight in (1.0, 0.3):
        np.testing.assert_array_equal(draw(patches.assign(weight=weight), 3, **keys), draw(patches, 3, **keys))


def test_patches_learn_weights_only_where_images_weigh_differently(model: Callable) -> None:
    images = pd.DataFrame({"image_id": ["x", "y"], "group": "", "stratum": "", "domain": "", "weight": [1.0, 1.0]})
    patches = pd.DataFrame({"image_id": ["y", "x", "y"]})
    assert "weight" not in with_kinds(patches, images, model())
    lighter = images.assign(weight=[1.0, 0.25])
    assert with_kinds(patches, lighter, model()).weight.tolist() == [0.25, 1.0, 0.25]
    own = patches.assign(weight=0.5)  # pseudo-labelled ones come with theirs
    assert with_kinds(own, lighter, model()).weight.tolist() == [0.5] * 3
