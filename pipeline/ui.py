"""Shows the searches of a store in a browser, on this machine only: `python -m pipeline.ui store=mlruns port=5000`."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from pipeline.runtime import arguments
from pipeline.runtime.arguments import UsageError
from pipeline.tracking import links

HELP = """\
Shows the searches of a store in a browser: MLflow's pages, on this machine only.

  python -m pipeline.ui [store=<folder>] [port=<number>] [host=<address>] [open=true]

store=mlruns     the folder that the searches wrote to
port=5000        a port that is free, 1024 to 65535
host=127.0.0.1   another IPv4 address of this machine, such as host=192.168.1.5, lets in
                 whoever reaches it, without a password
open=false       true: in the browser, at the task that was searched last

It prints the addresses once it answers, after about ten seconds. Ctrl-C ends it.
"""
HOST = "127.0.0.1"
KEYS = ("store", "port", "host", "open")
START_SECONDS = 120.0  # ten on a quiet machine
END_SECONDS = 5.0
DIED = 0  # among the signals that end the serving: the server itself has ended

OPEN = "whoever reaches the port can read, change and delete all searches and models; there is no password"

Endings = SimpleQueue[int]


@dataclass(frozen=True)
class Place:
    """Where the searches are, and where they are shown; open: also in this machine's browser."""

    store: Path = Path("mlruns")
    port: int = 5000
    host: str = HOST
    open: bool = False

    @property
    def address(self) -> str:
        """The server's address."""
        return f"http://{self.host}:{self.port}"

    @property
    def searches(self) -> str:
        """The page of the searches; the bare address opens MLflow's pages for language models first."""
        return f"{self.address}/#/experiments?workflowType=machine_learning"


