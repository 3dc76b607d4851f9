"""Fuzzes the readers of a model's two files, guided by coverage: `make fuzz ARGS="seconds=600"`.

The first byte chooses what the others are: the architecture beside good parameters, the parameters or their header with
the right hash in the architecture, or an architecture whose parameters are made to fit it, so that the checks behind
the hashes are reached. Whatever is raised but ModelError is a finding: it is printed, and its bytes are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=[
        "pipeline.artifact.model_files",
        "pipeline.runtime.untrusted",
        "pipeline.artifact.tensors",
        "pipeline.preprocessing",
        "pipeline.models.heads",
        "json",
    ]
):
    from pipeline.artifact import model_files

import torch

from pipeline.artifact import tensors
from pipeline.artifact.architecture import Architecture, build_architecture
from pipeline.artifact.model_files import ARCHITECTURE_FILE, PARAMETERS_FILE, ModelError
from pipeline.data.examples import Images, Table

SECONDS = 60
KINDS = ("architecture", "parameters", "header", "both")
SMALL = 2**20  # numbers of a model that is made to fit
TABLE = {"kind": "table", "numbers": ["a", "b"], "flagged": ["b"], "categories": ["c"], "levels": [["x", "y"]]}
INPUTS = [{"kind": "pictures", "size": 8}, TABLE]
HEADS = [
    {"kind": "softmax", "classes": ["a", "b", "c"]},
    {"kind": "sigmoid", "classes": ["a", "b"]},
    {"kind": "sigmoids", "labels": ["a", "b"]},
    {"kind": "number", "output": "relu", "loss_kind": "l1", "unit": "USD"},
    {"kind": "bands", "edges": [1.0, 2.0], "unit": "years"},
]


def seeds() -> list[tuple[bytes, bytes]]:
    """A good pair for each kind of inputs and head."""
    found = []
    for inputs in INPUTS:
        for head in HEADS:
            plain = {"format": 1, "task": "t", "inputs": inputs, "head": head, "parameters": 1}
            plain |= {"model": {"hidden": [2], "activation": "relu", "dropout": 0.5}}
            built = model_files.ARCHITECTURE_ADAPTER.validate_python(plain)
            found.append(fitted(build_architecture("t", built.inputs, built.model, built.head)))
    return found


def fitted(architecture: Architecture) -> tuple[bytes, bytes]:
    """The two files of an architecture, all numbers 1."""
    numbers = {name: torch.ones(shape) for name, shape in architecture.tensor_shapes().items()}
    packed = tensors.pack(numbers, architecture.sha256())
    return replace(architecture, parameters_sha256=hashlib.sha256(packed).hexdigest()).to_json().encode(), packed


class Fuzzer:
    """Lays the files in a folder and reads them, until the time is up; counts what was taken, by what was fuzzed."""

    def __init__(self, folder: Path, seconds: int) -> None:
        self.folder = folder
        self.end = time.monotonic() + seconds
        self.good = seeds()
        self.taken = [0] * len(KINDS)
        self.done = [0] * len(KINDS)

    def __call__(self, drawn: bytes) -> None:
        """One try; raises what is a finding."""
        if time.monotonic() > self.end:
            self._finish()
        if not drawn:
            return
        kind = drawn[0] % len(KINDS)
        which = drawn[0] // len(KINDS) % len(self.good)
        self.done[kind] += 1
        with suppress(ModelError):
            self._read(*self._pair(kind, drawn[1:], *self.good[which]))
            self.taken[kind] += 1

    def _finish(self) -> None:
        """Says how many of the tries got as far as answering. The fuzzer itself would end without a word of ours."""
        for kind, done, taken in zip(KINDS, self.done, self.taken, strict=True):
            print(f"{kind}: {done:,} tried, {taken:,} taken and answered", flush=True)
        print(f"{sum(self.done):,} tried, no finding", flush=True)
        shutil.rmtree(self.folder)
        os._exit(0)

    def _pair(self, kind: int, drawn: bytes, architecture: bytes, packed: bytes) -> tuple[bytes, bytes]:
        if KINDS[kind] == "architecture":
            return drawn, packed
        if KINDS[kind] in ("parameters", "header"):
            numbers = packed[8 + int.from_bytes(packed[:8], "little") :]
            file = drawn if KINDS[kind] == "parameters" else len(drawn).to_bytes(8, "little") + drawn + numbers
            bound = json.loads(architecture) | {"parameters_sha256": hashlib.sha256(file).hexdigest()}
            return json.dumps(bound).encode(), file
        try:
            parsed = model_files.ARCHITECTURE_ADAPTER.validate_json(drawn)
        except ValueError:
            return drawn, packed
        return fitted(parsed) if tensors.count_tensor_bytes(parsed.tensor_shapes()) <= SMALL else (drawn, packed)

    def _read(self, architecture: bytes, packed: bytes) -> None:
        """What is taken must also answer."""
        (self.folder / ARCHITECTURE_FILE).write_bytes(architecture)
        (self.folder / PARAMETERS_FILE).write_bytes(packed)
        trained = model_files.load_trained_model(self.folder)
        for row in trained.predict(_one(trained.architecture)):
            trained.architecture.head.format_prediction(row)


def _one(architecture: Architecture) -> Images | Table:
    """One picture or row to answer for."""
    inputs = architecture.inputs
    if inputs.kind == "pictures":
        return Images(torch.zeros(1, 3, inputs.size, inputs.size, dtype=torch.uint8).numpy())
    numbers = torch.zeros(1, len(inputs.numbers)).numpy()
    codes = torch.zeros(1, len(inputs.categories)).long().numpy()
    return Table(numbers, inputs.numbers, codes, inputs.categories, tuple(("x",) for _ in inputs.categories))


def main(words: list[str]) -> None:
    """Fuzzes for so many seconds, and prints how much was tried and taken."""
    key, _, value = (words or [f"seconds={SECONDS}"])[0].partition("=")
    if len(words) > 1 or key != "seconds" or not value.isdecimal() or not int(value):
        sys.exit(f'seconds: a whole number, such as ARGS="seconds=600"; got {" ".join(words)}')
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    fuzzer = Fuzzer(folder, int(value))
    corpus = folder / "corpus"
    corpus.mkdir()
    for which, pair in enumerate(fuzzer.good):
        header = pair[1][8 : 8 + int.from_bytes(pair[1][:8], "little")]
        for kind, part in enumerate((*pair, header, pair[0])):
            (corpus / f"{which}-{kind}").write_bytes(bytes([len(KINDS) * which + kind]) + part)
    options = ["-max_len=8192", "-timeout=5", "-rss_limit_mb=4096", "-reduce_inputs=0", "-entropic=0", "-len_control=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], fuzzer)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
