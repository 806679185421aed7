"""Windows made of two of a batch."""

import numpy as np
import pytest
import torch

from tessera.learn.mixing import Triple, build_mixing, copy_positive, cutmix, mixup
from tessera.params.mix import Mix


def _batch(size: int = 4, channels: int = 3, classes: int = 2, side: tuple[int, int] = (16, 24)) -> Triple:
    random = torch.Generator().manual_seed(size)
    windows = torch.randint(0, 256, (size, channels, *side), generator=random).to(torch.uint8)
    target, valid = (torch.randint(0, 2, (size, classes, *side), generator=random).float() for _ in range(2))
    return windows, target, valid


def _other(batch: Triple) -> Triple:
    return tuple(tensor.roll(1, 0) for tensor in batch)


def _random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("mix", [{"mixup": 1}, {"cutmix": 1}, {"copy_positive": 1}, {"mixup": 0.3, "cutmix": 0.3}])
@pytest.mark.parametrize(("channels", "classes"), [(1, 1), (9, 3)])
def test_kinds_stay_and_the_generator_alone_decides(mix: dict, channels: int, classes: int) -> None:
    batch, apply = _batch(4, channels, classes), build_mixing(Mix(**mix))
    before = [tensor.clone() for tensor in batch]
    found = [apply(*batch, _random(seed)) for seed in range(10)]
    torch.manual_seed(5)
    for seed, mixed in enumerate(found):
        for one, again, given in zip(mixed, apply(*batch, _random(seed)), batch, strict=True):
            assert torch.equal(one, again)
            assert (one.shape, one.dtype, one.device) == (given.shape, given.dtype, given.device)
        assert 0 <= mixed[1].min() <= mixed[1].max() <= 1
        assert set(mixed[2].unique().tolist()) <= {0, 1}
    assert len({mixed[0].numpy().tobytes() for mixed in found}) > 1
    for tensor, old in zip(batch, before, strict=True):
        assert torch.equal(tensor, old), "what the loader gave stays as it is"


def test_mixup_blends_pixels_and_targets_alike() -> None:
    batch = _batch()
    other = _other(batch)
    for seed in range(10):
        windows, target, valid = mixup(batch, other, _random(seed), 0.4)
        share = _random(seed).beta(0.4, 0.4)
        expected = (1 - share) * batch[0].double() + share * other[0].double()
        assert (windows.double() - expected).abs().max() <= 0.51
        torch.testing.assert_close(target, ((1 - share) * batch[1] + share * other[1]).float())
        assert torch.equal(valid, batch[2] * other[2])


def test_cutmix_puts_in_a_rectangle_with_its_labels() -> None:
    batch = tuple(torch.zeros_like(tensor) for tensor in _batch(side=(40, 60)))
    other = tuple(torch.ones_like(tensor) for tensor in batch)
    areas = []
    for seed in range(200):
        windows, target, valid = cutmix(batch, other, _random(seed), 1.0)
        rows, columns = windows[0, 0].any(1), windows[0, 0].any(0)
        inside = (rows[:, None] & columns).to(torch.uint8)
        assert int(rows.int().diff().abs().sum()) <= 2, "one rectangle"
        assert int(columns.int().diff().abs().sum()) <= 2
        for tensor in (windows, target, valid):
            assert (tensor == inside).all()
        areas.append(inside.float().mean().item())
    assert min(areas) < 0.05
    assert max(areas) > 0.6
    assert 0.2 < np.mean(areas) < 0.5  # Beta(1, 1) has mean 0.5; what lies beyond the border is cut off


def test_copies_are_of_valid_positive_pixels_with_all_their_labels() -> None:
    batch = _batch()
    other = _other(batch)
    copied = ((other[1] == 1) & (other[2] == 1)).any(1, keepdim=True)
    assert 0.2 < copied.float().mean() < 0.8
    for mixed, one, two in zip(copy_positive(batch, other), batch, other, strict=True):
        where = copied.expand_as(one)
        assert torch.equal(mixed[where], two[where])
        assert torch.equal(mixed[~where], one[~where])


def test_of_soft_labels_those_from_a_half_on_are_copied() -> None:
    windows, _, valid = _batch(classes=1)
    target = torch.linspace(0, 1, valid.numel()).view_as(valid)
    mixed = copy_positive((windows, torch.zeros_like(target), valid), (windows, target, torch.ones_like(valid)))
    assert torch.equal(mixed[1], torch.where(target >= 0.5, target, 0))


def test_each_happens_as_often_as_it_is_asked() -> None:
    batch = _batch(8)
    apply = build_mixing(Mix(mixup=0.2, cutmix=0.3, copy_positive=0.1))
    counts = {"mixup": 0, "cutmix": 0, "copy": 0, "none": 0}
    for seed in range(600):
        random = _random(seed)
        windows, target, _ = apply(*batch, random)
        if windows is batch[0]:
            counts["none"] += 1
        elif not set(target.unique().tolist()) <= {0, 1}:
            counts["mixup"] += 1
        else:
            other = [tensor[_partners(seed, 8)] for tensor in batch]
            copied = all(
                torch.equal(a, b) for a, b in zip((windows, target), copy_positive(batch, tuple(other)), strict=False)
            )
            counts["copy" if copied else "cutmix"] += 1
    for name, share in (("mixup", 0.2), ("cutmix", 0.3), ("copy", 0.1), ("none", 0.4)):
        assert abs(counts[name] / 600 - share) < 0.06, counts


def _partners(seed: int, size: int) -> torch.Tensor:
    random = _random(seed)
    random.random()
    return torch.from_numpy(random.permutation(size))


def test_without_mix_a_batch_stays() -> None:
    batch = _batch()
    assert all(one is two for one, two in zip(build_mixing(Mix())(*batch, _random()), batch, strict=True))


@pytest.mark.parametrize("wrong", [{"mixup": 0.7, "cutmix": 0.5}, {"mixup": 1.2}, {"mixup": 0.5, "mixup_alpha": 0}])
def test_probabilities_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="mixup"):
        Mix(**wrong)


@pytest.mark.parametrize("mix", [{"mixup": 1}, {"cutmix": 1}, {"copy_positive": 1}])
def test_tensors_stay_on_the_device_they_are_on(mix: dict) -> None:
    """On "meta", a device with whose tensors those of the CPU do not mix, as with a GPU's."""
    batch = tuple(tensor.to("meta") for tensor in _batch())
    for mixed, given in zip(build_mixing(Mix(**mix))(*batch, _random()), batch, strict=True):
        assert mixed is not given
        assert (mixed.device.type, mixed.shape, mixed.dtype) == ("meta", given.shape, given.dtype)
