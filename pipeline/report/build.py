"""Makes a study's report: its figures as PNG, and the page. Whatever fails there is said, and costs nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from pipeline.runtime.files import make_folder, write_whole
from pipeline.runtime.progress_bars import WIDTH, Left, Numbers

if TYPE_CHECKING:
    from pipeline.report.drawing.figure import Figure
    from pipeline.report.learning_curve_fits import Watch
    from pipeline.report.page import Drawn
    from pipeline.report.trials_table import Tried
    from pipeline.study.problem import Question
    from pipeline.study.study import Study
    from pipeline.study.summary import Summary

FOLDER, PAGE = "report", "report.html"
LONGEST = 200  # letters of a reason
Thing = TypeVar("Thing")


def made(folder: Path) -> bool:
    """Whether the study in this folder has a report."""
    return (folder / FOLDER / PAGE).is_file()


def make(
    console: Console, folder: Path, question: Question, study: Study, summary: Summary, commands: Mapping[str, str]
) -> None:
    """Writes `report/` into the study's folder; the page last, so that it is there only where all of it is.

    commands: what a person may want to do next, by a word each. A part that fails is one line on the console and on the
    page, and the whole of it one line: the result of a search does not depend on its report.
    """
    bar = Progress(
        TextColumn("report: {task.description}", markup=False),
        BarColumn(WIDTH),
        Numbers(),
        Left(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    try:
        with bar:
            _Making(console, bar, folder).run(question, study, summary, commands)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the result stands
        said = f"report: not made ({_first(error)}); the result stands without it"
        console.print(said, soft_wrap=True, markup=False)


class _Making:
    """One report while it is made."""

    def __init__(self, console: Console, bar: Progress, folder: Path) -> None:
        self.console, self.bar, self.folder = console, bar, folder
        self.step = bar.add_task("the trials", total=1)
        self.failures: list[str] = []

    def run(self, question: Question, study: Study, summary: Summary, commands: Mapping[str, str]) -> None:
        """All figures, each drawn twice, and the page."""
        from pipeline.report import page
        from pipeline.report.trials_table import Tried
        from pipeline.study import description

        make_folder(self.folder / FOLDER)
        (self.folder / FOLDER / PAGE).unlink(missing_ok=True)  # of an earlier winner
        shutil.rmtree(self.folder / FOLDER / "figures", ignore_errors=True)
        make_folder(self.folder / FOLDER / "figures")
        described = description.read(self.folder)
        tried = Tried.of(study.rows(), summary, described.unit)
        sources = self._sources(question, study, tried)
        figures = [figure for name, source in sources for figure in self._tried(name, source) or ()]
        self.bar.update(self.step, total=len(sources) + len(figures) + 1)
        drawn = []
        for figure in figures:
            piece = self._tried(figure.name, partial(_both, figure))
            if piece is not None:
                drawn.append(piece[0])
                write_whole(self.folder / FOLDER / "figures" / f"{figure.name}.png", piece[1])
        told = page.Study(summary, described, tried, question.notes, commands)
        write_whole(self.folder / FOLDER / PAGE, page.report(told, drawn, self.failures).encode())

    def _sources(
        self, question: Question, study: Study, tried: Tried
    ) -> list[tuple[str, Callable[[], Sequence[Figure]]]]:
        """Where the figures come from, in the order of the page, by what they are of."""
        from pipeline.report import trial_figures, winner_figures
        from pipeline.report.figures import learning_curve
        from pipeline.study.importance import importances

        def of_trials() -> Sequence[Figure]:
            ended = [study.record.trials[row.number] for row in tried.rows]
            return trial_figures.figures(tried, importances(ended, maximise=tried.maximise))

        def of_more_data() -> Sequence[Figure]:
            if "model.finetune" in tried.best.fields:
                self.failures.append("Not made: more data (for it, the backbone would be trained three times more).")
                return []
            refits = self.bar.add_task("the winner on parts of the data", total=None)
            try:
                return [learning_curve.figure(question, study.search.seed, tried, self.folder / FOLDER, watch(refits))]
            finally:
                self.bar.remove_task(refits)

        def watch(task: TaskID) -> Watch:
            return lambda done, total: self.bar.update(task, completed=done, total=total)

        return [
            ("the trials", of_trials),
            ("the winner", partial(winner_figures.figures, question, self.folder)),
            ("more data", of_more_data),
        ]

    def _tried(self, name: str, act: Callable[[], Thing]) -> Thing | None:
        """What comes of it; None where it fails, which is said."""
        self.bar.update(self.step, description=name)
        try:
            return act()
        except Exception as error:  # noqa: BLE001 -- the other parts do not depend on it
            self.failures.append(f"Not made: {name} ({_first(error)}).")
            self.console.print(f"report: {name} is left out ({_first(error)})", soft_wrap=True, markup=False)
            return None
        finally:
            self.bar.advance(self.step)


def _both(figure: Figure) -> tuple[Drawn, bytes]:
    """A figure for the page, and as a PNG."""
    from pipeline.report import page
    from pipeline.report.drawing import render_matplotlib

    return page.draw(figure), render_matplotlib.png(figure)


def _first(error: Exception) -> str:
    """The first line of what an error says."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:LONGEST]
