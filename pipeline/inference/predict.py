"""Run of `python -m pipeline.predict`: predictions to a file, a contact sheet or the terminal."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing

from pipeline.artifact.model_files import Architecture, TrainedModel
from pipeline.data.images.decode import ignore_pillow_warnings
from pipeline.inference.arguments import PredictOptions
from pipeline.inference.contact_sheet import ContactSheet
from pipeline.inference.predictions import PredictionRequest, iter_predictions
from pipeline.inference.writers import TerminalTable, open_writer
from pipeline.preprocessing import TableInputs
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.text import escape_unprintable

SYNTHETIC_DATA_NOTE = (
    "a demonstration, which learned from what the program made up; for real ones, search with your own"
)


def run_prediction(trained_model: TrainedModel, options: PredictOptions) -> bool:
    """Predict, print a summary, and return whether every file and row has a prediction.

    Raises UsageError if an option does not fit the model, FileWriteError, and OSError if a name is too long.
    """
    head = trained_model.architecture.head
    if options.sheet is not None and isinstance(trained_model.architecture.inputs, TableInputs):
        raise UsageError("sheet: shows pictures, and this model answers for the rows of a table; leave it out")
    request = PredictionRequest.from_paths(trained_model, options.paths)
    table = TerminalTable(head.output_names)
    sheet = ContactSheet(_format_sheet_title(trained_model.architecture), head)
    errors = list[str]()
    predicted_count = 0
    if trained_model.architecture.drawn:
        print(f"{trained_model.architecture.task}: {SYNTHETIC_DATA_NOTE}", file=sys.stderr)
    with ExitStack() as stack, ignore_pillow_warnings():
        write_prediction = (
            stack.enter_context(open_writer(options.output, head)) if options.output is not None else table.add
        )
        predictions = stack.enter_context(closing(iter_predictions(trained_model, options, request)))
        for prediction in predictions:
            write_prediction(prediction)
            sheet.add(prediction)
            predicted_count += not prediction.error
            errors += [f"{prediction.name}: {prediction.error}"] if prediction.error else []
        table.print()
        if options.sheet is not None and sheet.predictions:
            sheet.write(options.sheet)
    if options.output is not None:
        print(f"{predicted_count:,} answer{'s' * (predicted_count != 1)} in {options.output}")
    if options.sheet is not None and sheet.predictions:
        print(f"{options.sheet}: {sheet.summary}")
        if sheet.missing_glyph_count:
            print(
                f"on the sheet, letters that no font here has are squares: {sheet.missing_glyph_count} names",
                file=sys.stderr,
            )
    _print_errors(request.skipped_count, errors)
    return not errors


def _format_sheet_title(architecture: Architecture) -> str:
    """Return the task, with a note if the model was trained on synthetic data."""
    return f"{architecture.task} (learned from drawn pictures)" if architecture.drawn else architecture.task


def _print_errors(skipped_count: int, errors: list[str]) -> None:
    """Print a line for each error, and the number of skipped files."""
    if skipped_count:
        files = "1 file that is no picture" if skipped_count == 1 else f"{skipped_count:,} files that are no pictures"
        print(f"passed over: {files}", file=sys.stderr)
    for line in errors:
        print(escape_unprintable(line), file=sys.stderr)
