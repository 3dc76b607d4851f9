"""A model as one .onnx file, checked against the network before it is in its place. The only room that knows ONNX."""

from __future__ import annotations

import json
import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.inference.module import Whole
from pipeline.preprocessing import TableInputs
from pipeline.runtime.files import moved_whole
from pipeline.runtime.text import printable

OPSET = 18  # read by runtimes of 2023 and later
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
EXTRA = "pip install 'layers-and-nodes[onnx]'"
TOLERANCE, SIZES = 1e-5, (1, 7)  # relative to a number above 1; rows at once in the check
MOST_BYTES = 2**31 - 2**24  # of a file, whose format knows no more, with its graph
OUTPUT, ROWS = "answers", "N"


class ExportError(Exception):
    """A model that cannot be written as such a file, or was and gave other answers; the reason, in one line."""


def missing() -> str | None:
    """What has to be installed first, if anything."""
    lacking = [name for name in PACKAGES if find_spec(name) is None]
    return f"format=onnx: needs {', '.join(lacking)}, which is not there; {EXTRA}" if lacking else None


def name_of(whole: Whole) -> str:
    """The file's name: task, opset and the shape of each input."""
    task = re.sub(r"[^\w.-]+", "_", whole.trained.architecture.task)[:100].lstrip(".") or "model"
    shapes = ("x".join([ROWS, *map(str, each.shape)]) for each in whole.inputs)
    return "-".join([task, f"opset{OPSET}", *shapes]) + ".onnx"


def write(whole: Whole, folder: Path) -> tuple[Path, float]:
    """Writes the file into a folder; returns it, and how far its answers are from the network's at most.

    Raises ExportError where the model is too large or the answers differ, and NotWrittenError; nothing is left then.
    """
    size = sum(tensor.nbytes for tensor in (*whole.parameters(), *whole.buffers()))
    if size > MOST_BYTES:
        raise ExportError(f"format=onnx: a file has at most {MOST_BYTES:,} bytes; the model has {size:,}")
    file = folder / name_of(whole)
    program = _program(whole)
    with moved_whole(file) as new:
        program.save(new, external_data=False)
        difference = _difference(whole, new)
        if not difference <= TOLERANCE:
            rule = f"its answers are the network's within {TOLERANCE:g}"
            raise ExportError(f"format=onnx: {rule}; got a difference of {difference:.2g}, so {file} is not written")
    return file, difference


def _program(whole: Whole) -> Any:
    names = [each.name for each in whole.inputs]
    rows = torch.export.Dim(ROWS)
    with warnings.catch_warnings():  # of its own parts, about which nobody can do anything
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            whole,
            whole.drawn(2)[1],
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[OUTPUT],
            dynamic_shapes=whole.dynamic({0: rows}),
        )
    assert program is not None
    for node in program.model.graph.all_nodes():  # each names the files of this machine and the lines that made it
        node.metadata_props.clear()
        node.doc_string = None
    program.model.metadata_props.update(metadata(whole))
    return program


def metadata(whole: Whole) -> dict[str, str]:
    """What a person needs who has only the file; lists are JSON."""
    architecture = whole.trained.architecture
    inputs, head = architecture.inputs, architecture.head
    said = {
        "task": architecture.task,
        "inputs": json.dumps({each.name: each.says for each in whole.inputs}),
        OUTPUT: json.dumps(head.columns),
        "head": head.kind,
        "parameters_sha256": str(architecture.parameters_sha256),
        "architecture_sha256": architecture.sha256(),
    }
    if isinstance(inputs, TableInputs):
        said["numbers"] = json.dumps(inputs.numbers)
        said["codes"] = json.dumps(dict(zip(inputs.categories, inputs.levels, strict=True)))
    return {key: printable(value) for key, value in said.items()}


def _difference(whole: Whole, file: Path) -> float:
    """How far the file's answers are from the network's at most, in parts of a number where that is above 1."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    furthest = []
    for rows in SIZES:
        raw, tensors = whole.drawn(rows)
        fed = {each.name: tensor.numpy() for each, tensor in zip(whole.inputs, tensors, strict=True)}
        (found,) = session.run([OUTPUT], fed)
        expected = whole.trained.answers(raw).numpy()
        furthest.append(np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected))))
    return float(np.max(furthest))  # not a number, if one of them is none
