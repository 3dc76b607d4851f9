"""How a server of MLflow's refuses a request: one sentence for the client, what went wrong inside for its own log."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

MAX_MESSAGE_CHARS = 300  # letters of MLflow's own sentence, which may repeat the request
LOGGER = logging.getLogger("uvicorn.error")


class BadRequestError(MlflowException):
    """A request that is answered with the status 400 and one sentence."""

    def __init__(self, client_message: str) -> None:
        super().__init__(client_message, error_code=INVALID_PARAMETER_VALUE)
        self.client_message = client_message

    def serialize_as_json(self) -> str:
        """The body of the answer; in `message` MLflow has put the request itself before the sentence."""
        return json.dumps({"error_code": self.error_code, "message": self.client_message})


def install_error_handler() -> None:
    """From now on the server in this process refuses so.

    By itself it sends tracebacks to clients (a CSV file that is none), repeats a whole body in its message, and breaks
    down, with the status 500, on a request without a content type. It has no hook for it, so its function is replaced:
    in the server's own process, which serves nothing else.
    """
    from mlflow.pyfunc import scoring_server

    if not hasattr(scoring_server.invocations, "__wrapped__"):
        scoring_server.invocations = _wrap_invocations(scoring_server.invocations)


def _wrap_invocations(invocations: Callable[..., Any]) -> Callable[..., Any]:
    def answered(data: bytes, content_type: str | None, *args: Any) -> Any:
        try:
            return invocations(data, content_type or "none", *args)
        except BadRequestError:
            raise
        except MlflowException as error:
            if stack_trace := error.json_kwargs.get("stack_trace"):
                LOGGER.error("%s", stack_trace)
            raise BadRequestError(_extract_message(error.message)) from None
        except Exception as error:  # brackets a thousand deep, and whatever else a stranger sends
            LOGGER.exception("a request that MLflow cannot read")
            raise BadRequestError(f"Invalid input. It cannot be read ({type(error).__name__})") from None

    answered.__dict__["__wrapped__"] = invocations
    return answered


def _extract_message(message: str) -> str:
    """The part of MLflow's message that says what is wrong: its end, where the request stands before it."""
    if message.startswith("Failed to predict data"):
        message = message.rpartition("Error: ")[2]
    first_line = message.strip().splitlines()[0].partition(" IMPORTANT: ")[0]
    return first_line if len(first_line) <= MAX_MESSAGE_CHARS else f"{first_line[:MAX_MESSAGE_CHARS]}..."
