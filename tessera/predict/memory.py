"""Where the sums over windows lie."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakSet

import torch

if TYPE_CHECKING:
    from tessera.predict.stitching import Stitcher

HOST = torch.device("cpu")


class Memory:
    """The device of the networks, until it is full; from then on the host."""

    def __init__(self, device: torch.device, note: Callable[[str], None] = print):
        self.device, self.note = device, note
        self.users: WeakSet[Stitcher] = WeakSet()  # what has sums

    def attempt(self, action: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What `action` returns. Where the device has no memory left for it, all sums go to the host first.

        Raises OutOfMemoryError when they are there already, or that was not enough.
        """
        try:
            return action()
        except torch.OutOfMemoryError:
            if self.device == HOST:
                raise
        self.note(f"out of memory on {self.device}: from here on, windows are summed in host memory")
        self.device = HOST
        for user in self.users:
            user.settle()
        return action()
