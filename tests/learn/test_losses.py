import math

import pytest
import torch

from tessera.errors import InputError
from tessera.learn.losses.build import LOSSES, build_loss

# A 2×2 image: probabilities, and the truth beneath them.
PROBABILITIES = torch.tensor([[0.5, 0.8], [0.2, 0.9]]).view(1, 1, 2, 2)
LOGITS = torch.log(PROBABILITIES / (1 - PROBABILITIES))
TARGET = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 1, 2, 2)
VALID = torch.ones_like(TARGET)
THREE = torch.tensor([[1.0, 1.0], [1.0, 0.0]]).view(1, 1, 2, 2)  # the last pixel is ignored

BY_HAND = {
    "bce": -(math.log(0.5) + math.log(0.8) + math.log(1 - 0.2) + math.log(1 - 0.9)) / 4,
    "dice": 1 - (2 * (0.5 + 0.8) + 1) / ((0.5 + 0.8 + 0.2 + 0.9) + 2 + 1),
}
BY_HAND_THREE = {
    "bce": -(math.log(0.5) + math.log(0.8) + math.log(1 - 0.2)) / 3,
    "dice": 1 - (2 * (0.5 + 0.8) + 1) / ((0.5 + 0.8 + 0.2) + 2 + 1),
}


def test_every_loss_has_its_value_by_hand() -> None:
    assert set(BY_HAND) == set(BY_HAND_THREE) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("valid", "expected"), [(VALID, BY_HAND), (THREE, BY_HAND_THREE)], ids=["all", "three"])
def test_a_loss_equals_its_value_by_hand(name: str, valid: torch.Tensor, expected: dict) -> None:
    assert build_loss({name: 1.0})(LOGITS, TARGET, valid).item() == pytest.approx(expected[name], rel=1e-5)


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    loss = build_loss({"bce": 0.3, "dice": 2.0})(LOGITS, TARGET, VALID)
    assert loss.item() == pytest.approx(0.3 * BY_HAND["bce"] + 2.0 * BY_HAND["dice"], rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_change_neither_value_nor_gradient(name: str) -> None:
    torch.manual_seed(0)
    logits, other = torch.randn(2, 3, 2, 9, 7).unbind()
    target, other_target, valid = (torch.rand(3, 3, 2, 9, 7) < 0.5).float().unbind()
    values, gradients = [], []
    for shown, truth in ((logits, target), (other * 9, other_target)):
        mixed = torch.where(valid > 0, logits, shown).requires_grad_()
        value = build_loss({name: 1.0})(mixed, torch.where(valid > 0, target, truth), valid)
        value.backward()
        values.append(value.item())
        gradients.append(mixed.grad)
    assert values[0] == values[1]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)
    assert (gradients[0][valid == 0] == 0).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("target", [torch.zeros_like(TARGET), torch.ones_like(TARGET)], ids=["empty", "full"])
@pytest.mark.parametrize("valid", [VALID, torch.zeros_like(VALID)], ids=["valid", "ignored"])
def test_an_empty_truth_or_no_valid_pixel_gives_a_finite_loss(
    name: str, target: torch.Tensor, valid: torch.Tensor
) -> None:
    logits = LOGITS.clone().requires_grad_()
    value = build_loss({name: 1.0})(logits, target, valid)
    value.backward()
    assert 0 <= value.item() < math.inf
    assert logits.grad.isfinite().all()


def test_dice_is_pooled_over_the_batch_and_averaged_over_classes() -> None:
    logits = LOGITS.repeat(2, 2, 1, 1)
    target = torch.stack([torch.cat([TARGET[0], 1 - TARGET[0]])] * 2)
    swapped = 1 - (2 * 2 * (0.2 + 0.9) + 1) / (2 * 2.4 + 4 + 1)
    expected = (1 - (2 * 2 * (0.5 + 0.8) + 1) / (2 * 2.4 + 4 + 1) + swapped) / 2
    assert build_loss({"dice": 1})(logits, target, torch.ones_like(target)).item() == pytest.approx(expected, rel=1e-5)


def test_an_unknown_loss_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="'lovasz' is not known; there are bce, dice"):
        build_loss({"bce": 1.0, "lovasz": 1.0})
