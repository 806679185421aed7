"""A head that is trained along, on whether a window holds the class, and not used to predict."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tessera.learn.checkpoints import load_checkpoint, save_checkpoint
from tessera.learn.losses.build import build_loss
from tessera.learn.losses.empty import empty
from tessera.learn.networks.build import build_network
from tessera.params.loss import Auxiliary, Loss

# Three windows of two classes: each class holds a pixel, only an ignored one, or nothing; the last has no valid pixel.
TARGET, VALID = torch.zeros(3, 2, 2, 2), torch.ones(3, 2, 2, 2)
TARGET[0, :, 1, 0] = 1
TARGET[1, :, 0, 0], VALID[1, :, 0, 0] = 1, 0
VALID[2, 1] = 0
EMPTIES = torch.tensor([[0.0, math.log(3)]] * 3)  # probabilities 1/2 and 3/4 of no positive pixel
WINDOWS = torch.arange(3 * 32 * 32, dtype=torch.int64).view(3, 1, 32, 32).remainder(251).to(torch.uint8)


def test_it_asks_per_class_whether_no_valid_pixel_is_positive() -> None:
    by_hand = -(3 * math.log(1 / 2) + math.log(1 / 4) + math.log(3 / 4)) / 5  # five of six have a valid pixel
    assert empty(EMPTIES, TARGET, VALID).item() == pytest.approx(by_hand)
    assert empty(EMPTIES, TARGET, torch.zeros_like(VALID)).item() == 0


def test_a_soft_label_makes_a_window_as_full_as_its_largest_one() -> None:
    one = torch.tensor([[math.log(3)]])
    by_hand = -(0.3 * math.log(3 / 4) + 0.7 * math.log(1 / 4))
    assert empty(one, torch.tensor([[[[0.7, 0.2]]]]), torch.ones(1, 1, 1, 2)).item() == pytest.approx(by_hand)


def test_ignored_pixels_change_neither_its_value_nor_its_gradient() -> None:
    found = []
    for target in (TARGET, torch.where(VALID > 0, TARGET, torch.rand_like(TARGET))):
        logits = EMPTIES.clone().requires_grad_()
        value = empty(logits, target, VALID)
        found.append((value, *torch.autograd.grad(value, logits)))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert found[0][1][2, 1] == 0


def test_it_is_added_to_the_loss_by_its_weight() -> None:
    masks = torch.linspace(-1, 1, TARGET.numel()).view_as(TARGET)
    alone = build_loss(Loss(bce=1.0))(masks, TARGET, VALID)
    both = build_loss(Loss(bce=1.0), Auxiliary(empty=0.1))((masks, EMPTIES.bfloat16()), TARGET, VALID)
    torch.testing.assert_close(both, alone + 0.1 * empty(EMPTIES.bfloat16().float(), TARGET, VALID))


@pytest.mark.parametrize(
    "changes",
    [{}, {"decoder": "FPN", "arguments": {}}, {"decoder": "Segformer", "arguments": {}}],
    ids=["Unet", "FPN", "Segformer"],
)
def test_the_head_trains_the_encoder_and_is_dropped_at_prediction(
    model: Callable, changes: dict, tmp_path: Path
) -> None:
    section = model(auxiliary={"empty": 0.1}, **changes)
    network = build_network(section, 1, 2, pretrained=False)
    masks, empties = network(WINDOWS)
    assert (masks.shape, empties.shape) == ((3, 2, 32, 32), (3, 2))
    empty(empties, TARGET, VALID).backward()
    assert all(weights.grad.any() for weights in list(network.network.encoder.parameters())[:1])
    save_checkpoint(tmp_path / "weights", network, {})
    again = load_checkpoint(tmp_path / "weights", build_network(section, 1, 2, pretrained=False), torch.device("cpu"))
    with torch.inference_mode():
        assert torch.equal(again(WINDOWS), network.eval()(WINDOWS))
        assert again(WINDOWS).shape == (3, 2, 32, 32)
