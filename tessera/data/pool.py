"""The same function over many jobs in processes of their own; results come in the order of the jobs."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

_given: tuple[Callable, Any] | None = None  # in a worker: the function and what all jobs share


def ordered(function: Callable, shared: object, jobs: Iterable, processes: int) -> Iterator:
    """function(shared, job) of every job; with one process in this one. `shared` is sent once, not with every job."""
    if processes <= 1:
        yield from (function(shared, job) for job in jobs)
        return
    with ProcessPoolExecutor(processes, initializer=_start, initargs=(function, shared)) as pool:
        yield from pool.map(_call, jobs)


def _start(function: Callable, shared: object) -> None:
    global _given
    _given = (function, shared)
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    """A worker ends with its parent, even a killed one: it must not write into the rerun's file."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _call(job: object) -> object:
    function, shared = _given
    return function(shared, job)
