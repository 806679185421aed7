import pytest
import torch

from tessera.learn.networks.build import parameters_of
from tessera.learn.networks.fpn_aspp_unet import FpnAsppUnet


def test_unext50_has_the_parameters_that_its_definition_gives() -> None:
    """Maps of 64, 256, 512, 1024 and 2048 channels; what is convolved, by kernel, and what is added or normalised."""
    with torch.device("meta"):
        network = FpnAsppUnet("resnext50_32x4d")
    aspp = 2048 * 256 + 4 * 9 * 2048 * 256 // 4 + 2048 * 256 + 6 * 2 * 256 + 6 * 256 * 512 + 2 * 512
    blocks = sum(
        up * 2 * up + 2 * up + 2 * skip + 9 * (up // 2 + skip) * out + out + 9 * out * out + out
        for up, skip, out in [(512, 1024, 256), (256, 512, 128), (128, 256, 64), (64, 64, 32)]
    )
    pyramid = sum(9 * channels * 32 + 32 + 2 * 32 + 9 * 32 * 16 + 16 for channels in (512, 256, 128, 64))
    head = 4 * 16 + 32 + 1
    assert parameters_of(network.encoder) == 22_979_904
    assert parameters_of(network) == 22_979_904 + aspp + blocks + pyramid + head == 35_217_697


@pytest.mark.parametrize("encoder", ["tu-test_resnet.r160_in1k", "tu-test_convnext.r160_in1k"])
def test_every_part_learns_with_a_skip_at_stride_2_and_without(encoder: str) -> None:
    torch.manual_seed(0)
    network = FpnAsppUnet(encoder, classes=2)
    assert (network.encoder.out_channels[1] == 0) == ("convnext" in encoder)
    logits = network(torch.randn(2, 3, 64, 32))
    assert logits.shape == (2, 2, 64, 32)
    logits.square().mean().backward()
    still = [name for name, one in network.named_parameters() if one.grad is None or not one.grad.abs().sum()]
    assert not [name for name in still if not name.startswith("encoder.")]


def test_a_pixel_shuffle_starts_without_a_checkerboard() -> None:
    torch.manual_seed(0)
    for block in FpnAsppUnet("tu-test_resnet.r160_in1k").decoder.blocks:
        x = torch.randn(1, block.widen.in_channels, 3, 3)
        up = torch.nn.functional.pixel_shuffle(block.widen(x), 2)
        torch.testing.assert_close(up, up[..., ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_a_second_head_answers_for_the_image() -> None:
    network = FpnAsppUnet("tu-test_resnet.r160_in1k", aux_params={"classes": 5}).eval()
    masks, labels = network(torch.zeros(1, 3, 32, 32))
    assert (masks.shape, labels.shape) == ((1, 1, 32, 32), (1, 5))
