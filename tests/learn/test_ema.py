import pytest
import torch
from torch import nn

from tessera.learn.ema import Ema


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    network.train()(torch.randn(4, 2, 5, 5))  # moves the running statistics
    return network


def _state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.9, 0.999])
def test_the_average_follows_its_formula(decay: float) -> None:
    ema = Ema(_network(0), decay)
    expected = _state(ema.network)
    for step in range(1, 7):
        network = _network(step)
        ema.update(network)
        d = min(decay, (1 + step) / (10 + step))
        for name, tensor in _state(network).items():
            expected[name] = d * expected[name] + (1 - d) * tensor if tensor.is_floating_point() else tensor
        for name, tensor in _state(ema.network).items():
            torch.testing.assert_close(tensor, expected[name])


def test_a_decay_of_0_is_the_network_itself() -> None:
    ema, network = Ema(_network(0), 0), _network(1)
    ema.update(network)
    for name, tensor in network.state_dict().items():
        assert torch.equal(ema.network.state_dict()[name], tensor), name


def test_the_average_is_a_copy_that_is_never_trained() -> None:
    network = _network(0)
    ema = Ema(network, 0.9)
    before = _state(network)
    ema.update(_network(1))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not ema.network.training
    assert not any(parameter.requires_grad for parameter in ema.network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
