"""Followers forked off a process that has MLflow imported: each search would import it anew, which takes seconds.

`python -m tests.preloaded <descriptor>` is that process: over the socket it is sent the ends of a follower's pipes, and
forks the real follower's main onto them. It ends with the process that started it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import NoReturn

from pipeline.tracking import follower

REAP_SECONDS = 0.05


class PreloadedFollower:
    """A follower as `subprocess.Popen` would give it."""

    def __init__(self, server: PreloadedServer) -> None:
        child_stdin, stdin = os.pipe()
        stdout, child_stdout = os.pipe()
        self._status, child_status = os.pipe()
        self.pid = server.fork([child_stdin, child_stdout, child_status])
        for end in (child_stdin, child_stdout, child_status):
            os.close(end)
        self.stdin = os.fdopen(stdin, "w")
        self.stdout = os.fdopen(stdout)
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; raise `subprocess.TimeoutExpired` as Popen does."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("follower", timeout or 0)
            self.returncode = int(os.read(self._status, 16) or b"-9")
            os.close(self._status)
        return self.returncode

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        try:
            self.wait(0)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)


class PreloadedServer:
    """The process with the imports, started once."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.preloaded", str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)

    def start_follower(self) -> PreloadedFollower:
        """Stand for `pipeline.tracking.process.start_follower`."""
        return PreloadedFollower(self)

    def fork(self, descriptors: list[int]) -> int:
        """Fork a follower onto these ends of pipes, and return its process id."""
        socket.send_fds(self.socket, [b"fork"], descriptors)
        return int(self.socket.recv(16))

    def close(self) -> None:
        """End it; followers that still write go on."""
        self.socket.close()
        self.process.wait()


def serve(connection: socket.socket) -> None:
    """Fork until the other side is gone, and tell each follower's exit code through its status pipe."""
    statuses: dict[int, int] = {}
    while True:
        if select.select([connection], [], [], REAP_SECONDS)[0]:
            message, descriptors, _, _ = socket.recv_fds(connection, 16, 3)
            if not message:
                return
            stdin, stdout, status = descriptors
            pid = os.fork()
            if pid == 0:
                connection.close()
                for other in (*statuses.values(), status):
                    os.close(other)
                follow(stdin, stdout)
            os.close(stdin)
            os.close(stdout)
            statuses[pid] = status
            connection.sendall(str(pid).encode())
        _reap(statuses)


def _reap(statuses: dict[int, int]) -> None:
    for pid in list(statuses):
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = statuses.pop(pid)
            with suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(status, str(os.waitstatus_to_exitcode(code)).encode())
            os.close(status)


def follow(stdin: int, stdout: int) -> NoReturn:
    """Run the follower's main with these descriptors as its standard input and output."""
    os.setsid()
    os.dup2(stdin, 0)
    os.dup2(stdout, 1)
    os.close(stdin)
    os.close(stdout)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    os._exit(follower.main())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 -- what a follower would import

    with socket.socket(fileno=int(sys.argv[1])) as ours:
        serve(ours)
