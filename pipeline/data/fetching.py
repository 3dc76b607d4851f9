"""Downloads that give up on a silent network after seconds, and say what else can be done."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from pipeline.data.examples import DataError

KNOCK_SECONDS, SECONDS = 5.0, 20.0


@contextmanager
def fetching(url: str, said: Callable[[Exception], str]) -> Iterator[None]:
    """Inside, something is downloaded from there; raises DataError with what is said of an error.

    RuntimeError is one too: a checksum that is wrong.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)  # torch and torchvision pass none on
    try:
        knock(url)
        yield
    except (OSError, HTTPException, RuntimeError) as error:
        raise DataError(said(error)) from None
    finally:
        socket.setdefaulttimeout(before)


def knock(url: str) -> None:
    """One short question, through a proxy where one is set; torchvision would ask several times, each for longer."""
    try:
        with urlopen(Request(url, method="HEAD"), timeout=KNOCK_SECONDS):
            pass
    except HTTPError:
        pass  # whatever it says, somebody is there
