"""Predict with a trained model: `python -m pipeline.predict model=cat_species photo.jpg output=answers.csv`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.inference.arguments import parse_arguments
from pipeline.runtime.arguments import MAX_REASON_CHARS, USAGE_ERROR_EXIT_CODE, UsageError, run_command

__all__ = ["EXIT_INCOMPLETE", "USAGE_ERROR_EXIT_CODE", "main", "parse_arguments"]

HELP = """\
Answers with a trained model: its two files, and pictures or a table.

  python -m pipeline.predict model=<model> <picture, folder or table> ...
                             [output=answers.csv] [sheet=sheet.png]

model     a folder with architecture.json and parameters.safetensors,
          the name of a task (its champion), or models:/<task>@<alias>
output    a CSV file: file, a column for each class or label (or prediction),
          answer, error; or answers.jsonl, an object a line: file, answer,
          probabilities (or prediction), error; without it a table is printed
sheet     a PNG of the pictures with their answers
store     where the registry is, mlruns by default
weights   the file of the backbone's weights, if the search had model.weights

examples
  python -m pipeline.predict model=cat_species photo.jpg
  python -m pipeline.predict model=models:/day_night@champion photos/ \\
      output=answers.jsonl sheet=sheet.png
  python -m pipeline.predict model=mlruns/studies/house_price-1a2b3c4d/model houses.csv
"""
EXIT_INCOMPLETE = 1


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code: 1 if a file or row has no prediction, 2 for a mistake."""
    if not argv:
        print(HELP, end="")
        return USAGE_ERROR_EXIT_CODE
    return run_command(argv, HELP, _run)


def _run(argv: Sequence[str]) -> int:
    from pipeline.runtime.files import FileWriteError
    from pipeline.runtime.progress_bars import spinner

    options = parse_arguments(argv)
    with spinner("starting"):
        from pipeline.inference import predict
        from pipeline.tracking.model_loading import load_model
    try:
        return 0 if predict.run_prediction(load_model(options.model, options.store), options) else EXIT_INCOMPLETE
    except FileWriteError as error:
        raise UsageError(str(error)[:MAX_REASON_CHARS]) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
