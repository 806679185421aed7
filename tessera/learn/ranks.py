"""One training in several processes, its ranks: each has a part of every batch, and all have the same weights.

Every rank computes the loss of the whole batch, with the gradient of its own windows. What the ranks share is
exchanged here and nowhere else. In a process that trains alone all of this does nothing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from typing import TypeVar

import numpy as np
import torch
from timm.layers import convert_sync_batchnorm
from torch import distributed, nn

from tessera.errors import InputError

T = TypeVar("T")


class PeerLostError(Exception):
    """Another rank does not answer: it has ended, and has its own error."""


@contextmanager
def joined(meeting: str) -> Iterator[None]:
    """Makes this process the rank of the environment's RANK and WORLD_SIZE; only the first one prints.

    meeting: where the ranks find each other, as in `init_process_group`. After an error the group is left as it is:
    to take it down would wait for ranks that wait for this one.
    """
    both = torch.cuda.is_available() and distributed.is_nccl_available()
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if both else "gloo",
        init_method=meeting, rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]),
    )  # fmt: skip
    try:
        with nullcontext() if first() else _silence():
            yield
    except KeyboardInterrupt:  # in which all ranks end
        distributed.destroy_process_group()
        raise
    distributed.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """In here this rank trains by itself, and exchanges nothing; the others wait at their next exchange."""
    global _by_itself
    before, _by_itself = _by_itself, True
    try:
        yield
    finally:
        _by_itself = before


_by_itself = False


def _grouped() -> bool:
    return distributed.is_initialized() and not _by_itself


def count() -> int:
    return distributed.get_world_size() if _grouped() else 1


def rank() -> int:
    return distributed.get_rank() if _grouped() else 0


def first() -> bool:
    """Whether this is the rank that prints, decides and writes."""
    return rank() == 0


def total(parts: torch.Tensor) -> torch.Tensor:
    """The sum of each rank's tensor; see `average` for its gradient."""
    return _Total.apply(parts) if _grouped() else parts


def together(part: torch.Tensor) -> torch.Tensor:
    """Each rank's tensor, of the same shape, one behind the other along the first axis; gradient as in `total`."""
    return _Together.apply(part) if _grouped() else part


def average(tensors: list[torch.Tensor]) -> None:
    """Puts the mean over ranks into float32 tensors, in one exchange.

    Of gradients the mean is that of the whole batch's loss: in a mean over windows each rank's is as large, and what
    `total` and `together` pass back is multiplied by the number of ranks.
    """
    if _grouped():
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with _exchange():
            distributed.all_reduce(flat)
        means = (flat / count()).split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [mean.view_as(tensor) for tensor, mean in zip(tensors, means, strict=True)])


def any_says(*flags: bool) -> list[bool]:
    """Whether one of the ranks says so, for each flag."""
    if not _grouped():
        return list(flags)
    said = torch.tensor(flags, dtype=torch.uint8)
    with _exchange():
        distributed.all_reduce(said, distributed.ReduceOp.MAX)
    return said.bool().tolist()


def gathered(own: T) -> list[T]:
    """Each rank's object, in the order of ranks."""
    if not _grouped():
        return [own]
    objects = [None] * count()
    with _exchange():
        distributed.all_gather_object(objects, own)
    return objects


def from_first(make: Callable[[], T]) -> T:
    """What `make` says on the first rank; it is called on no other."""
    objects = [make() if first() else None]
    if _grouped():
        with _exchange():
            distributed.broadcast_object_list(objects)
    return objects[0]


def refuse_differences(key: str) -> None:
    """Raises InputError when ranks have different keys: on several machines, of different files."""
    if len(set(gathered(key))) > 1:
        raise InputError(
            "the ranks of this training do not train the same: code, params.yaml, data/ and folds/ must be the same on all "
            "machines (git pull, dvc pull)"
        )


def part(length: int) -> slice:
    """This rank's part of so many things; every one is in one part, and the parts are in order."""
    return slice(length * rank() // count(), length * (rank() + 1) // count())


def part_of_batches(order: np.ndarray, batch: int, pieces: int, least: int) -> np.ndarray:
    """Of the items of an epoch, this rank's part of each batch: of each of its `pieces` micro-batches as many.

    So that a micro-batch holds the windows that it would hold in one process. Raises InputError when a batch cannot be
    divided like this, or leaves a rank fewer than `least` of a micro-batch.
    """
    if count() == 1:
        return order
    share, rest = divmod(batch, pieces * count())
    if rest or share < least:
        raise InputError(
            f"a batch of {batch} windows, in {pieces} micro-batches, cannot be divided evenly among {count()} processes "
            f"with at least {least} each: change TESSERA_RANKS so that batch / accumulate is a multiple of it, and that "
            "not too large"
        )
    whole = order[: len(order) // batch * batch]
    return whole.reshape(-1, pieces, count(), share)[:, :, rank()].ravel()


def learnt(network: nn.Module) -> list[torch.Tensor]:
    """What a rank's windows have left in the network after a step's backward: gradients and batch statistics."""
    norms = (module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    statistics = [buffer for norm in norms if norm.training for buffer in norm.buffers() if buffer.is_floating_point()]
    return [weight.grad for weight in network.parameters() if weight.grad is not None] + statistics


def with_common_norms(network: nn.Module, device: torch.device) -> nn.Module:
    """On GPUs, batch-norm takes its statistics over all ranks' windows; on CPUs torch has no such batch-norm."""
    return convert_sync_batchnorm(network) if count() > 1 and device.type == "cuda" else network


@contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(context: object, parts: torch.Tensor) -> torch.Tensor:
        whole = parts.clone()
        with _exchange():
            distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(context: object, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * count()


class _Together(torch.autograd.Function):
    @staticmethod
    def forward(context: object, part: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(count())]
        with _exchange():
            distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: object, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.chunk(count())[rank()] * count()


@contextmanager
def _exchange() -> Iterator[None]:
    """Raises PeerLostError where an exchange breaks off."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise PeerLostError(f"the exchange with the other ranks broke off, another one has ended ({error})") from error
