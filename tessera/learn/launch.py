"""Starts the processes of one training, and ends them all when one of them dies."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from tessera.errors import InputError
from tessera.learn.ranks import PeerLostError, joined
from tessera.machine import ranks_here

START = "spawn"  # how a process starts: with a fork it could not use a GPU
POLL = 0.1  # seconds; a dead process is not heard of while its loader processes live
GRACE = 5.0  # seconds that the rank has to die whose end the others have noticed


class Ended(NamedTuple):
    """How a rank ended that did not come to its end."""

    kind: type  # of the exception; ChildProcessError for a process that ended without a word
    text: str


def launch(function: Callable[..., None], *arguments: object) -> None:
    """Calls `function` in TESSERA_RANKS processes of this machine, or in this one where that is 1.

    RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT in the environment make them ranks of a training over several
    machines (RANK is then the machine's), or this one a rank that torchrun has started.

    Raises the InputError or KeyboardInterrupt of a rank; InputError for a killed one, RuntimeError with the traceback
    of any other error. All ranks of this machine have ended then.
    """
    here, others = ranks_here(), int(os.environ.get("WORLD_SIZE", 1)) > 1
    if here > 1:
        with tempfile.TemporaryDirectory() as folder:
            meeting = "env://" if others else f"file://{folder}/meeting"
            _watch(_start(here, meeting, function, arguments))
    elif others:
        with joined("env://"):
            function(*arguments)
    else:
        function(*arguments)


class _Rank:
    """A process of this machine that trains."""

    def __init__(self, place: dict[str, int], meeting: str, function: Callable[..., None], arguments: tuple):
        context = multiprocessing.get_context(START)
        self.number = place["RANK"]
        self._says, said = context.Pipe(duplex=False)
        self.process = context.Process(target=_be, args=(place, meeting, said, function, arguments))
        self.process.start()
        said.close()
        self._ended: Ended | None = None

    def ended(self) -> Ended | None:
        """How it ended, if it has and not well."""
        code = self.process.exitcode  # before its last words, which then are there
        if self._ended is None and self._says.poll():
            with suppress(EOFError):
                self._ended = self._says.recv()
        if self._ended is None and code:
            self._ended = Ended(ChildProcessError, self._without_a_word(code))
        return self._ended

    def _without_a_word(self, code: int) -> str:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return (
            f"rank {self.number} (process {self.process.pid}) {how} without a word, as the system does where memory runs "
            "out: fewer TESSERA_WORKERS need less. The others were ended; the same command goes on from the last save"
        )


def _start(here: int, meeting: str, function: Callable[..., None], arguments: tuple) -> list[_Rank]:
    node, nodes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for this process, which passes it on
    try:
        return [
            _Rank(
                {
                    "RANK": node * here + number, "WORLD_SIZE": nodes * here,
                    "LOCAL_RANK": number, "LOCAL_WORLD_SIZE": here,
                },
                meeting, function, arguments,
            )
            for number in range(here)
        ]  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def _be(place: dict[str, int], meeting: str, said: Connection, function: Callable[..., None], arguments: tuple) -> None:
    """The life of a rank's process."""
    os.environ |= {name: str(value) for name, value in place.items()}
    multiprocessing.set_start_method(None, force=True)  # START is for ranks; what loads starts as in one process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with joined(meeting):
            function(*arguments)
    except (InputError, KeyboardInterrupt, PeerLostError) as error:
        said.send(Ended(type(error), str(error)))
    except BaseException:
        said.send(Ended(RuntimeError, traceback.format_exc()))
    else:
        return
    sys.exit(1)


def _end_with_parent() -> None:
    """A parent that was killed can no longer end its ranks."""
    wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _watch(ranks: list[_Rank]) -> None:
    """Waits until all have ended, or one has died, which ends them all. Raises as `launch`."""
    with _passing_on(ranks) as asked:
        try:
            failed = _first_failure(ranks, asked)
        finally:
            for rank in ranks:
                rank.process.kill()
                rank.process.join()
    if failed is None:
        return
    if failed.kind is KeyboardInterrupt:
        raise KeyboardInterrupt
    if failed.kind in (InputError, ChildProcessError, PeerLostError):
        raise InputError(failed.text)
    raise RuntimeError(f"a rank of the training died of\n{failed.text}")


def _first_failure(ranks: list[_Rank], asked: list[int]) -> Ended | None:
    """How the rank ended that made the others end; None where all came to their end.

    A rank that was asked to end does so with the others, one of which still saves; a rank that has lost another one
    ends because of that one.
    """
    lost_at = None
    while True:
        time.sleep(POLL)
        ended = [one for rank in ranks if (one := rank.ended())]
        asked_to = [one for one in ended if one.kind is KeyboardInterrupt or (asked and one.kind is ChildProcessError)]
        lost = [one for one in ended if one.kind is PeerLostError]
        if own := [one for one in ended if one not in asked_to + lost]:
            return own[0]
        if not any(rank.process.is_alive() and not rank.ended() for rank in ranks):
            return Ended(KeyboardInterrupt, "") if asked_to or asked else next(iter(lost), None)
        if lost:
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > GRACE:
                return lost[0]


@contextmanager
def _passing_on(ranks: list[_Rank]) -> Iterator[list[int]]:
    """SIGTERM and SIGINT go to the ranks as SIGTERM: they save and end. A second one kills them."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        for rank in ranks:
            rank.process.kill() if asked else rank.process.terminate()
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
