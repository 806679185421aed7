"""Windows at another size than they were read at, on a device; as `tessera.data.zooming` does it on the CPU."""

import numpy as np
import torch


def resize(windows: torch.Tensor, size: int) -> torch.Tensor:
    """Square windows (B, C, n, n) uint8 at `size`: the covered area's mean downwards, linear upwards.

    Grey values may be one off those of the CPU, where OpenCV rounds weights.
    """
    if windows.shape[-1] == size:
        return windows
    weights = torch.from_numpy(_weights(windows.shape[-1], size)).to(windows.device)
    return (weights @ windows.float() @ weights.T).round().clamp(0, 255).byte()


def resize_labels(labels: torch.Tensor, size: int) -> torch.Tensor:
    """Square labels (B, K, n, n) uint8 at `size`: each that of the nearest pixel."""
    if labels.shape[-1] == size:
        return labels
    nearest = ((torch.arange(size, device=labels.device) * 2 + 1) * labels.shape[-1]).div(
        2 * size, rounding_mode="floor"
    )
    return labels[:, :, nearest[:, None], nearest]


def _weights(length: int, size: int) -> np.ndarray:
    """What each of `length` pixels is to each of `size`, (size, length) float32, rows of sum 1."""
    scale, new, old = length / size, np.arange(size)[:, None], np.arange(length)
    if scale > 1:
        overlap = np.minimum((new + 1) * scale, old + 1) - np.maximum(new * scale, old)
        return (np.clip(overlap, 0, 1) / scale).astype(np.float32)
    place = np.clip((new + 0.5) * scale - 0.5, 0, length - 1)
    return np.clip(1 - np.abs(place - old), 0, 1).astype(np.float32)
