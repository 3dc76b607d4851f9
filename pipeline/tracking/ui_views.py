"""The ways to look at an experiment that MLflow's page offers under Views, and links to them."""

from __future__ import annotations

import json
from collections.abc import Sequence

PREFIX = "mlflow.sharedViewState."
STAMP = 1_700_000_000_000  # milliseconds; a view says when it was made, and is to be the same whenever it is written
TRIALS, SEARCHES = "trials", "searches"
WIDTHS = ("model.blocks", "model.channels", "model.layers", "model.nodes")
NAME = "attributes.`Run Name`"
WIDER = {NAME: 250, "tags.`winner`": 250, "tags.`study`": 190}  # pixels; others are as wide as their names


def tags(metric: str, searched: Sequence[str]) -> dict[str, str]:
    """An experiment's tags: its searches as a tree, and all trials by their score, with the columns that matter.

    searched: the keys of the ranges.
    """
    test = f"test/{metric}"
    scores, costs = _columns("metrics", "score", "standard_error"), _columns("metrics", "parameters", "seconds")
    widths = _columns("params", *(key for key in WIDTHS if key in searched or key in WIDTHS[2:]))
    drawn = _columns("params", *(key for key in searched if key not in WIDTHS))
    tested = _columns("metrics", test, f"{test}/low", f"{test}/high", f"baseline/{test}")
    state = _columns("tags", "state")
    tree = [*_columns("tags", "winner"), *scores, *widths, *costs, *state, *tested]
    trials = [*scores, *widths, *costs, *state, *_columns("metrics", "epoch"), *drawn, *_columns("tags", "study")]
    ascending = metric == "mean_absolute_error"
    return {
        "mlflow.experimentKind": "custom_model_development",  # not one of language models
        PREFIX + SEARCHES: _view("Searches and their trials", "", tree, "attributes.start_time", ascending=False),
        PREFIX + TRIALS: _view("Trials, the best first", "tags.kind = 'trial'", trials, scores[0], ascending=ascending),
    }


def link(experiment: str, view: str | None) -> str:
    """Where MLflow shows an experiment's runs, from any of its pages, in a view or as they are."""
    shared = "" if view is None else f"viewStateShareKey={view}&"
    return f"#/experiments/{experiment}/runs?{shared}workflowType=machine_learning"


def _columns(kind: str, *names: str) -> list[str]:
    return [f"{kind}.`{name}`" for name in names]


def _view(name: str, rows: str, columns: Sequence[str], order: str, *, ascending: bool) -> str:
    """A saved view, as MLflow's page writes one; rows: which of them, as they are searched for."""
    placed = [NAME, *columns]
    widths = {column: WIDER.get(column, max(100, 40 + 7 * len(column.split("`")[1]))) for column in placed}
    state = {
        "searchFilter": rows,
        "orderByKey": order,
        "orderByAsc": ascending,
        "selectedColumns": columns,
        "columnOrder": placed,
        "columnWidths": widths,
    }
    return json.dumps({"name": name, "createdAt": STAMP, "updatedAt": STAMP, "state": json.dumps(state)})
