"""Saved views of an experiment on MLflow's page, and links to them."""

import json
from collections.abc import Sequence

from pipeline.config.metrics import METRICS
from pipeline.tracking.compat import SHARED_VIEW_TAG_PREFIX

VIEW_TIMESTAMP_MS = 1_700_000_000_000  # constant, so that a view that is written again is equal
TRIALS_VIEW = "trials"
SEARCHES_VIEW = "searches"
LAYER_WIDTH_PARAMS = ("model.blocks", "model.channels", "model.layers", "model.nodes")
RUN_NAME_COLUMN = "attributes.`Run Name`"
COLUMN_WIDTHS = {RUN_NAME_COLUMN: 250, "tags.`winner`": 250, "tags.`study`": 190}  # pixels; others fit their names


def build_view_tags(metric: str, searched_keys: Sequence[str]) -> dict[str, str]:
    """Return an experiment's tags with its views: searches as a tree, and all trials, the best first."""
    widths = [f"params.{key}" for key in LAYER_WIDTH_PARAMS if key in searched_keys or key in LAYER_WIDTH_PARAMS[2:]]
    others = [f"params.{key}" for key in searched_keys if key not in LAYER_WIDTH_PARAMS]
    test = f"test/{metric}"
    test_columns = [f"metrics.{name}" for name in (test, f"{test}/low", f"{test}/high", f"baseline/{test}")]
    shared = ["metrics.score", "metrics.standard_error", *widths, "metrics.parameters", "metrics.seconds", "tags.state"]
    study_columns = ["tags.winner", *shared, *test_columns]
    trial_columns = [*shared, "metrics.epoch", *others, "tags.study"]
    ascending = not METRICS[metric].maximize
    return {
        "mlflow.experimentKind": "custom_model_development",  # else MLflow takes it for one of language models
        SHARED_VIEW_TAG_PREFIX + SEARCHES_VIEW: _serialize_view(
            "Searches and their trials", "", study_columns, "attributes.start_time", ascending=False
        ),
        SHARED_VIEW_TAG_PREFIX + TRIALS_VIEW: _serialize_view(
            "Trials, the best first", "tags.kind = 'trial'", trial_columns, "metrics.`score`", ascending=ascending
        ),
    }


def format_experiment_link(experiment_id: str, view_key: str | None) -> str:
    """Return the link to an experiment's runs from any of MLflow's pages, in a saved view or without one."""
    view_parameter = "" if view_key is None else f"viewStateShareKey={view_key}&"
    return f"#/experiments/{experiment_id}/runs?{view_parameter}workflowType=machine_learning"


def _serialize_view(name: str, search_filter: str, columns: Sequence[str], order_by: str, *, ascending: bool) -> str:
    """Return a saved view in the JSON of MLflow's page; columns: such as `params.model.layers`."""
    selected = ["{}.`{}`".format(*column.split(".", 1)) for column in columns]
    name_widths = {column: max(100, 40 + 7 * len(column.split("`")[1])) for column in (RUN_NAME_COLUMN, *selected)}
    state = {
        "searchFilter": search_filter,
        "orderByKey": order_by,
        "orderByAsc": ascending,
        "selectedColumns": selected,
        "columnOrder": [RUN_NAME_COLUMN, *selected],
        "columnWidths": name_widths | COLUMN_WIDTHS,
    }
    timestamps = {"createdAt": VIEW_TIMESTAMP_MS, "updatedAt": VIEW_TIMESTAMP_MS}
    return json.dumps({"name": name, **timestamps, "state": json.dumps(state)})
