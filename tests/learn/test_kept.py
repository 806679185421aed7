from collections.abc import Callable

import pytest
import torch
from torch import nn

from tessera.learn.kept import Kept
from tessera.params.model import Model

SCORES = [0.3, 0.7, None, 0.5, 0.6, 0.6]  # of epochs 1…6; the weight of epoch n is n


def network_of(epoch: float) -> nn.Module:
    network = nn.BatchNorm1d(1)
    nn.init.constant_(network.weight, epoch)
    network.num_batches_tracked.fill_(int(epoch))
    return network


def kept_of(kept: Kept, scores: list[float | None] = SCORES) -> Kept:
    for epoch, score in enumerate(scores, 1):
        kept.offer(epoch, score, network_of(epoch))
    return kept


@pytest.mark.parametrize(
    ("how", "count", "weight"),
    [("last", None, 6), ("best", None, 2), ("mean_of_best", 2, (2 + 5) / 2), ("mean_of_best", 3, (2 + 5 + 6) / 3), ("mean_of_last", 3, 5)],
)  # fmt: skip
def test_a_training_ends_with_what_keep_says(how: str, count: int | None, weight: float) -> None:
    last = network_of(6)
    kept = kept_of(Kept(how, count))
    kept.finish(last)
    assert last.weight.item() == pytest.approx(weight)
    assert last.num_batches_tracked.dtype == torch.int64


def test_fewer_epochs_than_the_mean_is_of_are_all_taken() -> None:
    last = network_of(2)
    kept_of(Kept("mean_of_last", 5), [None, 0.1]).finish(last)
    assert last.weight.item() == 1.5


def test_a_restored_state_goes_on_to_the_same_end() -> None:
    first = kept_of(Kept("mean_of_best", 2, 3), SCORES[:4])
    second = Kept("mean_of_best", 2, 3)
    second.restore(first.state())
    for kept in (first, second):
        for epoch, score in enumerate(SCORES[4:], 5):
            kept.offer(epoch, score, network_of(epoch))
    assert (second.best_score, second.waited, second.exhausted) == (0.7, 3, True)
    assert [epoch for _, epoch, _ in second.epochs] == [epoch for _, epoch, _ in first.epochs] == [2, 5]


@pytest.mark.parametrize(("patience", "exhausted"), [(None, False), (3, True), (4, False)])
def test_patience_counts_scored_epochs_without_a_better_one(patience: int | None, exhausted: bool) -> None:
    assert kept_of(Kept(patience=patience)).exhausted is exhausted


@pytest.mark.parametrize(("keep", "count"), [("mean_of_best", None), ("best", 3)])
def test_keep_epochs_belongs_to_means(model: Callable[..., Model], keep: str, count: int | None) -> None:
    with pytest.raises(ValueError, match="keep_epochs says of how many epochs a mean is"):
        model(keep=keep, keep_epochs=count)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"keep": "best", "epochs": 1},
            "keep best has nothing to choose from: epochs 1 and validate_every 1 make 1 scored",
        ),
        ({"keep": "best", "validate_every": 4}, "keep best has nothing to choose from: .* make 1 scored"),
        ({"keep": "mean_of_best", "keep_epochs": 2, "validate_every": 5}, "lacks epochs for the keep_epochs 2"),
        (
            {"keep": "mean_of_best", "keep_epochs": 3, "validate_every": 2},
            "lacks epochs for the keep_epochs 3 .* make 2",
        ),
        ({"keep": "mean_of_last", "keep_epochs": 5}, "keep mean_of_last lacks epochs for the keep_epochs 5"),
        ({"patience": 4}, "patience 4 never ends a training: epochs 4 and validate_every 1 make 4 scored"),
        ({"patience": 2, "validate_every": 3}, "patience 2 never ends a training: .* make 2 scored"),
    ],
)
def test_what_cannot_be_kept_is_refused(model: Callable[..., Model], changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        model(**{"epochs": 4} | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"keep": "best", "validate_every": 3},
        {"keep": "mean_of_best", "keep_epochs": 2, "validate_every": 3},
        {"keep": "mean_of_last", "keep_epochs": 4, "validate_every": 9},
        {"patience": 3},
        {"patience": 1, "validate_every": 2},
    ],
)
def test_what_just_can_be_kept_is_taken(model: Callable[..., Model], changes: dict) -> None:
    model(**{"epochs": 4} | changes)
