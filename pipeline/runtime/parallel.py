"""Work in parallel whose results come in order, and which never runs far ahead of who takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pipeline.data.images.decode import available_cpus

MAX_PENDING_RESULTS = 64  # results that wait to be taken
InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")


def map_in_order(function: Callable[[InputT], ResultT], items: Iterable[InputT]) -> Iterator[ResultT]:
    """What the work makes of each item, by as many threads as there are processors."""
    pool, pending = ThreadPoolExecutor(available_cpus()), deque[Future[ResultT]]()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > MAX_PENDING_RESULTS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # who is interrupted does not do the rest first
