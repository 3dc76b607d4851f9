"""Threads for work on many items, and the number of CPUs that this process may use."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

MAX_PENDING_RESULTS = 64  # bounds the memory when the reader is slower than the threads
InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")


def available_cores() -> list[int]:
    """Return the numbers of the CPU cores that this process may use: a container's share, where the system tells."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def map_in_order(function: Callable[[InputT], ResultT], items: Iterable[InputT]) -> Iterator[ResultT]:
    """Apply a function to each item in one thread a CPU core, and yield the results in the order of the items."""
    pool = ThreadPoolExecutor(len(available_cores()))
    pending = deque[Future[ResultT]]()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > MAX_PENDING_RESULTS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt the rest is not computed first
