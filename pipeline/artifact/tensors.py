"""The tensors of a model as one safetensors file, bound to the architecture that they belong to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pipeline.runtime.untrusted import MAX_JSON_KEYS, UntrustedFileError, ascii_repr, parse_json_strict

ARCHITECTURE_HASH_KEY, METADATA_KEY = "architecture_sha256", "__metadata__"
BASE_HEADER_BYTES, HEADER_BYTES_PER_TENSOR = (
    2**16,
    2**8,
)  # bytes that a header may always have; and for each tensor, where they are more
LENGTH_PREFIX_BYTES = 8  # bytes, before the header
TensorShapes = Mapping[str, tuple[int, ...]]


def pack(tensors: Mapping[str, Tensor], architecture_sha256: str) -> bytes:
    """The file's bytes."""
    return save(
        {name: value.contiguous() for name, value in tensors.items()}, {ARCHITECTURE_HASH_KEY: architecture_sha256}
    )


def count_tensor_bytes(shapes: TensorShapes) -> int:
    """How many bytes the numbers of these tensors have."""
    return 4 * sum(map(math.prod, shapes.values()))


def max_header_bytes(shapes: TensorShapes) -> int:
    """How many bytes a header of these tensors may have."""
    return max(BASE_HEADER_BYTES, HEADER_BYTES_PER_TENSOR * len(shapes))


def unpack(content: bytes, shapes: TensorShapes, architecture_sha256: str) -> dict[str, Tensor]:
    """The tensors of exactly these names and shapes, float32 and finite.

    Raises RefusedError for anything else, and for those of another architecture.
    """
    header = _parse_header(content, shapes)
    if header.get(METADATA_KEY) != {ARCHITECTURE_HASH_KEY: architecture_sha256}:
        raise UntrustedFileError("was trained with another architecture than the one beside it")
    names = header.keys() - {METADATA_KEY}
    if unexpected_names := sorted(names ^ shapes.keys()):
        listed = ", ".join(
            f"{ascii_repr(name)} {'too much' if name in names else 'missing'}" for name in unexpected_names[:3]
        )
        raise UntrustedFileError(f"must have the tensors of the architecture beside it and no others; got {listed}")
    for name, shape in shapes.items():
        _check_tensor_entry(name, header[name], shape)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise UntrustedFileError(f"is no safetensors file ({ascii_repr(error)})") from None
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UntrustedFileError(f"{name}: must be finite; got a number that is not")
    return tensors


def _parse_header(content: bytes, shapes: TensorShapes) -> dict[str, Any]:
    """The names and places of the tensors: JSON between its length and so many bytes of numbers."""
    length, max_length, tensor_bytes = (
        int.from_bytes(content[:LENGTH_PREFIX_BYTES], "little"),
        max_header_bytes(shapes),
        count_tensor_bytes(shapes),
    )
    if length > max_length or LENGTH_PREFIX_BYTES + length + tensor_bytes != len(content):
        rule = f"must be a safetensors file: a header of at most {max_length:,} bytes, then {tensor_bytes:,} of numbers"
        raise UntrustedFileError(f"{rule}; got one that says {length:,} in a file of {len(content):,}")
    header = parse_json_strict(
        content[LENGTH_PREFIX_BYTES : LENGTH_PREFIX_BYTES + length], max(MAX_JSON_KEYS, len(shapes) + 1)
    )
    if not isinstance(header, dict):
        raise UntrustedFileError(f"must have a header with the tensors' names; got {ascii_repr(header)}")
    return header


def _check_tensor_entry(name: str, entry: object, shape: tuple[int, ...]) -> None:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise UntrustedFileError(f"{name}: must have dtype, shape and data_offsets alone; got {ascii_repr(entry)}")
    if entry["dtype"] != "F32" or entry["shape"] != list(shape):
        description = f"{ascii_repr(entry['dtype'])} {ascii_repr(str(entry['shape']))}"
        raise UntrustedFileError(f"{name}: must be F32 {list(shape)}; got {description}")
