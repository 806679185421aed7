import copy
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tessera.data.pixels import PixelStore
from tessera.errors import InputError
from tessera.learn.networks.build import DECODERS, Segmenter, build_network, parameters_of
from tessera.learn.networks.trial import tried
from tessera.params.encoders import least_batch
from tessera.params.model import Model
from tessera.params.predict import Predict
from tessera.predict.predictor import Predictor
from tessera.tasks import Binary

Build = Callable[..., Model]
RESNET = "tu-test_resnet.r160_in1k"
SWIN = "tu-swin_tiny_patch4_window7_224"


def _imagine(section: Model, channels: int = 3) -> torch.nn.Module:
    """The network without its numbers: what is built of it, and what it makes of a window's shape, costs little."""
    with torch.device("meta"):
        return build_network(section, channels, 1, pretrained=False)


def _shapes(network: torch.nn.Module, *shape: int) -> tuple[int, ...]:
    return tuple(network(torch.empty(shape, dtype=torch.uint8, device="meta")).shape)


# What it is


@pytest.mark.parametrize("decoder", ["Unet", "FPN", "FpnAsppUnet"])
@pytest.mark.parametrize(("channels", "slices"), [(1, 1), (1, 5), (3, 1), (3, 3)])
def test_logits_have_a_plane_a_class_at_the_windows_size(
    model: Build, decoder: str, channels: int, slices: int
) -> None:
    network = build_network(model(decoder=decoder, slices=slices, arguments={}), channels, 2, pretrained=False).eval()
    windows = torch.randint(0, 256, (2, channels * slices, 32, 96), dtype=torch.uint8)
    with torch.inference_mode():
        assert network(windows).shape == (2, 2, 32, 96)


@pytest.mark.parametrize(
    "encoder",
    [
        "efficientnet-b0", "resnet34", "resnext50_32x4d", "mit_b0", "tu-convnext_tiny", SWIN, "tu-maxvit_tiny_tf_224",
        "tu-coatnet_0_rw_224", "tu-efficientnet_b0", "tu-resnet18",
    ],
)  # fmt: skip
@pytest.mark.parametrize("slices", [15])
def test_every_family_of_encoders_takes_stacks(model: Build, encoder: str, slices: int) -> None:
    section = model(decoder="FPN", encoder=encoder, arguments={}, slices=slices, size=64)
    device = "cpu" if encoder == "mit_b0" else "meta"  # it asks for the numbers of what it builds
    with torch.device(device):
        network = build_network(section, 1, 2, pretrained=False)
        windows = torch.zeros(2, slices, 64, 64, dtype=torch.uint8)
    assert network(windows).shape == (2, 2, 64, 64)
    stem = next(one for one in network.network.encoder.parameters() if one.ndim == 4)
    assert stem.shape[1] == slices


def test_pixels_are_normalised_the_same_in_every_slice() -> None:
    segmenter = Segmenter(torch.nn.Identity(), (0.5, 0.4), (0.2, 0.1), slices=2)
    windows = torch.randint(0, 256, (1, 4, 3, 3), dtype=torch.uint8)
    expected = (windows / 255 - torch.tensor([0.5, 0.4, 0.5, 0.4]).view(1, 4, 1, 1)) / torch.tensor(
        [0.2, 0.1, 0.2, 0.1]
    ).view(1, 4, 1, 1)
    torch.testing.assert_close(segmenter(windows), expected)
    assert segmenter.state_dict() == {}  # the numbers are in the recipe, not in the weights


# Every decoder, and the arguments that make encoders run


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_trains_on_as_few_images_as_params_let_it(model: Build, decoder: str) -> None:
    least = least_batch(decoder)
    encoder = "tu-vit_tiny_patch16_224" if decoder == "DPT" else RESNET
    network = _imagine(model(decoder=decoder, encoder=encoder, arguments={}, batch=least, size=128)).train()
    assert _shapes(network, least, 3, 128, 128) == (least, 1, 128, 128)
    assert isinstance(network.network.encoder, torch.nn.Module)
    if least > 1:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            _shapes(network, 1, 3, 128, 128)
        with pytest.raises(ValueError, match=f"at least 2 with decoder {decoder}"):
            model(decoder=decoder, batch=2, accumulate=2, size=128)


@pytest.mark.parametrize(
    ("decoder", "encoder"),
    [
        ("Unet", SWIN), ("UPerNet", SWIN), ("Segformer", SWIN), ("FpnAsppUnet", SWIN), ("DPT", SWIN),
        ("FPN", "tu-swinv2_tiny_window8_256"), ("FPN", "tu-swin_s3_tiny_224"), ("FPN", "tu-swinv2_cr_tiny_224"),
        ("DPT", "tu-vit_small_patch16_224"), ("DPT", "tu-deit3_small_patch16_224"),
        ("FpnAsppUnet", "tu-convnext_atto"), ("FpnAsppUnet", "vgg11"), ("DeepLabV3Plus", "tu-convnext_atto"),
    ],
)  # fmt: skip
def test_one_network_takes_windows_of_several_sizes(model: Build, decoder: str, encoder: str) -> None:
    section = model(decoder=decoder, encoder=encoder, arguments={}, size=64)
    assert (section.one_size, section.multiple) == (False, 32)
    network = _imagine(section).eval()
    for height, width in ((64, 64), (96, 160)):
        assert _shapes(network, 1, 3, height, width) == (1, 1, height, width)


