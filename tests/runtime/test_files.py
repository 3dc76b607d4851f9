"""Files that are whole or not there, whoever is killed while writing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.runtime.files import write_file, write_folder
from tests.crash import kill_at_every_step

SETUP = "from pipeline.runtime.files import write_file, write_folder"


def state(folder: Path) -> dict[str, bytes] | None:
    return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.is_dir() else None


@pytest.mark.parametrize("before", [b"", b"old"])
def test_file_is_the_old_or_the_new_one_at_every_kill(before: bytes, tmp_path: Path) -> None:
    lay = f"(directory / 'file').write_bytes({before})" if before else ""
    directories = kill_at_every_step(SETUP, lay, "write_file(directory / 'file', b'new' * 9)", tmp_path)
    found = [(directory / "file").read_bytes() if (directory / "file").exists() else b"" for directory in directories]
    assert len(directories) == 7, "opened, written, flushed, moved, tidied up, the folder flushed; and one that passes"
    assert set(found) == {before, b"new" * 9}
    for directory in directories:
        write_file(directory / "file", b"newer")
        assert state(directory) == {"file": b"newer"}


@pytest.mark.parametrize("before", [{}, {"a": b"old", "c": b"older"}])
def test_folder_is_the_old_or_the_new_one_or_none_at_every_kill(before: dict[str, bytes], tmp_path: Path) -> None:
    lay = f"write_folder(directory / 'both', {before})" if before else ""
    new = {"a": b"new" * 9, "b": b"newer"}
    directories = kill_at_every_step(SETUP, lay, f"write_folder(directory / 'both', {new})", tmp_path)
    found = [state(directory / "both") for directory in directories]
    assert len(directories) > 10
    assert all(each in (before or None, new, None) for each in found)
    assert found.count(None) == (1 if before else found.index(new))
    for directory in directories:
        write_folder(directory / "both", new)
        assert (state(directory / "both"), [each.name for each in directory.iterdir()]) == (new, ["both"])


def test_killed_twice_the_old_folder_is_still_there(tmp_path: Path) -> None:
    """The first kill falls between the two moves, the second anywhere in the next write."""
    lay = "write_folder(directory / '.both.999999999.old', {'a': b'old'})"
    directories = kill_at_every_step(SETUP, lay, "write_folder(directory / 'both', {'a': b'new'})", tmp_path)
    found = [state(directory / "both") for directory in directories[1:]]
    assert found.count(None) == 1
    assert [each for each in found if each not in ({"a": b"old"}, {"a": b"new"}, None)] == []


def test_what_fails_while_it_writes_leaves_the_old_one_and_nothing_beside(tmp_path: Path) -> None:
    write_folder(tmp_path / "both", {"a": b"old"})
    write_file(tmp_path / "file", b"old")
    with pytest.raises(TypeError):
        write_folder(tmp_path / "both", {"a": b"new", "b": None})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        write_file(tmp_path / "file", None)  # type: ignore[arg-type]
    assert state(tmp_path / "both") == {"a": b"old"}
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["both", "file"]


def test_what_another_living_process_writes_is_let_be(tmp_path: Path) -> None:
    (tmp_path / ".file.1.new").write_bytes(b"half")
    (tmp_path / ".file.999999999.new").write_bytes(b"half")
    (tmp_path / ".file.other.999999999.new").write_bytes(b"half")
    write_file(tmp_path / "file", b"new")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".file.1.new", ".file.other.999999999.new", "file"]
