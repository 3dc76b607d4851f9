"""Predict with a trained model: `python -m pipeline.predict model=cat_species photo.jpg output=predictions.csv`."""

import sys
from collections.abc import Sequence

from pipeline.inference.arguments import parse_arguments
from pipeline.runtime.arguments import MAX_REASON_CHARS, UsageError, run_command

HELP = """\
Predicts with a trained model, for images or for the rows of a table.

  python -m pipeline.predict model=<model> <image, folder or table> ...
                             [output=predictions.csv] [sheet=sheet.png]

model     a folder with architecture.json and parameters.safetensors,
          the name of a task (its champion), or models:/<task>@<alias>
output    a CSV file: file, a column per class or label (or prediction), answer,
          error; or predictions.jsonl, an object per line: file, answer,
          probabilities (or prediction), error; without it a table is printed
sheet     a PNG of the images with their predictions
store     the folder with the registry, mlruns by default
weights   the file of the backbone's weights, if the search had model.weights

examples
  python -m pipeline.predict model=cat_species photo.jpg
  python -m pipeline.predict model=models:/day_night@champion photos/ \\
      output=predictions.jsonl sheet=sheet.png
  python -m pipeline.predict model=house_price houses.csv
"""
EXIT_INCOMPLETE = 1


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code: 1 if a file or row has no prediction, 2 for a mistake."""
    if not argv:
        print(HELP, end="")
        return UsageError.exit_code
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
