from collections.abc import Callable

import pytest

from tessera.errors import InputError
from tessera.learn.networks.build import build_network
from tessera.learn.networks.licences import NVIDIA, licence_of
from tessera.params.model import Model


@pytest.mark.parametrize(
    ("encoder", "weights", "licence"),
    [
        ("mit_b0", "imagenet", NVIDIA),
        ("mit_b0", None, NVIDIA),  # its code came with the weights
        ("tu-convnextv2_atto.fcmae", "imagenet", "cc-by-nc-4.0"),
        ("tu-convnextv2_atto.fcmae", "some/file.safetensors", "cc-by-nc-4.0"),
        ("tu-convnextv2_atto.fcmae", None, None),
        ("tu-convnext_tiny.in12k_ft_in1k", "imagenet", "apache-2.0"),
        ("tu-swin_tiny_patch4_window7_224", "imagenet", "mit"),
        ("resnet34", "imagenet", None),
    ],
)
def test_the_licence_is_the_one_of_the_published_weights(
    model: Callable[..., Model], encoder: str, weights: str | None, licence: str | None
) -> None:
    section = model(encoder=encoder, weights=weights, arguments={})
    assert licence_of(section) == licence
    strict = section.model_copy(update={"allow_noncommercial": False})
    if licence in (NVIDIA, "cc-by-nc-4.0"):
        with pytest.raises(InputError, match=f"encoder {encoder} is under {licence}, and allow_noncommercial is false"):
            build_network(strict, 3, 1, pretrained=False)
    else:
        build_network(strict, 3, 1, pretrained=False)


def test_by_default_nothing_is_refused_and_nothing_new_is_said(model: Callable[..., Model]) -> None:
    section = model(encoder="mit_b0", arguments={})
    build_network(section, 3, 1, pretrained=False)
    assert not {"allow_noncommercial", "params_max"} & set(section.model_dump())
