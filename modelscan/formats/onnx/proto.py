"""The part of `onnx.proto` that is read: field numbers by message, and element types by their code.

Source: onnx/onnx.proto of onnx 1.23 (IR version 14); field numbers never change their meaning.
"""

from __future__ import annotations

from modelscan import dtypes

MODEL_IR_VERSION, MODEL_PRODUCER, MODEL_PRODUCER_VERSION, MODEL_DOMAIN, MODEL_VERSION, MODEL_DOC, MODEL_GRAPH, MODEL_OPSETS = range(1, 9)
MODEL_METADATA, MODEL_TRAINING, MODEL_FUNCTIONS, MODEL_CONFIGURATION = 14, 20, 25, 26

GRAPH_NODE, GRAPH_NAME, GRAPH_INITIALIZER, GRAPH_DOC = 1, 2, 5, 10
GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO, GRAPH_QUANTIZATION, GRAPH_SPARSE, GRAPH_METADATA = range(11, 17)

NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OP, NODE_ATTRIBUTE, NODE_DOC, NODE_DOMAIN, NODE_OVERLOAD, NODE_METADATA = range(1, 10)

FUNCTION_NAME, FUNCTION_INPUT, FUNCTION_OUTPUT, FUNCTION_ATTRIBUTE, FUNCTION_NODE, FUNCTION_DOC = 1, 4, 5, 6, 7, 8
FUNCTION_OPSETS, FUNCTION_DOMAIN, FUNCTION_DEFAULT, FUNCTION_VALUE_INFO, FUNCTION_OVERLOAD, FUNCTION_METADATA = 9, 10, 11, 12, 13, 14

ATTRIBUTE_NAME, ATTRIBUTE_F, ATTRIBUTE_I, ATTRIBUTE_S, ATTRIBUTE_T, ATTRIBUTE_G = range(1, 7)
ATTRIBUTE_FLOATS, ATTRIBUTE_INTS, ATTRIBUTE_STRINGS, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = range(7, 12)
ATTRIBUTE_TP, ATTRIBUTE_TPS, ATTRIBUTE_TYPE, ATTRIBUTE_REFERENCE, ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES = 14, 15, 20, 21, 22, 23

ATTRIBUTE_FIELDS: dict[int, int] = {
    1: ATTRIBUTE_F,
    2: ATTRIBUTE_I,
    3: ATTRIBUTE_S,
    4: ATTRIBUTE_T,
    5: ATTRIBUTE_G,
    6: ATTRIBUTE_FLOATS,
    7: ATTRIBUTE_INTS,
    8: ATTRIBUTE_STRINGS,
    9: ATTRIBUTE_TENSORS,
    10: ATTRIBUTE_GRAPHS,
    11: ATTRIBUTE_SPARSE,
    12: ATTRIBUTE_SPARSES,
    13: ATTRIBUTE_TP,
    14: ATTRIBUTE_TPS,
}
"""Which field holds the value, by `AttributeProto.type`."""

TENSOR_DIMS, TENSOR_TYPE, TENSOR_SEGMENT = 1, 2, 3
TENSOR_FLOATS, TENSOR_INT32S, TENSOR_STRINGS, TENSOR_INT64S, TENSOR_NAME, TENSOR_RAW, TENSOR_DOUBLES, TENSOR_UINT64S = range(4, 12)
TENSOR_EXTERNAL, TENSOR_LOCATION, TENSOR_METADATA = 13, 14, 16

TYPED_FIELDS: dict[int, str] = {
    TENSOR_FLOATS: "float_data",
    TENSOR_INT32S: "int32_data",
    TENSOR_STRINGS: "string_data",
    TENSOR_INT64S: "int64_data",
    TENSOR_DOUBLES: "double_data",
    TENSOR_UINT64S: "uint64_data",
}

DTYPES: dict[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4_e2m1fn",
    24: "float8_e8m0fnu",
    25: "uint2",
    26: "int2",
    27: "float6_e2m3fn",
    28: "float6_e3m2fn",
}
CODES = {name: code for code, name in DTYPES.items()}

_OWN_FIELD = {
    "float32": TENSOR_FLOATS,
    "complex64": TENSOR_FLOATS,
    "float64": TENSOR_DOUBLES,
    "complex128": TENSOR_DOUBLES,
    "int64": TENSOR_INT64S,
    "uint32": TENSOR_UINT64S,
    "uint64": TENSOR_UINT64S,
    "string": TENSOR_STRINGS,
}


def typed_field(dtype: str) -> int:
    """The typed field that may hold a tensor's elements; all types without one of their own share `int32_data`."""
    return _OWN_FIELD.get(dtype, TENSOR_INT32S)


def typed_entries(dtype: str, elements: int) -> int:
    """How many entries of its typed field `elements` elements take: complex numbers two each, 4-bit ones share a byte."""
    if dtype.startswith("complex"):
        return 2 * elements
    bits = dtypes.BITS.get(dtype)
    if bits in (2, 4):
        return (elements * bits + 7) // 8
    return elements
