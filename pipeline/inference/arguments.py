"""What was typed after `python -m pipeline.predict`: pictures, folders or tables, and a few `key=value`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pipeline.runtime.arguments import UsageError

KEYS = ("model", "output", "sheet", "store", "weights")
CSV, JSON_LINES, SHEET = ".csv", ".jsonl", ".png"


@dataclass(frozen=True)
class Words:
    """What was typed."""

    model: str
    paths: tuple[Path, ...]
    output: Path | None
    store: Path
    weights: Path | None = None
    sheet: Path | None = None


def parse(texts: Sequence[str]) -> Words:
    """The words as typed: an existing path wins, then `key=value` with a known key, then a path that is not there.

    Raises UsageError with all that is wrong.
    """
    given, paths, mistakes = _sorted(texts)
    if "model" not in given:
        mistakes.append("model: say which, model=<folder, task or models:/...>")
    if not paths:
        mistakes.append("say what to answer for: a picture, a folder of pictures or a table")
    files = dict[str, Path]()
    for key, place in PLACES.items():
        try:
            files |= {key: place(given[key], paths)} if key in given else {}
        except UsageError as error:
            mistakes += error.mistakes
    if mistakes:
        raise UsageError(*mistakes, *(f"{path}: no such file" for path in paths if not _exists(path)))
    store = Path(given.get("store", "mlruns"))
    return Words(given["model"], tuple(paths), files.get("output"), store, files.get("weights"), files.get("sheet"))


def _sorted(texts: Sequence[str]) -> tuple[dict[str, str], list[Path], list[str]]:
    """The value of each key, the paths, and a line for each key that is misspelt or said again.

    A misspelt one counts as what was meant, so that the rest is judged too.
    """
    given, paths, mistakes = dict[str, str](), list[Path](), list[str]()
    for text in texts:
        key, equals, value = text.partition("=")
        if text.startswith("--") and not _exists(Path(text)):
            meant = key.lstrip("-")
            mistakes.append(f"{text}: words have no dashes; {meant}={value or '<value>'}")
            given.setdefault(meant, value)
        elif not equals or _exists(Path(text)):
            paths.append(Path(text))
        elif key in given:
            mistakes.append(f"{key}: said once; got {given[key]} and {value}")
        elif key in KEYS:
            given[key] = value
        elif near := get_close_matches(key, KEYS, n=1):
            mistakes.append(f"{key}: no such key (did you mean {near[0]}?); known: {', '.join(KEYS)}")
            given.setdefault(near[0], value)
        else:
            paths.append(Path(text))
    return given, paths, mistakes


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # as a name it is too long
        return False


def _output(text: str, paths: Sequence[Path]) -> Path:
    """Where the answers are to go: a CSV file, also by a name without an ending, or one of JSON lines."""
    file = _place("output", text, "predictions.csv")
    if file.suffix.lower() not in ("", CSV, JSON_LINES):
        raise UsageError(f"output: a file that ends in {CSV} or {JSON_LINES} (JSON lines); got {file}")
    if any(_same(file, path) for path in paths):
        raise UsageError(f"output: another file than what is to be answered for; got {file}")
    return file


def _sheet(text: str, paths: Sequence[Path]) -> Path:
    """Where the contact sheet is to go; in a folder that is answered for it would be a picture of the next call."""
    file = _place("sheet", text, "sheet.png")
    if file.suffix.lower() != SHEET:
        raise UsageError(f"sheet: a picture that ends in {SHEET}; got {file}")
    if any(_same(file, path) or (path.is_dir() and _inside(file, path)) for path in paths if _exists(path)):
        raise UsageError(f"sheet: not among the pictures that are to be answered for; got {file}")
    return file


def _weights(text: str, _: Sequence[Path]) -> Path:
    """The file of a backbone's weights."""
    file = Path(text)
    if not file.is_file():
        raise UsageError(f"weights: a file that exists; got {file}")
    return file


def _place(key: str, text: str, example: str) -> Path:
    """A file that can be written there."""
    file = Path(text)
    if not text or not file.parent.is_dir():
        raise UsageError(f"{key}: a file in a folder that exists; got {text or 'nothing'}")
    if file.is_dir():
        raise UsageError(f"{key}: a file, such as {file / example}; got a folder, {file}")
    return file


def _same(file: Path, path: Path) -> bool:
    return _exists(file) and _exists(path) and file.samefile(path)


def _inside(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve())


PLACES: Mapping[str, Callable[[str, Sequence[Path]], Path]] = {"output": _output, "sheet": _sheet, "weights": _weights}
