"""An MLflow server that is away, slow, silent, or broken: what training notices of it, and what is there in the end."""

from __future__ import annotations

import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.error import URLError
from urllib.request import urlopen

from pipeline import sync
from pipeline.study.storage import TrialStorageReader
from tests.faults.process import TINY, Forked, mlflow_is_whole, same_table, study, whole
from tests.faults.row import Measured, Row

WORDS = ("task=cat_species", *TINY, "dataset.size=32", "dataset.count=300", "training.epochs=15")
KINDS, FEW = ("down", "slow", "black hole", "resets", "500"), 3
ANSWER = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow(folder: Path) -> Iterator[int]:
    """A real server; its port."""
    port = _port()
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{folder}/server.db", f"--artifacts-destination={folder}/artifacts"]
    quiet = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=quiet, stdout=log, stderr=log, start_new_session=True)
    try:
        while True:
            with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                break
            time.sleep(0.2)
        yield port
    finally:
        os.killpg(server.pid, 15)
        server.wait()


class Proxy:
    """Stands before a server, and is as broken as it is told.

    kind: well, down, slow (half a second an answer), black hole, resets (every second connection), 500 (every second).
    """

    def __init__(self, server: int) -> None:
        self.server, self.kind, self.count = server, "well", 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.count += 1
                Thread(target=self._connection, args=(connection, self.count), daemon=True).start()

    def _connection(self, connection: socket.socket, number: int) -> None:
        with closing(connection), suppress(OSError):
            if self.kind == "black hole":
                time.sleep(600)
            elif self.kind == "down" or (self.kind == "resets" and number % 2):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif self.kind == "500" and number % 2:
                connection.recv(65536)
                connection.sendall(ANSWER)
            else:
                self._through(connection)

    def _through(self, connection: socket.socket) -> None:
        with closing(socket.create_connection(("127.0.0.1", self.server))) as upstream:
            back = Thread(target=self._copy, args=(upstream, connection), daemon=True)
            back.start()
            self._copy(connection, upstream)
            back.join()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                if self.kind == "slow" and source.getpeername()[1] == self.server:
                    time.sleep(0.5)
                target.sendall(part)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def broken(count: int, folder: Path) -> Measured:
    """Five ways of a broken server, from before the search to after its end; then it is well, and `sync` is called."""
    words = [*WORDS, f"budget.trials={count}"]
    expected = whole(words, folder / "whole")
    usual, said, reached = _milliseconds(expected), [], True
    with mlflow(folder) as port:
        proxy = Proxy(port)
        address = f"http://127.0.0.1:{proxy.port}"
        for kind in KINDS if count > FEW else KINDS[:1] + KINDS[-1:]:
            store = folder / kind.replace(" ", "-")
            store.mkdir()
            proxy.kind = kind
            own = [*words, f"store={store}", f"tracking.uri={address}", f"study=server-{kind.replace(' ', '-')}"]
            begin = time.monotonic()
            code = Forked(own, folder / "said.txt").wait()
            seconds, text = time.monotonic() - begin, (folder / "said.txt").read_text()
            proxy.kind = "well"
            after = sync.main([f"store={store}"])
            wrong = mlflow_is_whole(study(store), f"http://127.0.0.1:{port}")
            same, warned = same_table(study(store), expected), text.count("MLflow cannot be written to")
            slower = _milliseconds(study(store)) / usual - 1
            said.append(f"{kind}: {slower:+.0%} a trial, {seconds:.0f} s in all, {warned} warning, {wrong or 'whole'}")
            reached = reached and code == after == 0 and same and not wrong and warned <= 1
    return Measured("; ".join(said), reached)


def _milliseconds(folder: Path) -> float:
    return statistics.median(
        1000 * row.seconds for row in TrialStorageReader(folder, folder.name).read_new_trials() if row.number > 1
    )


ROWS = [
    Row(
        "F10",
        "MLflow down, slow, silent, resetting, answering 500",
        "every point once in the end, one warning (training 1 % slower at most: shown, since a clock is no judge)",
        10,
        3,
        broken,
    ),
]
