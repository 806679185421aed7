from collections.abc import Callable
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file

from tessera.errors import InputError
from tessera.learn import networks
from tessera.learn.networks import MULTIPLE, Segmenter, build_network, load_encoder, parameters_of
from tessera.params.model import Model

Build = Callable[..., Model]
FPN = {"decoder": "FPN", "arguments": {}}


# Building


@pytest.mark.parametrize("changes", [{}, FPN], ids=["Unet", "FPN"])
@pytest.mark.parametrize(("channels", "slices"), [(1, 1), (1, 5), (3, 1), (3, 3)])
def test_logits_have_a_plane_a_class_at_the_windows_size(
    model: Build, changes: dict, channels: int, slices: int
) -> None:
    network = build_network(model(slices=slices, **changes), channels, 2, pretrained=False).eval()
    windows = torch.randint(0, 256, (2, channels * slices, MULTIPLE, 3 * MULTIPLE), dtype=torch.uint8)
    with torch.inference_mode():
        assert network(windows).shape == (2, 2, MULTIPLE, 3 * MULTIPLE)


def test_pixels_are_normalised_the_same_in_every_slice() -> None:
    segmenter = Segmenter(torch.nn.Identity(), (0.5, 0.4), (0.2, 0.1), slices=2)
    windows = torch.randint(0, 256, (1, 4, 3, 3), dtype=torch.uint8)
    expected = (windows / 255 - torch.tensor([0.5, 0.4, 0.5, 0.4]).view(1, 4, 1, 1)) / torch.tensor(
        [0.2, 0.1, 0.2, 0.1]
    ).view(1, 4, 1, 1)
    torch.testing.assert_close(segmenter(windows), expected)
    assert segmenter.state_dict() == {}  # the numbers are in the recipe, not in the weights


@pytest.mark.parametrize(
    ("decoder", "encoder", "millions"), [("Unet", "resnet34", 24.44), ("FPN", "efficientnet-b0", 5.76)]
)
def test_parameter_counts_are_those_of_the_table(model: Build, decoder: str, encoder: str, millions: float) -> None:
    network = build_network(model(decoder=decoder, encoder=encoder, arguments={}), 3, 1, pretrained=False)
    assert parameters_of(network) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decoder": "Unet3"}, "decoder 'Unet3' is not known; there are DeepLabV3Plus, DPT, FPN"),
        ({"encoder": "resnet35"}, "Unet × encoder resnet35 cannot be built"),
        ({"encoder": "tu-resnet35"}, "Unet × encoder tu-resnet35 cannot be built"),
        ({"decoder": "DPT", "encoder": "resnet18", "arguments": {}}, "DPT × encoder resnet18 cannot be built"),
        ({"arguments": {"decoder_chanels": [8]}}, "decoder_chanels"),
        ({"arguments": {"decoder_channels": [8, 8]}}, "Unet × encoder tu-test_resnet.r160_in1k cannot be built"),
    ],
)
def test_what_cannot_be_built_is_named(model: Build, changes: dict, said: str) -> None:
    with pytest.raises(InputError) as error:
        build_network(model(**changes), 3, 1, pretrained=False)
    assert said in str(error.value)


# Weights from a local file


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A file with the random weights of an RGB resnet18, and its own classifier."""
    torch.manual_seed(0)
    state = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(state | {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)}, path)
    return path, state


def _encoder(channels: int) -> torch.nn.Module:
    torch.manual_seed(1)
    return smp.encoders.get_encoder("resnet18", in_channels=channels, weights=None)


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_a_local_file_becomes_the_encoder(resnet: tuple, model: Build, tmp_path: Path, kind: str) -> None:
    path, state = resnet
    if kind == "pt":
        path = tmp_path / "resnet18.pt"
        torch.save(state, path)
    section = model(encoder="resnet18", weights=str(path))
    loaded = build_network(section, 3, 1, pretrained=True).network.encoder.state_dict()
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
    untouched = build_network(section, 3, 1, pretrained=False).network.encoder.state_dict()
    assert not torch.equal(untouched["conv1.weight"], state["conv1.weight"])


@pytest.mark.parametrize("channels", [1, 2, 9])
def test_other_channels_get_what_smp_makes_of_the_same_weights(resnet: tuple, channels: int) -> None:
    path, state = resnet
    loaded = _encoder(channels)
    load_encoder(loaded, path)
    reference = _encoder(3)
    reference.load_state_dict(dict(state))
    reference.set_in_channels(channels, pretrained=True)
    for name, tensor in reference.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, msg=name)


@pytest.mark.parametrize("channels", [1, 3, 9])
def test_a_grey_image_is_answered_as_its_rgb_copy(resnet: tuple, channels: int) -> None:
    path, _ = resnet
    encoders = [_encoder(3), _encoder(channels)]
    grey = torch.randn(1, 1, 64, 64)
    answers = []
    for encoder in encoders:
        load_encoder(encoder, path)
        with torch.inference_mode():
            answers.append(encoder.eval()(grey.expand(1, encoder.conv1.in_channels, 64, 64))[-1])
    torch.testing.assert_close(answers[1], answers[0], rtol=1e-3, atol=1e-4)


def test_a_file_as_timm_publishes_it_fits_its_encoder(model: Build, tmp_path: Path) -> None:
    published = timm.create_model("test_resnet.r160_in1k").state_dict()
    save_file(published, tmp_path / "model.safetensors")
    section = model(weights=str(tmp_path / "model.safetensors"))
    loaded = build_network(section, 3, 1, pretrained=True).network.encoder.state_dict()
    assert torch.equal(loaded["model.conv1.0.weight"], published["conv1.0.weight"])


def test_a_missing_file_says_what_can_be_given(model: Build) -> None:
    with pytest.raises(
        InputError, match=r"weights gone\.safetensors: no such file; give imagenet, a local file, or null"
    ):
        build_network(model(weights="gone.safetensors"), 3, 1, pretrained=True)


def test_a_missing_file_matters_to_training_alone(model: Build) -> None:
    build_network(model(weights="gone.safetensors"), 3, 1, pretrained=False)


def test_weights_of_another_encoder_do_not_fit(resnet: tuple, model: Build) -> None:
    with pytest.raises(InputError, match=r"resnet18\.safetensors do not fit the encoder"):
        build_network(model(encoder="resnet34", weights=str(resnet[0])), 3, 1, pretrained=True)


@pytest.mark.parametrize("name", ["damaged.safetensors", "damaged.pt"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"], ids=["empty", "a web page"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        load_encoder(torch.nn.Conv2d(3, 8, 3), tmp_path / name)


# Weights from the hub


@pytest.mark.parametrize("encoder", ["resnet18", "tu-test_resnet.r160_in1k"])
def test_offline_the_error_names_three_ways_out(model: Build, monkeypatch: pytest.MonkeyPatch, encoder: str) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", offline)
    monkeypatch.setattr("timm.models._hub.hf_hub_download", offline)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", offline)
    with pytest.raises(InputError, match=f"imagenet weights of {encoder}") as error:
        build_network(model(encoder=encoder, weights="imagenet"), 3, 1, pretrained=True)
    for way in ("no network", "hub's cache", "weights: path/to/", "weights: null"):
        assert way in str(error.value)


def test_predicting_never_asks_the_hub(model: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = networks.DECODERS["Unet"]
    monkeypatch.setitem(
        networks.DECODERS,
        "Unet",
        lambda *given, **named: asked.append(named["encoder_weights"]) or original(*given, **named),
    )
    build_network(model(weights="imagenet"), 3, 1, pretrained=False)
    assert asked == [None]
