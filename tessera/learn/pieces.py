"""One batch in micro-batches: what a loss adds up over all windows, it adds up over those of all of them.

Two passes over the micro-batches. The first one notes what each adds; in the second one a micro-batch's sums hold what
the others have added as constants. Its loss is then that of the whole batch, with the gradient of its own windows. As
losses of micro-batches are weighted by their images, that gradient is divided by the weight. Outside of both passes
all of this does nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from tessera.learn import ranks

Join = Callable[[list[torch.Tensor]], torch.Tensor]


class Pieces:
    """The micro-batches of a step, of so many images each."""

    def __init__(self, images: list[int]):
        self.images = images
        self.noted: list[list[torch.Tensor]] = [[] for _ in images]  # in the order of the calls

    @contextmanager
    def noting(self, number: int) -> Iterator[None]:
        """In here is the loss of micro-batch `number` in the first pass; its value means nothing."""
        with ranks.alone(), _doing(_Noting(self.noted[number])):
            yield

    @contextmanager
    def using(self, number: int) -> Iterator[None]:
        """In here is the loss of micro-batch `number` in the second pass."""
        with _doing(_Using(self, number)):
            yield


def total(parts: torch.Tensor) -> torch.Tensor:
    """The sum of each micro-batch's tensor."""
    return _pass.join(parts, lambda tensors: torch.stack(tensors).sum(0)) if _pass else parts


def together(part: torch.Tensor) -> torch.Tensor:
    """Each micro-batch's tensor, one behind the other along the first axis."""
    return _pass.join(part, torch.cat) if _pass else part


def share(part: torch.Tensor) -> torch.Tensor:
    """A micro-batch's part of a sum that nothing but its total is asked of: `total`, less what others have added."""
    return _pass.share(part) if _pass else part


class _Noting:
    def __init__(self, noted: list[torch.Tensor]):
        self.noted = noted

    def join(self, part: torch.Tensor, join: Join) -> torch.Tensor:
        self.noted.append(part.detach())
        return part

    def share(self, part: torch.Tensor) -> torch.Tensor:
        return part


class _Using:
    def __init__(self, pieces: Pieces, number: int):
        self.number, self.factor = number, sum(pieces.images) / pieces.images[number]
        self.calls = zip(*pieces.noted, strict=True)  # of each call, what the micro-batches have said

    def join(self, part: torch.Tensor, join: Join) -> torch.Tensor:
        said = list(next(self.calls))
        said[self.number] = part.detach() + self.factor * (part - part.detach())  # part, but for its gradient
        return join(said)

    def share(self, part: torch.Tensor) -> torch.Tensor:
        return self.factor * part


_pass: _Noting | _Using | None = None


@contextmanager
def _doing(one: _Noting | _Using) -> Iterator[None]:
    global _pass
    _pass = one
    try:
        yield
    finally:
        _pass = None
