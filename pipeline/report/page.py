"""HTML page of a study, self-contained: a browser sends no request to show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.config import follow_up_commands
from pipeline.report import headline, tables
from pipeline.report.drawing import render_plotly
from pipeline.report.drawing.figure import Chart, Figure
from pipeline.report.trials_table import TrialTable
from pipeline.study import formatting
from pipeline.study.description import StudyDescription
from pipeline.study.summary import StudySummary

NEXT_STEPS = {
    "predict": "Predict for new data:",
    "again": "Train the winner again, alone:",
    "browse": "Browse all trials with their curves in MLflow:",
}


@dataclass(frozen=True)
class ReportContext:
    """Content of a page besides its figures.

    notes: warnings about the data; commands: follow-up commands by name, with all names of NEXT_STEPS.
    """

    summary: StudySummary
    description: StudyDescription
    table: TrialTable
    notes: Sequence[str]
    commands: Mapping[str, str]


@dataclass(frozen=True)
class RenderedFigure:
    """Figure for the template, with its HTML."""

    name: str
    title: str
    caption: str
    html: Markup
    is_full_width: bool


def render_figure(figure: Figure) -> RenderedFigure:
    """Return the HTML of a figure; all of its text is escaped."""
    is_full_width = not isinstance(figure.content, Chart) or not figure.content.series
    return RenderedFigure(
        figure.name, figure.title, figure.caption, Markup(render_plotly.render_html(figure)), is_full_width
    )


def render_template(template_name: str, **content: Any) -> str:
    """Return a page of a template with plotly's script; all text is escaped."""
    loader = PackageLoader("pipeline.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(template_name).render(library=Markup(render_plotly.build_script()), **content)


def render_report(context: ReportContext, figures: Sequence[RenderedFigure], failures: Sequence[str] = ()) -> str:
    """Return the page of a study; failures: a line for each part that is missing."""
    summary = context.summary
    table = context.table
    head = context.description.architecture["head"]
    return render_template(
        "report.html",
        summary=summary,
        question=f"{summary.task}: {context.description.question or headline.format_question(head)}",
        headline=headline.describe_winner(summary, table),
        tiles=headline.build_metric_tiles(summary, table),
        commands=[(sentence, context.commands[word]) for word, sentence in NEXT_STEPS.items()],
        columns=follow_up_commands.describe_required_columns(context.description.input_columns),
        metric=f"{table.metric.title} ({table.unit})" if table.unit else table.metric.title,
        evaluations=formatting.format_times(summary.test.opened),
        scores=formatting.format_rows(summary),
        facts=_list_facts(context, head),
        figures=figures,
        failures=failures,
        headings=tables.build_headings(table),
        trials=tables.format_trials(table),
        left_out=max(0, len(table.trials) - tables.MAX_LISTED_TRIALS),
        endings=tables.count_endings(table),
    )


def _list_facts(context: ReportContext, head: Mapping[str, Any]) -> list[tuple[str, str]]:
    summary = context.summary
    rows = context.description.rows
    counts = f"{rows['rows']:,} rows: {rows['development']:,} for cross-validation, {rows['test']:,} in the test set"
    n_scores = len(context.table.best.fold_scores)
    folds = f"{n_scores} scores a trial, on folds of the {rows['development']:,} rows"
    facts = [
        ("target", headline.describe_outputs(head)),
        ("data", ". ".join([f"dataset={context.description.dataset}, {counts}", *context.notes])),
        ("cross-validation", f"{folds}; the test set is evaluated once for each winner"),
        ("metric", context.table.metric.describe(context.table.unit)),
        ("trials", formatting.format_trial_counts(summary.trials)),
        ("training time", f"{summary.seconds.training:,.0f} s"),
        ("seed", str(summary.seed)),
    ]
    backbone = context.description.facts["backbone"]
    return facts if backbone == "none" else [*facts, ("backbone", backbone)]
