"""Command that compares finished studies: its options, its table on the terminal and its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime.arguments import CommandOptions, UsageError, option
from pipeline.runtime.suggestions import did_you_mean
from pipeline.runtime.text import escape_unprintable

if TYPE_CHECKING:  # pandas and Optuna take seconds, and a mistake in the arguments needs neither
    from pipeline.report.comparison import ComparedStudy

OUTPUT_SUFFIXES = (".html", ".png")


def _read_list(text: str) -> list[str]:
    """Return the names in `[a,b]`, or in `a,b`."""
    return [name.strip() for name in text.strip().removeprefix("[").removesuffix("]").split(",") if name.strip()]


def _read_output(text: str) -> Path:
    file = Path(text)
    if file.suffix not in OUTPUT_SUFFIXES or file.is_dir():
        raise ValueError("a file that ends in .html or .png, such as compare.html")
    if not file.parent.is_dir():
        raise ValueError("a file in a folder that exists")
    return file


@dataclass(frozen=True)
class CompareOptions(CommandOptions):
    """Options of `python -m pipeline.compare`; without `output`, both files in the store."""

    tasks: Sequence[str] = field(metadata=option("", _read_list))
    studies: Sequence[str] = field(metadata=option("", _read_list))
    output: Path | None = field(metadata=option(None, _read_output))
    store: Path = field(metadata=option("mlruns", Path))

    @cached_property
    def _finished_studies(self) -> tuple[dict[str, Path], dict[str, Path]]:
        """Return the folders of finished studies by task, of two with one task the newer, and by name."""
        files = (self.store / "studies").glob("*/summary.json")
        described = [file for file in files if file.with_name("study.json").is_file()]
        folders = [file.parent for file in sorted(described, key=lambda file: file.stat().st_mtime)]
        return {_read_task(folder): folder for folder in folders}, {folder.name: folder for folder in folders}

    def find_mistakes(self) -> list[str]:
        """Return a line for each name that is no finished study's, and one if there are fewer than two studies."""
        by_task, by_name = self._finished_studies
        if not by_name:
            return [f"store: no search has finished there yet; got {self.store}"]
        mistakes = [*_list_unknown("tasks", self.tasks, by_task), *_list_unknown("studies", self.studies, by_name)]
        n_studies = len(self.study_folders)
        if len(self.tasks) + len(self.studies) < 2 or (not mistakes and n_studies < 2):
            example = f"tasks=[{','.join(list(by_task)[:2])}]" if len(by_task) > 1 else "studies=[<name>,<name>]"
            mistakes.append(f"tasks: two or more searches to compare, such as {example}; got {n_studies}")
        return mistakes

    @property
    def study_folders(self) -> dict[str, Path]:
        """Return each folder by its task, or by its own name if two of them are of that task."""
        by_task, by_name = self._finished_studies
        found = [by_task.get(task) for task in self.tasks] + [by_name.get(name) for name in self.studies]
        task_by_folder = {folder: _read_task(folder) for folder in found if folder is not None}
        tasks = list(task_by_folder.values())
        return {task if tasks.count(task) == 1 else folder.name: folder for folder, task in task_by_folder.items()}


def _read_task(folder: Path) -> str:
    return str(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["task"])


def _list_unknown(key: str, names: Sequence[str], folders: Mapping[str, Path]) -> list[str]:
    """Return a line for each name without a folder, with the most similar one."""
    unknown = [name for name in names if name not in folders]
    rule = f"{key}: the finished {key} are {', '.join(sorted(folders))}"
    return [f"{rule}; got {name}{did_you_mean(name, folders)}" for name in unknown]


def compare_studies(options: CompareOptions) -> None:
    """Print the comparison and write its files; raise UsageError if a file cannot be written."""
    from pipeline.report.comparison import ComparedStudy
    from pipeline.runtime.files import FileWriteError, write_file

    studies = [ComparedStudy.from_folder(folder, name) for name, folder in options.study_folders.items()]
    _print_comparison(studies)
    for file in [options.output] if options.output else [options.store / f"compare{end}" for end in OUTPUT_SUFFIXES]:
        try:
            write_file(file, _render_comparison(studies, file.suffix))
        except FileWriteError as error:
            raise UsageError(f"output: {error}") from None
        print(f"written: {escape_unprintable(str(file))}")


def _print_comparison(studies: Sequence[ComparedStudy]) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipeline.report import comparison

    console = Console(highlight=False, emoji=False, markup=False)
    headings, lines = comparison.build_comparison_table(studies)
    table = Table(show_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=index == 0)
    for line in lines:
        table.add_row(*map(escape_unprintable, line))
    console.print(table)
    console.print(comparison.TABLE_LEGEND)
    for study in studies:
        console.print(comparison.describe_study(study))
    console.print(f"\n{comparison.describe_comparison(studies)}")


def _render_comparison(studies: Sequence[ComparedStudy], suffix: str) -> bytes:
    """Return the figure as PNG, or as a page with the table."""
    from pipeline.report import comparison, page
    from pipeline.report.drawing import render_matplotlib, render_plotly

    figure = comparison.plot_comparison(studies)
    if suffix == ".png":
        return render_matplotlib.render_png(figure)
    headings, lines = comparison.build_comparison_table(studies)
    return page.render_template(
        "compare.html",
        figure=figure,
        html=render_plotly.render_html(figure),
        studies=list(map(comparison.describe_study, studies)),
        legend=comparison.TABLE_LEGEND,
        names=" and ".join(study.name for study in studies),
        headings=headings,
        lines=lines,
    ).encode()
