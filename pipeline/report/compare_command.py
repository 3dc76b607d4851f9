"""Command that compares finished studies: its options, its table on the terminal and its files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

    def find_mistakes(self) -> list[str]:
        """Return a line for each name that is no finished study's, and one if there are fewer than two studies."""
        task_by_folder = _find_finished_studies(self.store)
        if not task_by_folder:
            return [f"store: no search has finished there yet; got {self.store}"]
        newest_by_task = {task: folder for folder, task in task_by_folder.items()}  # the newest comes last
        by_name = {folder.name: folder for folder in task_by_folder}
        mistakes = [_describe_unknown("tasks", name, newest_by_task) for name in self.tasks]
        mistakes += [_describe_unknown("studies", name, by_name) for name in self.studies]
        mistakes = [line for line in mistakes if line]
        folder_count = len(self._find_folders(task_by_folder))
        if len(self.tasks) + len(self.studies) < 2 or (not mistakes and folder_count < 2):
            names = ",".join(list(newest_by_task)[:2])
            example = f"tasks=[{names}]" if len(newest_by_task) > 1 else "studies=[<name>,<name>]"
            mistakes.append(f"tasks: two or more searches to compare, such as {example}; got {folder_count}")
        return mistakes

    @property
    def study_folders(self) -> dict[str, Path]:
        """Return each folder by its task, or by its own name if two of them are of that task."""
        task_by_folder = _find_finished_studies(self.store)
        folders = self._find_folders(task_by_folder)
        tasks = [task_by_folder[folder] for folder in folders]
        return {
            task if tasks.count(task) == 1 else folder.name: folder for folder, task in zip(folders, tasks, strict=True)
        }

    def _find_folders(self, task_by_folder: Mapping[Path, str]) -> list[Path]:
        newest_by_task = {task: folder for folder, task in task_by_folder.items()}
        by_name = {folder.name: folder for folder in task_by_folder}
        found = [newest_by_task.get(task) for task in self.tasks] + [by_name.get(name) for name in self.studies]
        return [folder for folder in dict.fromkeys(found) if folder is not None]


def _find_finished_studies(store: Path) -> dict[Path, str]:
    """Return the tasks of finished studies by folder, the newest last."""
    files = [file for file in (store / "studies").glob("*/summary.json") if (file.parent / "study.json").is_file()]
    files.sort(key=lambda file: file.stat().st_mtime)
    return {file.parent: str(json.loads(file.read_text(encoding="utf-8"))["task"]) for file in files}


def _describe_unknown(key: str, name: str, folder_by_name: Mapping[str, Path]) -> str:
    """Return why a name is none of the known ones, with the most similar one; "" if it is known."""
    if name in folder_by_name:
        return ""
    return f"{key}: finished are {', '.join(sorted(folder_by_name))}; got {name}{did_you_mean(name, folder_by_name)}"


def compare_studies(options: CompareOptions) -> None:
    """Print the comparison and write its files; raise UsageError if a file cannot be written."""
    from pipeline.report.comparison import ComparedStudy

    studies = [ComparedStudy.from_folder(folder, name) for name, folder in options.study_folders.items()]
    _print_comparison(studies)
    for file in [options.output] if options.output else [options.store / f"compare{end}" for end in OUTPUT_SUFFIXES]:
        _write_comparison(file, studies)
        print(f"drawn in {escape_unprintable(str(file))}")


def _print_comparison(studies: Sequence[ComparedStudy]) -> None:
    """Print the table and its description."""
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


def _write_comparison(file: Path, studies: Sequence[ComparedStudy]) -> None:
    """Write the figure as PNG, or as a page with the table; raise UsageError if the disk does not take it."""
    from pipeline.report import comparison, page
    from pipeline.report.drawing import render_matplotlib, render_plotly
    from pipeline.runtime.files import FileWriteError, write_file

    figure = comparison.plot_comparison(studies)
    if file.suffix == ".png":
        content = render_matplotlib.render_png(figure)
    else:
        headings, lines = comparison.build_comparison_table(studies)
        content = page.render_template(
            "compare.html",
            figure=figure,
            html=render_plotly.render_html(figure),
            studies=[comparison.describe_study(study) for study in studies],
            legend=comparison.TABLE_LEGEND,
            names=" and ".join(study.name for study in studies),
            headings=headings,
            lines=lines,
        ).encode()
    try:
        write_file(file, content)
    except FileWriteError as error:
        raise UsageError(f"output: {error}") from None
