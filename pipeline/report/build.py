"""Report of a study: an HTML page and its figures as PNG; a part that fails is reported and left out."""

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

REPORT_FOLDER = "report"
REPORT_PAGE = "report.html"
MAX_REASON_CHARS = 200
Thing = TypeVar("Thing")


def has_report(folder: Path) -> bool:
    """Return whether the study in this folder has a report."""
    return (folder / REPORT_FOLDER / REPORT_PAGE).is_file()


def build_report(
    console: Console, folder: Path, problem: Problem, study: Study, summary: StudySummary, commands: Mapping[str, str]
) -> None:
    """Write `report/` into the folder of a study; the page last, so that it exists only once the figures do.

    commands: follow-up commands by name. A part that fails is one line on the console and on the page; a report that
    fails is one line on the console, and raises nothing.
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
    except Exception as error:  # noqa: BLE001 -- the result of a search does not depend on its report
        reason = describe_error(error)[:MAX_REASON_CHARS]
        message = f"report: failed ({reason}). The result of the search is not affected."
        console.print(message, soft_wrap=True, markup=False)


class _ReportBuilder:
    """State of a report being built: progress bar, and a line for each part that failed."""

    def __init__(self, console: Console, bar: Progress, folder: Path) -> None:
        self.console = console
        self.bar = bar
        self.folder = folder
        self.progress_task = bar.add_task("the trials", total=1)
        self.failures: list[str] = []

    def run(self, problem: Problem, study: Study, summary: StudySummary, commands: Mapping[str, str]) -> None:
        """Write all figures as PNG, then the page with their interactive versions."""
        from pipeline.report import page
        from pipeline.report.trials_table import TrialTable
        from pipeline.study import description

        make_folder(self.folder / REPORT_FOLDER)
        (self.folder / REPORT_FOLDER / REPORT_PAGE).unlink(missing_ok=True)  # an earlier winner's
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
        """Return the functions that build the figures, in the order of the page, each with its name."""
        from pipeline.report import trial_figures, winner_figures
        from pipeline.report.figures import learning_curve
        from pipeline.study.importance import compute_importances

        def build_from_trials() -> Sequence[Figure]:
            frozen_trials = [study.storage.frozen_trials[trial.number] for trial in table.trials]
            return trial_figures.build_trial_figures(table, compute_importances(frozen_trials, maximize=table.maximize))

        def build_learning_curve() -> Sequence[Figure]:
            if "model.finetune" in table.best.hyperparameters:
                self.failures.append(
                    "Missing: learning curve (with model.finetune it would fine-tune the backbone three more times)."
                )
                return []
            refit_task = self.bar.add_task("learning curve of the winner", total=None)
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
            ("learning curve", build_learning_curve),
        ]

    def _try_part(self, name: str, build_part: Callable[[], Thing]) -> Thing | None:
        """Return the part, or None after reporting why it failed."""
        self.bar.update(self.progress_task, description=name)
        try:
            return build_part()
        except Exception as error:  # noqa: BLE001 -- the other parts do not depend on it
            reason = describe_error(error)[:MAX_REASON_CHARS]
            self.failures.append(f"Missing: {name} ({reason}).")
            self.console.print(f"report: {name} failed ({reason}).", soft_wrap=True, markup=False)
            return None
        finally:
            self.bar.advance(self.progress_task)


def _render_both(figure: Figure) -> tuple[RenderedFigure, bytes]:
    """Return a figure for the page, and as PNG."""
    from pipeline.report import page
    from pipeline.report.drawing import render_matplotlib

    return page.render_figure(figure), render_matplotlib.render_png(figure)
