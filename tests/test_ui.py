"""The browser's server: real, on a free port, and nothing of it left afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline import ui
from pipeline.tracking import server, ui_views

TRAINING = "workflowType=machine_learning"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").create_experiment("cat_species")
    return file


@pytest.fixture
def store(database: Path, tmp_path: Path) -> Path:
    """A store of its own, with a name that would break a careless command line."""
    folder = tmp_path / "my searches"
    folder.mkdir()
    shutil.copy(database, folder)
    return folder


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind((server.DEFAULT_HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(store: Path, port: int, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "pipeline.ui", f"store={store}", f"port={port}", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as ours:
        try:
            yield ours
        finally:
            ours.terminate()


def status(port: int, path: str, host: str, address: str = server.DEFAULT_HOST, **headers: str) -> int:
    connection = HTTPConnection(address, port, timeout=30)
    try:
        connection.request("POST" if headers else "GET", path, headers={"Host": host, **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def processes(store: Path) -> list[str]:
    """The running processes that name the store in their words or environment (none where there is no /proc)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(store) in named:
            found.append(process.name)
    return found


def test_serves_the_store_to_this_machine_alone_until_ctrl_c(store: Path, port: int) -> None:
    with running(store, port) as ours:
        assert ours.stdout is not None
        assert ours.stdout.readline() == f"http://127.0.0.1:{port}   Ctrl-C ends it\n"
        searches = f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning"
        assert ours.stdout.readline() == f"searches: {searches}\n"
        path = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=cat_species"
        assert ours.stdout.readline() == f"cat_species: http://127.0.0.1:{port}/#/experiments/1/runs?{TRAINING}\n"
        hosts = [f"127.0.0.1:{port}", f"localhost:{port}", f"10.0.0.5:{port}", "127.0.0.1:5000", "evil.example"]
        assert [status(port, path, host) for host in hosts] == [200, 200, 403, 403, 403]
        if sys.platform == "linux":
            assert len(processes(store)) == 3, "the check for leftovers sees us, MLflow and its server"
        ours.send_signal(signal.SIGINT)
        assert ours.wait(timeout=30) == 0
    assert processes(store) == []
    assert sorted(file.name for file in store.iterdir()) == ["mlflow.db", f"ui-{port}.log"]


def opened(store: Path, port: int, browser: str) -> tuple[str, str, Path]:
    """What is said and what a browser is given where one is asked for; browser: what it does."""
    asked, program = store / "asked", store / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" >"$0.tmp" && mv "$0.tmp" "{asked}"\n{browser}\n')
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BROWSER", f"'{program}' %s")
        with running(store, port, "open=true") as ours:
            assert ours.stdout is not None
            lines = [ours.stdout.readline() for _ in range(3)]
            end = time.monotonic() + 20
            while not asked.exists() and time.monotonic() < end:
                time.sleep(0.05)
            ours.send_signal(signal.SIGINT)
            assert ours.wait(timeout=30) == 0
            assert ours.stderr is not None
            return lines[2], ours.stderr.read(), asked


def test_open_shows_the_task_searched_last_once_the_server_answers(store: Path, port: int) -> None:
    client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
    for key, value in ui_views.build_view_tags("accuracy", ["model.layers"]).items():
        client.set_experiment_tag("1", key, value)
    line, errors, asked = opened(store, port, "sleep 5 >/dev/null 2>&1")  # a browser that stays open holds nothing up
    page = f"http://127.0.0.1:{port}/#/experiments/1/runs?viewStateShareKey=searches&{TRAINING}"
    assert line == f"cat_species: {page}\n"
    assert asked.read_text() == f"{page}\n"
    assert errors == "MLflow is starting ...\n"


def test_browser_that_does_not_open_is_told_with_the_address(store: Path, port: int) -> None:
    _, errors, _ = opened(store, port, "exit 1")
    assert f"open: no browser was found here; the address is http://127.0.0.1:{port}/#/experiments/1/" in errors


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.1 is the only address that is surely here")
def test_another_host_is_said_to_be_open_and_answers_to_that_name_alone(store: Path, port: int) -> None:
    with running(store, port, "host=127.0.0.2") as ours:
        assert ours.stdout is not None
        assert ours.stderr is not None
        assert ours.stderr.readline() == f"host=127.0.0.2: {server.NO_PASSWORD_WARNING}\n"
        assert ours.stdout.readline() == f"http://127.0.0.2:{port}   Ctrl-C ends it\n"
        path = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=cat_species"
        hosts = [f"127.0.0.2:{port}", f"localhost:{port}", f"10.0.0.5:{port}", "10.0.0.5", "127.0.0.2:5000"]
        assert [status(port, path, host, "127.0.0.2") for host in hosts] == [200, 200, 403, 403, 403]
        create = "/api/2.0/mlflow/experiments/create"
        assert status(port, create, hosts[0], "127.0.0.2", Origin="http://evil.example") == 403
        with pytest.raises(ConnectionRefusedError):
            status(port, path, f"127.0.0.1:{port}")
        ours.send_signal(signal.SIGINT)
        assert ours.wait(timeout=30) == 0


