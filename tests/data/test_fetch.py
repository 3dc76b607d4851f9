"""Downloads from a real server: whole or not at all, by their checksum, and what is said where they break off."""

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pipeline.data.examples import DataError
from pipeline.data.sources.fetch import download

CONTENT = bytes(range(256)) * 4_000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Answers(BaseHTTPRequestHandler):
    """/whole is the content, /short ends in the middle of it, and nothing else is there."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path in ("/whole", "/short") else 404)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if self.path != "/missing":
            self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[: len(CONTENT) // 2])

    def log_message(self, format: str, *details: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def said_of(url: str, file: Path, digest: str) -> str:
    with pytest.raises(DataError) as error:
        download(url, file, f"md5:{digest}", "not downloaded", "try again")
    assert list(file.parent.glob(".*")) == []
    return str(error.value)


def test_file_is_written_whole(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(f"{server}/whole", tmp_path / "new" / "file", f"md5:{MD5}", "", "")
    download(f"{server}/whole", tmp_path / "other", f"sha256:{hashlib.sha256(CONTENT).hexdigest()[:8]}", "", "")
    assert (tmp_path / "new" / "file").read_bytes() == (tmp_path / "other").read_bytes() == CONTENT
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("path", "digest", "said"),
    [
        ("/whole", "0" * 32, "does not have the published checksum"),
        ("/short", MD5, "IncompleteRead"),
        ("/missing", MD5, "404 Client Error"),
    ],
)
def test_what_is_not_the_file_leaves_what_was_there(
    path: str, digest: str, said: str, server: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("before")
    assert said in said_of(f"{server}{path}", tmp_path / "file", digest)
    assert (tmp_path / "file").read_text() == "before"


def test_nobody_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "refused" in said_of("http://127.0.0.1:9/file", tmp_path / "file", MD5)
