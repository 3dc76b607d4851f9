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
DEFAULT_HOST = "127.0.0.1"
ALLOWED_KEYS = ("store", "port", "host", "open")
START_TIMEOUT_SECONDS = 120.0  # ten on a quiet machine
STOP_TIMEOUT_SECONDS = 5.0
SERVER_EXITED = 0  # among the signals that end the serving: the server itself has ended

NO_PASSWORD_WARNING = (
    "whoever reaches the port can read, change and delete all searches and models; there is no password"
)

SignalQueue = SimpleQueue[int]


@dataclass(frozen=True)
class UiOptions:
    """Where the searches are, and where they are shown; open: also in this machine's browser."""

    store: Path = Path("mlruns")
    port: int = 5000
    host: str = DEFAULT_HOST
    open: bool = False

    @property
    def server_url(self) -> str:
        """The server's address."""
        return f"http://{self.host}:{self.port}"

    @property
    def searches_url(self) -> str:
        """The page of the searches; the bare address opens MLflow's pages for language models first."""
        return f"{self.server_url}/#/experiments?workflowType=machine_learning"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return arguments.run_command(argv, HELP, _run, "Stopped.")


def _run(argv: Sequence[str]) -> int:
    options = parse_arguments(argv)
    check_can_serve(options)
    return serve(options)


def parse_arguments(argv: Sequence[str]) -> UiOptions:
    """The words as a place; raises UsageError with every mistake among them."""
    values, mistakes = arguments.parse_key_values(argv, ALLOWED_KEYS)
    store, port, host = values.get("store", "mlruns"), values.get("port", "5000"), values.get("host", DEFAULT_HOST)
    if not store:
        mistakes.append("store: the folder of the searches, such as store=mlruns; got nothing")
    if not (port.isascii() and port.isdecimal() and len(port) < 6 and 1024 <= int(port) <= 65535):
        mistakes.append(f"port: a whole number from 1024 to 65535, such as port=5001; got {port or 'nothing'}")
    if not _is_machine_address(host):
        rule = "an IPv4 address of this machine, such as host=192.168.1.5"
        mistakes.append(f"host: {rule}; got {host or 'nothing'}")
    if (open_text := values.get("open", "false")) not in ("true", "false"):
        mistakes.append(f"open: true or false; got {open_text or 'nothing'}")
    if mistakes:
        raise UsageError(*mistakes)
    return UiOptions(Path(store), int(port), host, open_text == "true")


def _is_machine_address(host: str) -> bool:
    """Whether it is the address of one machine: a browser has to send it as it stands, so 0.0.0.0 is none."""
    try:
        address = IPv4Address(host)
    except AddressValueError:
        return False
    return not (address.is_unspecified or address.is_multicast or address.is_reserved)


def check_can_serve(options: UiOptions) -> None:
    """Raises UsageError where there is nothing to show, or nowhere to show it."""
    database = options.store / "mlflow.db"
    if not database.is_file():
        store_argument = "" if options.store == UiOptions.store else f" store={options.store}"
        command = f"python -m pipeline.search task=cat_species{store_argument}"
        raise UsageError(f"store: nothing has been searched there yet, {database} does not exist; first {command}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server: a port left a moment ago is free
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(f"host: an address of this machine; got {options.host}, which is none") from None
            other_port = options.port + 1 if options.port < 65535 else options.port - 1
            raise UsageError(f"port: {options.port} is taken by another program; try port={other_port}") from None


def serve(options: UiOptions) -> int:
    """Runs the server until a signal ends it; returns 0 after Ctrl-C, 128 + the signal's number after another."""
    signal_queue = _watch_signals()
    if options.host != DEFAULT_HOST:
        print(f"host={options.host}: {NO_PASSWORD_WARNING}", file=sys.stderr)
    with _open_log(options) as log:
        print("MLflow is starting ...", file=sys.stderr, flush=True)
        server = subprocess.Popen(  # a group of its own: Ctrl-C reaches us alone, and we end all of it
            build_server_command(options),
            env=build_server_environment(os.environ),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        threading.Thread(target=_report_server_exit, args=(server, signal_queue), daemon=True).start()
        end_signal = _wait_until_up(options, signal_queue)
        is_up = end_signal is None
        if is_up:
            print(f"{options.server_url}   Ctrl-C ends it\nsearches: {options.searches_url}", flush=True)
            links.print_experiment_links(options.server_url, options.searches_url, open_browser=options.open)
            end_signal = signal_queue.get()
    finally:
        _stop_server(server, signal_queue)
    if end_signal == SERVER_EXITED:
        print(_describe_failure(options, is_up=is_up), file=sys.stderr)
        return 1
    return 0 if is_up and end_signal == signal.SIGINT else 128 + (end_signal or 0)


def _watch_signals() -> SignalQueue:
    """A queue that gets the number of each signal from now on; one that `nohup` ignores stays ignored."""
    signal_queue: SignalQueue = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda got, _: signal_queue.put(got))
    return signal_queue


def _report_server_exit(server: subprocess.Popen[bytes], signal_queue: SignalQueue) -> None:
    server.wait()
    signal_queue.put(SERVER_EXITED)


def build_server_command(options: UiOptions) -> list[str]:
    """MLflow's own server, to which no foreign web page can talk, nor another machine unless a host was said."""
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
    """The environment without the settings of some other server, which would open this one or turn it elsewhere."""
    inherited_variables = {
        name: value
        for name, value in base_environment.items()
        if not name.lstrip("_").startswith(("MLFLOW_", "UVICORN_"))
    }
    return inherited_variables | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight more processes, for nothing that we use
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_UV_AUTO_DETECT": "false",
    }


def _log_path(options: UiOptions) -> Path:
    return options.store / f"ui-{options.port}.log"


def _open_log(options: UiOptions) -> BinaryIO:
    """The file for what the server says; raises UsageError where it cannot be written."""
    try:
        return _log_path(options).open("wb")
    except OSError as error:
        raise UsageError(f"store: a folder that can be written to; got {options.store} ({error.strerror})") from None


def _wait_until_up(options: UiOptions, signal_queue: SignalQueue) -> int | None:
    """Waits for the first answer: None once it has come, otherwise what came before it."""
    opener, start_time = build_opener(ProxyHandler({})), time.monotonic()
    while time.monotonic() < start_time + START_TIMEOUT_SECONDS:
        try:
            return signal_queue.get(timeout=0.1)
        except Empty:
            pass
        try:
            opener.open(f"{options.server_url}/health", timeout=1).close()
        except (URLError, OSError):
            continue
        return None
    return SERVER_EXITED


def _stop_server(server: subprocess.Popen[bytes], signal_queue: SignalQueue) -> None:
    """Ends the server and its children: politely, and after five seconds or a second Ctrl-C by force."""
    already_exited = (ProcessLookupError, PermissionError)  # the latter on macOS, where only dead ones are left
    with suppress(Empty, *already_exited):
        os.killpg(server.pid, signal.SIGTERM)
        signal_queue.get(timeout=STOP_TIMEOUT_SECONDS)
    with suppress(*already_exited):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _describe_failure(options: UiOptions, *, is_up: bool) -> str:
    """What is known of a server that did not live."""
    lines = _log_path(options).read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    reason = (errors or lines)[-1].strip()
    return f"MLflow's server {'ended' if is_up else 'did not start'}: {reason} (all of it: {_log_path(options)})"


if __name__ == "__main__":
    sys.exit(main())