def test_refuses_address_of_another_machine(store: Path, port: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert ui.main([f"store={store}", f"port={port}", "host=192.0.2.1"]) == 2
    assert capfd.readouterr().err == "host: an address of this machine; got 192.0.2.1, which is none\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_ended_before_it_is_up_leaves_nothing(store: Path, port: int, number: signal.Signals, code: int) -> None:
    with running(store, port) as ours:
        assert ours.stderr is not None
        assert ours.stderr.readline() == "MLflow is starting ...\n"
        ours.send_signal(number)
        assert ours.wait(timeout=30) == code
        assert ours.stderr.read() == ""
    assert processes(store) == []


def test_server_that_does_not_start_says_why(store: Path, port: int) -> None:
    (store / "mlflow.db").write_text("not a database at all, but longer than a header would be\n" * 9)
    with running(store, port) as ours:
        said = ours.communicate(timeout=100)[1]
    assert ours.returncode == 1
    assert "MLflow's server did not start: " in said
    assert "file is not a database" in said
    assert str(store / f"ui-{port}.log") in said


def test_refuses_taken_port_before_anything_starts(
    store: Path, port: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with socket.create_server((server.DEFAULT_HOST, port)):
        assert ui.main([f"store={store}", f"port={port}"]) == 2
    assert capfd.readouterr().err == f"port: {port} is taken by another program; try port={port + 1}\n"


def test_refuses_store_without_searches_with_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert ui.main([f"store={tmp_path}"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("store: no search has run there yet")
    assert line.endswith(f"python -m pipeline.search task=cat_species store={tmp_path}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["stroe=x"],
            ["stroe: the keys are store=, port=, host= and open=; got stroe=x (did you mean store=?)"],
        ),
        (["--port", "1"], ["--port: the keys", "1: the keys"]),
        (
            ["port"],
            ["port: the keys are store=, port=, host= and open=; got port (did you mean port=?)"],
        ),
        (["port=80"], ["port: a whole number from 1024 to 65535, such as port=5001; got 80"]),
        (["port=65536"], ["port: a whole number"]),
        (["port=\u0665\u0660\u0660\u0660"], ["port: a whole number"]),
        (["port="], ["port: a whole number from 1024 to 65535, such as port=5001; got nothing"]),
        (["store="], ["store: the folder of the searches, such as store=mlruns; got nothing"]),
        (["port=5000", "port=5001"], ["port: given twice; got 5000 and 5001"]),
        (["host="], ["host: an IPv4 address of this machine, such as host=192.168.1.5; got nothing"]),
        (["host=0.0.0.0"], ["host: an IPv4 address of this machine, such as host=192.168.1.5; got 0.0.0.0"]),
        (["host=*"], ["host: an IPv4 address"]),
        (["host=localhost"], ["host: an IPv4 address"]),
        (["host=192.168.1.5,evil.example"], ["host: an IPv4 address"]),
        (["host=224.0.0.1"], ["host: an IPv4 address"]),
        (["host=1.2.3.4", "host=127.0.0.1"], ["host: given twice; got 1.2.3.4 and 127.0.0.1"]),
        (["open=yes"], ["open: true or false; got yes"]),
        (["open="], ["open: true or false; got nothing"]),
        (["prot=1", "port=x", "store="], ["prot: the keys", "store: the folder", "port: a whole number"]),
    ],
)
def test_refuses_every_mistake_at_once(words: list[str], lines: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert ui.main(words) == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == len(lines)
    assert all(line.startswith(start) for line, start in zip(said, lines, strict=True))


def test_help_is_one_short_screen(capfd: pytest.CaptureFixture[str]) -> None:
    assert ui.main(["store=x", "--help"]) == ui.main(["-h"]) == 0
    said = capfd.readouterr().out
    assert len(said.splitlines()) < 40
    assert "store=mlruns" in said
    assert "port=5000" in said


def test_settings_of_another_server_do_not_reach_ours() -> None:
    around = {
        "PATH": "/bin",
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
        "_MLFLOW_SERVER_X": "1",
        "UVICORN_HOST": "0",
    }
    ours = server.build_server_environment(around)
    assert ours.keys() & around.keys() == {"PATH"}
    assert ours["MLFLOW_DISABLE_TELEMETRY"] == "true"
