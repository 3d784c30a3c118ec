"""SavedModels and checkpoints written by hand, byte for byte, so that what no library would write can be written.

Field numbers are those of tensorflow/core/protobuf (saved_model, meta_graph, saved_object_graph, trackable_object_graph,
tensor_bundle) and tensorflow/core/framework (graph, node_def, attr_value, function, op_def, tensor_shape, tensor).
"""

from __future__ import annotations

from functools import cache

FLOAT, DOUBLE, INT32, STRING, INT64, RESOURCE, HALF = 1, 2, 3, 7, 9, 20, 19
"""Element types of tensorflow/core/framework/types.proto."""
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
TABLE_MAGIC = 0xDB4775248B80FB57


# --- checksums -------------------------------------------------------------------------------------------------------------------


@cache
def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


def crc32c(data: bytes) -> int:
    """CRC-32C, byte by byte."""
    crc, table = 0xFFFFFFFF, _crc_table()
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """As leveldb stores it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
