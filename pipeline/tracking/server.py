"""MLflow's own server of a store, on this machine only: its options, its start and its end."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO
from urllib.request import ProxyHandler, build_opener

from pipeline.runtime.arguments import CommandOptions, UsageError, option, read_bool
from pipeline.tracking import MLFLOW_ENVIRONMENT, links

DEFAULT_STORE = "mlruns"
DEFAULT_HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 120.0  # it takes about 10 on an idle machine
STOP_TIMEOUT_SECONDS = 5.0
SERVER_EXITED = 0  # in the queue of signals: the server itself has exited
NO_PASSWORD_WARNING = "without a password, anyone who reaches the port can read, change and delete searches and models"
SignalQueue = SimpleQueue[int]


def _read_store(text: str) -> Path:
    if not text:
        raise ValueError("the folder of the searches, such as store=mlruns")
    return Path(text)


def _read_port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1024 <= int(text) <= 65535):
        raise ValueError("a whole number from 1024 to 65535, such as port=5001")
    return int(text)


def _read_host(text: str) -> str:
    """Return the address of one machine: browsers name it in each request, so it cannot be 0.0.0.0."""
    with suppress(AddressValueError):
        address = IPv4Address(text)
        if not (address.is_unspecified or address.is_multicast or address.is_reserved):
            return text
    raise ValueError("an IPv4 address of this machine, such as host=192.168.1.5")


@dataclass(frozen=True)
class ServerOptions(CommandOptions):
    """Options of `python -m pipeline.ui`; open: also open the page in this machine's browser."""

    store: Path = field(metadata=option(DEFAULT_STORE, _read_store))
    port: int = field(metadata=option("5000", _read_port))
    host: str = field(metadata=option(DEFAULT_HOST, _read_host))
    open: bool = field(metadata=option("false", read_bool))

    @property
    def server_url(self) -> str:
        """Return the server's address."""
        return f"http://{self.host}:{self.port}"

    @property
    def log_file(self) -> Path:
        """Return the file of the server's output."""
        return self.store / f"ui-{self.port}.log"


def check_can_serve(options: ServerOptions) -> None:
    """Raise UsageError if the store has no searches, or the address or the port cannot be used."""
    database = options.store / "mlflow.db"
    if not database.is_file():
        store_argument = "" if options.store == Path(DEFAULT_STORE) else f" store={options.store}"
        command = f"python -m pipeline.search task=cat_species{store_argument}"
        raise UsageError(f"store: no search has run there yet, {database} does not exist; first run {command}")
    with socket.socket() as probe:
        # As the server does: a port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(f"host: an address of this machine; got {options.host}, which is none") from None
            other_port = options.port + 1 if options.port < 65535 else options.port - 1
            raise UsageError(f"port: {options.port} is taken by another program; try port={other_port}") from None


def serve(options: ServerOptions) -> int:
    """Run the server until a signal ends it; return 0 after Ctrl-C, 128 + the signal's number after another."""
    signal_queue = _watch_signals()
    if options.host != DEFAULT_HOST:
        print(f"host={options.host}: {NO_PASSWORD_WARNING}", file=sys.stderr)
    with _open_log(options) as log:
        print("MLflow is starting ...", file=sys.stderr, flush=True)
        command = build_server_command(options)
        environment = build_server_environment(os.environ)
        # A session of its own: Ctrl-C reaches this process alone, which then ends the server's process group.
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        threading.Thread(target=_report_server_exit, args=(server, signal_queue), daemon=True).start()
        end_signal = _wait_until_up(options, signal_queue)
        is_up = end_signal is None
        if is_up:
            # The bare address opens MLflow's pages for language models first.
            searches_url = f"{options.server_url}/#/experiments?workflowType=machine_learning"
            print(f"{options.server_url}   Ctrl-C ends it\nsearches: {searches_url}", flush=True)
            links.print_experiment_links(options.server_url, searches_url, open_browser=options.open)
            end_signal = signal_queue.get()
    finally:
        _stop_server(server, signal_queue)
    if end_signal == SERVER_EXITED:
        print(_describe_failure(options, is_up=is_up), file=sys.stderr)
        return 1
    return 0 if is_up and end_signal == signal.SIGINT else 128 + (end_signal or 0)


def _watch_signals() -> SignalQueue:
    """Return a queue that gets the number of each signal from now on; one that `nohup` ignores stays ignored."""
    signal_queue: SignalQueue = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda got, _: signal_queue.put(got))
    return signal_queue


def _report_server_exit(server: subprocess.Popen[bytes], signal_queue: SignalQueue) -> None:
    server.wait()
    signal_queue.put(SERVER_EXITED)


def build_server_command(options: ServerOptions) -> list[str]:
    """Return the command of MLflow's server; it refuses other web pages, and other machines unless host= is given."""
    allowed_hosts = [f"{name}:{options.port}" for name in dict.fromkeys((options.host, DEFAULT_HOST, "localhost"))]
    store = options.store.resolve()
    server_options = {
        "backend-store-uri": f"sqlite:///{store / 'mlflow.db'}",
        "artifacts-destination": str(store / "artifacts"),
        "host": options.host,
        "port": str(options.port),
        "workers": "1",
        "allowed-hosts": ",".join(allowed_hosts),
        "cors-allowed-origins": ",".join(f"http://{name}" for name in allowed_hosts),
        "uvicorn-opts": "--log-level=warning",
    }
    return [sys.executable, "-m", "mlflow", "server", *(f"--{name}={value}" for name, value in server_options.items())]


def build_server_environment(base_environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without settings of another MLflow server, which could open or redirect this one."""
    others = [name for name in base_environment if not name.lstrip("_").startswith(("MLFLOW_", "UVICORN_"))]
    # Job execution would be eight more processes, for features that are not used here.
    settings = {**MLFLOW_ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return {name: base_environment[name] for name in others} | settings


def _open_log(options: ServerOptions) -> BinaryIO:
    try:
        return options.log_file.open("wb")
    except OSError as error:
        raise UsageError(f"store: a folder that can be written to; got {options.store} ({error.strerror})") from None


def _wait_until_up(options: ServerOptions, signal_queue: SignalQueue) -> int | None:
    """Wait for the server's first response; return None, or the signal that came before it."""
    opener = build_opener(ProxyHandler({}))  # a proxy is for other machines
    start_time = time.monotonic()
    while time.monotonic() < start_time + START_TIMEOUT_SECONDS:
        with suppress(Empty):
            return signal_queue.get(timeout=0.1)
        with suppress(OSError):  # a URLError is one
            opener.open(f"{options.server_url}/health", timeout=1).close()
            return None
    return SERVER_EXITED


def _stop_server(server: subprocess.Popen[bytes], signal_queue: SignalQueue) -> None:
    """End the server and its children: SIGTERM, then SIGKILL after five seconds or a second Ctrl-C."""
    already_exited = (ProcessLookupError, PermissionError)  # the latter on macOS, if only dead processes are left
    with suppress(Empty, *already_exited):
        os.killpg(server.pid, signal.SIGTERM)
        signal_queue.get(timeout=STOP_TIMEOUT_SECONDS)
    with suppress(*already_exited):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _describe_failure(options: ServerOptions, *, is_up: bool) -> str:
    """Return the last error in the server's log, with the log's path."""
    lines = options.log_file.read_text(errors="replace").strip().splitlines() or ["its log is empty"]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    reason = (errors or lines)[-1].strip()
    return f"MLflow's server {'ended' if is_up else 'did not start'}: {reason} (log: {options.log_file})"
