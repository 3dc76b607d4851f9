"""What a fresh machine is given: pins with hashes, no addresses, no code in the configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements.lock.txt", "requirements.bootstrap.txt"]


def requirements(lock: str) -> list[str]:
    """Each requirement of a lock with its hashes, as one line without comments."""
    lines = [line for line in (ROOT / lock).read_text().splitlines() if not line.lstrip().startswith("#")]
    return " ".join(line.removesuffix("\\").strip() if line.endswith("\\") else line + "\n" for line in lines).split(
        "\n"
    )


def pins(lock: str) -> dict[str, Version]:
    found = [Requirement(line.split("--hash")[0]) for line in requirements(lock) if line.strip()]
    return {canonicalize_name(each.name): Version(str(each.specifier).removeprefix("==")) for each in found}


def project() -> dict[str, Requirement]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        content = tomllib.load(file)
    texts = content["project"]["dependencies"] + content["dependency-groups"]["dev"]
    return {canonicalize_name(each.name): each for each in map(Requirement, texts)}


def make(*words: str, path: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """What make would do; a make around these tests does not reach in."""
    around = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARGS")
    }
    folder = path or str(ROOT)
    return subprocess.run(
        ["make", *words], cwd=folder, env=around | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_is_exact_and_hashed(lock: str) -> None:
    lines = [line.strip() for line in requirements(lock) if line.strip()]
    assert lines
    assert all(re.match(r"[\w.-]+==\S+ ", line) for line in lines)
    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}", line) for line in lines)


@pytest.mark.parametrize("file", [*LOCKS, "pyproject.toml", "Makefile", ".ci/run", ".pre-commit-config.yaml"])
def test_names_no_address(file: str) -> None:
    assert "://" not in (ROOT / file).read_text()


def test_lock_fits_the_project() -> None:
    pinned = pins("requirements.lock.txt")
    assert all(each.specifier.contains(pinned[name]) for name, each in project().items())


def test_torch_is_one_that_has_its_own_torchvision() -> None:
    assert project()["torch"].specifier.contains("2.11")
    assert not project()["torch"].specifier.contains("2.10")
    assert pins("requirements.lock.txt")["torch"] >= Version("2.11")


def test_compromised_and_doubled_lightning_stay_out() -> None:
    assert not any(project()["pytorch-lightning"].specifier.contains(bad) for bad in ("2.6.2", "2.6.3"))
    assert "lightning" not in pins("requirements.lock.txt")


def test_each_runtime_dependency_is_sorted() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        texts = tomllib.load(file)["project"]["dependencies"]
    assert texts == sorted(texts)


def test_no_lock_with_a_registry_in_it_is_tracked() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    assert not {"uv.lock", "poetry.lock"} & set(tracked)
    assert [file for file in tracked if file.startswith(("mlruns/", ".venv/"))] in ([], ["mlruns/.gitignore"])


def test_configuration_names_no_code() -> None:
    files = sorted((ROOT / "conf").rglob("*.yaml"))
    assert files
    assert [file for file in files if "_target_" in file.read_text()] == []


def test_ci_runs_what_a_person_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-2:] == ["make browser || true", "make test"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there is no root here")
def test_browser_that_cannot_be_installed_is_told_in_one_line(tmp_path: Path) -> None:
    """On a machine without Chromium, to somebody who is not root."""
    for name in ("make", "sh"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    for name, said in (("id", "1000"), ("apt-get", "it was called")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {said}\n")
        (tmp_path / name).chmod(0o755)
    done = make("browser", PATH=str(tmp_path))
    said = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert done.returncode == 2
    assert said == ["make browser: Chromium is missing; on Debian, as root: apt-get install chromium fonts-dejavu-core"]
    assert "it was called" not in done.stdout


def test_help_lists_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  make (\w+) +\S", make().stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony.split())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("", "task=cat_species"),
        ("budget.trials=5", "task=cat_species budget.trials=5"),
        ("task=day_night budget.trials=5", "task=day_night budget.trials=5"),
        ("budget.trials=5 task=day_night", "budget.trials=5 task=day_night"),
    ],
)
def test_search_takes_the_task_that_was_typed(args: str, words: str) -> None:
    commands = make("--dry-run", "search", f"ARGS={args}").stdout.splitlines()
    assert commands[-1].split() == [".venv/bin/python", "-m", "pipeline.search", *words.split()]


@pytest.mark.parametrize("words", [("PYTHON=/nowhere/python3.12",), ()])
def test_says_which_python_is_needed_in_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    """On a machine with no fitting Python: a PATH with make's own helpers and a python3 that is too old."""
    for name in ("Makefile", *LOCKS, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "rm", "touch"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3").chmod(0o755)
    done = make("setup", *words, path=str(tmp_path), PATH=str(tools))
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2
    assert len(said) == 1
    assert said[0].startswith("Python 3.11, 3.12 or 3.13 with its venv module is needed; found")
    assert "make setup PYTHON=" in said[0]
    assert not (tmp_path / ".venv").exists()
