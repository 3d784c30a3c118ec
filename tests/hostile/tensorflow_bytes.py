"""SavedModels and checkpoints written by hand, byte for byte, so that what no library would write can be written.

Field numbers are those of tensorflow/core/protobuf (saved_model, meta_graph, saved_object_graph, trackable_object_graph,
tensor_bundle) and tensorflow/core/framework (graph, node_def, attr_value, function, op_def, tensor_shape, tensor).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from modelscan.formats.tensorflow.definitions import definition
from tests.hostile.exhibit import field, varint

FLOAT, INT32, STRING, INT64, BOOL, RESOURCE = 1, 3, 7, 9, 10, 20
"""Element types of tensorflow/core/framework/types.proto."""
NUMPY = {FLOAT: "<f4", INT32: "<i4", INT64: "<i8"}
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
TABLE_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)


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


# --- the program -----------------------------------------------------------------------------------------------------------------


def mapping(number: int, entries: Mapping[str, bytes]) -> bytes:
    """A map field with messages for values."""
    return b"".join(field(number, field(1, key) + field(2, value)) for key, value in entries.items())


def shape_of(dims: Sequence[int]) -> bytes:
    """A TensorShapeProto."""
    return b"".join(field(2, field(1, one)) for one in dims)


def kind(number: int) -> bytes:
    """An attribute that is an element type."""
    return field(6, number)


def text(value: str) -> bytes:
    """An attribute that is a string."""
    return field(2, value)


def call(function: str) -> bytes:
    """An attribute that names a function."""
    return field(10, field(1, function))


def constant(value: str | Sequence[str]) -> bytes:
    """An attribute that is a tensor of strings: a scalar or a list."""
    if isinstance(value, str):
        return field(8, field(1, STRING) + field(2, b"") + field(8, value))
    return field(8, field(1, STRING) + field(2, shape_of([len(value)])) + b"".join(field(8, one) for one in value))


def kinds(*numbers: int) -> bytes:
    """An attribute that is a list of element types."""
    return field(1, field(6, bytes(numbers)))


def node(name: str, op: str, *inputs: str, **attributes: bytes) -> bytes:
    """A NodeDef with what else its operation asks for; of an attribute's name, an underscore at the end is no part."""
    given = {key.rstrip("_"): value for key, value in attributes.items()}
    known = definition(op)
    if known is not None:
        values = sum(not one.startswith("^") for one in inputs)
        several = {one.number or one.types: bool(one.number) for one in known.inputs if one.number or one.types}
        left = max(0, values - sum(not one.number and not one.types for one in known.inputs))
        lists = {one.types for one in known.outputs if one.types}
        for needed in known.required:
            if several.get(needed):
                given.setdefault(needed, field(3, left))
            elif needed in several:
                given.setdefault(needed, kinds(*[FLOAT] * left))
            else:
                given.setdefault(needed, kinds() if needed in lists else kind(FLOAT))
    return bare_node(name, op, *inputs, **given)


def bare_node(name: str, op: str, *inputs: str, **given: bytes) -> bytes:
    """A NodeDef with these attributes and no others."""
    return field(1, name) + field(2, op) + b"".join(field(3, one) for one in inputs) + mapping(5, given)


def text_node(name: str, value: str | Sequence[str]) -> bytes:
    """A Const that holds a text, or a list of them."""
    return node(name, "Const", dtype=kind(STRING), value=constant(value))


def function(name: str, inputs: Mapping[str, int], outputs: Mapping[str, int], nodes: Iterable[bytes], returns: Mapping[str, str]) -> bytes:
    """A FunctionDef."""
    arguments = b"".join(field(2, field(1, key) + field(3, value)) for key, value in inputs.items())
    results = b"".join(field(3, field(1, key) + field(3, value)) for key, value in outputs.items())
    back = b"".join(field(4, field(1, key) + field(2, value)) for key, value in returns.items())
    return field(1, field(1, name) + arguments + results) + b"".join(field(3, one) for one in nodes) + back


def tensor_info(name: str, dtype: int, dims: Sequence[int]) -> bytes:
    """A TensorInfo of a signature."""
    return field(1, name) + field(2, dtype) + field(3, shape_of(dims))


def spec(name: str, dims: Sequence[int]) -> bytes:
    """A StructuredValue that is the TensorSpec of floats."""
    return field(33, field(1, name) + field(2, shape_of(dims)) + field(3, FLOAT))


def child(number: int, name: str) -> bytes:
    """An edge of the object graph."""
    return field(1, field(1, number) + field(2, name))


