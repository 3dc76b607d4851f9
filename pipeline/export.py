"""A model for other programs, as one checked file: `python -m pipeline.export model=cat_species format=onnx`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pipeline.runtime import arguments
from pipeline.runtime.arguments import UsageError

HELP = """\
A model for other programs: one file, from pixels or columns to answers.

  python -m pipeline.export model=<model> format=onnx [output=<folder>]

model     a folder with architecture.json and parameters.safetensors,
          the name of a task (its champion), or models:/<task>@<alias>
format    onnx: preprocessing, backbone and head are inside, any number of rows;
          its metadata say what goes in (pixels, or numbers and codes of
          categories) and what comes out. It is checked with onnxruntime: what
          does not answer as the network does, within 1e-5, is not written
output    the folder for <task>-opset<version>-<shape>.onnx, . by default
store     where the registry is, mlruns by default
weights   the file of the backbone's weights, if the search had model.weights

examples
  python -m pipeline.export model=cat_species format=onnx
  python -m pipeline.export model=models:/animals/2 format=onnx output=app
"""
KEYS = ("model", "format", "output", "store", "weights")
FORMATS = ("onnx",)
FAILED = 1


@dataclass(frozen=True)
class Words:
    """What was typed."""

    model: str
    output: Path
    store: Path
    weights: Path | None


def read(given: Sequence[str]) -> Words:
    """The words as typed; raises UsageError with every mistake among them."""
    typed, mistakes = arguments.read(given, KEYS)
    if not typed.get("model"):
        mistakes.append("model: say which, model=<folder, task or models:/...>")
    if (kind := typed.get("format", "")) not in FORMATS:
        near = " (did you mean onnx?)" if get_close_matches(kind, FORMATS, n=1) else ""
        mistakes.append(f"format: format=onnx is the one there is; got {kind or 'nothing'}{near}")
    output, weights = Path(typed.get("output", ".")), Path(typed["weights"]) if "weights" in typed else None
    if not output.is_dir():
        mistakes.append(f"output: a folder that exists; got {output}")
    if weights is not None and not weights.is_file():
        mistakes.append(f"weights: a file that exists; got {weights}")
    if mistakes:
        raise UsageError(*mistakes)
    return Words(typed["model"], output, Path(typed.get("store", "mlruns")), weights)


def main(given: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 1 where no file was written, 2 where a word is wrong."""
    return arguments.command(given, HELP, _run)


def _run(given: Sequence[str]) -> int:
    asked = read(given)
    from pipeline.inference import onnx_export

    if lacking := onnx_export.missing():
        raise UsageError(lacking)
    from pipeline.data.examples import DataError
    from pipeline.inference.module import whole
    from pipeline.inference.predictions import load
    from pipeline.runtime.files import NotWrittenError
    from pipeline.runtime.progress_bars import waiting
    from pipeline.runtime.text import printable

    try:
        with waiting("reading the model"):
            trained = load(asked.model, asked.store)
        made = whole(trained, asked.weights, asked.store / "cache")
    except DataError as error:
        raise UsageError(str(error)) from None
    try:
        with waiting("writing the graph, and asking it"):
            file, difference = onnx_export.write(made, asked.output)
    except (onnx_export.ExportError, NotWrittenError) as error:
        print(printable(str(error)), file=sys.stderr)
        return FAILED
    print(f"{file}: {file.stat().st_size:,} bytes; its answers are the network's within {difference:.1g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