@pytest.mark.parametrize(
    ("decoder", "encoder"),
    [
        ("Unet", "tu-maxvit_nano_rw_256"), ("FPN", "tu-coatnet_0_rw_224"), ("FPN", "tu-maxxvitv2_nano_rw_256"),
        ("FPN", "tu-gcvit_xxtiny"), ("FPN", "tu-hiera_tiny_224"), ("FPN", "tu-botnet26t_256"),
        ("DPT", "tu-beit_base_patch16_224"), ("DPT", "tu-vit_relpos_small_patch16_224"),
    ],
)  # fmt: skip
def test_an_encoder_of_one_size_is_built_for_the_training_window(model: Build, decoder: str, encoder: str) -> None:
    section = model(decoder=decoder, encoder=encoder, arguments={}, size=192)
    assert (section.one_size, section.multiple) == (True, 192)
    network = _imagine(section).eval()
    assert _shapes(network, 1, 3, 192, 192) == (1, 1, 192, 192)
    with pytest.raises((AssertionError, RuntimeError)):
        _shapes(network, 1, 3, 224, 224)


def test_an_encoder_of_one_size_predicts_smaller_and_larger_images(
    model: Build, pixel_store: Callable[..., PixelStore]
) -> None:
    section = model(encoder="tu-coatnet_pico_rw_224", size=64)
    random = np.random.default_rng(0)
    store = pixel_store({f"{side}": random.integers(0, 256, (1, side, 70, 1), np.uint8) for side in (40, 100)})
    network = build_network(section, 1, 1, pretrained=False).eval()
    predict = Predict(window=64, overlap=0.25, views=["identity"])
    predictor = Predictor([network], section, predict, Binary(["a"]), torch.device("cpu"), nullcontext)
    for side in (40, 100):
        (maps,) = predictor.slices(store, f"{side}", 0, 1)
        assert maps["identity"].shape == (1, side, 70)


def test_what_params_say_wins(model: Build) -> None:
    swin = model(encoder=SWIN, arguments={"strict_img_size": True, "img_size": 64}, size=64)
    assert (swin.one_size, swin.multiple) == (True, 64)
    with pytest.raises(AssertionError, match="doesn't match model"):
        _shapes(_imagine(swin).eval(), 1, 3, 96, 96)
    assert model(arguments={"img_size": 32}).network_arguments == {"img_size": 32}
    with pytest.raises(ValueError, match="arguments.img_size must be size, which is 32"):
        model(arguments={"img_size": 64})