# --- the checkpoint --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One tensor of a checkpoint: what the index says of it, and its bytes."""

    dtype: int
    shape: tuple[int, ...]
    data: bytes
    crc: int | None = None
    """Masked; that of the data when None."""
    offset: int | None = None
    """Where the index says that it lies; where it does when None."""
    size: int | None = None
    shard: int = 0
    slices: tuple[bytes, ...] = ()
    """TensorSliceProtos of a partitioned variable."""


def numbers(array: np.ndarray) -> Entry:
    """An entry of float32 values."""
    return Entry(FLOAT, array.shape, array.astype("<f4").tobytes())


def words(*values: bytes) -> Entry:
    """An entry of strings: lengths, their checksum, the bytes; the entry's checksum runs over lengths of four bytes."""
    lengths = b"".join(struct.pack("<I", len(one)) for one in values)
    sealed = struct.pack("<I", masked_crc(lengths))
    shape = () if len(values) == 1 else (len(values),)
    data = b"".join(varint(len(one)) for one in values) + sealed + b"".join(values)
    return Entry(STRING, shape, data, masked_crc(lengths + sealed + b"".join(values)))


def trackable(objects: Sequence[tuple[Mapping[str, int], str | None]]) -> bytes:
    """A TrackableObjectGraph: children by name, and the key of the object's value, if it has one."""
    out = b""
    for children, key in objects:
        edges = b"".join(child(number, name) for name, number in children.items())
        value = b"" if key is None else field(2, field(1, "VARIABLE_VALUE") + field(2, key.removesuffix(VALUE)) + field(3, key))
        out += field(1, edges + value)
    return out


