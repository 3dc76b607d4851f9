"""Report of a study: an HTML page and its figures as PNG; a part that fails is reported and left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from pipeline.runtime.errors import describe_error
from pipeline.runtime.files import make_folder, write_file
from pipeline.runtime.progress_bars import BAR_WIDTH, CompletedCount, TimeRemaining

if TYPE_CHECKING:
    from markupsafe import Markup

    from pipeline.report.drawing.figure import Figure
    from pipeline.report.trials_table import TrialTable
    from pipeline.study.problem import Problem
    from pipeline.study.study import Study
    from pipeline.study.summary import StudySummary

REPORT_FOLDER = "report"
REPORT_PAGE = "report.html"
MAX_REASON_CHARS = 200
Part = TypeVar("Part")


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
    columns = [TextColumn("report: {task.description}", markup=False), BarColumn(BAR_WIDTH), CompletedCount()]
    bar = Progress(*columns, TimeRemaining(), console=console, transient=True, disable=not console.is_terminal)
    try:
        with bar:
            _ReportBuilder(console, bar, folder).run(problem, study, summary, commands)
    except Exception as error:  # noqa: BLE001 -- the result of a search does not depend on its report
        reason = describe_error(error)[:MAX_REASON_CHARS]
        message = f"report: failed ({reason}). The result of the search is not affected."
        console.print(message, soft_wrap=True, markup=False)


class _ReportBuilder:
    """State of a report being built: progress bar, and a line for each part that failed."""

    def __init__(self, console: Console, bar: Progress, study_folder: Path) -> None:
        self.console = console
        self.bar = bar
        self.study_folder = study_folder
        self.folder = study_folder / REPORT_FOLDER
        self.parts_bar = bar.add_task("", total=1)
        self.failures: list[str] = []

    def run(self, problem: Problem, study: Study, summary: StudySummary, commands: Mapping[str, str]) -> None:
        """Write all figures as PNG, then the page with their interactive versions."""
        from pipeline.report.page import ReportContext, render_report
        from pipeline.report.trials_table import TrialTable
        from pipeline.report.winner_figures import build_winner_figures
        from pipeline.study.description import read_description

        make_folder(self.folder)
        (self.folder / REPORT_PAGE).unlink(missing_ok=True)  # an earlier winner's
        shutil.rmtree(self.folder / "figures", ignore_errors=True)
        make_folder(self.folder / "figures")
        description = read_description(self.study_folder)
        table = TrialTable.from_records(study.finished_trials(), summary, description.unit)
        sources = {
            "figures of the trials": partial(_build_trial_figures, study, table),
            "figures of the winner": partial(build_winner_figures, problem, self.study_folder),
            "learning curve": partial(self._build_learning_curve, problem, study.search.seed, table),
        }
        figures = [figure for name, source in sources.items() for figure in self._try_part(name, source) or ()]
        self.bar.update(self.parts_bar, total=len(sources) + len(figures) + 1)
        rendered_figures = []
        for figure in figures:
            rendered = self._try_part(figure.name, partial(_render_both, figure))
            if rendered is not None:
                html, png = rendered
                rendered_figures.append((figure, html))
                write_file(self.folder / "figures" / f"{figure.name}.png", png)
        context = ReportContext(summary, description, problem.task.head, table, problem.notes, commands)
        write_file(self.folder / REPORT_PAGE, render_report(context, rendered_figures, self.failures).encode())

    def _build_learning_curve(self, problem: Problem, seed: int, table: TrialTable) -> list[Figure]:
        from pipeline.report.figures.learning_curve import plot_learning_curve
        from pipeline.report.learning_curve_fits import load_or_measure

        if "model.finetune" in table.best.hyperparameters:
            reason = "with model.finetune it would fine-tune the backbone three more times"
            self.failures.append(f"Missing: learning curve ({reason}).")
            return []
        epochs_bar = self.bar.add_task("learning curve of the winner", total=None)

        def show_progress(done: int, total: int) -> None:
            self.bar.update(epochs_bar, completed=done, total=total)

        try:
            return [plot_learning_curve(load_or_measure(problem, seed, table.best, self.folder, show_progress), table)]
        finally:
            self.bar.remove_task(epochs_bar)

    def _try_part(self, name: str, build_part: Callable[[], Part]) -> Part | None:
        """Return the part, or None after reporting why it failed."""
        self.bar.update(self.parts_bar, description=name)
        try:
            return build_part()
        except Exception as error:  # noqa: BLE001 -- the other parts do not depend on it
            reason = describe_error(error)[:MAX_REASON_CHARS]
            self.failures.append(f"Missing: {name} ({reason}).")
            self.console.print(f"report: {name} failed ({reason}).", soft_wrap=True, markup=False)
            return None
        finally:
            self.bar.advance(self.parts_bar)


def _build_trial_figures(study: Study, table: TrialTable) -> list[Figure]:
    from pipeline.report.trial_figures import build_trial_figures
    from pipeline.study.importance import compute_importances

    frozen_trials = [study.storage.frozen_trials[trial.number] for trial in table.trials]
    return build_trial_figures(table, compute_importances(frozen_trials, maximize=table.metric.maximize))


def _render_both(figure: Figure) -> tuple[Markup, bytes]:
    from pipeline.report.drawing import render_matplotlib, render_plotly

    return render_plotly.render_html(figure), render_matplotlib.render_png(figure)
