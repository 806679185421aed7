"""The state of an unfinished training on disk, under a name that says what it belongs to."""

import copy
import hashlib
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch

from tessera.disk import room_for
from tessera.learn import ranks

COST = 0.008  # of the time may be spent on saving: under 1 %, also where a save takes longer than the one before
MOST = 600.0  # seconds after which a save is due, whatever the one before cost: that may have been a machine at a halt
_DIGEST = hashlib.sha256().digest_size  # bytes


class Keeper:
    """Saves a training's state when it is due: every `seconds`, and at the end of an epoch.

    The training waits for a copy of its state in main memory; a thread writes that, and the next save is not due before.
    Copying takes under 1 % of the time: after a copy that took a second, the next comes 125 seconds later at the
    soonest; but `MOST` seconds later always. At the end of an epoch, copying and writing together do, unless `seconds` have
    passed. The last epoch's save
    is waited for. Inside `listening`, SIGTERM and SIGINT save at once and end the training; a second one ends it as it is.

    Of several ranks the first decides and writes. All save, or end, after the same step, though one alone was asked.
    path: None: nothing is saved.
    """

    def __init__(self, path: Path | None, seconds: float, state: Callable[[], dict], now: Callable = time.perf_counter):
        self.path, self.seconds, self.state, self.now = path, seconds, state, now
        self.copying = self.saving = 0.0  # seconds that a save took, without and with its writing
        self.saved = now()
        self.asked = False  # to end
        self._thread, self._writing = ThreadPoolExecutor(1), Future()
        self._writing.set_result(None)

    def after_step(self) -> None:
        """Saves if it is time to. Raises KeyboardInterrupt if the process was asked to end; InputError as `save_state`,
        of this save or the one before."""
        self._save_if(self._fresh() >= max(self.seconds, self._rest()))

    def after_epoch(self, last: bool) -> None:
        """Saves the last epoch, and another unless the save before is too fresh for its cost. Raises as `after_step`."""
        self._save_if(self._fresh() >= max(min(self.seconds, self.saving / COST), self._rest()), last)

    def save(self) -> None:
        """Has the state written as it is now, after the one before."""
        self.finish()
        start = self.now()
        if self.path:
            state = self.state()
            if ranks.first():
                self._writing = self._thread.submit(self._write, _copied(state), start)
        self.saved = self.now()
        self.copying = self.saved - start

    def finish(self) -> None:
        """Waits until the last save is written. Raises InputError as `save_state`."""
        self._writing.result()

    def _write(self, state: dict, start: float) -> None:
        save_state(self.path, state)
        self.saving = self.now() - start

    def watching(self, batches: Sized) -> Iterator:
        """The batches, with an `after_step` behind each; ranks that have fewer batches take part in those of others."""
        each = iter(batches)
        for _ in range(max(ranks.gathered(len(batches)))):
            yield from islice(each, 1)
            self.after_step()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes SIGTERM and SIGINT as the wish to end, once."""

        def ask(*_: object) -> None:
            self.asked = True
            if ranks.count() == 1:  # a rank may be asked by its group and by what started it, which also kills it
                restore()

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        with self._thread:  # however this ends, what it writes will have been written
            try:
                yield
            finally:
                restore()
            self._save_if(due=False)  # asked behind the last step

    def _rest(self) -> float:
        """Seconds that the last copy is worth."""
        return min(self.copying / COST, MOST)

    def _fresh(self) -> float:
        """Seconds since the last save."""
        return self.now() - self.saved

    def _save_if(self, due: bool, last: bool = False) -> None:
        if written := self._writing.done():
            self.finish()
        due, asked = ranks.any_says((last or (due and written)) and ranks.first(), self.asked)
        if due or asked:
            self.save()
        if last or asked:
            self.finish()
        if asked:
            raise KeyboardInterrupt


def _copied(value: object) -> object:
    """In main memory, of its own: it stays as it is while the training goes on."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        other = copy.copy(value)  # with what a state_dict knows beside its keys
        other.update((key, _copied(one)) for key, one in value.items())
        return other
    return type(value)(map(_copied, value)) if isinstance(value, list | tuple) else value


def run_key(*belongings: object) -> str:
    """A digest of what a run belongs to (params, data digest, parts, …) and of the code that runs it."""
    digest = hashlib.sha256(json.dumps(belongings, sort_keys=True, default=str).encode())
    for _, path in sorted(_own_modules().items()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def save_state(path: Path, state: dict) -> None:
    """Writes `state` so that a kill at any moment leaves it or the one before, whole; the one before that is dropped.

    Its digest stands behind it: torch would take changed bytes for other weights, and pickle raises what it likes.
    Raises InputError when it cannot be written, a full disk say; the states that were there stay.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
    temporary = path.with_suffix(".new")
    with room_for(buffer.getbuffer().nbytes, path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                os.replace(path, _before(path))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def load_state(path: Path, note: Callable[[str], None]) -> dict | None:
    """The saved state, on the CPU, or the one before where it is damaged; None when there is none.

    What is damaged is removed, lest the next save put it in the place of the one before.
    """
    for one in (path, _before(path)):
        if one.exists():
            if _is_whole(one):
                return torch.load(one, map_location="cpu", weights_only=True)  # which ignores what follows its archive
            note(f"{one} cannot be read, it is damaged or cut off: going back to the state before it, or to the start")
            one.unlink()
    return None


def _is_whole(path: Path) -> bool:
    """Whether a state is still what was written."""
    content = memoryview(path.read_bytes())
    return hashlib.sha256(content[:-_DIGEST]).digest() == content[-_DIGEST:]


def _before(path: Path) -> Path:
    return path.with_suffix(".before")


def _own_modules() -> dict[str, Path]:
    """The source files of this repository's modules in this process; of `python -m stages.x`, the stage's own too."""
    specs = [getattr(module, "__spec__", None) for module in sys.modules.values()]
    return {
        spec.name: Path(spec.origin)
        for spec in specs
        if spec and spec.name.partition(".")[0] in ("tessera", "stages") and spec.has_location
    }