def block(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A block of a table with its trailer: no shared prefixes, one restart point, not compressed."""
    data = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries)
    data += struct.pack("<II", 0, 1) + b"\x00"
    return data + struct.pack("<I", masked_crc(data))


def table(entries: Mapping[str, bytes] | Mapping[bytes, bytes]) -> bytes:
    """A whole table of one data block; names are text, the keys of a variable's parts are bytes."""
    rows = sorted((key.encode() if isinstance(key, str) else key, value) for key, value in entries.items())
    data, meta = block(rows), block([])
    index = block([(rows[-1][0] + b"\xff", varint(0) + varint(len(data) - 5))])
    handles = varint(len(data)) + varint(len(meta) - 5) + varint(len(data) + len(meta)) + varint(len(index) - 5)
    return data + meta + index + handles.ljust(40, b"\x00") + TABLE_MAGIC


def checkpoint(prefix: Path, entries: Mapping[str, Entry], shards: int = 1, header: bytes | None = None) -> Path:
    """Writes `PREFIX.index` and the shards; the path of the index."""
    index = {"": field(1, shards) + field(3, field(1, 1)) if header is None else header}
    data = [b""] * max(shards, 1)
    for key in sorted(entries):
        one = entries[key]
        at = len(data[one.shard]) if one.offset is None else one.offset
        dims = b"".join(field(2, field(1, size)) for size in one.shape)
        numbers_ = [(3, one.shard), (4, at), (5, len(one.data) if one.size is None else one.size)]
        crc = masked_crc(one.data) if one.crc is None else one.crc
        index[key] = field(1, one.dtype) + field(2, dims) + b"".join(field(number, value) for number, value in numbers_ if value)
        index[key] += b"\x35" + struct.pack("<I", crc) + b"".join(field(7, part) for part in one.slices)
        if one.offset is None:
            data[one.shard] += one.data
    prefix.parent.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(data):
        (prefix.parent / f"{prefix.name}.data-{number:05}-of-{len(data):05}").write_bytes(part)
    path = prefix.parent / f"{prefix.name}.index"
    path.write_bytes(table(index))
    return path


# --- the model that the exhibits are edits of ------------------------------------------------------------------------------------


KERNEL = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
BIAS = np.linspace(0, 1, 3, dtype=np.float32)
WRAPPER = "__inference_signature_wrapper_17"


@dataclass(frozen=True)
class SavedModel:
    """x[?,4] → MatMul(kernel[4,3]) → BiasAdd(bias[3]) → y, as TensorFlow 2 saves a module of two variables."""

    entries: Mapping[str, Entry] | None = None
    """Of the checkpoint; those of the model when None."""
    body: tuple[bytes, ...] = ()
    """Further nodes of the signature's function."""
    library: tuple[bytes, ...] = ()
    """Further functions."""
    nodes: tuple[bytes, ...] = ()
    """Further nodes of the graph outside of functions."""
    kernel_shape: tuple[int, ...] = (4, 3)
    kernel_type: int = FLOAT
    assets: tuple[str, ...] = ()
    keras_metadata: str | None = None

    def with_entries(self, **changed: Entry | None) -> SavedModel:
        """Other values of `kernel` and `bias`, None to leave one out."""
        found = {f"{key}{VALUE}": value for key, value in {"kernel": numbers(KERNEL), "bias": numbers(BIAS), **changed}.items()}
        return replace(self, entries={key: value for key, value in found.items() if value is not None} | {OBJECT_GRAPH: self.objects()})

    def objects(self) -> Entry:
        """The object graph as the checkpoint stores it."""
        root = {"kernel": 1, "bias": 2, "signatures": 3}
        return words(trackable([(root, None), ({}, f"kernel{VALUE}"), ({}, f"bias{VALUE}"), ({}, None)]))

    def wrapper(self) -> bytes:
        """The signature's function."""
        body = (
            node("read_kernel", "ReadVariableOp", "kernel", dtype=kind(self.kernel_type)),
            node("matmul", "MatMul", "x", "read_kernel:value:0", T=kind(FLOAT)),
            node("read_bias", "ReadVariableOp", "bias", dtype=kind(FLOAT)),
            node("add", "BiasAdd", "matmul:product:0", "read_bias:value:0", T=kind(FLOAT)),
            node("identity", "Identity", "add:output:0", T=kind(FLOAT)),
            *self.body,
        )
        inputs = {"x": FLOAT, "kernel": RESOURCE, "bias": RESOURCE}
        return function(WRAPPER, inputs, {"identity_1": FLOAT}, body, {"identity_1": "identity:output:0"})

    def graph(self) -> bytes:
        """The GraphDef."""
        variables = [
            node(name, "VarHandleOp", dtype=kind(dtype), shape=field(7, shape_of(shape)), shared_name=text(name))
            for name, dtype, shape in (("kernel", self.kernel_type, self.kernel_shape), ("bias", FLOAT, (3,)))
        ]
        main = (
            *variables,
            node("serving_default_x", "Placeholder", dtype=kind(FLOAT), shape=field(7, shape_of((-1, 4)))),
            node(
                "StatefulPartitionedCall",
                "StatefulPartitionedCall",
                "serving_default_x",
                "kernel",
                "bias",
                f=call(WRAPPER),
                Tout=kinds(FLOAT),
            ),
            *self.nodes,
        )
        library = b"".join(field(1, one) for one in (self.wrapper(), *self.library))
        return b"".join(field(1, one) for one in main) + field(2, library) + field(4, field(1, 1482))

    def program(self) -> bytes:
        """`saved_model.pb`."""
        signature = (
            mapping(1, {"x": tensor_info("serving_default_x:0", FLOAT, (-1, 4))})
            + mapping(2, {"y": tensor_info("StatefulPartitionedCall:0", FLOAT, (-1, 3))})
            + field(3, "tensorflow/serving/predict")
        )
        user = field(4, field(1, "_generic_user_object") + field(2, field(1, 1)))
        variables = [
            field(7, field(1, dtype) + field(2, shape_of(shape)) + field(3, 1) + field(6, f"dense/{name}"))
            for name, dtype, shape in (("kernel", self.kernel_type, self.kernel_shape), ("bias", FLOAT, (3,)))
        ]
        signatures = child(4, "serving_default") + field(4, field(1, "signature_map") + field(2, field(1, 1)))
        bare = field(8, field(1, WRAPPER) + field(2, "x"))
        objects = [child(1, "kernel") + child(2, "bias") + child(3, "signatures") + user, *variables, signatures, bare]
        given = field(52, field(1, field(52, b"")) + field(1, field(53, mapping(1, {"x": spec("x", (-1, 4))}))))
        back = field(53, mapping(1, {"y": spec("y", (-1, 3))}))
        bound = mapping(2, {WRAPPER: field(2, bytes((1, 2))) + field(3, given) + field(4, back)})
        assets = b"".join(field(6, field(1, field(1, f"asset_{at}:0")) + field(2, name)) for at, name in enumerate(self.assets))
        meta = field(4, "serve") + field(5, "2.15.0")
        graph_of_objects = b"".join(field(1, one) for one in objects) + bound
        whole = field(1, meta) + field(2, self.graph()) + mapping(5, {"serving_default": signature}) + assets + field(7, graph_of_objects)
        return field(1, 1) + field(2, whole)

    def write(self, folder: Path) -> Path:
        """The folder of the model."""
        root = folder / "saved_model"
        root.mkdir()
        (root / "saved_model.pb").write_bytes(self.program())
        entries = self.entries if self.entries is not None else (self.with_entries().entries or {})
        checkpoint(root / "variables" / "variables", entries)
        if self.keras_metadata is not None:
            head = field(2, 0) + field(3, "root") + field(4, "_tf_keras_sequential")
            (root / "keras_metadata.pb").write_bytes(field(1, head + field(5, self.keras_metadata)))
        return root
