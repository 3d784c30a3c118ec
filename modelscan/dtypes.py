"""Element types by their canonical name, with their width in bits; no dependency on numpy.

Names follow numpy and ml_dtypes (`float32`, `bfloat16`, `float8_e4m3fn`, `int4`). A type whose elements have no fixed
width (strings, objects) has width `None`.
"""

from __future__ import annotations

BITS: dict[str, int | None] = {
    "bool": 8,
    "int2": 2,
    "uint2": 2,
    "int4": 4,
    "uint4": 4,
    "int8": 8,
    "uint8": 8,
    "int16": 16,
    "uint16": 16,
    "int32": 32,
    "uint32": 32,
    "int64": 64,
    "uint64": 64,
    "float4_e2m1fn": 4,
    "float6_e2m3fn": 6,
    "float6_e3m2fn": 6,
    "float8_e3m4": 8,
    "float8_e4m3": 8,
    "float8_e4m3b11fnuz": 8,
    "float8_e4m3fn": 8,
    "float8_e4m3fnuz": 8,
    "float8_e5m2": 8,
    "float8_e5m2fnuz": 8,
    "float8_e8m0fnu": 8,
    "float16": 16,
    "bfloat16": 16,
    "float32": 32,
    "float64": 64,
    "complex64": 64,
    "complex128": 128,
    "string": None,
    "object": None,
}


def nbytes(dtype: str, elements: int) -> int | None:
    """Bytes that `elements` elements of `dtype` take when stored densely, sub-byte types packed; None if not fixed or unknown."""
    bits = BITS.get(dtype)
    return None if bits is None else (elements * bits + 7) // 8


def is_float(dtype: str) -> bool:
    """Whether the type is a real floating-point type of any width."""
    return dtype.startswith(("float", "bfloat"))
