import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file

from tessera.errors import InputError
from tessera.learn.checkpoints import save_checkpoint
from tessera.learn.networks.build import build_network
from tessera.learn.networks.weights import load_encoder, read_weights, widen, without_head
from tessera.params.model import Model

Build = Callable[..., Model]
RESNET = "tu-test_resnet.r160_in1k"


# Weights from a local file


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A file with the random weights of an RGB resnet18, and its own classifier."""
    torch.manual_seed(0)
    state = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(state | {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)}, path)
    return path, state


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A file as timm publishes them."""
    state = timm.create_model("test_resnet.r160_in1k").state_dict()
    path = tmp_path_factory.mktemp("published") / "model.safetensors"
    save_file(state, path)
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


@pytest.mark.parametrize("channels", [1, 9])
def test_where_smp_is_exact_it_makes_the_same_of_the_weights(resnet: tuple, channels: int) -> None:
    path, state = resnet
    loaded = _encoder(channels)
    load_encoder(loaded, without_head(read_weights(path)), "resnet18")
    reference = _encoder(3)
    reference.load_state_dict(dict(state))
    reference.set_in_channels(channels, pretrained=True)
    for name, tensor in reference.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, msg=name)


@pytest.fixture
def hub(resnet: tuple, published: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub with the weights of two encoders."""
    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", lambda *_, **__: str(resnet[0]))
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(published[1]))


@pytest.mark.parametrize("slices", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("source", ["imagenet", "file"])
@pytest.mark.parametrize(("encoder", "stem"), [("resnet18", "conv1"), (RESNET, "model.conv1.0")])
@pytest.mark.usefixtures("hub")
def test_a_stack_of_equal_slices_is_answered_as_the_rgb_image(
    resnet: tuple, published: tuple, model: Build, encoder: str, stem: str, source: str, channels: int, slices: int
) -> None:
    path, state = resnet if encoder == "resnet18" else published
    section = model(encoder=encoder, weights="imagenet" if source == "imagenet" else str(path), slices=slices)
    first = build_network(section, channels, 1, pretrained=True).network.encoder.get_submodule(stem)
    rgb = state[f"{stem.removeprefix('model.')}.weight"]
    image = torch.randn(2, channels, 16, 16)
    with torch.inference_mode():
        given = first(image.repeat(1, slices, 1, 1))
        wanted = torch.nn.functional.conv2d(image.expand(2, 3, 16, 16), rgb, None, first.stride, first.padding)
    torch.testing.assert_close(given, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [3, 5])
def test_a_layer_of_another_width_is_not_taken_for_the_first_one(resnet: tuple, channels: int) -> None:
    state = resnet[1] | {"layer2.0.conv1.weight": torch.zeros(128, 4, 3, 3)}  # as that of an encoder with groups
    with pytest.raises(InputError, match=r"size mismatch for layer2\.0\.conv1\.weight"):
        load_encoder(_encoder(channels), state, "resnext")


def test_three_slices_keep_the_weights_as_they_are() -> None:
    weight = torch.randn(4, 3, 7, 7)
    assert torch.equal(widen(weight, 3), weight)
    assert torch.equal(widen(weight, 5)[:, [0, 3]], weight[:, [0, 0]] / 2)  # red comes twice, blue once
    assert torch.equal(widen(weight, 5)[:, 2], weight[:, 2])


def test_a_file_as_timm_publishes_it_fits_its_encoder(model: Build, published: tuple) -> None:
    path, state = published
    loaded = build_network(model(weights=str(path)), 3, 1, pretrained=True).network.encoder.state_dict()
    assert torch.equal(loaded["model.conv1.0.weight"], state["conv1.0.weight"])
    assert torch.equal(loaded["model.layer4.0.conv2.weight"], state["layer4.0.conv2.weight"])


@pytest.mark.parametrize(
    ("part", "lacks"),
    [
        ("layer2", "layer2.0.conv1.weight, layer2"), ("", "conv1.0.weight, conv1"), (r"\.bias$", "conv1.1.bias, conv1.4.bias, "),
        (r"running_", "conv1.1.running_mean, conv1.1.running_var, "), (r"(bn\d|conv1\.[14])\.", "conv1.1.weight, conv1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", [3, 5])
def test_a_file_in_which_timm_does_not_find_all_is_refused(
    model: Build, published: tuple, tmp_path: Path, part: str, lacks: str, channels: int
) -> None:
    kept = {name: tensor for name, tensor in published[1].items() if not re.search(part, name)}
    save_file(kept or {"head.x": torch.zeros(1)}, tmp_path / "part.safetensors")
    with pytest.raises(InputError, match=rf"part.safetensors do not fit the encoder: the file lacks {lacks}"):
        build_network(model(weights=str(tmp_path / "part.safetensors"), slices=channels), 1, 1, pretrained=True)


@pytest.mark.parametrize("encoder", ["tu-convnext_atto", "tu-coatnet_pico_rw_224", "tu-resnet18"])
@pytest.mark.parametrize("channels", [3, 5])
def test_what_timm_renames_resizes_and_leaves_out_is_not_missing(
    model: Build, tmp_path: Path, encoder: str, channels: int
) -> None:
    """Its heads, the numbers of batches that old files lack, and layers below the last map that is asked for."""
    arguments = {"encoder_depth": 4, "decoder_channels": [16, 16, 8, 8]}
    state = timm.create_model(encoder.removeprefix("tu-")).state_dict()
    torch.save({name: state[name] for name in state if "num_batches" not in name}, tmp_path / "all.pt")
    section = model(encoder=encoder, weights=str(tmp_path / "all.pt"), arguments=arguments, slices=channels)
    loaded = build_network(section, 1, 1, pretrained=True).network.encoder.state_dict()
    sums, given = ([f"{one.double().abs().sum():.9g}" for one in of.values()] for of in (loaded, state))
    changed = [name for name, value in zip(loaded, sums, strict=True) if value not in given]
    assert all("position_bias" in name for name in changed)  # resized; a widened first layer has the same sum


@pytest.mark.parametrize("encoder", ["resnet18", RESNET])
@pytest.mark.parametrize("prefix", ["encoder.", "net.encoder.", "model."])
def test_the_weights_of_a_whole_network_are_said_to_be_so(
    model: Build, resnet: tuple, published: tuple, tmp_path: Path, encoder: str, prefix: str
) -> None:
    state = resnet[1] if encoder == "resnet18" else published[1]
    whole = {f"{prefix}{name}": tensor for name, tensor in state.items()} | {"decoder.weight": torch.zeros(1)}
    torch.save(whole, tmp_path / "whole.pt")
    with pytest.raises(
        InputError, match=rf"the file lacks conv1.*, …; it has them behind '{prefix}': save the state_.*, unless"
    ):
        build_network(model(encoder=encoder, weights=str(tmp_path / "whole.pt")), 3, 1, pretrained=True)


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_a_checkpoint_of_our_own_is_refused_because_scores_would_leak(model: Build, tmp_path: Path, kind: str) -> None:
    network, path = build_network(model(), 3, 1, pretrained=False), tmp_path / f"fold_0.{kind}"
    if kind == "pt":
        torch.save(network.state_dict(), path)
    else:
        save_checkpoint(path, network, {"fold": 0})
    with pytest.raises(
        InputError, match=r"fold_0.* seen images of this competition.* holds out.*Take weights .* other data"
    ):
        build_network(model(weights=str(path)), 3, 1, pretrained=True)


@pytest.mark.parametrize("encoder", ["test_convnext.r160_in1k", "test_resnet.r160_in1k", "swin_s3_tiny_224"])
@pytest.mark.parametrize(("names", "slices"), [("smp's", 1), ("timm's behind model.", 5)])
def test_a_file_under_smps_names_fits_an_encoder_of_timm(
    model: Build, tmp_path: Path, encoder: str, names: str, slices: int
) -> None:
    torch.manual_seed(0)
    given = smp.encoders.get_encoder(f"tu-{encoder}", weights=None).state_dict()
    if names != "smp's":
        given = {f"model.{name}": one for name, one in timm.create_model(encoder).state_dict().items()}
    torch.save(given, tmp_path / "smp.pt")
    section = model(encoder=f"tu-{encoder}", arguments={}, weights=str(tmp_path / "smp.pt"), slices=slices)
    loaded = build_network(section, 3, 1, pretrained=True).network.encoder.state_dict()
    sums = ({f"{one.double().abs().sum():.6g}" for one in of.values()} for of in (loaded, given))
    assert next(sums) <= next(sums)  # a widened first layer has the same sum


def test_a_part_of_a_file_under_smps_names_says_what_is_expected(model: Build, tmp_path: Path) -> None:
    given = smp.encoders.get_encoder("tu-test_convnext", weights=None).state_dict()
    given.popitem()
    torch.save(given, tmp_path / "part.pt")
    with pytest.raises(
        InputError, match=r"part.pt do not fit the encoder.* timm publishes for test_convnext, or the state"
    ):
        build_network(model(encoder="tu-test_convnext", weights=str(tmp_path / "part.pt")), 3, 1, pretrained=True)


@pytest.mark.parametrize("encoder", ["resnet18", RESNET])
def test_an_empty_file_is_refused_and_the_hub_is_not_asked(
    model: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: pytest.fail("asked"))
    torch.save({}, tmp_path / "empty.pt")
    with pytest.raises(InputError, match=r"empty.pt: holds no tensor"):
        build_network(model(encoder=encoder, weights=str(tmp_path / "empty.pt")), 3, 1, pretrained=True)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
@pytest.mark.parametrize("encoder", ["resnet18", RESNET])
def test_weights_that_are_not_finite_are_refused(
    model: Build, resnet: tuple, published: tuple, tmp_path: Path, encoder: str, value: float
) -> None:
    state = {name: tensor.clone() for name, tensor in (resnet if encoder == "resnet18" else published)[1].items()}
    state["layer1.0.conv1.weight"][0, 0, 0, 0] = value
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(InputError, match=r"broken.safetensors: .*layer1.0.conv1.weight hold.* NaN or infinite"):
        build_network(model(encoder=encoder, weights=str(tmp_path / "broken.safetensors")), 3, 1, pretrained=True)


@pytest.mark.parametrize(
    "wrap", [lambda s: {"state_dict": {f"module.{n}": t for n, t in s.items()}, "epoch": 3}, lambda s: {"model": s}]
)
def test_what_a_trainer_put_around_the_weights_is_taken_off(resnet: tuple, tmp_path: Path, wrap: Callable) -> None:
    torch.save(wrap(resnet[1]), tmp_path / "last.pth")
    assert read_weights(tmp_path / "last.pth").keys() == resnet[1].keys()


def test_a_swapped_file_is_an_error(resnet: tuple, model: Build) -> None:
    path, state = resnet
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    section = model(encoder="resnet18", weights={"file": str(path), "sha256": digest})
    loaded = build_network(section, 3, 1, pretrained=True).network.encoder.state_dict()
    assert torch.equal(loaded["conv1.weight"], state["conv1.weight"])
    build_network(
        model(encoder="resnet18", weights={"file": str(path), "sha256": digest.upper()}), 3, 1, pretrained=True
    )
    other = model(encoder="resnet18", weights={"file": str(path), "sha256": "0" * 64})
    with pytest.raises(InputError, match=f"its sha256 is {digest}, params say 000"):
        build_network(other, 3, 1, pretrained=True)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": tmp_path}, tmp_path / "odd.pt")  # any object but tensors and plain values
    with pytest.raises(InputError, match=r"odd.pt: cannot be read"):
        read_weights(tmp_path / "odd.pt")


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"epoch": 3}])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(InputError, match=r"odd.pt: holds something else than tensors by name"):
        read_weights(tmp_path / "odd.pt")


def test_a_missing_file_says_what_can_be_given(model: Build) -> None:
    with pytest.raises(
        InputError,
        match=r"weights gone\.safetensors: no such file; give imagenet, a local file, or null.* tu-tf_efficientnet_b5\.ns_jft",
    ):
        build_network(model(weights="gone.safetensors"), 3, 1, pretrained=True)


def test_a_missing_file_matters_to_training_alone(model: Build) -> None:
    build_network(model(weights="gone.safetensors"), 3, 1, pretrained=False)


def test_weights_of_another_encoder_do_not_fit(resnet: tuple, model: Build) -> None:
    with pytest.raises(InputError, match=r"resnet18\.safetensors do not fit the encoder"):
        build_network(model(encoder="resnet34", weights=str(resnet[0])), 3, 1, pretrained=True)


@pytest.mark.parametrize("name", ["damaged.safetensors", "damaged.pt"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"hello", b"version https"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"(?s){name}: cannot be read .* expected is a whole file of tensors by name"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("length", [1, 100, 4096, 4200, 8192, 40_000, 69_000, 1_000_000, -1])
@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_a_file_that_is_cut_off_is_named(resnet: tuple, tmp_path: Path, kind: str, length: int) -> None:
    path = tmp_path / f"cut.{kind}"
    torch.save(resnet[1], path) if kind == "pt" else save_file(resnet[1], path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=f"cut.{kind}: cannot be read"):
        read_weights(path)
