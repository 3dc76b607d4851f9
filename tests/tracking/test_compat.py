"""Private parts of MLflow: a test here fails when an upgrade of MLflow changes one, and says what to do."""

from __future__ import annotations

import inspect
from pathlib import Path

import mlflow
from mlflow.pyfunc import scoring_server

from pipeline.tracking.compat import SERVER_VARIABLE, SHARED_VIEW_TAG_PREFIX


def test_scoring_server_answers_by_the_function_that_is_replaced() -> None:
    help_text = "mlflow.pyfunc.scoring_server.invocations changed: adapt request_errors._wrap_invocations to it"
    invocations = inspect.unwrap(scoring_server.invocations)
    assert list(inspect.signature(invocations).parameters)[:2] == ["data", "content_type"], help_text
    assert "invocations" in scoring_server.init.__code__.co_names + sum(
        (code.co_names for code in scoring_server.init.__code__.co_consts if inspect.iscode(code)), ()
    ), help_text


def test_scoring_server_has_its_model_in_the_known_variable() -> None:
    help_text = "scoring_server's environment variable changed: set compat.SERVER_VARIABLE to its new name"
    assert scoring_server._SERVER_MODEL_PATH == SERVER_VARIABLE, help_text


def test_page_reads_views_from_tags_with_the_known_prefix() -> None:
    """Without the views, links to them show MLflow's own columns; find the new prefix in its JavaScript."""
    scripts = Path(mlflow.__file__).parent.joinpath("server/js/build/static/js").rglob("*.js")
    help_text = "MLflow's page has no such tag any more: set compat.SHARED_VIEW_TAG_PREFIX to the new one"
    assert any(SHARED_VIEW_TAG_PREFIX.rstrip(".") in script.read_text(encoding="utf-8") for script in scripts), (
        help_text
    )
