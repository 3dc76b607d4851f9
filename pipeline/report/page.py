"""HTML page of a study, self-contained: a browser sends no request to show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.config import follow_up_commands
from pipeline.models.heads import AnyHead
from pipeline.report import headline, phrases, tables
from pipeline.report.drawing import render_plotly
from pipeline.report.drawing.figure import Figure
from pipeline.report.phrases import add_unit
from pipeline.report.trials_table import TrialTable
from pipeline.study import formatting
from pipeline.study.description import StudyDescription
from pipeline.study.summary import StudySummary

NEXT_STEPS = {
    "predict": "Predict for new data:",
    "again": "Train the winner again as a single trial:",
    "browse": "Browse all trials with their curves in MLflow:",
}


@dataclass(frozen=True)
class ReportContext:
    """Content of a page besides its figures.

    notes: warnings about the data; commands: follow-up commands by name, with all names of NEXT_STEPS.
    """

    summary: StudySummary
    description: StudyDescription
    head: AnyHead
    table: TrialTable
    notes: Sequence[str]
    commands: Mapping[str, str]


def render_template(template_name: str, **content: Any) -> str:
    """Return a page of a template with plotly's script; all text is escaped."""
    loader = PackageLoader("pipeline.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(template_name).render(library=render_plotly.build_script(), **content)


def render_report(context: ReportContext, figures: Sequence[tuple[Figure, Markup]], failures: Sequence[str]) -> str:
    """Return the page of a study; figures: each with its HTML; failures: a line for each part that is missing."""
    summary = context.summary
    description = context.description
    table = context.table
    question = description.question or headline.format_question(context.head, description.unit)
    return render_template(
        "report.html",
        summary=summary,
        question=f"{summary.task}: {question}",
        headline=headline.describe_winner(summary, table),
        tiles=headline.build_metric_tiles(summary, table),
        commands=[(sentence, context.commands[word]) for word, sentence in NEXT_STEPS.items()],
        columns=follow_up_commands.describe_required_columns(description.input_columns),
        metric=add_unit(table.metric.title, table.unit),
        evaluations=formatting.format_times(summary.test.evaluations),
        scores=formatting.format_rows(summary),
        facts=_list_facts(context),
        figures=figures,
        failures=failures,
        headings=tables.build_headings(table),
        trials=tables.format_trials(table),
        left_out=max(0, len(table.trials) - tables.MAX_LISTED_TRIALS),
        endings=tables.count_endings(table),
    )


def _list_facts(context: ReportContext) -> list[tuple[str, str]]:
    summary = context.summary
    description = context.description
    total, development, test = (f"{description.rows[part]:,}" for part in ("rows", "development", "test"))
    data = f"dataset={description.dataset}, {total} rows: {development} for cross-validation, {test} in the test set"
    folds = f"{len(context.table.best.fold_scores)} scores per trial, on folds of the {development} rows"
    facts = [
        ("target", headline.describe_outputs(context.head, description.unit)),
        ("data", ". ".join([data, *map(phrases.capitalize_first, context.notes)])),
        ("cross-validation", f"{folds}; the test set is evaluated once for each winner"),
        ("metric", context.table.metric.describe(context.table.unit)),
        ("trials", formatting.format_trial_counts(summary.trials)),
        ("training time", f"{summary.seconds.training:,.0f} s"),
        ("seed", str(summary.seed)),
    ]
    backbone = description.facts["backbone"]
    return facts if backbone == "none" else [*facts, ("backbone", backbone)]
