"""The tensors of a model as one safetensors file, bound to the architecture that they belong to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pipeline.runtime.untrusted import MOST_KEYS, RefusedError, parsed, shown

BOUND_TO, METADATA = "architecture_sha256", "__metadata__"
LEAST_HEADER, A_TENSOR = 2**16, 2**8  # bytes that a header may always have; and for each tensor, where they are more
LENGTH = 8  # bytes, before the header
Shapes = Mapping[str, tuple[int, ...]]


def pack(tensors: Mapping[str, Tensor], architecture_sha256: str) -> bytes:
    """The file's bytes."""
    return save({name: value.contiguous() for name, value in tensors.items()}, {BOUND_TO: architecture_sha256})


def size(shapes: Shapes) -> int:
    """How many bytes the numbers of these tensors have."""
    return 4 * sum(map(math.prod, shapes.values()))


def most_header(shapes: Shapes) -> int:
    """How many bytes a header of these tensors may have."""
    return max(LEAST_HEADER, A_TENSOR * len(shapes))


def unpack(content: bytes, shapes: Shapes, architecture_sha256: str) -> dict[str, Tensor]:
    """The tensors of exactly these names and shapes, float32 and finite.

    Raises RefusedError for anything else, and for those of another architecture.
    """
    header = _header(content, shapes)
    if header.get(METADATA) != {BOUND_TO: architecture_sha256}:
        raise RefusedError("was trained with another architecture than the one beside it")
    names = header.keys() - {METADATA}
    if odd := sorted(names ^ shapes.keys()):
        listed = ", ".join(f"{shown(name)} {'too much' if name in names else 'missing'}" for name in odd[:3])
        raise RefusedError(f"must have the tensors of the architecture beside it and no others; got {listed}")
    for name, shape in shapes.items():
        _check(name, header[name], shape)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise RefusedError(f"is no safetensors file ({shown(error)})") from None
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise RefusedError(f"{name}: must be finite; got a number that is not")
    return tensors


def _header(content: bytes, shapes: Shapes) -> dict[str, Any]:
    """The names and places of the tensors: JSON between its length and so many bytes of numbers."""
    length, most, numbers = int.from_bytes(content[:LENGTH], "little"), most_header(shapes), size(shapes)
    if length > most or LENGTH + length + numbers != len(content):
        rule = f"must be a safetensors file: a header of at most {most:,} bytes, then {numbers:,} of numbers"
        raise RefusedError(f"{rule}; got one that says {length:,} in a file of {len(content):,}")
    header = parsed(content[LENGTH : LENGTH + length], max(MOST_KEYS, len(shapes) + 1))
    if not isinstance(header, dict):
        raise RefusedError(f"must have a header with the tensors' names; got {shown(header)}")
    return header


def _check(name: str, entry: object, shape: tuple[int, ...]) -> None:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise RefusedError(f"{name}: must have dtype, shape and data_offsets alone; got {shown(entry)}")
    if entry["dtype"] != "F32" or entry["shape"] != list(shape):
        found = f"{shown(entry['dtype'])} {shown(str(entry['shape']))}"
        raise RefusedError(f"{name}: must be F32 {list(shape)}; got {found}")
