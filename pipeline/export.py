"""A model for other programs, as one checked file: `python -m pipeline.export model=cat_species format=onnx`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.runtime import arguments
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.suggestions import did_you_mean

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
ALLOWED_KEYS = ("model", "format", "output", "store", "weights")
EXPORT_FORMATS = ("onnx",)
EXIT_FAILED = 1


@dataclass(frozen=True)
class ExportOptions:
    """What was typed."""

    model: str
    output: Path
    store: Path
    weights: Path | None


def parse_arguments(argv: Sequence[str]) -> ExportOptions:
    """The words as typed; raises UsageError with every mistake among them."""
    values, mistakes = arguments.parse_key_values(argv, ALLOWED_KEYS)
    if not values.get("model"):
        mistakes.append("model: say which, model=<folder, task or models:/...>")
    if (export_format := values.get("format", "")) not in EXPORT_FORMATS:
        hint = did_you_mean(export_format, EXPORT_FORMATS)
        mistakes.append(f"format: format=onnx is the one there is; got {export_format or 'nothing'}{hint}")
    output, weights = Path(values.get("output", ".")), Path(values["weights"]) if "weights" in values else None
    if not output.is_dir():
        mistakes.append(f"output: a folder that exists; got {output}")
    if weights is not None and not weights.is_file():
        mistakes.append(f"weights: a file that exists; got {weights}")
    if mistakes:
        raise UsageError(*mistakes)
    return ExportOptions(values["model"], output, Path(values.get("store", "mlruns")), weights)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 1 where no file was written, 2 where a word is wrong."""
    return arguments.run_command(argv, HELP, _run)


def _run(argv: Sequence[str]) -> int:
    options = parse_arguments(argv)
    from pipeline.inference import onnx_export

    if message := onnx_export.missing_packages_error():
        raise UsageError(message)
    from pipeline.data.examples import DataError
    from pipeline.inference.module import build_module
    from pipeline.inference.predictions import load_model
    from pipeline.runtime.files import FileWriteError
    from pipeline.runtime.progress_bars import spinner
    from pipeline.runtime.text import escape_unprintable

    try:
        with spinner("reading the model"):
            trained_model = load_model(options.model, options.store)
        module = build_module(trained_model, options.weights, options.store / "cache")
    except DataError as error:
        raise UsageError(str(error)) from None
    try:
        with spinner("writing the graph, and asking it"):
            file, difference = onnx_export.write_onnx(module, options.output)
    except (onnx_export.ExportError, FileWriteError) as error:
        print(escape_unprintable(str(error)), file=sys.stderr)
        return EXIT_FAILED
    print(f"{file}: {file.stat().st_size:,} bytes; its answers are the network's within {difference:.1g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
