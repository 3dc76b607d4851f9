"""Options of `python -m pipeline.predict` and `python -m pipeline.export`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.runtime.arguments import (
    CommandOptions,
    UsageError,
    option,
    read_file,
    read_folder,
    read_model_name,
)
from pipeline.runtime.suggestions import did_you_mean, find_similar

ALLOWED_KEYS = ("model", "output", "sheet", "store", "weights")
EXPORT_FORMATS = ("onnx",)
CSV_SUFFIX = ".csv"
JSON_LINES_SUFFIX = ".jsonl"
SHEET_SUFFIX = ".png"


def _read_export_format(text: str) -> str:
    if text not in EXPORT_FORMATS:
        raise ValueError("format=onnx is the one there is", did_you_mean(text, EXPORT_FORMATS))
    return text


@dataclass(frozen=True)
class ExportOptions(CommandOptions):
    """Options of `python -m pipeline.export`; weights: file of the backbone's weights."""

    model: str = field(metadata=option("", read_model_name))
    format: str = field(metadata=option("", _read_export_format))
    output: Path = field(metadata=option(".", read_folder))
    store: Path = field(metadata=option("mlruns", Path))
    weights: Path | None = field(metadata=option(None, read_file))


@dataclass(frozen=True)
class PredictOptions:
    """Options of `python -m pipeline.predict`; weights: file of the backbone's weights, sheet: of the contact sheet."""

    model: str
    paths: tuple[Path, ...]
    output: Path | None
    store: Path
    weights: Path | None = None
    sheet: Path | None = None


def parse_arguments(argv: Sequence[str]) -> PredictOptions:
    """Return the options; a word is an existing path, else `key=value` with a known key, else a missing path.

    Raises UsageError with every mistake.
    """
    values, paths, mistakes = _split_arguments(argv)
    if "model" not in values:
        mistakes.append("model: say which, model=<folder, task or models:/...>")
    if not paths:
        mistakes.append("say what to answer for: a picture, a folder of pictures or a table")
    files = dict[str, Path]()
    for key, parse_file in FILE_PARSERS.items():
        try:
            files |= {key: parse_file(values[key], paths)} if key in values else {}
        except UsageError as error:
            mistakes += error.mistakes
    if mistakes:
        raise UsageError(*mistakes, *(f"{path}: no such file" for path in paths if not _exists(path)))
    store = Path(values.get("store", "mlruns"))
    return PredictOptions(
        values["model"], tuple(paths), files.get("output"), store, files.get("weights"), files.get("sheet")
    )


def _split_arguments(argv: Sequence[str]) -> tuple[dict[str, str], list[Path], list[str]]:
    """Return the value of each key, the paths, and a line for each key that is misspelt or repeated.

    The value of a misspelt key counts for the key that was meant, so that it is checked too.
    """
    values = dict[str, str]()
    paths = list[Path]()
    mistakes = list[str]()
    for text in argv:
        key, equals, value = text.partition("=")
        if text.startswith("--") and not _exists(Path(text)):
            intended_key = key.lstrip("-")
            mistakes.append(f"{text}: words have no dashes; {intended_key}={value or '<value>'}")
            values.setdefault(intended_key, value)
        elif not equals or _exists(Path(text)):
            paths.append(Path(text))
        elif key in values:
            mistakes.append(f"{key}: given twice; got {values[key]} and {value}")
        elif key in ALLOWED_KEYS:
            values[key] = value
        elif hint := did_you_mean(key, ALLOWED_KEYS):
            mistakes.append(f"{key}: no such key{hint}; known: {', '.join(ALLOWED_KEYS)}")
            values.setdefault(find_similar(key, ALLOWED_KEYS)[0], value)
        else:
            paths.append(Path(text))
    return values, paths, mistakes


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long
        return False


def _parse_output(text: str, paths: Sequence[Path]) -> Path:
    """Return the file of predictions: CSV, also without an ending, or JSON Lines."""
    file = _parse_writable_file("output", text, "predictions.csv")
    if file.suffix.lower() not in ("", CSV_SUFFIX, JSON_LINES_SUFFIX):
        raise UsageError(f"output: a file that ends in {CSV_SUFFIX} or {JSON_LINES_SUFFIX} (JSON lines); got {file}")
    if any(_is_same_file(file, path) for path in paths):
        raise UsageError(f"output: another file than what is to be answered for; got {file}")
    return file


def _parse_sheet(text: str, paths: Sequence[Path]) -> Path:
    """Return the file of the contact sheet; in an input folder it would be an input of the next call."""
    file = _parse_writable_file("sheet", text, "sheet.png")
    if file.suffix.lower() != SHEET_SUFFIX:
        raise UsageError(f"sheet: a picture that ends in {SHEET_SUFFIX}; got {file}")
    if any(_is_same_file(file, path) or (path.is_dir() and _is_inside(file, path)) for path in paths if _exists(path)):
        raise UsageError(f"sheet: not among the pictures that are to be answered for; got {file}")
    return file


def _parse_weights(text: str, _: Sequence[Path]) -> Path:
    file = Path(text)
    if not file.is_file():
        raise UsageError(f"weights: a file that exists; got {file}")
    return file


def _parse_writable_file(key: str, text: str, example: str) -> Path:
    """Return the path of a file in a folder that exists."""
    file = Path(text)
    if not text or not file.parent.is_dir():
        raise UsageError(f"{key}: a file in a folder that exists; got {text or 'nothing'}")
    if file.is_dir():
        raise UsageError(f"{key}: a file, such as {file / example}; got a folder, {file}")
    return file


def _is_same_file(file: Path, path: Path) -> bool:
    return _exists(file) and _exists(path) and file.samefile(path)


def _is_inside(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve())


FILE_PARSERS: Mapping[str, Callable[[str, Sequence[Path]], Path]] = {
    "output": _parse_output,
    "sheet": _parse_sheet,
    "weights": _parse_weights,
}
