"""Options of `python -m pipeline.predict` and `python -m pipeline.export`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.runtime.arguments import (
    CommandOptions,
    UsageError,
    fill_options,
    option,
    read_file,
    read_folder,
    read_model_name,
)
from pipeline.runtime.suggestions import did_you_mean, find_similar

EXPORT_FORMATS = ("onnx",)
CSV_SUFFIX = ".csv"
JSON_LINES_SUFFIX = ".jsonl"
SHEET_SUFFIX = ".png"
PREDICT_KEYS = ("model", "output", "sheet", "store", "weights")


def _read_export_format(text: str) -> str:
    if text not in EXPORT_FORMATS:
        raise ValueError(f"must be {' or '.join(EXPORT_FORMATS)}", did_you_mean(text, EXPORT_FORMATS))
    return text


def _read_output(text: str) -> Path:
    """Return the file of predictions: CSV, also without an ending, or JSON Lines."""
    return _read_writable_file(text, "predictions.csv", ("", CSV_SUFFIX, JSON_LINES_SUFFIX))


def _read_sheet(text: str) -> Path:
    return _read_writable_file(text, "sheet.png", (SHEET_SUFFIX,))


def _read_writable_file(text: str, example: str, suffixes: Sequence[str]) -> Path:
    """Return the path of a file with one of the suffixes in a folder that exists."""
    file = Path(text)
    if not text or not file.parent.is_dir():
        raise ValueError("must be a file in a folder that exists")
    if file.is_dir():
        raise ValueError(f"must be a file, such as {file / example}", ", which is a folder")
    if file.suffix.lower() not in suffixes:
        raise ValueError(f"must end in {' or '.join(filter(None, suffixes))}")
    return file


@dataclass(frozen=True)
class ExportOptions(CommandOptions):
    """Options of `python -m pipeline.export`; weights: file of the backbone's weights."""

    model: str = field(metadata=option("", read_model_name))
    format: str = field(metadata=option("", _read_export_format))
    output: Path = field(metadata=option(".", read_folder))
    store: Path = field(metadata=option("mlruns", Path))
    weights: Path | None = field(metadata=option(None, read_file))


@dataclass(frozen=True)
class PredictOptions(CommandOptions):
    """Options of `python -m pipeline.predict`; weights: file of the backbone's weights, sheet: of the contact sheet."""

    model: str = field(metadata=option("", read_model_name))
    paths: tuple[Path, ...]
    output: Path | None = field(metadata=option(None, _read_output))
    sheet: Path | None = field(metadata=option(None, _read_sheet))
    store: Path = field(metadata=option("mlruns", Path))
    weights: Path | None = field(metadata=option(None, read_file))

    def find_mistakes(self) -> list[str]:
        """Return a line if there are no paths, and one for each output that is an input of this call or the next."""
        lines = [] if self.paths else ["name the inputs: image files, folders of images or tables"]
        if self.output and self._is_input(self.output):
            lines.append(f"output: must not be one of the inputs; got {self.output}")
        folders = [path.resolve() for path in self.paths if _exists(path) and path.is_dir()]
        if self.sheet and (self._is_input(self.sheet) or any(map(self.sheet.resolve().is_relative_to, folders))):
            lines.append(f"sheet: must not be one of the inputs, nor in a folder of them; got {self.sheet}")
        return lines

    def _is_input(self, file: Path) -> bool:
        return _exists(file) and any(_exists(path) and file.samefile(path) for path in self.paths)


def parse_arguments(argv: Sequence[str]) -> PredictOptions:
    """Return the options; an argument is an existing path, else `key=value` with a known key, else a missing path.

    Raises UsageError with every mistake; a path that does not exist is one beside others, and alone fails later.
    """
    texts, paths, mistakes = _split_arguments(argv)
    try:
        return fill_options(PredictOptions, texts, mistakes, paths=tuple(paths))
    except UsageError as error:
        missing = [f"{path}: no such file" for path in paths if not _exists(path)]
        raise UsageError(*error.lines, *missing) from None


def _split_arguments(argv: Sequence[str]) -> tuple[dict[str, str], list[Path], list[str]]:
    """Return the text of each key, the paths, and a line for each key that is misspelt or repeated.

    The text of a misspelt key counts for the key that was meant, so that it is checked too.
    """
    texts = dict[str, str]()
    paths = list[Path]()
    mistakes = list[str]()
    for argument in argv:
        key, equals, text = argument.partition("=")
        if argument.startswith("--") and not _exists(Path(argument)):
            intended_key = key.lstrip("-")
            mistakes.append(f"{argument}: options have no dashes; type {intended_key}={text or '<value>'}")
            if intended_key in PREDICT_KEYS:
                texts.setdefault(intended_key, text)
        elif not equals or _exists(Path(argument)):
            paths.append(Path(argument))
        elif key in texts:
            mistakes.append(f"{key}: given twice; got {texts[key]} and {text}")
        elif key in PREDICT_KEYS:
            texts[key] = text
        elif hint := did_you_mean(key, PREDICT_KEYS):
            mistakes.append(f"{key}: no such key{hint}; known: {', '.join(PREDICT_KEYS)}")
            texts.setdefault(find_similar(key, PREDICT_KEYS)[0], text)
        else:
            paths.append(Path(argument))
    return texts, paths, mistakes


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long
        return False
