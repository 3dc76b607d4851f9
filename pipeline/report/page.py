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
from pipeline.report.trials_table import METRICS, Tried
from pipeline.study.description import Description
from pipeline.study.summary import Summary
from pipeline.tuner import results_table

NEXT = {
    "predict": "Answers for what it has not seen:",
    "again": "The winner, trained again by itself:",
    "browse": "Every trial with its curves, in the browser:",
}


@dataclass(frozen=True)
class Study:
    """What a page tells of, besides its figures.

    notes: what a person should know of the data; commands: what to do next, by a word each.
    """

    summary: Summary
    described: Description
    tried: Tried
    notes: Sequence[str]
    commands: Mapping[str, str]


@dataclass(frozen=True)
class Drawn:
    """A figure as the template takes it; whole: it needs all of the page's width."""

    name: str
    title: str
    words: str
    drawn: Markup
    whole: bool


def draw(figure: Figure) -> Drawn:
    """The figure's piece of a page; what plotly and the gallery say of it is escaped there."""
    whole = not isinstance(figure.drawn, Chart) or not figure.drawn.series
    return Drawn(figure.name, figure.title, figure.words, Markup(render_plotly.fragment(figure)), whole)


def fill(template: str, **content: Any) -> str:
    """A page of that template, with the script that draws its figures; every text is escaped."""
    loader = PackageLoader("pipeline.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(template).render(library=Markup(render_plotly.library()), **content)


def report(study: Study, figures: Sequence[Drawn], failures: Sequence[str] = ()) -> str:
    """The study's page; failures: a line for each part of it that could not be made."""
    summary, tried, head = study.summary, study.tried, study.described.architecture["head"]
    return fill(
        "report.html",
        summary=summary,
        question=f"{summary['task']}: {study.described.question or headline.question(head)}",
        verdict=headline.verdict(summary, tried),
        cards=headline.cards(summary, tried),
        commands=[(sentence, study.commands[word]) for word, sentence in NEXT.items()],
        columns=follow_up_commands.columns(study.described.needs),
        metric=f"{METRICS[tried.metric]} ({tried.unit})" if tried.unit else METRICS[tried.metric],
        opened=results_table.times(summary["test"]["opened"]),
        scores=results_table.rows(summary),
        facts=_facts(study, head),
        figures=figures,
        failures=failures,
        headings=tables.headings(tried),
        trials=tables.lines(tried),
        left_out=max(0, len(tried.rows) - tables.MOST_TRIALS),
        endings=tables.endings(tried),
    )


def _facts(study: Study, head: Mapping[str, Any]) -> list[tuple[str, str]]:
    summary, rows, seconds = study.summary, study.described.rows, study.summary["seconds"]
    counts = f"{rows['rows']:,} rows: {rows['development']:,} to develop on, {rows['test']:,} held out for the test"
    origin = f"dataset={study.described.dataset}"
    folds = f"each trial is judged on {len(study.tried.best.folds)} folds of the {rows['development']:,} rows"
    facts = [
        ("answer", headline.answers(head)),
        ("data", ". ".join([f"{origin}, {counts}", *study.notes])),
        ("folds", f"{folds}; the held-out rows are seen once a winner"),
        ("judged by", METRICS[study.tried.metric]),
        ("trials", results_table.counted(summary["trials"])),
        ("the trials took", f"{seconds['training']:,.0f} s; seed {summary['seed']}"),
    ]
    backbone = study.described.facts["backbone"]
    return facts if backbone == "none" else [*facts, ("backbone", backbone)]
