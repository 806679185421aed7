"""Binary cross-entropy."""

import torch
from torch.nn import functional


def bce(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy over valid pixels; all three (B, C, H, W), target and valid 0/1 float32."""
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * valid).sum() / valid.sum().clamp(min=1)
