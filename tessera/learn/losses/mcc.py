"""Matthews correlation coefficient."""

import torch

from tessera.learn.losses.valid import SMOOTH, soft_counts


def mcc(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, per_image: bool) -> torch.Tensor:
    """1 − Matthews correlation, soft, pooled over the batch or per image, mean over classes.

    In [0, 2]; 0 where no pixel is valid. `SMOOTH` is added to each of the four counts, so that a truth all of one
    class stays finite: its loss lies about 0.5. Source: Abhishek & Hamarneh 2021, Matthews Correlation Coefficient Loss.
    """
    overlap, found, true, pixels = soft_counts(logits, target, valid, per_image)
    tp, fp, fn, tn = overlap, found - overlap, true - overlap, pixels - found - true + overlap
    tp, fp, fn, tn = (count + SMOOTH for count in (tp, fp, fn, tn))
    correlation = (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).sqrt()
    return ((1 - correlation) * (pixels > 0)).mean()
