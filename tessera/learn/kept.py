"""Which epochs' averaged weights a training ends with."""

import torch
from torch import nn

Weights = dict[str, torch.Tensor]
BEST = ("best", "mean_of_best")  # chosen by the score of the held-out fold


class Kept:
    """The weights of single epochs, in main memory: the best `count` ones or the last ones; of `last`, none.

    The mean of the last is SWA (Izmailov et al. 2018); as in the EMA, batch statistics are averaged like weights.
    """

    def __init__(self, how: str = "last", count: int | None = None, patience: int | None = None):
        self.how, self.count, self.patience = how, count or 1, patience
        self.epochs: list[tuple[float, int, Weights]] = []  # (worth, epoch, weights), in the order of epochs
        self.best_score, self.waited = -1.0, 0

    def offer(self, epoch: int, score: float | None, network: nn.Module) -> None:
        """Takes a finished epoch; score: of the held-out fold, None where it was not scored."""
        if score is not None:
            self.waited = 0 if score > self.best_score else self.waited + 1
            self.best_score = max(self.best_score, score)
        if self.how == "last" or (self.how in BEST and score is None):
            return
        worth = score if self.how in BEST else float(epoch)
        if len(self.epochs) == self.count:
            least = min(range(self.count), key=lambda number: self.epochs[number][0])
            if worth <= self.epochs[least][0]:
                return
            del self.epochs[least]
        weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}
        self.epochs.append((worth, epoch, weights))

    @property
    def numbers(self) -> list[int]:
        """The epochs whose weights are kept; none of `last`."""
        return [epoch for _, epoch, _ in self.epochs]

    @property
    def exhausted(self) -> bool:
        """Whether `patience` says to stop."""
        return self.patience is not None and self.waited >= self.patience

    def finish(self, network: nn.Module) -> None:
        """Puts the mean of the kept weights into the network; of `last`, it is left as it is."""
        if self.epochs:
            kept = [weights for *_, weights in self.epochs]
            network.load_state_dict({name: _mean([weights[name] for weights in kept]) for name in kept[0]})

    def state(self) -> dict:
        return {"epochs": self.epochs, "best_score": self.best_score, "waited": self.waited}

    def restore(self, state: dict) -> None:
        self.epochs, self.best_score, self.waited = state["epochs"], state["best_score"], state["waited"]


def _mean(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Counters are those of the last."""
    return torch.stack(tensors).mean(0) if tensors[0].is_floating_point() else tensors[-1]
