"""Export a model as one checked file for other programs: `python -m pipeline.export model=cat_species format=onnx`."""

import sys
from collections.abc import Sequence

from pipeline.inference.arguments import ExportOptions
from pipeline.runtime.arguments import read_options, run_command

HELP = """\
Exports a model for other programs: one file, from inputs to predictions.

  python -m pipeline.export model=<model> format=onnx [output=<folder>]

model     a folder with architecture.json and parameters.safetensors,
          the name of a task (its champion), or models:/<task>@<alias>
format    onnx: with preprocessing, backbone and head, for any number of rows;
          its metadata describe the inputs (pixels, or numbers and category
          codes) and the outputs. It is written only if its predictions in
          onnxruntime are those of the model within 1e-5
output    the folder for <task>-opset<version>-<shape>.onnx, . by default
store     the folder with the registry, mlruns by default
weights   the file of the backbone's weights, if the search had model.weights

examples
  python -m pipeline.export model=cat_species format=onnx
  python -m pipeline.export model=models:/animals/2 format=onnx output=app
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 1 if no file was written, 2 for a mistake in the arguments."""
    return run_command(argv, HELP, _run)


def _run(argv: Sequence[str]) -> int:
    options = read_options(ExportOptions, argv)
    from pipeline.inference import onnx_export
    from pipeline.tracking.model_loading import load_model

    onnx_export.check_packages()
    onnx_export.export_model(load_model(options.model, options.store), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
