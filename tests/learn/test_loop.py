"""Steps of a tiny network: micro-batches, a GPU that is too small, losses that are no numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tessera.errors import InputError
from tessera.learn.ema import Ema
from tessera.learn.loop import Batch, Setup, train_epoch, validate
from tessera.learn.losses.build import LOSSES, build_loss
from tessera.learn.mixing import Mixing, build_mixing
from tessera.learn.run import Run
from tessera.learn.sums import Step, Sums
from tessera.params.loss import Loss
from tessera.params.mix import Mix
from tessera.tasks import Binary

CPU = torch.device("cpu")
N = 6  # images of a batch


class Network(nn.Module):
    """Logits by a convolution; like a small GPU, it is out of memory above `room` images, having seen them."""

    def __init__(self, room: int = N, norm: bool = False, dropout: float = 0.0):
        super().__init__()
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(1) if norm else nn.Identity()
        self.layers = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), norm, nn.Dropout(dropout))
        self.room, self.seen, self.said = room, [], []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(windows))
        logits = self.layers(windows.float() / 255)
        if len(windows) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        self.said.append(logits)
        return logits


def _run(network: Network, pieces: int = 1, scaler: torch.amp.GradScaler | None = None) -> Run:
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0)
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    return Run(network, Ema(network, 0), optimiser, schedule, scaler, Sums(str), pieces)


def _batches(count: int = 1) -> list[Batch]:
    draw = torch.Generator().manual_seed(0)
    windows = torch.randint(0, 256, (count, N, 1, 8, 8), dtype=torch.uint8, generator=draw)
    target = torch.randint(0, 2, (count, N, 1, 8, 8), generator=draw) > 0
    valid = torch.rand(target.shape, generator=draw) < torch.linspace(0.2, 1, N).view(N, 1, 1, 1)
    return [Batch(torch.arange(N), *one) for one in zip(windows, target, valid, strict=True)]


def _train(
    run: Run,
    batches: list[Batch],
    after_step: Callable[[], None] = lambda: None,
    loss: dict | None = None,
    mixing: Mixing | None = None,
    amp: str = "none",
) -> tuple[dict, list[str]]:
    notes: list[str] = []
    setup = Setup(
        build_loss(Loss(**loss or {"bce": 1.0})), mixing or build_mixing(Mix()), 0, CPU, amp, None, notes.append
    )
    return train_epoch(run, batches, setup, after_step), notes


def _weights(run: Run) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in run.network.parameters()])


TERMS = {name: {"weight": 1.0} | ({"beta": 2} if name == "fbeta" else {}) for name in LOSSES}
SUMS = [{name: term} for name, term in TERMS.items()] + [
    {name: {"weight": 1.0, "per_image": True} | TERMS[name]} for name in ("dice", "lovasz", "boundary")
]
SUMS += [TERMS, {"bce": 0.5, "dice": 1.0, "jaccard": {"weight": 0.7, "per_image": True}}]


@pytest.mark.parametrize("pieces", [2, 3, 4, 6, 9])
@pytest.mark.parametrize("loss", SUMS, ids=lambda loss: "-".join(loss))
def test_micro_batches_make_the_same_step(loss: dict, pieces: int) -> None:
    """Though each has its own number of valid pixels, and, of four, its own number of images."""
    whole, parts = _run(Network()), _run(Network(), pieces)
    rows = [_train(run, _batches(3), loss=loss)[0] for run in (whole, parts)]
    assert (_weights(whole) - _weights(_run(Network()))).abs().max() > 1e-4
    torch.testing.assert_close(_weights(parts), _weights(whole), rtol=0, atol=1e-6)
    assert rows[1]["loss"] == pytest.approx(rows[0]["loss"], abs=1e-6)
    assert rows[1]["images"] == 3 * N
    assert max(parts.network.seen) == -(-N // min(pieces, N))


@pytest.mark.parametrize("norm", [False, True])
def test_both_passes_see_the_same_and_leave_what_one_leaves(norm: bool) -> None:
    """Dropout, batch-norm's running statistics, and the random numbers of later steps."""
    runs = [_run(Network(norm=norm, dropout=0.5), 2) for _ in range(2)]
    random = []
    for run, loss in zip(runs, ({"bce": 1.0}, {"bce": 1.0, "dice": 1e-9}), strict=True):
        torch.manual_seed(1)
        _train(run, _batches(2), loss=loss)
        random.append(torch.get_rng_state())
    once, twice = (run.network for run in runs)
    assert (len(once.said), len(twice.said)) == (4, 8)
    for first, second in ((0, 2), (1, 3), (4, 6), (5, 7)):
        assert torch.equal(twice.said[first], twice.said[second])
    assert torch.equal(*random)
    for one, other in zip(once.buffers(), twice.buffers(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("norm", [False, True])
def test_out_of_gpu_memory_the_step_is_repeated_in_halves(norm: bool) -> None:
    whole, small = _run(Network(norm=norm)), _run(Network(room=2, norm=norm))
    _train(whole, _batches(2))
    row, notes = _train(small, _batches(2))
    assert small.network.seen == [6, 3, 2, 2, 1, 1, 2, 2, 1, 1]  # of 6, of 2 × 3, of 4, and so from then on
    assert small.step == 2 and row["images"] == 2 * N
    assert [note.split(":")[0] for note in notes] == ["out of GPU memory"] * 2
    assert all(("batch-norm's statistics" in note) == norm for note in notes)
    if not norm:
        torch.testing.assert_close(_weights(small), _weights(whole))


@pytest.mark.parametrize("loss", [{"bce": 1.0}, {"bce": 1.0, "dice": 1.0}])
def test_a_repeated_step_is_one_that_began_with_small_micro_batches(loss: dict) -> None:
    """Batch-norm's running statistics, their count, and the random numbers of dropout."""
    small, parts = (_run(Network(room=room, norm=True, dropout=0.5), pieces) for room, pieces in ((2, 1), (N, 4)))
    random = []
    for run in (small, parts):
        torch.manual_seed(1)
        _train(run, _batches(2), loss=loss)
        random.append(torch.get_rng_state())
    assert small.pieces == parts.pieces
    assert torch.equal(*random)
    for one, other in zip(small.network.state_dict().values(), parts.network.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_out_of_gpu_memory_while_windows_are_mixed_the_step_is_repeated() -> None:
    small, full = _run(Network()), [True]

    def mix(*arguments: object) -> tuple:
        if full:
            full.clear()
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return build_mixing(Mix())(*arguments)

    _, notes = _train(small, _batches(), mixing=mix)
    assert small.network.seen == [3, 3]
    assert len(notes) == 1


@pytest.mark.parametrize("clip", [None, 1.0])
def test_an_optimiser_that_does_not_fit_says_that_smaller_batches_would_not_help(
    monkeypatch: pytest.MonkeyPatch, clip: float | None
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    run = _run(Network())
    monkeypatch.setattr(*((nn.utils, "clip_grad_norm_") if clip else (run.optimiser, "step")), full)
    setup = Setup(build_loss(Loss(bce=1.0)), build_mixing(Mix()), 0, CPU, "none", clip, print)
    with pytest.raises(InputError, match="what the optimiser remembers.*smaller batch or size would not help"):
        train_epoch(run, _batches(), setup, lambda: None)


def test_the_smaller_micro_batches_are_remembered() -> None:
    small = _run(Network(room=2))
    _train(small, _batches())
    again = _run(Network(room=2))
    again.restore(small.state())
    _, notes = _train(again, _batches())
    assert notes == []


def test_one_image_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(InputError, match="does not hold the training of one image: lower size"):
        _train(_run(Network(room=0)), _batches())


def test_micro_batches_keep_the_images_that_the_network_needs_at_once() -> None:
    notes: list[str] = []
    setup = Setup(build_loss(Loss(bce=1.0)), build_mixing(Mix()), 0, CPU, "none", None, notes.append, least_batch=2)
    small, smaller = _run(Network(room=2)), _run(Network(room=1))
    train_epoch(small, _batches(), setup, lambda: None)
    assert small.network.seen == [6, 3, 2, 2, 2]
    with pytest.raises(InputError, match="does not hold the training of 2 images, which it needs at once"):
        train_epoch(smaller, _batches(), setup, lambda: None)


def test_no_other_error_is_caught() -> None:
    class Broken(Network):
        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        _train(_run(Broken()), _batches())


@pytest.mark.parametrize("every", [1, 2, 16])
def test_a_loss_that_is_no_number_is_found_before_a_state_is_saved(every: int) -> None:
    run = _run(Network())
    run.sums = Sums(lambda item: f"<{item}>", every)
    saved = []

    def after_step() -> None:
        if run.step == 1:
            with torch.no_grad():
                run.network.layers[0].weight.fill_(float("nan"))
        if run.step == 3:
            saved.append(run.state())

    said = r"the loss is nan in step 2 of epoch 1, at learning rate 1\.00e-01: .*Its batch was <0>, <1>, <2>"
    with pytest.raises(InputError, match=said):
        _train(run, _batches(4), after_step)
    assert saved == []


def test_weights_that_are_no_numbers_are_never_saved() -> None:
    run = _run(Network())
    _train(run, _batches())
    run.state()
    with torch.no_grad():
        run.network.layers[0].bias.fill_(float("inf"))
    with pytest.raises(InputError, match=r"weights are no longer finite after step 1 of epoch 1, at learning rate 1"):
        run.state()


@pytest.mark.filterwarnings("ignore:Detected call of")  # of the schedule beside a step that is left out
def test_gone_on_with_in_fp16_the_scale_of_the_loss_stays() -> None:
    """One that is too large at first: steps are left out until it fits, then it grows."""

    def run() -> Run:
        return _run(Network(), scaler=torch.amp.GradScaler("cpu", init_scale=2.0**26, growth_interval=2))

    whole, first, second, batches = run(), run(), run(), _batches(16)
    _train(whole, batches, amp="fp16")
    _train(first, batches[:11], amp="fp16")
    second.restore(first.state())
    _train(second, batches[11:], amp="fp16")
    assert first.scaler.get_scale() < 2.0**26
    assert second.scaler.state_dict() == whole.scaler.state_dict()
    assert torch.equal(_weights(second), _weights(whole))
    assert not torch.equal(_weights(second), _weights(first))


def test_sums_do_not_depend_on_how_many_are_read_at_once() -> None:
    states = []
    for every in (1, 3):
        sums = Sums(str, every)
        for number in range(7):
            sums.add(Step(torch.tensor(0.1 * number), torch.arange(4), 0.1, 1, number), 2.0, 0.5)
        states.append(sums.state())
    assert states[0] == states[1]
    assert sums.row() == {"loss": pytest.approx(0.3), "images": 28, "seconds": 14.0, "data_wait": 0.25}
    sums.clear()
    assert sums.state() == {"loss": 0.0, "images": 0, "seconds": 0.0, "waited": 0.0}


@pytest.mark.parametrize("pieces", [1, 3])
def test_what_waits_for_the_backward_pass_is_told_as_it_begins(pieces: int) -> None:
    network, told = Network(), []
    setup = Setup(build_loss(Loss(bce=1.0)), build_mixing(Mix()), 0, CPU, "none", None, print)
    run = _run(network, pieces)

    def begins() -> None:
        told.append((len(network.seen), network.layers[0].weight.grad is None))

    train_epoch(run, _batches(2), setup._replace(meanwhile=begins), lambda: None)
    assert told == [(n + 1, n % pieces == 0) for n in range(2 * pieces)]


def test_each_step_of_each_epoch_is_mixed_in_its_own_way() -> None:
    drawn: list[float] = []

    def mix(*given: object) -> tuple:
        drawn.append(given[-1].random())
        return given[:-1]

    for epoch in (0, 1, 0):
        run = _run(Network())
        run.epoch = epoch
        _train(run, _batches(2), mixing=mix)
    assert len(set(drawn[:4])) == 4
    assert drawn[4:] == drawn[:2]


class Doubtful(Binary):
    """Labels have a class also where they are ignored: there they have 2 more."""

    def encode_target(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        planes = labels[:, None]
        return planes % 2 == 1, planes < 2


def test_neither_pixels_nor_labels_that_are_ignored_change_the_score() -> None:
    draw = torch.Generator().manual_seed(0)
    labels, found, ignored, other = torch.randint(0, 2, (4, 5, 6, 7), dtype=torch.uint8, generator=draw)
    counts = []
    for wrong in (torch.zeros_like(other), other & ignored):
        batches = [((found ^ wrong)[:, None], (labels ^ wrong) + 2 * ignored)]
        # of a network that finds what is 1 in its windows
        counts.append(validate(lambda windows: windows - 0.5, batches, Doubtful(["a"]), CPU, "none"))
    said, true, counted = found > 0, labels > 0, ignored == 0
    by_hand = [(said & true & counted).sum(), (said & ~true & counted).sum(), (~said & true & counted).sum()]
    assert counts[0].sum((0, 1)).tolist() == counts[1].sum((0, 1)).tolist() == by_hand
