from collections.abc import Callable

import pytest
import timm
import torch
from torch import nn

from tessera.learn.networks.build import Segmenter, build_network
from tessera.learn.optimiser import build_optimiser, set_training
from tessera.learn.schedules import build_schedule
from tessera.params.model import Model


@pytest.fixture
def build(model: Callable[..., Model]) -> Callable[..., tuple[Segmenter, torch.optim.AdamW, Model]]:
    def make(**changes: object) -> tuple[Segmenter, torch.optim.AdamW, Model]:
        torch.manual_seed(0)
        section = model(**changes)
        network = build_network(section, 1, 1, pretrained=False)
        return network, build_optimiser(network, section), section

    return make


def settings(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """(learning rate, weight decay) by parameter name."""
    found = {id(p): (group["lr"], group["weight_decay"]) for group in optimiser.param_groups for p in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in optimiser.param_groups)
    return {name: found[id(parameter)] for name, parameter in network.named_parameters()}


def test_without_the_keys_all_parameters_are_one_group_as_they_always_were(build) -> None:
    network, optimiser, _ = build(weight_decay=0.02)
    assert len(optimiser.param_groups) == 1
    assert [id(p) for p in optimiser.param_groups[0]["params"]] == [id(p) for p in network.parameters()]
    assert set(settings(network, optimiser).values()) == {(1e-3, 0.02)}


def test_encoder_lr_is_a_factor_and_the_first_group_has_the_models_own(build) -> None:
    network, optimiser, _ = build(encoder_lr=0.1)
    assert optimiser.param_groups[0]["lr"] == 1e-3
    for name, (lr, _) in settings(network, optimiser).items():
        assert lr == pytest.approx(1e-4 if ".encoder." in name else 1e-3), name


def test_layer_decay_lowers_the_rate_from_level_to_level(build) -> None:
    network, optimiser, _ = build(encoder_lr=0.5, layer_decay=0.5)
    found = settings(network, optimiser)
    rates = {name.split(".encoder.model.")[1]: lr for name, (lr, _) in found.items() if ".encoder." in name}
    by_level = {"conv1": 4, "layer1": 3, "layer2": 2, "layer3": 1, "layer4": 0}  # below the deepest
    for name, lr in rates.items():
        level = next((below for start, below in by_level.items() if name.startswith(start)), 4)  # bn1 is the stem's
        assert lr == pytest.approx(1e-3 * 0.5 * 0.5**level), name
    assert {lr for name, (lr, _) in found.items() if ".encoder." not in name} == {1e-3}


def test_layer_decay_knows_the_blocks_of_a_plain_transformer(build) -> None:
    network, optimiser, _ = build(decoder="DPT", encoder="tu-test_vit.r160_in1k", arguments={}, layer_decay=0.5)
    found = settings(network, optimiser)
    rates = [lr for name, (lr, _) in found.items() if ".encoder." in name]
    assert min(rates) < max(rates) == 1e-3
    assert found["network.encoder.model.patch_embed.proj.weight"][0] == min(rates)


def test_norms_and_biases_are_not_decayed(build) -> None:
    network, optimiser, _ = build(decay="weights", weight_decay=0.03)
    for (_, parameter), (_, decay) in zip(
        network.named_parameters(), settings(network, optimiser).values(), strict=True
    ):
        assert decay == (0.03 if parameter.ndim > 1 else 0)


def test_positions_are_not_decayed_which_timm_leaves_out(build) -> None:
    swin = {"decoder": "UPerNet", "encoder": "tu-swin_s3_tiny_224", "arguments": {"decoder_channels": 16}, "size": 224}
    vit = {"decoder": "DPT", "encoder": "tu-test_vit.r160_in1k", "arguments": {}}
    for network_of in (swin, vit):
        whole = timm.create_model(network_of["encoder"].removeprefix("tu-"))
        listed = {name.replace(".", "_") for name in whole.no_weight_decay()}  # as encoders of feature maps say it
        network, optimiser, _ = build(decay="weights", weight_decay=0.03, **network_of)
        weights = {name: one for name, one in network.network.encoder.named_parameters() if one.ndim > 1}
        decays = settings(network.network.encoder, optimiser)
        undecayed = {name.removeprefix("model.").replace(".", "_") for name in weights if decays[name][1] == 0}
        assert undecayed
        assert undecayed <= listed


def test_schedules_scale_every_group(build) -> None:
    _, optimiser, _ = build(encoder_lr=0.1)
    schedule = build_schedule("cosine", optimiser, 10, 0)
    for _ in range(5):
        optimiser.step()
        schedule.step()
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.5e-3, 0.5e-4])


def test_a_frozen_encoder_keeps_weights_and_batch_statistics_until_it_is_freed(build) -> None:
    network, optimiser, section = build(freeze=1, weights="some.safetensors", weight_decay=0.1, epochs=2)

    def step(epoch: int) -> set[str]:
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        set_training(network, section, epoch)
        network(torch.randint(0, 255, (2, 1, 32, 32), dtype=torch.uint8)).mean().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}

    assert (changed := step(0)) and not any(".encoder." in name for name in changed)
    assert any(".encoder." in name and name.endswith("running_mean") for name in step(1))


def test_frozen_norms_never_change_their_statistics_while_weights_learn(build) -> None:
    network, _, section = build(freeze_norms=True, weights="some.safetensors")
    set_training(network, section, 1)
    encoder = network.network.encoder
    before = {name: tensor.clone() for name, tensor in encoder.named_buffers()}
    network(torch.randint(0, 255, (2, 1, 32, 32), dtype=torch.uint8)).mean().backward()
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.named_buffers())
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert network.network.decoder.training
