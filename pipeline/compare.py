"""Finished searches side by side, score against size: `python -m pipeline.compare tasks=[cat_species,day_night]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime import arguments
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.suggestions import did_you_mean
from pipeline.runtime.text import escape_unprintable

if TYPE_CHECKING:
    from pipeline.report.comparison import ComparedStudy

HELP = """\
Does a harder task need more layers and nodes? Sets finished searches side by
side: score against size, and the smallest network as good as the best.

  python -m pipeline.compare tasks=[<task>,<task>,...] [key=value ...]

tasks          of each task its newest finished search
studies        searches by name, such as studies=[cat_species-1a2b3c4d]
output         compare.html or compare.png; without it both, in the store
store=mlruns   the folder that the searches wrote to

Scores stand on one scale: the share of the way from the best constant answer
(0 %) to a perfect one (100 %). As good: within one standard error of the best.

examples
  python -m pipeline.compare tasks=[cat_species,day_night]
  python -m pipeline.compare tasks=[cat_age_years,cat_age_bands] output=ages.png
"""
ALLOWED_KEYS = ("tasks", "studies", "output", "store")
OUTPUT_SUFFIXES = (".html", ".png")


@dataclass(frozen=True)
class CompareOptions:
    """What was typed: the folders of the studies by the name that each is shown by, and the files to write."""

    study_folders: Mapping[str, Path]
    output_files: tuple[Path, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return arguments.run_command(argv, HELP, _run)


def _run(argv: Sequence[str]) -> int:
    options = parse_arguments(argv)
    from pipeline.report.comparison import ComparedStudy

    studies = [ComparedStudy.from_folder(folder, name) for name, folder in options.study_folders.items()]
    _print_comparison(studies)
    for file in options.output_files:
        _write_comparison(file, studies)
        print(f"drawn in {escape_unprintable(str(file))}")
    return 0


def parse_arguments(argv: Sequence[str]) -> CompareOptions:
    """The words as typed; raises UsageError with every mistake among them."""
    values, mistakes = arguments.parse_key_values(argv, ALLOWED_KEYS)
    store = Path(values.get("store", "mlruns"))
    tasks, studies = _split_list(values.get("tasks", "")), _split_list(values.get("studies", ""))
    outputs = _parse_outputs(values.get("output"), store, mistakes)
    task_by_folder = _find_finished_studies(store)
    if not task_by_folder:
        mistakes.append(f"store: no search has finished there yet; got {store}")
        raise UsageError(*mistakes)
    newest_by_task = {task: folder for folder, task in task_by_folder.items()}  # the newest comes last
    by_name = {folder.name: folder for folder in task_by_folder}
    requested_folders = [
        *(_resolve_folder("tasks", name, newest_by_task, mistakes) for name in tasks),
        *(_resolve_folder("studies", name, by_name, mistakes) for name in studies),
    ]
    folders = [folder for folder in dict.fromkeys(requested_folders) if folder is not None]
    if len(requested_folders) < 2 or (not mistakes and len(folders) < 2):
        example = (
            f"tasks=[{','.join(list(newest_by_task)[:2])}]" if len(newest_by_task) > 1 else "studies=[<name>,<name>]"
        )
        mistakes.append(f"tasks: two or more searches to compare, such as {example}; got {len(folders)}")
    if mistakes:
        raise UsageError(*mistakes)
    return CompareOptions(_name_folders(folders, task_by_folder), outputs)


def _split_list(text: str) -> list[str]:
    """The names in `[a,b]`, or in `a,b`."""
    return [name.strip() for name in text.strip().removeprefix("[").removesuffix("]").split(",") if name.strip()]


def _parse_outputs(text: str | None, store: Path, mistakes: list[str]) -> tuple[Path, ...]:
    if text is None:
        return tuple(store / f"compare{suffix}" for suffix in OUTPUT_SUFFIXES)
    file = Path(text)
    if file.suffix not in OUTPUT_SUFFIXES or file.is_dir():
        mistakes.append(f"output: a file that ends in .html or .png, such as compare.html; got {text or 'nothing'}")
    elif not file.parent.is_dir():
        mistakes.append(f"output: a file in a folder that exists; got {text}")
    return (file,)


def _find_finished_studies(store: Path) -> dict[Path, str]:
    """The folders of finished studies and their tasks, the newest last."""
    files = [file for file in (store / "studies").glob("*/summary.json") if (file.parent / "study.json").is_file()]
    files.sort(key=lambda file: file.stat().st_mtime)
    return {file.parent: str(json.loads(file.read_text(encoding="utf-8"))["task"]) for file in files}


def _resolve_folder(key: str, name: str, folder_by_name: Mapping[str, Path], mistakes: list[str]) -> Path | None:
    """The folder that a name means; where there is none, why, with the name that may have been meant."""
    if name not in folder_by_name:
        hint = did_you_mean(name, folder_by_name)
        mistakes.append(f"{key}: finished are {', '.join(sorted(folder_by_name))}; got {name}{hint}")
    return folder_by_name.get(name)


def _name_folders(folders: Sequence[Path], task_by_folder: Mapping[Path, str]) -> dict[str, Path]:
    """Each folder by its task, or by its own name where another one is of that task."""
    tasks = [task_by_folder[folder] for folder in folders]
    return {
        task if tasks.count(task) == 1 else folder.name: folder for folder, task in zip(folders, tasks, strict=True)
    }


def _print_comparison(studies: Sequence[ComparedStudy]) -> None:
    """The table and the words, on the terminal."""
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
    """The picture by itself, or on a page with the table and the words; raises UsageError where that fails."""
    from pipeline.report import comparison, page
    from pipeline.report.drawing import render_matplotlib
    from pipeline.runtime.files import FileWriteError, write_file

    figure = comparison.plot_comparison(studies)
    try:
        if file.suffix == ".png":
            write_file(file, render_matplotlib.render_png(figure))
        else:
            headings, lines = comparison.build_comparison_table(studies)
            context = {"names": " and ".join(study.name for study in studies), "headings": headings, "lines": lines}
            trial_notes = [comparison.describe_study(study) for study in studies]
            legend = comparison.TABLE_LEGEND
            html = page.render_template(
                "compare.html", figure=page.render_figure(figure), studies=trial_notes, legend=legend, **context
            )
            write_file(file, html.encode())
    except FileWriteError as error:
        raise UsageError(f"output: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
