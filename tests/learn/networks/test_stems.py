"""The first layer of encoders of many families, fitted to stacks of slices."""

from collections.abc import Callable
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch

from tessera.errors import InputError
from tessera.learn.networks.build import build_network
from tessera.params.model import Model

Build = Callable[..., Model]


@pytest.mark.parametrize(
    "encoder",
    [
        "mit_b0", "efficientnet-b0", "tu-test_efficientnet", "tu-test_convnext",
        "tu-nf_resnet26",
    ],
)  # fmt: skip
def test_a_stack_of_equal_slices_has_the_features_of_one_in_every_family(
    model: Build, tmp_path: Path, encoder: str
) -> None:
    """Also where the first layer standardises its weights, which undoes what they are divided by."""
    torch.manual_seed(0)
    own = smp.encoders.get_encoder(encoder, weights=None) if encoder[:3] != "tu-" else timm.create_model(encoder[3:])
    torch.save(
        {name: one + 0.01 * torch.rand_like(one) if "gain" in name else one for name, one in own.state_dict().items()},
        tmp_path / "w.pt",
    )
    image, features = torch.randn(1, 3, 64, 64), []
    for slices in (1, 5):
        section = model(decoder="FPN", encoder=encoder, arguments={}, weights=str(tmp_path / "w.pt"), slices=slices)
        features.append([])
        for channels in (3, 1):
            network = build_network(section, channels, 1, pretrained=True).network.encoder.eval()
            with torch.inference_mode():
                features[-1] += [one for one in network(image[:, :channels].repeat(1, slices, 1, 1))[1:] if one.numel()]
    for stack in features[1:]:
        for found, wanted in zip(stack, features[0], strict=True):
            assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()


@pytest.mark.parametrize(
    ("encoder", "why"),
    [
        ("resnetv2_50x1_bit", "stem.conv, standardises its weights"),
        ("tresnet_m", "body_conv1.conv, takes the pixels of a square for channels"),
    ],
)
def test_a_first_layer_that_cannot_be_shared_among_slices_is_refused(
    model: Build, tmp_path: Path, encoder: str, why: str
) -> None:
    torch.save(timm.create_model(encoder).state_dict(), tmp_path / "w.pt")
    section = model(decoder="FPN", encoder=f"tu-{encoder}", arguments={}, weights=str(tmp_path / "w.pt"), slices=3)
    build_network(section, 1, 1, pretrained=True)
    with pytest.raises(InputError, match=rf"first layer of this encoder, .*{why}.* give three \(slices: 1 of RGB"):
        build_network(section, 3, 1, pretrained=True)
