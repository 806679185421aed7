import pytest
import torch
from torch import nn

from tessera.data.scaling import normalisation
from tessera.learn.networks.build import Segmenter
from tessera.predict.input_bugs import input_bugs

SLICES = 3


def _network(channels: int) -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(nn.Conv2d(SLICES * channels, 2, 1), *normalisation(channels), SLICES).eval()


@pytest.mark.parametrize("channels", [1, 3])
def test_each_bug_changes_what_the_network_sees(channels: int) -> None:
    windows = torch.randint(0, 256, (2, SLICES * channels, 5, 4), dtype=torch.uint8)
    first = _network(channels)
    expected = {
        "input of 0…255, not normalised": first.network(windows.float()),
        "input of 0…1, without mean and std": first.network(windows.float() / 255),
    }
    if channels == 3:
        order = [2, 1, 0, 5, 4, 3, 8, 7, 6]
        expected["input of BGR instead of RGB"] = first(windows[:, order])
    found = {bug.name: bug.change(_network(channels))(windows) for bug in input_bugs(channels)}
    assert list(found) == list(expected)
    for name, logits in found.items():
        torch.testing.assert_close(logits, expected[name])
    assert all(bug.look for bug in input_bugs(channels))
