"""One page with all of a study, which needs nothing beside it: no request leaves it."""

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
    "predict": "Answers for what it has not seen:",
    "again": "The winner, trained again by itself:",
    "browse": "Every trial with its curves, in the browser:",
}


@dataclass(frozen=True)
class ReportContext:
    """What a page tells of, besides its figures.

    notes: what a person should know of the data; commands: what to do next, by a word each.
    """

    summary: StudySummary
    description: StudyDescription
    table: TrialTable
    notes: Sequence[str]
    commands: Mapping[str, str]


@dataclass(frozen=True)
class RenderedFigure:
    """A figure as the template takes it; whole: it needs all of the page's width."""

    name: str
    title: str
    caption: str
    html: Markup
    is_full_width: bool


def render_figure(figure: Figure) -> RenderedFigure:
    """The figure's piece of a page; what plotly and the gallery say of it is escaped there."""
    is_full_width = not isinstance(figure.content, Chart) or not figure.content.series
    return RenderedFigure(
        figure.name, figure.title, figure.caption, Markup(render_plotly.render_html(figure)), is_full_width
    )


def render_template(template_name: str, **content: Any) -> str:
    """A page of that template, with the script that draws its figures; every text is escaped."""
    loader = PackageLoader("pipeline.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(template_name).render(library=Markup(render_plotly.build_script()), **content)


def render_report(context: ReportContext, figures: Sequence[RenderedFigure], failures: Sequence[str] = ()) -> str:
    """The study's page; failures: a line for each part of it that could not be made."""
    summary, table, head = context.summary, context.table, context.description.architecture["head"]
    return render_template(
        "report.html",
        summary=summary,
        question=f"{summary['task']}: {context.description.question or headline.format_question(head)}",
        verdict=headline.describe_winner(summary, table),
        cards=headline.build_metric_tiles(summary, table),
        commands=[(sentence, context.commands[word]) for word, sentence in NEXT_STEPS.items()],
        columns=follow_up_commands.describe_required_columns(context.description.input_columns),
        metric=f"{table.metric.title} ({table.unit})" if table.unit else table.metric.title,
        opened=formatting.format_times(summary["test"]["opened"]),
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
    summary, rows, seconds = context.summary, context.description.rows, context.summary["seconds"]
    counts = f"{rows['rows']:,} rows: {rows['development']:,} to develop on, {rows['test']:,} held out for the test"
    origin = f"dataset={context.description.dataset}"
    folds = f"each trial is judged on {len(context.table.best.fold_scores)} folds of the {rows['development']:,} rows"
    facts = [
        ("answer", headline.describe_outputs(head)),
        ("data", ". ".join([f"{origin}, {counts}", *context.notes])),
        ("folds", f"{folds}; the held-out rows are seen once a winner"),
        ("judged by", context.table.metric.title),
        ("trials", formatting.format_trial_counts(summary["trials"])),
        ("the trials took", f"{seconds['training']:,.0f} s; seed {summary['seed']}"),
    ]
    backbone = context.description.facts["backbone"]
    return facts if backbone == "none" else [*facts, ("backbone", backbone)]
