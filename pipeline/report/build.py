"""Makes a study's report: its figures as PNG, and the page. Whatever fails there is said, and costs nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from pipeline.runtime.errors import describe_error
from pipeline.runtime.files import make_folder, write_file
from pipeline.runtime.progress_bars import BAR_WIDTH, CompletedCount, TimeRemaining

if TYPE_CHECKING:
    from pipeline.report.drawing.figure import Figure
    from pipeline.report.learning_curve_fits import ProgressCallback
    from pipeline.report.page import RenderedFigure
    from pipeline.report.trials_table import TrialTable
    from pipeline.study.problem import Problem
    from pipeline.study.study import Study
    from pipeline.study.summary import StudySummary

REPORT_FOLDER, REPORT_PAGE = "report", "report.html"
MAX_REASON_CHARS = 200  # letters of a reason
Thing = TypeVar("Thing")


def has_report(folder: Path) -> bool:
    """Whether the study in this folder has a report."""
    return (folder / REPORT_FOLDER / REPORT_PAGE).is_file()


def build_report(
    console: Console, folder: Path, problem: Problem, study: Study, summary: StudySummary, commands: Mapping[str, str]
) -> None:
    """Writes `report/` into the study's folder; the page last, so that it is there only where all of it is.

    commands: what a person may want to do next, by a word each. A part that fails is one line on the console and on the
    page, and the whole of it one line: the result of a search does not depend on its report.
    """
    bar = Progress(
        TextColumn("report: {task.description}", markup=False),
        BarColumn(BAR_WIDTH),
        CompletedCount(),
        TimeRemaining(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    try:
        with bar:
            _ReportBuilder(console, bar, folder).run(problem, study, summary, commands)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the result stands
        message = f"report: not made ({describe_error(error)[:MAX_REASON_CHARS]}); the result stands without it"
        console.print(message, soft_wrap=True, markup=False)


class _ReportBuilder:
    """One report while it is made."""

    def __init__(self, console: Console, bar: Progress, folder: Path) -> None:
        self.console, self.bar, self.folder = console, bar, folder
        self.progress_task = bar.add_task("the trials", total=1)
        self.failures: list[str] = []

    def run(self, problem: Problem, study: Study, summary: StudySummary, commands: Mapping[str, str]) -> None:
        """All figures, each drawn twice, and the page."""
        from pipeline.report import page
        from pipeline.report.trials_table import TrialTable
        from pipeline.study import description

        make_folder(self.folder / REPORT_FOLDER)
        (self.folder / REPORT_FOLDER / REPORT_PAGE).unlink(missing_ok=True)  # of an earlier winner
        shutil.rmtree(self.folder / REPORT_FOLDER / "figures", ignore_errors=True)
        make_folder(self.folder / REPORT_FOLDER / "figures")
        study_description = description.read_description(self.folder)
        table = TrialTable.from_records(study.finished_trials(), summary, study_description.unit)
        sources = self._list_figure_sources(problem, study, table)
        figures = [figure for name, source in sources for figure in self._try_part(name, source) or ()]
        self.bar.update(self.progress_task, total=len(sources) + len(figures) + 1)
        rendered_figures = []
        for figure in figures:
            rendered = self._try_part(figure.name, partial(_render_both, figure))
            if rendered is not None:
                rendered_figures.append(rendered[0])
                write_file(self.folder / REPORT_FOLDER / "figures" / f"{figure.name}.png", rendered[1])
        context = page.ReportContext(summary, study_description, table, problem.notes, commands)
        write_file(
            self.folder / REPORT_FOLDER / REPORT_PAGE,
            page.render_report(context, rendered_figures, self.failures).encode(),
        )

    def _list_figure_sources(
        self, problem: Problem, study: Study, table: TrialTable
    ) -> list[tuple[str, Callable[[], Sequence[Figure]]]]:
        """Where the figures come from, in the order of the page, by what they are of."""
        from pipeline.report import trial_figures, winner_figures
        from pipeline.report.figures import learning_curve
        from pipeline.study.importance import compute_importances

        def build_from_trials() -> Sequence[Figure]:
            frozen_trials = [study.storage.frozen_trials[trial.number] for trial in table.trials]
            return trial_figures.build_trial_figures(table, compute_importances(frozen_trials, maximize=table.maximize))

        def build_learning_curve() -> Sequence[Figure]:
            if "model.finetune" in table.best.hyperparameters:
                self.failures.append("Not made: more data (for it, the backbone would be trained three times more).")
                return []
            refit_task = self.bar.add_task("the winner on parts of the data", total=None)
            try:
                return [
                    learning_curve.build_learning_curve_figure(
                        problem, study.search.seed, table, self.folder / REPORT_FOLDER, make_callback(refit_task)
                    )
                ]
            finally:
                self.bar.remove_task(refit_task)

        def make_callback(task: TaskID) -> ProgressCallback:
            return lambda done, total: self.bar.update(task, completed=done, total=total)

        return [
            ("the trials", build_from_trials),
            ("the winner", partial(winner_figures.build_winner_figures, problem, self.folder)),
            ("more data", build_learning_curve),
        ]

    def _try_part(self, name: str, build_part: Callable[[], Thing]) -> Thing | None:
        """What comes of it; None where it fails, which is said."""
        self.bar.update(self.progress_task, description=name)
        try:
            return build_part()
        except Exception as error:  # noqa: BLE001 -- the other parts do not depend on it
            self.failures.append(f"Not made: {name} ({describe_error(error)[:MAX_REASON_CHARS]}).")
            self.console.print(
                f"report: {name} is left out ({describe_error(error)[:MAX_REASON_CHARS]})", soft_wrap=True, markup=False
            )
            return None
        finally:
            self.bar.advance(self.progress_task)


def _render_both(figure: Figure) -> tuple[RenderedFigure, bytes]:
    """A figure for the page, and as a PNG."""
    from pipeline.report import page
    from pipeline.report.drawing import render_matplotlib

    return page.render_figure(figure), render_matplotlib.render_png(figure)
