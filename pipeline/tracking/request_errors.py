"""Error responses of MLflow's model server: one sentence for the client, the traceback for the server's log."""

import json
import logging
from collections.abc import Callable
from typing import Any

from mlflow.exceptions import MlflowException

from pipeline.tracking.compat import replace_invocations

MAX_MESSAGE_CHARS = 300  # of MLflow's own sentence, which may repeat the request
LOGGER = logging.getLogger("uvicorn.error")


class BadRequestError(MlflowException):
    """Invalid request; made by `invalid_parameter_value`, the response has the status 400 and one sentence."""

    def serialize_as_json(self) -> str:
        """Return the body of the response; MLflow puts the request before the sentence in `message`, not in `args`."""
        return json.dumps({"error_code": self.error_code, "message": self.args[0]})


def install_error_handler() -> None:
    """Make the model server in this process respond to an invalid request with the status 400 and one sentence.

    MLflow's server sends tracebacks to clients (for a malformed CSV file), repeats the whole body in its message, and
    responds with the status 500 if there is no content type. It has no hook for errors, so its function is replaced.
    """
    replace_invocations(_wrap_invocations)


def _wrap_invocations(invocations: Callable[..., Any]) -> Callable[..., Any]:
    def respond(data: bytes, content_type: str | None, *args: Any) -> Any:
        try:
            return invocations(data, content_type or "none", *args)
        except BadRequestError:
            raise
        except MlflowException as error:
            if stack_trace := error.json_kwargs.get("stack_trace"):
                LOGGER.error("%s", stack_trace)
            raise BadRequestError.invalid_parameter_value(_extract_message(error.message)) from None
        except Exception as error:  # such as a RecursionError for brackets a thousand deep
            LOGGER.exception("a request that MLflow cannot read")
            message = f"Invalid input. It cannot be read ({type(error).__name__})"
            raise BadRequestError.invalid_parameter_value(message) from None

    respond.__dict__["__wrapped__"] = invocations
    return respond


def _extract_message(message: str) -> str:
    """Return the sentence of MLflow's message that names the error, without the request and at most 300 characters."""
    if message.startswith("Failed to predict data"):
        message = message.rpartition("Error: ")[2]
    first_line = message.strip().splitlines()[0].partition(" IMPORTANT: ")[0]
    return first_line if len(first_line) <= MAX_MESSAGE_CHARS else f"{first_line[:MAX_MESSAGE_CHARS]}..."