def main(given: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return arguments.command(given, HELP, _run, "stopped")


def _run(given: Sequence[str]) -> int:
    place = read(given)
    check(place)
    return serve(place)


def read(given: Sequence[str]) -> Place:
    """The words as a place; raises UsageError with every mistake among them."""
    typed, mistakes = arguments.read(given, KEYS)
    store, port, host = typed.get("store", "mlruns"), typed.get("port", "5000"), typed.get("host", HOST)
    if not store:
        mistakes.append("store: the folder of the searches, such as store=mlruns; got nothing")
    if not (port.isascii() and port.isdecimal() and len(port) < 6 and 1024 <= int(port) <= 65535):
        mistakes.append(f"port: a whole number from 1024 to 65535, such as port=5001; got {port or 'nothing'}")
    if not _one_machine(host):
        rule = "an IPv4 address of this machine, such as host=192.168.1.5"
        mistakes.append(f"host: {rule}; got {host or 'nothing'}")
    if (opened := typed.get("open", "false")) not in ("true", "false"):
        mistakes.append(f"open: true or false; got {opened or 'nothing'}")
    if mistakes:
        raise UsageError(*mistakes)
    return Place(Path(store), int(port), host, opened == "true")


def _one_machine(host: str) -> bool:
    """Whether it is the address of one machine: a browser has to send it as it stands, so 0.0.0.0 is none."""
    try:
        address = IPv4Address(host)
    except AddressValueError:
        return False
    return not (address.is_unspecified or address.is_multicast or address.is_reserved)


def check(place: Place) -> None:
    """Raises UsageError where there is nothing to show, or nowhere to show it."""
    database = place.store / "mlflow.db"
    if not database.is_file():
        elsewhere = "" if place.store == Place.store else f" store={place.store}"
        command = f"python -m pipeline.search task=cat_species{elsewhere}"
        raise UsageError(f"store: nothing has been searched there yet, {database} does not exist; first {command}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server: a port left a moment ago is free
        try:
            probe.bind((place.host, place.port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(f"host: an address of this machine; got {place.host}, which is none") from None
            other = place.port + 1 if place.port < 65535 else place.port - 1
            raise UsageError(f"port: {place.port} is taken by another program; try port={other}") from None


def serve(place: Place) -> int:
    """Runs the server until a signal ends it; returns 0 after Ctrl-C, 128 + the signal's number after another."""
    endings = _signals()
    if place.host != HOST:
        print(f"host={place.host}: {OPEN}", file=sys.stderr)
    with _log(place) as log:
        print("MLflow is starting ...", file=sys.stderr, flush=True)
        server = subprocess.Popen(  # a group of its own: Ctrl-C reaches us alone, and we end all of it
            command(place), env=environment(os.environ), stdout=log, stderr=log, start_new_session=True
        )
    try:
        threading.Thread(target=_report_end, args=(server, endings), daemon=True).start()
        ended = _until_up(place, endings)
        up = ended is None
        if up:
            print(f"{place.address}   Ctrl-C ends it\nsearches: {place.searches}", flush=True)
            links.show(place.address, place.searches, opened=place.open)
            ended = endings.get()
    finally:
        _end(server, endings)
    if ended == DIED:
        print(_why(place, up=up), file=sys.stderr)
        return 1
    return 0 if up and ended == signal.SIGINT else 128 + (ended or 0)


def _signals() -> Endings:
    """A queue that gets the number of each signal from now on; one that `nohup` ignores stays ignored."""
    endings: Endings = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda got, _: endings.put(got))
    return endings


def _report_end(server: subprocess.Popen[bytes], endings: Endings) -> None:
    server.wait()
    endings.put(DIED)


def command(place: Place) -> list[str]:
    """MLflow's own server, to which no foreign web page can talk, nor another machine unless a host was said."""
    here = [f"{name}:{place.port}" for name in dict.fromkeys((place.host, HOST, "localhost"))]
    store = place.store.resolve()
    options = {
        "backend-store-uri": f"sqlite:///{store / 'mlflow.db'}",
        "artifacts-destination": str(store / "artifacts"),
        "host": place.host,
        "port": str(place.port),
        "workers": "1",
        "allowed-hosts": ",".join(here),
        "cors-allowed-origins": ",".join(f"http://{name}" for name in here),
        "uvicorn-opts": "--log-level=warning",
    }
    return [sys.executable, "-m", "mlflow", "server", *(f"--{name}={value}" for name, value in options.items())]


def environment(around: Mapping[str, str]) -> dict[str, str]:
    """The environment without the settings of some other server, which would open this one or turn it elsewhere."""
    kept = {name: value for name, value in around.items() if not name.lstrip("_").startswith(("MLFLOW_", "UVICORN_"))}
    return kept | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight more processes, for nothing that we use
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_UV_AUTO_DETECT": "false",
    }


def _log_file(place: Place) -> Path:
    return place.store / f"ui-{place.port}.log"


def _log(place: Place) -> BinaryIO:
    """The file for what the server says; raises UsageError where it cannot be written."""
    try:
        return _log_file(place).open("wb")
    except OSError as error:
        raise UsageError(f"store: a folder that can be written to; got {place.store} ({error.strerror})") from None


def _until_up(place: Place, endings: Endings) -> int | None:
    """Waits for the first answer: None once it has come, otherwise what came before it."""
    opener, begin = build_opener(ProxyHandler({})), time.monotonic()
    while time.monotonic() < begin + START_SECONDS:
        try:
            return endings.get(timeout=0.1)
        except Empty:
            pass
        try:
            opener.open(f"{place.address}/health", timeout=1).close()
        except (URLError, OSError):
            continue
        return None
    return DIED


def _end(server: subprocess.Popen[bytes], endings: Endings) -> None:
    """Ends the server and its children: politely, and after five seconds or a second Ctrl-C by force."""
    gone = (ProcessLookupError, PermissionError)  # the latter on macOS, where only dead ones are left
    with suppress(Empty, *gone):
        os.killpg(server.pid, signal.SIGTERM)
        endings.get(timeout=END_SECONDS)
    with suppress(*gone):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _why(place: Place, *, up: bool) -> str:
    """What is known of a server that did not live."""
    lines = _log_file(place).read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    why = (errors or lines)[-1].strip()
    return f"MLflow's server {'ended' if up else 'did not start'}: {why} (all of it: {_log_file(place)})"


if __name__ == "__main__":
    sys.exit(main())
