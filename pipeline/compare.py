"""Finished searches side by side, score against size: `python -m pipeline.compare tasks=[cat_species,day_night]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime import arguments
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.text import printable

if TYPE_CHECKING:
    from pipeline.report.comparison import Compared

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
KEYS = ("tasks", "studies", "output", "store")
SUFFIXES = (".html", ".png")


@dataclass(frozen=True)
class Words:
    """What was typed: the folders of the studies by the name that each is shown by, and the files to write."""

    folders: Mapping[str, Path]
    outputs: tuple[Path, ...]


def main(given: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return arguments.command(given, HELP, _run)


def _run(given: Sequence[str]) -> int:
    typed = read(given)
    from pipeline.report.comparison import Compared

    studies = [Compared.read(folder, name) for name, folder in typed.folders.items()]
    _show(studies)
    for file in typed.outputs:
        _write(file, studies)
        print(f"drawn in {printable(str(file))}")
    return 0


def read(given: Sequence[str]) -> Words:
    """The words as typed; raises UsageError with every mistake among them."""
    typed, mistakes = arguments.read(given, KEYS)
    store = Path(typed.get("store", "mlruns"))
    tasks, studies = _listed(typed.get("tasks", "")), _listed(typed.get("studies", ""))
    outputs = _outputs(typed.get("output"), store, mistakes)
    finished = _finished(store)
    if not finished:
        mistakes.append(f"store: no search has finished there yet; got {store}")
        raise UsageError(*mistakes)
    newest = {task: folder for folder, task in finished.items()}  # the newest comes last
    by_name = {folder.name: folder for folder in finished}
    found = [
        *(_one("tasks", name, newest, mistakes) for name in tasks),
        *(_one("studies", name, by_name, mistakes) for name in studies),
    ]
    folders = [folder for folder in dict.fromkeys(found) if folder is not None]
    if len(found) < 2 or (not mistakes and len(folders) < 2):
        several = f"tasks=[{','.join(list(newest)[:2])}]" if len(newest) > 1 else "studies=[<name>,<name>]"
        mistakes.append(f"tasks: two or more searches to compare, such as {several}; got {len(folders)}")
    if mistakes:
        raise UsageError(*mistakes)
    return Words(_named(folders, finished), outputs)


def _listed(text: str) -> list[str]:
    """The names in `[a,b]`, or in `a,b`."""
    return [name.strip() for name in text.strip().removeprefix("[").removesuffix("]").split(",") if name.strip()]


def _outputs(text: str | None, store: Path, mistakes: list[str]) -> tuple[Path, ...]:
    if text is None:
        return tuple(store / f"compare{suffix}" for suffix in SUFFIXES)
    file = Path(text)
    if file.suffix not in SUFFIXES or file.is_dir():
        mistakes.append(f"output: a file that ends in .html or .png, such as compare.html; got {text or 'nothing'}")
    elif not file.parent.is_dir():
        mistakes.append(f"output: a file in a folder that exists; got {text}")
    return (file,)


def _finished(store: Path) -> dict[Path, str]:
    """The folders of finished studies and their tasks, the newest last."""
    files = [file for file in (store / "studies").glob("*/summary.json") if (file.parent / "study.json").is_file()]
    files.sort(key=lambda file: file.stat().st_mtime)
    return {file.parent: str(json.loads(file.read_text(encoding="utf-8"))["task"]) for file in files}


def _one(key: str, name: str, known: Mapping[str, Path], mistakes: list[str]) -> Path | None:
    """The folder that a name means; where there is none, why, with the name that may have been meant."""
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]}?)" if near else ""
        mistakes.append(f"{key}: finished are {', '.join(sorted(known))}; got {name}{hint}")
    return known.get(name)


def _named(folders: Sequence[Path], finished: Mapping[Path, str]) -> dict[str, Path]:
    """Each folder by its task, or by its own name where another one is of that task."""
    tasks = [finished[folder] for folder in folders]
    return {
        task if tasks.count(task) == 1 else folder.name: folder for folder, task in zip(folders, tasks, strict=True)
    }


def _show(studies: Sequence[Compared]) -> None:
    """The table and the words, on the terminal."""
    from rich.console import Console
    from rich.table import Table

    from pipeline.report import comparison

    console = Console(highlight=False, emoji=False, markup=False)
    headings, lines = comparison.table(studies)
    table = Table(show_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=place == 0)
    for line in lines:
        table.add_row(*map(printable, line))
    console.print(table)
    console.print(comparison.LEGEND)
    for study in studies:
        console.print(comparison.trials(study))
    console.print(f"\n{comparison.words(studies)}")


def _write(file: Path, studies: Sequence[Compared]) -> None:
    """The picture by itself, or on a page with the table and the words; raises UsageError where that fails."""
    from pipeline.report import comparison, page
    from pipeline.report.drawing import render_matplotlib
    from pipeline.runtime.files import NotWrittenError, write_whole

    figure = comparison.figure(studies)
    try:
        if file.suffix == ".png":
            write_whole(file, render_matplotlib.png(figure))
        else:
            headings, lines = comparison.table(studies)
            content = {"names": " and ".join(study.name for study in studies), "headings": headings, "lines": lines}
            about = [comparison.trials(study) for study in studies]
            legend = comparison.LEGEND
            text = page.fill("compare.html", figure=page.draw(figure), studies=about, legend=legend, **content)
            write_whole(file, text.encode())
    except NotWrittenError as error:
        raise UsageError(f"output: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
