"""Answers with a trained model: `python -m pipeline.predict model=cat_species photo.jpg output=answers.csv`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.inference.arguments import parse
from pipeline.runtime.arguments import LONGEST, MISTAKE, UsageError, command

__all__ = ["MISTAKE", "UNANSWERED", "main", "parse"]

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
UNANSWERED = 1


def main(texts: Sequence[str]) -> int:
    """The command; returns its exit code: 1 where some files could not be answered, 2 where a word is wrong."""
    if not texts:
        print(HELP, end="")
        return MISTAKE
    return command(texts, HELP, _run)


def _run(texts: Sequence[str]) -> int:
    from pipeline.runtime.files import NotWrittenError
    from pipeline.runtime.progress_bars import waiting

    words = parse(texts)
    with waiting("starting"):
        from pipeline.inference import predict
    try:
        return 0 if predict.answer(words) else UNANSWERED
    except NotWrittenError as error:
        raise UsageError(str(error)[:LONGEST]) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
