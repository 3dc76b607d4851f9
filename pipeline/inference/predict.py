"""From the words to the answers, wherever they are to go: a file, a contact sheet, the terminal."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing

from pipeline.artifact.model_files import Architecture
from pipeline.data.images.decode import without_warnings
from pipeline.inference.arguments import Words
from pipeline.inference.contact_sheet import Sheet
from pipeline.inference.predictions import Asked, answers, load
from pipeline.inference.terminal_table import Shown
from pipeline.inference.writers import written
from pipeline.preprocessing import TableInputs
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.progress_bars import waiting
from pipeline.runtime.text import printable

DRAWN = "a demonstration, which learned from what the program made up; for real ones, search with your own"


def answer(words: Words) -> bool:
    """Answers, and says how it went; returns whether everything could be answered.

    Raises UsageError where a word does not fit the model, NotWrittenError, and OSError where a name is too long.
    """
    with waiting("reading the model"):
        trained = load(words.model, words.store)
    head = trained.architecture.head
    if words.sheet is not None and isinstance(trained.architecture.inputs, TableInputs):
        raise UsageError("sheet: shows pictures, and this model answers for the rows of a table; leave it out")
    asked = Asked.of(trained, words.paths)
    table, sheet = Shown(head.columns), Sheet(_titled(trained.architecture), head)
    errors, count = list[str](), 0
    if trained.architecture.drawn:
        print(f"{trained.architecture.task}: {DRAWN}", file=sys.stderr)
    with ExitStack() as files, without_warnings():
        take = files.enter_context(written(words.output, head)) if words.output is not None else table.take
        found = files.enter_context(closing(answers(trained, words, asked)))
        for each in found:
            take(each)
            sheet.take(each)
            count += not each.error
            errors += [f"{each.name}: {each.error}"] if each.error else []
        table.print()
        if words.sheet is not None and sheet.answers:
            sheet.write(words.sheet)
    if words.output is not None:
        print(f"{count:,} answer{'s' * (count != 1)} in {words.output}")
    if words.sheet is not None and sheet.answers:
        print(f"{words.sheet}: {sheet.said}")
        if sheet.squares:
            print(f"on the sheet, letters that no font here has are squares: {sheet.squares} names", file=sys.stderr)
    _complain(asked.passed_over, errors)
    return not errors


def _titled(architecture: Architecture) -> str:
    """Of a contact sheet: the task, and that it is a demonstration where it is one."""
    return f"{architecture.task} (learned from drawn pictures)" if architecture.drawn else architecture.task


def _complain(passed_over: int, errors: list[str]) -> None:
    """What was not answered for, a line each, and how many files nobody looked at."""
    if passed_over:
        files = "1 file that is no picture" if passed_over == 1 else f"{passed_over:,} files that are no pictures"
        print(f"passed over: {files}", file=sys.stderr)
    for line in errors:
        print(printable(line), file=sys.stderr)
