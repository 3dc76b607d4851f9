"""Downloads that give up on a silent network after seconds, and say what else can be done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from pipeline.data.examples import DataError
from pipeline.runtime.files import make_folder, moved_whole
from pipeline.runtime.progress_bars import counted

KNOCK_SECONDS, SECONDS = 5.0, 20.0
PART = 2**18  # bytes
SENDER = {"User-Agent": "layers-and-nodes"}


@contextmanager
def fetching(url: str, said: Callable[[Exception], str]) -> Iterator[None]:
    """Inside, something is downloaded from there; raises DataError with what is said of an error.

    RuntimeError is one too: a checksum that is wrong.
    """
    try:
        knock(url)
        yield
    except (OSError, HTTPException, RuntimeError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise DataError(said(error)) from None


def knock(url: str) -> None:
    """One short question, through a proxy where one is set: whether anybody is there is known within seconds."""
    try:
        with urlopen(Request(url, method="HEAD", headers=SENDER), timeout=KNOCK_SECONDS):
            pass
    except HTTPError as answer:  # whatever it says, somebody is there
        answer.close()


def download(url: str, file: Path, kind: str, digest: str) -> None:
    """Writes what is there to a file, whole or not at all; with a bar where someone is looking.

    kind, digest: what its checksum is called in hashlib, and how it begins. Raises OSError or HTTPException where it
    cannot be had, RuntimeError where it ends too early or is another file, NotWrittenError.
    """
    found = hashlib.new(kind, usedforsecurity=False)
    with urlopen(Request(url, headers=SENDER), timeout=SECONDS) as answer:
        make_folder(file.parent)
        total = int(answer.headers.get("Content-Length") or 0)
        with moved_whole(file) as new, new.open("wb") as stream:
            with counted(f"downloading {file.name}", total or None, "bytes") as done:
                for part in _parts(answer):
                    stream.write(part)
                    found.update(part)
                    done(len(part))
            if not found.hexdigest().startswith(digest):
                raise RuntimeError(f"what comes from {url} is not the published file, by its checksum")


def _parts(answer: HTTPResponse) -> Iterator[bytes]:
    """One after the other; the network's errors are told apart from those of the disk."""
    try:
        while part := answer.read(PART):
            yield part
    except OSError as error:
        raise RuntimeError(f"the download broke off: {error}") from None
