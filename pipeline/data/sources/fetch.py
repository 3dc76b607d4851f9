"""Download files with pooch and unpack archives: complete and with the published checksum, or not at all."""

import tarfile
import tempfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pipeline.data.examples import DataError
from pipeline.runtime.files import atomic_path, make_folder
from pipeline.runtime.progress_bars import progress_bar

TIMEOUT_SECONDS = (5.0, 20.0)  # to connect, and between two reads: a silent network is reported within seconds
CHUNK_BYTES = 2**18
REQUEST_HEADERS = {"User-Agent": "layers-and-nodes"}


class _DownloadBar(ExitStack):
    """Progress bar on the terminal with the attributes that pooch sets and calls; ExitStack gives `close`."""

    def __init__(self, file_name: str) -> None:
        super().__init__()
        self.file_name = file_name
        self.update: Callable[[int], object] = int

    def _start(self, byte_count: int) -> None:
        self.update = self.enter_context(progress_bar(f"downloading {self.file_name}", byte_count or None, "bytes"))

    total = property(fset=_start)

    def reset(self) -> None:
        """Ignore later updates: pooch adds the whole total once more after the last chunk."""
        self.update = int


def has_hash(file: Path, known_hash: str) -> bool:
    """Return whether a file exists and has the hash `<algorithm>:<hex digits>`; the first digits are enough."""
    from pooch import file_hash

    algorithm, first_digits = known_hash.split(":")
    return file.is_file() and str(file_hash(str(file), alg=algorithm)).startswith(first_digits)


def download(url: str, file: Path, known_hash: str, problem: str, remedy: str) -> None:
    """Download a URL to a file, with a progress bar on a terminal; an existing file is replaced only by a verified one.

    Raises DataError, "<problem> (<cause>); <remedy>", if the server does not answer, the transfer breaks off or the
    hash differs, and FileWriteError if the disk refuses the file.
    """
    from pooch import HTTPDownloader
    from requests import RequestException

    make_folder(file.parent)
    with atomic_path(file) as temporary, _DownloadBar(file.name) as bar:
        get = HTTPDownloader(bar, CHUNK_BYTES, timeout=TIMEOUT_SECONDS, headers=REQUEST_HEADERS)
        try:
            get(url, str(temporary), None)
        except RequestException as error:  # an OSError, which atomic_path would report as one of the disk
            if error.response is not None:  # pooch leaves the connection of a 404 open
                error.response.close()
            raise DataError(f"{problem} ({_find_root_cause(error)}); {remedy}") from None
        if not has_hash(temporary, known_hash):
            raise DataError(f"{problem} (the file at {url} does not have the published checksum); {remedy}")


def _find_root_cause(error: BaseException) -> BaseException:
    """Return the first error of a chain: requests wraps that of the socket three times, each with its own text."""
    cause = error.__cause__ or error.__context__
    return error if cause is None else _find_root_cause(cause)


def extract_archive(archive: Path, folder: str) -> None:
    """Unpack a folder of a tar archive beside the archive, complete or not at all, or raise DataError.

    Not pooch.Untar: on Python 3.11 it extracts without `filter="data"`, so that ../x would leave the folder.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder}-", dir=archive.parent) as temporary:
            with tarfile.open(archive) as tar:
                tar.extractall(temporary, filter="data")
            Path(temporary, folder).rename(archive.parent / folder)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{archive} cannot be unpacked to {archive.parent / folder} ({error}); remove both") from None
