from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tessera.errors import InputError
from tessera.learn.checkpoints import load_checkpoint, read_about, save_checkpoint

CPU = torch.device("cpu")
ABOUT = {
    "model": "m", "fold": 0, "parts": [["a", 0, 4]], "groups": ["g"], "digests": ["d"], "params": {"lr": 1e-3}, "n": None,
}  # fmt: skip


def _network(seed: int, width: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(2, width, 3), nn.BatchNorm2d(width)).to(memory_format=torch.channels_last)
    network.train()(torch.randn(4, 2, 5, 5))
    return network


def test_weights_and_account_come_back(tmp_path: Path) -> None:
    saved = _network(0)
    save_checkpoint(tmp_path / "w.safetensors", saved, ABOUT)
    assert read_about(tmp_path / "w.safetensors") == ABOUT
    loaded = load_checkpoint(tmp_path / "w.safetensors", _network(1), CPU)
    assert not loaded.training
    for name, tensor in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    windows = torch.randn(2, 2, 9, 9)
    assert torch.equal(loaded(windows), saved.eval()(windows))


def test_written_twice_the_bytes_are_the_same(tmp_path: Path) -> None:
    for name, about in (("one", ABOUT), ("two", dict(reversed(ABOUT.items())))):
        save_checkpoint(tmp_path / name, _network(0), about)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is made by Linux alone")
def test_with_a_full_disk_it_is_the_error_of_any_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        save_checkpoint(path, _network(0), ABOUT)


def test_another_network_does_not_fit(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "w.safetensors", _network(0), ABOUT)
    with pytest.raises(InputError, match=r"w\.safetensors does not fit the network of params\.yaml; train it again"):
        load_checkpoint(tmp_path / "w.safetensors", _network(0, width=4), CPU)


def test_a_missing_checkpoint_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.safetensors: no such checkpoint; train it first: dvc repro"):
        read_about(tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match=r"gone\.safetensors: no such checkpoint"):
        load_checkpoint(tmp_path / "gone.safetensors", _network(0), CPU)


def test_a_file_of_other_weights_is_not_ours(tmp_path: Path) -> None:
    save_file(_network(0).state_dict() | {"0.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors: was not written by the train stage"):
        read_about(tmp_path / "other.safetensors")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", None], ids=["empty", "a web page", "truncated"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "damaged.safetensors"
    save_checkpoint(path, _network(0), ABOUT)
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    with pytest.raises(InputError, match=r"damaged\.safetensors"):
        read_about(path)
    with pytest.raises(InputError, match=r"damaged\.safetensors"):
        load_checkpoint(path, _network(0), CPU)
