"""Weights from the hub."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tessera.errors import InputError
from tessera.learn.networks import build
from tessera.learn.networks.build import build_network
from tessera.params.model import Model

Build = Callable[..., Model]
RESNET = "tu-test_resnet.r160_in1k"


@pytest.mark.parametrize("offline", [True, False], ids=["told to be offline", "without a network"])
@pytest.mark.parametrize("encoder", ["resnet18", RESNET])
def test_offline_the_error_names_three_ways_out(
    model: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoder: str, offline: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the hub's attempts
    with pytest.raises(InputError, match=f"imagenet weights of {encoder} cannot be had") as error:
        build_network(model(encoder=encoder, weights="imagenet"), 3, 1, pretrained=True)
    for way in ("hub's cache", "weights: path/to/", "weights: null"):
        assert way in str(error.value)


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("dpn68b", r"smp has imagenet\+5k alone\. Give null"), ("tu-maxvit_pico_rw_256", "timm publishes none"),
        ("tu-resnet18.nosuch", "timm has no weights of this name.*there are .*tu-resnet18.a1_in1k"),
    ],
)  # fmt: skip
def test_imagenet_weights_that_nobody_publishes_are_refused_without_a_download(
    model: Build, encoder: str, said: str
) -> None:
    with pytest.raises(InputError, match=f"encoder {encoder}: {said}"):
        build_network(model(encoder=encoder, weights="imagenet", arguments={}, size=64), 3, 1, pretrained=False)


def test_predicting_never_asks_the_hub(model: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = build.DECODERS["Unet"]
    monkeypatch.setitem(
        build.DECODERS,
        "Unet",
        lambda *given, **named: asked.append(named["encoder_weights"]) or original(*given, **named),
    )
    build_network(model(weights="imagenet"), 3, 1, pretrained=False)
    assert asked == [None]
