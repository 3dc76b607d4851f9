"""Export of a model as one .onnx file, which is checked against the network before it is moved into place."""

import json
import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.artifact.model_files import TrainedModel
from pipeline.inference.arguments import ExportOptions
from pipeline.inference.module import EndToEndModule, TableModule, build_module
from pipeline.preprocessing import TableInputs
from pipeline.runtime.arguments import UsageError
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import atomic_path
from pipeline.runtime.progress_bars import spinner
from pipeline.runtime.text import escape_unprintable

OPSET_VERSION = 18  # read by runtimes of 2023 and later
REQUIRED_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
INSTALL_COMMAND = "pip install 'layers-and-nodes[onnx]'"
RELATIVE_TOLERANCE = 1e-5  # absolute below 1
CHECK_BATCH_SIZES = (1, 7)
MAX_FILE_BYTES = 2**31 - 2**24  # protobuf's limit, with room for the graph
OUTPUT_NAME = "answers"
BATCH_DIMENSION = "N"


class ExportError(UserError):
    """Model that cannot be exported, or whose exported file gives other predictions."""

    exit_code = 1


def check_packages() -> None:
    """Raise UsageError if a package that the export needs is not installed."""
    missing = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f"format=onnx: needs {', '.join(missing)}, which is not installed; {INSTALL_COMMAND}")


def export_model(model: TrainedModel, options: ExportOptions) -> None:
    """Write the file and print its size; raise UserError if the backbone's weights are missing, and ExportError."""
    module = build_module(model, options.weights, options.store / "cache")
    with spinner("writing the ONNX graph and checking it"):
        file, difference = write_onnx(module, options.output)
    print(f"{file}: {file.stat().st_size:,} bytes; its predictions match the network's within {difference:.1g}")


def write_onnx(module: EndToEndModule, folder: Path) -> tuple[Path, float]:
    """Write the file into a folder; return its path and the largest difference from the network's predictions.

    Its name has the task, the opset and the shape of each input.
    Raises ExportError if the model is too large or the predictions differ, and FileWriteError; no file is left then.
    """
    size_bytes = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    if size_bytes > MAX_FILE_BYTES:
        raise ExportError(f"format=onnx: a file has at most {MAX_FILE_BYTES:,} bytes; the model has {size_bytes:,}")
    task = re.sub(r"[^\w.-]+", "_", module.model.architecture.task)[:100].lstrip(".") or "model"
    shapes = ["x".join([BATCH_DIMENSION, *map(str, spec.shape)]) for spec in module.inputs]
    file = folder / ("-".join([task, f"opset{OPSET_VERSION}", *shapes]) + ".onnx")
    program = _export_program(module)
    with atomic_path(file) as temporary_file:
        program.save(temporary_file, external_data=False)
        difference = _max_difference(module, temporary_file)
        if not difference <= RELATIVE_TOLERANCE:
            rule = f"predictions must match the network's within {RELATIVE_TOLERANCE:g}"
            raise ExportError(f"format=onnx: {rule}; got a difference of {difference:.2g}, so {file} is not written")
    return file, difference


def _export_program(module: EndToEndModule) -> Any:
    dynamic_rows = tuple({0: torch.export.Dim(BATCH_DIMENSION)} for _ in module.inputs)
    with warnings.catch_warnings():  # the exporter's, about its own deprecated parts
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            module.random_inputs(2)[1],
            dynamo=True,
            verbose=False,
            opset_version=OPSET_VERSION,
            input_names=[spec.name for spec in module.inputs],
            output_names=[OUTPUT_NAME],
            # torch takes forward(*columns) as one argument of several
            dynamic_shapes=(dynamic_rows,) if isinstance(module, TableModule) else dynamic_rows,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():  # they contain paths of this machine
        node.metadata_props.clear()
        node.doc_string = None
    program.model.metadata_props.update(build_metadata(module))
    return program


def build_metadata(module: EndToEndModule) -> dict[str, str]:
    """Return the file's metadata: inputs, outputs and checksums; lists are JSON."""
    architecture = module.model.architecture
    inputs = architecture.inputs
    entries = {
        "task": architecture.task,
        "inputs": json.dumps({spec.name: spec.description for spec in module.inputs}),
        OUTPUT_NAME: json.dumps(architecture.head.output_names),
        "head": architecture.head.kind,
        "parameters_sha256": str(architecture.parameters_sha256),
        "architecture_sha256": architecture.sha256(),
    }
    if isinstance(inputs, TableInputs):
        entries["numbers"] = json.dumps(inputs.numbers)
        entries["codes"] = json.dumps(dict(zip(inputs.categories, inputs.levels, strict=True)))
    return {key: escape_unprintable(value) for key, value in entries.items()}


def _max_difference(module: EndToEndModule, file: Path) -> float:
    """Return the largest difference of the file's predictions from the network's, relative to values above 1."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    differences = []
    for batch_size in CHECK_BATCH_SIZES:
        raw, tensors = module.random_inputs(batch_size)
        input_feed = {spec.name: tensor.numpy() for spec, tensor in zip(module.inputs, tensors, strict=True)}
        (actual,) = session.run([OUTPUT_NAME], input_feed)
        expected = module.model.predict(raw).numpy()
        differences.append(np.max(np.abs(actual - expected) / np.maximum(1, np.abs(expected))))
    return float(np.max(differences))  # NaN if one of them is
