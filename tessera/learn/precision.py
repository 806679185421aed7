"""Mixed precision."""

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, amp: str) -> AbstractContextManager:
    """Mixed precision on `device`: none, bf16 or fp16."""
    if amp == "none":
        return nullcontext()
    return torch.autocast(device.type, dtype={"bf16": torch.bfloat16, "fp16": torch.float16}[amp])
