"""The tensors of a model as one safetensors file, bound to its architecture by hash."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pipeline.runtime.untrusted import MAX_JSON_KEYS, UntrustedFileError, ascii_repr, parse_json_strict

ARCHITECTURE_HASH_KEY = "architecture_sha256"
METADATA_KEY = "__metadata__"
MIN_HEADER_LIMIT_BYTES = 2**16
HEADER_BYTES_PER_TENSOR = 2**8  # a long name, dtype, shape and offsets
LENGTH_PREFIX_BYTES = 8  # safetensors: the header's length as little-endian uint64
TensorShapes = Mapping[str, tuple[int, ...]]


def pack(tensors: Mapping[str, Tensor], architecture_sha256: str) -> bytes:
    """Serialize float32 tensors to the bytes of a safetensors file."""
    metadata = {ARCHITECTURE_HASH_KEY: architecture_sha256}
    return save({name: value.contiguous() for name, value in tensors.items()}, metadata)


def count_tensor_bytes(shapes: TensorShapes) -> int:
    """Return the size of float32 tensors of these shapes, in bytes."""
    return 4 * sum(map(math.prod, shapes.values()))


def max_header_bytes(shapes: TensorShapes) -> int:
    """Return the largest size accepted for the header of these tensors, in bytes."""
    return max(MIN_HEADER_LIMIT_BYTES, HEADER_BYTES_PER_TENSOR * len(shapes))


def unpack(content: bytes, shapes: TensorShapes, architecture_sha256: str) -> dict[str, Tensor]:
    """Parse a safetensors file whose tensors have exactly these names and shapes, float32 and finite.

    Raises UntrustedFileError for anything else, and for the tensors of another architecture.
    """
    header = _parse_header(content, shapes)
    if header.get(METADATA_KEY) != {ARCHITECTURE_HASH_KEY: architecture_sha256}:
        raise UntrustedFileError("was trained with another architecture than the one beside it")
    names = header.keys() - {METADATA_KEY}
    if wrong := sorted(names ^ shapes.keys())[:3]:
        listed = ", ".join(f"{ascii_repr(name)} {'unexpected' if name in names else 'missing'}" for name in wrong)
        raise UntrustedFileError(f"must have the tensors of the architecture beside it and no others; got {listed}")
    for name, shape in shapes.items():
        _check_tensor_entry(name, header[name], shape)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise UntrustedFileError(f"is not a safetensors file ({ascii_repr(error)})") from None
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UntrustedFileError(f"{name}: must be finite; got NaN or infinity")
    return tensors


def _parse_header(content: bytes, shapes: TensorShapes) -> dict[str, Any]:
    """Parse the header: JSON between its length and the bytes of the tensors."""
    length = int.from_bytes(content[:LENGTH_PREFIX_BYTES], "little")
    header_end = LENGTH_PREFIX_BYTES + length
    max_length = max_header_bytes(shapes)
    tensor_bytes = count_tensor_bytes(shapes)
    if length > max_length or header_end + tensor_bytes != len(content):
        rule = f"must be a safetensors file: a header of at most {max_length:,} bytes, then {tensor_bytes:,} of tensors"
        raise UntrustedFileError(f"{rule}; got a header of {length:,} in a file of {len(content):,}")
    header = parse_json_strict(content[LENGTH_PREFIX_BYTES:header_end], max(MAX_JSON_KEYS, len(shapes) + 1))
    if not isinstance(header, dict):
        raise UntrustedFileError(f"must have a header that lists the tensors; got {ascii_repr(header)}")
    return header


def _check_tensor_entry(name: str, entry: object, shape: tuple[int, ...]) -> None:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise UntrustedFileError(f"{name}: must have dtype, shape and data_offsets only; got {ascii_repr(entry)}")
    if entry["dtype"] != "F32" or entry["shape"] != list(shape):
        got = f"{ascii_repr(entry['dtype'])} {ascii_repr(str(entry['shape']))}"
        raise UntrustedFileError(f"{name}: must be F32 {list(shape)}; got {got}")
