"""Parameters, in millions, of one class on RGB images; None where a pair cannot be built."""

from collections.abc import Callable

import pytest
import torch

from tessera.errors import InputError
from tessera.learn.networks import build
from tessera.learn.networks.build import build_network, parameters_of
from tessera.params.model import Model

DECODERS = ["Unet", "UnetPlusPlus", "FPN", "DeepLabV3Plus", "UPerNet", "Segformer", "DPT"]
TABLE = {
    "efficientnet-b0": [6.25, 6.57, 5.76, 4.91, 11.61, 4.47, None],
    "efficientnet-b1": [8.76, 9.08, 8.27, 7.41, 14.12, 6.98, None],
    "efficientnet-b2": [10.05, 10.40, 9.47, 8.64, 15.42, 8.18, None],
    "efficientnet-b3": [13.16, 13.62, 12.47, 11.68, 18.53, 11.19, None],
    "efficientnet-b4": [20.23, 20.81, 19.35, 18.62, 25.60, 18.07, None],
    "efficientnet-b5": [31.22, 31.91, 30.17, 29.49, 36.61, 28.89, None],
    "resnet34": [24.44, 26.08, 23.16, 22.44, 29.60, 21.88, None],
    "resnext50_32x4d": [31.99, 48.46, 25.59, 26.15, 36.76, 24.31, None],
    "mit_b0": [5.55, None, 5.08, 4.14, 10.73, 3.71, None],
    "mit_b1": [16.43, None, 15.04, 14.30, 21.48, 13.68, None],
    "mit_b2": [27.48, None, 26.08, 25.35, 32.53, 24.72, None],
    "tu-swin_tiny_patch4_window7_224": [31.63, 34.03, 29.51, None, 36.74, 28.15, 47.17],
    "tu-convnext_tiny": [31.93, 34.34, 29.81, 29.31, 37.04, 28.45, 47.47],
    "tu-maxvit_tiny_tf_224": [33.30, 34.94, 32.02, None, 38.46, 30.74, 61.10],
    "tu-coatnet_0_rw_224": [30.81, 33.77, 28.68, None, 35.91, 27.40, 58.32],
    "tu-vit_base_patch16_224": [None, None, None, None, None, None, 121.82],
}
CELLS = [
    *(
        (decoder, encoder, count)
        for encoder, row in TABLE.items()
        for decoder, count in zip(DECODERS, row, strict=True)
    ),
    ("FpnAsppUnet", "resnext50_32x4d", 35.22),
]


@pytest.mark.parametrize(("decoder", "encoder", "millions"), CELLS)
def test_parameter_counts_are_those_of_the_table(
    model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch, decoder: str, encoder: str, millions: float | None
) -> None:
    monkeypatch.setattr(build, "way_out", lambda model: "")  # which builds others
    arguments = {"img_size": 256} if "vit_base" in encoder else {}  # it has a parameter more for each patch
    section = model(decoder=decoder, encoder=encoder, arguments=arguments, size=256)
    # smp's mit asks for the numbers of what it builds; the others need none to be counted
    with torch.device("cpu" if encoder.startswith("mit") else "meta"):
        if millions is None:
            with pytest.raises(InputError, match=f"decoder {decoder} × encoder {encoder} cannot be built: "):
                build_network(section, 3, 1, pretrained=False)
        else:
            network = build_network(section, 3, 1, pretrained=False)
            assert parameters_of(network) / 1e6 == pytest.approx(millions, abs=0.005001)
