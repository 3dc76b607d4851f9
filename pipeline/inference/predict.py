"""Run of `python -m pipeline.predict`: predictions to a file, a contact sheet or the terminal."""

import sys
from contextlib import ExitStack, closing

from pipeline.artifact.model_files import TrainedModel
from pipeline.data.images.decode import ignore_pillow_warnings
from pipeline.data.images.discovery import count_other_files
from pipeline.inference.arguments import PredictOptions
from pipeline.inference.contact_sheet import ContactSheet
from pipeline.inference.predictions import iter_predictions
from pipeline.inference.writers import TerminalTable, Writer, open_writer
from pipeline.runtime.arguments import UsageError, print_lines
from pipeline.runtime.text import pluralize

SYNTHETIC_DATA_NOTE = "a demonstration, trained on synthetic data; for real images and tables, search with your own"


def run_prediction(model: TrainedModel, options: PredictOptions) -> bool:
    """Predict, print a summary, and return whether every file and row has a prediction.

    Raises UsageError if an option does not fit the model, FileWriteError, and OSError if a path is too long.
    """
    architecture = model.architecture
    is_table = architecture.inputs.kind == "table"
    if options.sheet is not None and is_table:
        raise UsageError("sheet: shows images, and the inputs of this model are the rows of a table; leave it out")
    folders = [path for path in options.paths if path.is_dir()]
    skipped_count = 0 if is_table else sum(map(count_other_files, folders))
    table = TerminalTable(architecture.head.output_names)
    note = " (trained on synthetic images)" if architecture.drawn else ""
    sheet = ContactSheet(f"{architecture.task}{note}", architecture.head)
    errors = list[str]()
    predicted_count = 0
    if architecture.drawn:
        print(f"{architecture.task}: {SYNTHETIC_DATA_NOTE}", file=sys.stderr)
    with ExitStack() as stack, ignore_pillow_warnings():
        write_prediction: Writer = table.add
        if options.output is not None:
            write_prediction = stack.enter_context(open_writer(options.output, architecture.head))
        for prediction in stack.enter_context(closing(iter_predictions(model, options))):
            write_prediction(prediction)
            sheet.add(prediction)
            predicted_count += not prediction.error
            errors += [f"{prediction.name}: {prediction.error}"] if prediction.error else []
        table.print()
        if options.sheet is not None and sheet.predictions:
            sheet.write(options.sheet)
    if options.output is not None:
        print(f"{pluralize(predicted_count, 'prediction')} in {options.output}")
    if options.sheet is not None and sheet.predictions:
        print(f"{options.sheet}: {sheet.summary}")
    if count := sheet.missing_glyph_count:
        print(f"sheet: characters that no installed font has are squares in {count} texts", file=sys.stderr)
    if skipped_count:
        files = "1 file that is not an image" if skipped_count == 1 else f"{skipped_count:,} files that are not images"
        print(f"skipped {files}", file=sys.stderr)
    if errors:
        print_lines(errors)
    return not errors
