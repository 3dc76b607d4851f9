"""Search with an MLflow server that is down, slow, silent or broken, and check what MLflow has in the end."""

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
from tests.faults.process import TINY, ForkedSearch, find_mlflow_errors, only_study, run_undisturbed, same_table
from tests.faults.row import Measured, Row

ARGUMENTS = ("task=cat_species", *TINY, "dataset.size=32", "dataset.count=300", "training.epochs=15")
KINDS = ("down", "slow", "black hole", "resets", "500")
SHORT_TRIALS = 3
SERVER_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path) -> Iterator[int]:
    """Run a real MLflow server, and yield its port."""
    port = _find_free_port()
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
    """Forward connections to a server, with the faults of `kind`.

    kind: well, down, slow (half a second a response), black hole, resets (every second connection), 500 (every second).
    """

    def __init__(self, server: int) -> None:
        self.server = server
        self.kind = "well"
        self.count = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.count += 1
                Thread(target=self._handle, args=(connection, self.count), daemon=True).start()

    def _handle(self, connection: socket.socket, number: int) -> None:
        with closing(connection), suppress(OSError):
            if self.kind == "black hole":
                time.sleep(600)
            elif self.kind == "down" or (self.kind == "resets" and number % 2):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif self.kind == "500" and number % 2:
                connection.recv(65536)
                connection.sendall(SERVER_ERROR)
            else:
                self._forward(connection)

    def _forward(self, connection: socket.socket) -> None:
        with closing(socket.create_connection(("127.0.0.1", self.server))) as upstream:
            back = Thread(target=self._copy, args=(upstream, connection), daemon=True)
            back.start()
            self._copy(connection, upstream)
            back.join()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                if self.kind == "slow" and source.getpeername()[1] == self.server:
                    time.sleep(0.5)
                target.sendall(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def break_server(count: int, folder: Path) -> Measured:
    """Break the server in each way for a whole search, then repair it and run `sync`."""
    arguments = [*ARGUMENTS, f"budget.trials={count}"]
    expected = run_undisturbed(arguments, folder / "undisturbed")
    usual = _median_milliseconds(expected)
    results = []
    reached = True
    with mlflow_server(folder) as port:
        proxy = Proxy(port)
        address = f"http://127.0.0.1:{proxy.port}"
        for kind in KINDS if count > SHORT_TRIALS else KINDS[:1] + KINDS[-1:]:
            store = folder / kind.replace(" ", "-")
            store.mkdir()
            proxy.kind = kind
            overrides = [
                *arguments,
                f"store={store}",
                f"tracking.uri={address}",
                f"study=server-{kind.replace(' ', '-')}",
            ]
            begin = time.monotonic()
            code = ForkedSearch(overrides, folder / "output.txt").wait()
            seconds = time.monotonic() - begin
            output = (folder / "output.txt").read_text()
            proxy.kind = "well"
            sync_code = sync.main([f"store={store}"])
            errors = find_mlflow_errors(only_study(store), f"http://127.0.0.1:{port}")
            same = same_table(only_study(store), expected)
            warned = output.count("MLflow cannot be written to")
            slower = _median_milliseconds(only_study(store)) / usual - 1
            results.append(
                f"{kind}: {slower:+.0%} a trial, {seconds:.0f} s in total, {warned} warning, {errors or 'complete'}"
            )
            reached = reached and code == sync_code == 0 and same and not errors and warned <= 1
    return Measured("; ".join(results), reached)


def _median_milliseconds(folder: Path) -> float:
    return statistics.median(
        1000 * trial.seconds for trial in TrialStorageReader(folder, folder.name).read_new_trials() if trial.number > 1
    )


ROWS = [
    Row(
        "F10",
        "MLflow down, slow, silent, resetting, returning 500",
        "every point once in the end, one warning (training 1 % slower at most: shown, not checked)",
        10,
        3,
        break_server,
    ),
]