# What cannot be built


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decoder": "Unet3"}, ["decoder 'Unet3' is not known; there are DeepLabV3, DeepLabV3Plus, DPT, FPN"]),
        ({"encoder": "resnet35"}, ["Unet × encoder resnet35 cannot be built: neither", "take another encoder", "`resnet35`"]),
        ({"encoder": "tu-resnet35"}, ["Unet × encoder tu-resnet35 cannot be built: neither", "Unknown model"]),
        ({"arguments": {"decoder_chanels": [8]}}, ["it can be without its `arguments`: change those (TypeError", "decoder_chanels"]),
        ({"arguments": {"decoder_channels": [8, 8]}}, [f"Unet × encoder {RESNET} cannot be built: it can be without its `arg"]),
        ({"decoder": "DPT", "encoder": "resnet18"}, ["DPT × encoder resnet18", "goes with decoder Unet, FPN, UPerNet, Segformer: ", "Only Timm"]),
        ({"decoder": "DPT", "encoder": "tu-vit_small_patch14_dinov2"}, ["patches of 14 px", "8, 16 or 32"]),
        ({"decoder": "Unet", "encoder": "tu-vit_small_patch16_224"}, ["this encoder goes with decoder DPT: take one of these, or another"]),
        ({"decoder": "Unet", "encoder": "tu-levit_128s", "size": 224}, ["neither does this encoder go with decoder Unet, ", "take another encoder"]),
        ({"decoder": "Unet", "encoder": "tu-nest_tiny"}, ["neither does this encoder go with decoder Unet, FPN, ", "(IndexError: list"]),
        ({"decoder": "DeepLabV3", "encoder": "tu-hrnet_w18_small"}, ["decoder Unet, FPN, UPerNet, Segformer", "(AssertionError)"]),
        ({"decoder": "DeepLabV3Plus", "encoder": SWIN}, [f"DeepLabV3Plus × encoder {SWIN}", "goes with decoder Unet, FPN, UPerNet"]),
        ({"decoder": "PAN", "encoder": "tu-maxvit_nano_rw_256", "size": 128}, ["PAN × encoder tu-maxvit", "goes with decoder Unet"]),
        ({"decoder": "UnetPlusPlus", "encoder": "mit_b0"}, ["UnetPlusPlus × encoder mit_b0", "goes with decoder Unet, FPN"]),
        ({"decoder": "Linknet", "encoder": "mit_b0"}, ["Linknet × encoder mit_b0", "or another encoder"]),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_named_with_a_way_out(model: Build, changes: dict, said: list[str]) -> None:
    with pytest.raises(InputError) as error:
        build_network(model(**{"arguments": {}} | changes), 3, 1, pretrained=False)
    for part in said:
        assert part in str(error.value)


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-b0", "se_resnet50", "mit_b0", "timm-efficientnet-b0"])
@pytest.mark.parametrize(
    ("decoder", "arguments", "said"),
    [
        ("Unet", {"decoder_atention_type": "scse"}, "'decoder_atention_type'; did you mean 'decoder_attention_type'? it has encoder_depth, "),
        ("FPN", {"decoder_attention_type": "scse"}, "it has encoder_depth, decoder_pyramid_channels, "),
        ("FpnAsppUnet", {"decoder_channels": [8]}, "no argument 'decoder_channels'; it has none"),
        ("UPerNet", {"img_size": 64}, "no argument 'img_size'; it has encoder_depth, "),
        ("Unet", {"decoder_interpolation": "bilinear", "drop_path_rate": 0.1}, "no argument 'drop_path_rate'; it has "),
    ],
)  # fmt: skip
def test_arguments_that_smp_would_drop_are_refused(
    model: Build, encoder: str, decoder: str, arguments: dict, said: str
) -> None:
    section = model(decoder=decoder, encoder=encoder, arguments=arguments, size=64)
    with pytest.raises(InputError, match=f"arguments: decoder {decoder} × encoder {encoder} has no arg") as error:
        build_network(section, 3, 1, pretrained=False)
    assert said in str(error.value)
    assert "encoder_weights" not in str(error.value)  # `weights` decides


def test_arguments_that_a_decoder_names_reach_it(model: Build) -> None:
    plain, scse = ({}, {"decoder_attention_type": "scse", "encoder_depth": 5})
    sizes = [parameters_of(_imagine(model(encoder="resnet18", arguments=one))) for one in (plain, scse)]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("encoder", ["tu-swin_s3_tiny_224", "tu-test_convnext.r160_in1k", "mit_b0"])
def test_norms_that_an_encoder_has_not_cannot_be_frozen(model: Build, encoder: str) -> None:
    section = model(encoder=encoder, arguments={}, weights="file.pt", freeze_norms=True)
    with pytest.raises(InputError, match=f"freeze_norms keeps .* of batch norms, and encoder {encoder} has none"):
        build_network(section, 3, 1, pretrained=False)
    build_network(model(weights="file.pt", freeze_norms=True), 3, 1, pretrained=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decoder": "DPT", "encoder": "tu-xcit_nano_12_p16_224", "size": 224}, r"once: neither does .* encoder \(TypeError"),
        ({"decoder": "FPN", "arguments": {"encoder_depth": 4}}, "FPN × .* makes a map of 128×128 px of a window of 64×64"),
        ({"decoder": "Segformer", "arguments": {"upsampling": 2}}, "a map of 32×32 px of .* encoder_depth and upsampling"),
        ({"encoder": SWIN, "arguments": {"strict_img_size": True}}, r"cannot take 2 window\(s\) of 64×64 px .* another size"),
        ({"size": 32, "batch": 2, "accumulate": 2}, r"1 window\(s\) of 32×32 px at once: raise size, or batch / accumulate"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_what_is_built_but_answers_no_window_is_refused(model: Build, device: str, changes: dict, said: str) -> None:
    section = model(**{"size": 64, "arguments": {}} | changes)
    with torch.device(device):
        network = build_network(section, 1, 1, pretrained=False)
    with pytest.raises(InputError, match=said):
        tried(network, section, 1)


def test_a_network_that_was_tried_is_as_it_was_built_and_so_are_random_numbers(model: Build) -> None:
    section = model(decoder="FpnAsppUnet", arguments={}, auxiliary={"empty": 0.1})
    network = build_network(section, 1, 2, pretrained=False)
    before, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    assert tried(network, section, 2) is network
    assert torch.equal(torch.get_rng_state(), random)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_network_above_the_budget_is_refused(model: Build) -> None:
    section = model(encoder="resnet18", arguments={})
    assert _imagine(section.model_copy(update={"params_max": 14_328_209}))
    with pytest.raises(InputError, match=r"resnet18 has 14,328,209 parameters, params_max allows 14,328,208"):
        _imagine(section.model_copy(update={"params_max": 14_328_208}))
