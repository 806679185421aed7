"""The optimiser: AdamW over groups of parameters with their own learning rate and weight decay."""

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from tessera.learn.networks.build import Segmenter

if TYPE_CHECKING:
    from tessera.params.model import Model

# What says where a token lies, and tokens that are learnt: of the names of timm's encoders, those that the encoders'
# `no_weight_decay()` lists. Encoders that give feature maps have lost that method.
POSITIONS = {
    "relative_position_bias_table", "attention_biases", "cpb_mlp", "rel_pos", "rel_pos_h", "rel_pos_w", "pos_block",
    "logit_scale", "pos_embed", "absolute_pos_embed", "cls_token", "dist_token", "reg_token",
}  # fmt: skip


def build_optimiser(network: Segmenter, model: "Model") -> torch.optim.AdamW:
    """AdamW; the first group has the model's own `lr`: the decoder and the head.

    `encoder_lr` is a factor on the encoder's, and `layer_decay` one more for each of its levels below the deepest
    (Clark et al. 2020, ELECTRA, there a layer each). With `decay: weights`, norms, biases and tables of
    positions are not decayed.
    """
    encoder = network.network.encoder
    windows = torch.empty(1, network.mean.shape[1], model.size, model.size, device="meta")
    levels = _levels(encoder, windows) if model.layer_decay != 1 else {}
    inside = {id(parameter) for parameter in encoder.parameters()}
    deepest = max(levels.values(), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {(1.0, model.weight_decay): []}
    for name, parameter in network.named_parameters():
        factor = 1.0
        if id(parameter) in inside:
            factor = model.encoder_lr * model.layer_decay ** (deepest - levels.get(id(parameter), deepest))
        weight = parameter.ndim > 1 and POSITIONS.isdisjoint(name.split("."))
        decay = model.weight_decay if model.decay == "all" or weight else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    fused = next(network.parameters()).device.type == "cuda"
    return torch.optim.AdamW(
        [{"params": group, "lr": model.lr * factor, "weight_decay": decay} for (factor, decay), group in groups.items() if group],
        lr=model.lr, fused=fused,
    )  # fmt: skip


def set_training(network: Segmenter, model: "Model", epoch: int) -> None:
    """Training mode for an epoch (from 0): the encoder learns nothing in the first `freeze` ones, its batch
    statistics included; with `freeze_norms`, those never change."""
    encoder = network.network.encoder
    frozen = epoch < model.freeze
    network.train()
    encoder.train(not frozen).requires_grad_(not frozen)
    if model.freeze_norms:
        for module in encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _levels(encoder: nn.Module, windows: torch.Tensor) -> dict[int, int]:
    """By id of the encoder's parameters: the first of its feature maps (0 is the largest) that depends on each.

    Found by differentiation, so that it holds for every encoder; on the meta device nothing is computed.
    """
    traced = copy.deepcopy(encoder).to("meta").eval().requires_grad_(True)
    maps = traced(windows)
    maps = maps[0] if isinstance(maps, tuple) else maps  # of DPT's encoders: maps and tokens
    maps = [feature for feature in maps if feature.requires_grad and feature.numel()]
    names, parameters = zip(*traced.named_parameters(), strict=True)
    level: dict[str, int] = {}
    for number, feature in enumerate(maps):
        gradients = torch.autograd.grad(feature.sum(), parameters, retain_graph=True, allow_unused=True)
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is not None:
                level.setdefault(name, number)
    return {id(parameter): level.get(name, len(maps) - 1) for name, parameter in encoder.named_parameters()}
