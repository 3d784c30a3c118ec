"""Weights in NumPy's npz container: headers only, object arrays (pickles) never opened.

Source: `numpy.lib.format`, format versions 1.0 to 3.0.
"""

from __future__ import annotations

import ast
import re

from modelscan import dtypes
from modelscan.errors import UnreadableFile
from modelscan.formats.keras.store import Store
from modelscan.formats.keras.zipped import Archive
from modelscan.limits import Limits
from modelscan.model import Kind, Observation, StoredTensor
from modelscan.source import Source

_MAGIC = b"\x93NUMPY"
_HEADER_LIMIT = 64 * 1024
_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex"}


def npz_store(source: Source, start: int | None, member: str, limits: Limits, seen: list[Observation]) -> Store:
    """The arrays of an npz file as a weights tree."""
    inner = Archive(source, limits, seen)
    store = Store(start or 0, source.size, member)
    for name in inner.members:
        path = name.removesuffix(".npy")
        try:
            data, at = inner.open(name)
            tensor = _array(data, path, None if at is None or start is None else start + at)
        except UnreadableFile as error:
            seen.append(Observation(error.kind, f"{path}: {error}", tensor=path, where=f"{member} > {name}"))
            continue
        if tensor.dtype == "object":
            text = f"{path} is an array of Python objects: a pickle, which runs code when it is loaded; it was not opened"
            seen.append(Observation("npz-object-array", text, tensor=path, where=f"{member} > {name}"))
        store.tensors[path] = tensor
    return store


def _array(data: Source, path: str, start: int | None) -> StoredTensor:
    head = data.read(0, min(12, data.size))
    if not head.startswith(_MAGIC) or len(head) < 12:
        raise UnreadableFile("malformed-npy", "no NumPy header")
    prefix = 10 if head[6] == 1 else 12
    length = int.from_bytes(head[8:prefix], "little")
    if length > _HEADER_LIMIT:
        raise UnreadableFile("malformed-npy", f"a header of {length:,} bytes")
    text = data.read(prefix, length).decode("latin-1")
    try:
        header = ast.literal_eval(text.strip())
        description, shape, fortran = header["descr"], header["shape"], header["fortran_order"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise UnreadableFile("malformed-npy", "the header cannot be parsed") from error
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise UnreadableFile("malformed-npy", f"the shape {shape!r} is none")
    dtype, native = _dtype(description)
    begin = prefix + length
    return StoredTensor(
        path,
        shape,
        dtype,
        data.size - begin,
        None,
        None if start is None else start + begin,
        Kind.OPTIMIZER if path.startswith("optimizer/") else Kind.STATE if path.startswith("metrics/") else Kind.WEIGHT,
        "raw" if native and not fortran and start is not None else "npy",
    )


def _dtype(description: object) -> tuple[str, bool]:
    found = re.fullmatch(r"([<>|=])([fiucbOSUV])(\d*)", description) if isinstance(description, str) else None
    if found is None:
        return "object", False
    order, kind, size = found.groups()
    if kind == "b":
        return "bool", True
    name = f"{_KINDS[kind]}{8 * int(size)}" if kind in _KINDS and size else "object" if kind == "O" else "string"
    return (name, order in "<|") if name in dtypes.BITS else ("object", False)
