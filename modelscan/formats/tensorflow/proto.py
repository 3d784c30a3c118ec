"""The parts of TensorFlow's messages that are read: field numbers by message, and element types by their code.

Source: tensorflow/core/framework/{types,graph,node_def,function,attr_value,tensor,op_def}.proto and
tensorflow/core/protobuf/{saved_model,meta_graph,saver,saved_object_graph,trackable_object_graph,tensor_bundle}.proto of
TensorFlow 2.21; field numbers never change their meaning.
"""

from __future__ import annotations

DTYPES: dict[int, str] = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    26: "float8_e4m3fnuz",
    27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz",
    29: "int4",
    30: "uint4",
    31: "int2",
    32: "uint2",
}
REFERENCE = 100
"""Added to a type's code for a TF 1 reference to a variable of it."""
WIDTHS: dict[str, int] = {
    "qint8": 1,
    "quint8": 1,
    "qint16": 2,
    "quint16": 2,
    "qint32": 4,
    "int4": 1,
    "uint4": 1,
    "int2": 1,
    "uint2": 1,
}
"""Bytes of an element where they differ from `dtypes.BITS`: TensorFlow stores 4-bit integers one to a byte."""

SAVED_MODEL_SCHEMA, SAVED_MODEL_META_GRAPH = 1, 2
META_INFO, META_GRAPH, META_SAVER, META_COLLECTION, META_SIGNATURE, META_ASSET, META_OBJECTS = range(1, 8)
INFO_TAGS, INFO_VERSION = 4, 5
GRAPH_NODE, GRAPH_LIBRARY, GRAPH_VERSION, GRAPH_VERSIONS = 1, 2, 3, 4
LIBRARY_FUNCTION = 1
FUNCTION_SIGNATURE, FUNCTION_NODE, FUNCTION_RETURN, FUNCTION_ATTRIBUTE, FUNCTION_CONTROL, FUNCTION_ARGUMENTS = 1, 3, 4, 5, 6, 7
OP_NAME, OP_INPUT, OP_OUTPUT = 1, 2, 3
ARGUMENT_NAME, ARGUMENT_TYPE = 1, 3
NODE_NAME, NODE_OP, NODE_INPUT, NODE_DEVICE, NODE_ATTRIBUTE = range(1, 6)
VALUE_LIST, VALUE_S, VALUE_I, VALUE_F, VALUE_B, VALUE_TYPE, VALUE_SHAPE, VALUE_TENSOR, VALUE_PLACEHOLDER, VALUE_FUNC = range(1, 11)
TENSOR_TYPE, TENSOR_SHAPE, TENSOR_VERSION, TENSOR_CONTENT, TENSOR_FLOAT, TENSOR_DOUBLE, TENSOR_INT, TENSOR_STRING = range(1, 9)
TENSOR_COMPLEX64, TENSOR_INT64, TENSOR_BOOL, TENSOR_COMPLEX128, TENSOR_HALF = range(9, 14)
TENSOR_UINT32, TENSOR_UINT64, TENSOR_FLOAT8 = 16, 17, 18
SHAPE_DIM, SHAPE_UNKNOWN_RANK = 2, 3
