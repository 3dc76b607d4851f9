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
from pipeline.runtime.files import atomic_path, make_folder
from pipeline.runtime.progress_bars import progress_bar

CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 5.0, 20.0
CHUNK_BYTES = 2**18  # bytes
REQUEST_HEADERS = {"User-Agent": "layers-and-nodes"}


@contextmanager
def wrap_download_errors(url: str, format_error: Callable[[Exception], str]) -> Iterator[None]:
    """Inside, something is downloaded from there; raises DataError with what is said of an error.

    RuntimeError is one too: a checksum that is wrong.
    """
    try:
        check_reachable(url)
        yield
    except (OSError, HTTPException, RuntimeError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise DataError(format_error(error)) from None


def check_reachable(url: str) -> None:
    """One short question, through a proxy where one is set: whether anybody is there is known within seconds."""
    try:
        with urlopen(Request(url, method="HEAD", headers=REQUEST_HEADERS), timeout=CONNECT_TIMEOUT_SECONDS):
            pass
    except HTTPError as answer:  # whatever it says, somebody is there
        answer.close()


def download(url: str, file: Path, hash_name: str, digest_prefix: str) -> None:
    """Writes what is there to a file, whole or not at all; with a bar where someone is looking.

    kind, digest: what its checksum is called in hashlib, and how it begins. Raises OSError or HTTPException where it
    cannot be had, RuntimeError where it ends too early or is another file, NotWrittenError.
    """
    hasher = hashlib.new(hash_name, usedforsecurity=False)
    with urlopen(Request(url, headers=REQUEST_HEADERS), timeout=READ_TIMEOUT_SECONDS) as response:
        make_folder(file.parent)
        total = int(response.headers.get("Content-Length") or 0)
        with atomic_path(file) as temporary, temporary.open("wb") as stream:
            with progress_bar(f"downloading {file.name}", total or None, "bytes") as advance:
                for chunk in _read_chunks(response):
                    stream.write(chunk)
                    hasher.update(chunk)
                    advance(len(chunk))
            if not hasher.hexdigest().startswith(digest_prefix):
                raise RuntimeError(f"what comes from {url} is not the published file, by its checksum")


def _read_chunks(response: HTTPResponse) -> Iterator[bytes]:
    """One after the other; the network's errors are told apart from those of the disk."""
    try:
        while chunk := response.read(CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise RuntimeError(f"the download broke off: {error}") from None
