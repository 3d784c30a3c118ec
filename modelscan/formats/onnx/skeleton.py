"""The graph without its large payloads as a serialised `ModelProto`, small enough to hand to the onnx package.

What steers shape inference stays in it: attributes, small integer tensors, a few floats. What a file declares about inner values
and outputs stays out, so that what inference says is derived from the inputs and can be held against the declarations.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from modelscan.formats.onnx import hazards, proto
from modelscan.formats.onnx.agreement import Scoped, completes, contradiction
from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.declarations import as_stored
from modelscan.formats.onnx.native import knows
from modelscan.formats.onnx.payload import dense, small
from modelscan.graph import Graph, Node, SparseTensor
from modelscan.model import Shape, StoredTensor, TensorInfo
from modelscan.wire import LENGTH

_VERBATIM = 512
"""Nodes up to this size are copied as they are; larger ones may hold payloads, stack traces or documentation."""
_FLOATS = 24
"""Bytes of a float tensor that are kept: scales of a Resize, limits of a Range."""
_NODE = bytes((proto.GRAPH_NODE << 3 | LENGTH,))
"""The tag before a node."""
_EXTERNAL = bytes((proto.TENSOR_LOCATION << 3, 1))
"""The field that tells that a tensor's elements lie in another file: inference then says so where it needs them."""
_ENTRIES = 4096
"""Entries of a list attribute that are kept; no shape depends on longer ones."""

Bind = Callable[[TensorInfo], TensorInfo]


def varint(value: int) -> bytes:
    """A number in base 128, negative ones as 64 bits."""
    value &= (1 << 64) - 1
    if value < 128:
        return value.to_bytes(1, "little")
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def block(number: int, data: bytes) -> bytes:
    """A field of bytes, a string or a message."""
    if len(data) < 128 and number < 16:
        return bytes((number << 3 | 2, len(data))) + data
    return varint(number << 3 | 2) + varint(len(data)) + data


def number_field(number: int, value: int) -> bytes:
    """A field of an integer."""
    return varint(number << 3) + varint(value)


def text(number: int, value: str) -> bytes:
    """A string field; escapes of bytes that were no UTF-8 stay escapes."""
    return block(number, value.encode("utf-8", "backslashreplace"))


class Skeleton:
    """Serialises one graph of a file."""

    def __init__(
        self, reading: Reading, copied: bool, bind: Bind, bodies: bool = True, raw: Mapping[str, bytes] = MappingProxyType({})
    ) -> None:
        self.reading = reading
        self.copied = copied
        """Whether nodes may be copied from the file: not when they were renamed."""
        self.bind = bind
        self.bodies = bodies
        """False leaves the bodies of control flow out: some make inference fail altogether."""
        self.raw = raw
        """Serialised types of inputs that are no tensors."""
        self.typed: set[str] = set()
        """Values that an earlier run found a type for."""
        self.wanted: set[str] = set()
        """Values whose type would let more nodes be shown."""
        self.hides = False
        """Whether any node had to be hidden."""
        self.foreign: set[tuple[str, str]] = set()
        """Domains and operators that inference knows nothing of, among nodes with labels."""
        self._heads: dict[tuple[tuple[int, ...], str], bytes] = {}

    def model(
        self, graph: Graph, ir_version: int, opsets: Mapping[str, int], found: Scoped | None = None, label: str | None = None
    ) -> bytes:
        """The whole model. Where `found` lacks something that the file declares, the declaration is put in.

        With a `label`, nodes are called by their place (`12`, `12.0.3` in a body), and operators that nobody knows are functions that
        do nothing: after an unknown operator, inference would keep its errors to itself.
        """
        domains = hazards.with_hidden_domain(opsets)
        imports = b"".join(block(8, text(1, domain) + number_field(2, version)) for domain, version in domains.items())
        self.foreign.clear()
        whole = number_field(1, ir_version) + imports + block(7, self.graph(graph, "", found, label))
        return whole + b"".join(block(25, text(1, op) + text(10, domain)) for domain, op in sorted(self.foreign))

    def graph(self, graph: Graph, path: str | None, found: Scoped | None, label: str | None = None) -> bytes:
        """A `GraphProto`; `path` is the scope's, None where declared types of another kind than tensors are not looked up."""
        bodies = found.bodies if found is not None else {}
        hidden, wanted = hazards.hidden(graph, self.typed)
        self.wanted |= wanted
        self.hides = self.hides or bool(hidden)
        if label is None:
            parts = self._nodes(graph, bodies, hidden)
        else:
            parts = [self._labelled(node, index, bodies, index in hidden, f"{label}{index}") for index, node in enumerate(graph.nodes)]
        parts.append(text(2, graph.name or "graph"))
        for name, tensor in graph.initializers.items():
            if name in graph.sparse or tensor.encoding == "unreadable":
                continue
            if tensor.shape and max(tensor.shape) > hazards.LARGEST_DIMENSION:
                parts.append(block(11, self._info(TensorInfo(name, tensor.dtype, tensor.shape), None)))
            else:
                parts.append(block(5, self._tensor(tensor, name)))
        # A sparse initializer is a dense value to those who use it (docs/IR.md, Initializers).
        parts.extend(
            block(5, self._tensor(replace(one.values, shape=one.shape, nbytes=None), name))
            for name, one in graph.sparse.items()
            if name in graph.initializers
        )
        parts.extend(block(11, self._info(self._default(one, graph), path)) for one in graph.inputs)
        hints = set()
        if found is not None:
            hints = {one.name for one in _believed(graph, path is not None) if completes(self.bind(one), found.values.get(one.name))}
        parts.extend(block(12, self._info(one, path) if one.name in hints else text(1, one.name)) for one in graph.outputs)
        parts.extend(block(13, self._info(one, path)) for name, one in graph.declared.items() if name in hints)
        return b"".join(parts)

    def _default(self, info: TensorInfo, graph: Graph) -> TensorInfo:
        """An input; what is stored where its initializer is declared otherwise, which would make inference fail altogether."""
        if info.name not in graph.initializers:
            return info
        stored = as_stored(graph, info.name)
        return info if contradiction(info, stored) is None else stored

    def _nodes(self, graph: Graph, found: Mapping[tuple[int, str], Scoped], hidden: Collection[int]) -> list[bytes]:
        """The nodes; those that may be copied and lie one behind the other in the file are one piece, with the tags in between."""
        parts: list[bytes] = []
        begin = end = -1
        for index, node in enumerate(graph.nodes):
            start, size = node.offset, node.nbytes
            if start is None or size > _VERBATIM or node.graphs or index in hidden or not self.copied:  # as in `_labelled`
                self._copy(begin, end, parts)
                begin = end = -1
                parts.append(self._node(node, index, found, index in hidden))
            elif end >= 0 and start - end == (2 if size < 128 else 3):  # nothing but this node's own tag and length
                end = start + size
            else:
                self._copy(begin, end, parts)
                begin, end = start, start + size
                parts.append(_NODE + varint(size))
        self._copy(begin, end, parts)
        return parts

    def _copy(self, begin: int, end: int, parts: list[bytes]) -> None:
        if end > begin:
            parts.append(self.reading.wire.read(begin, end - begin))

    def _labelled(self, node: Node, index: int, found: Mapping[tuple[int, str], Scoped], hidden: bool, label: str) -> bytes:
        """One node with a name that tells its place; of a field that occurs twice, the last one counts."""
        if hidden or not knows(node.op, node.domain):
            self.foreign.add((hazards.DOMAIN if hidden else node.domain, node.op))
        start, size = node.offset, node.nbytes
        if start is None or size > _VERBATIM or node.graphs or hidden or not self.copied:
            return self._node(node, index, found, hidden, label)
        return block(1, self.reading.wire.read(start, size) + text(3, label))

    def _node(self, node: Node, index: int, found: Mapping[tuple[int, str], Scoped], hidden: bool, label: str | None = None) -> bytes:
        domain = hazards.DOMAIN if hidden else node.domain
        parts = [text(1, name) for name in node.inputs]
        parts.extend(text(2, name) for name in node.outputs)
        parts.append(text(4, node.op))
        if label is not None:
            parts.append(text(3, label))
        if domain:
            parts.append(text(7, domain))
        if node.overload:
            parts.append(text(8, node.overload))
        for name, value in node.attributes.items():
            data = self._value(value)
            if data:
                parts.append(block(5, text(1, name) + data))
        if self.bodies:
            for place, (name, body) in enumerate(node.graphs.items()):
                inner = self.graph(body, None, found.get((index, name)), None if label is None else f"{label}.{place}.")
                parts.append(block(5, text(1, name) + number_field(20, 5) + block(6, inner)))
        return block(1, b"".join(parts))

    def _value(self, value: Any) -> bytes:
        """Type and value of an attribute; nothing for one that is too long or has no plain form."""
        match value:
            case int():
                return number_field(20, 2) + number_field(3, value)
            case float():
                return number_field(20, 1) + varint(2 << 3 | 5) + struct.pack("<f", value)
            case str():
                return number_field(20, 3) + text(4, value)
            case bytes():
                return number_field(20, 3) + block(4, value)
            case StoredTensor():
                return number_field(20, 4) + block(5, self._tensor(value, ""))
            case SparseTensor():
                return number_field(20, 11) + block(22, self._sparse(value, ""))
            case TensorInfo():
                return number_field(20, 13) + block(14, _type(value.dtype, value.shape))
            case tuple() if len(value) <= _ENTRIES:
                return self._list(value)
            case _:
                return b""

    def _list(self, values: tuple[Any, ...]) -> bytes:
        if all(isinstance(one, int) for one in values):
            return number_field(20, 7) + block(8, b"".join(map(varint, values)))
        if all(isinstance(one, float) for one in values):
            return number_field(20, 6) + block(7, struct.pack(f"<{len(values)}f", *values))
        if all(isinstance(one, str | bytes) for one in values):
            return number_field(20, 8) + b"".join(text(9, one) if isinstance(one, str) else block(9, one) for one in values)
        return b""

    def _tensor(self, tensor: StoredTensor, name: str) -> bytes:
        kind = (tensor.shape, tensor.dtype)
        head = self._heads.get(kind)
        if head is None:
            dims = block(1, b"".join(map(varint, tensor.shape)))
            head = self._heads[kind] = dims + number_field(2, proto.CODES.get(tensor.dtype, 0))
        if tensor.nbytes is None or tensor.nbytes > (_FLOATS if "float" in tensor.dtype else self.reading.limits.kept_payload):
            return head + text(8, name)
        if tensor.file is not None:
            return head + text(8, name) + _EXTERNAL
        payload = dense(self.reading.wire, tensor) if small(tensor, self.reading.limits) else None
        return head + text(8, name) + (b"" if payload is None else block(9, payload))

    def _sparse(self, one: SparseTensor, name: str) -> bytes:
        dims = block(3, b"".join(map(varint, one.shape)))
        return block(1, self._tensor(one.values, name)) + block(2, self._tensor(one.indices, "")) + dims

    def _info(self, info: TensorInfo, path: str | None) -> bytes:
        bound = hazards.tamed(self.bind(info))
        if path is not None and info.name in self.raw:
            return text(1, info.name) + block(2, self.raw[info.name])
        extent = self.reading.types.get((path, info.name)) if path is not None else None
        if extent is not None:
            kind = self.reading.wire.read(extent[0], extent[1] - extent[0])
            return text(1, info.name) + block(2, kind)
        if bound.dtype not in proto.CODES:
            return text(1, info.name)
        return text(1, info.name) + block(2, _type(bound.dtype, bound.shape))


def _believed(graph: Graph, root: bool) -> Iterator[TensorInfo]:
    """Declarations that inference may need. The outputs of a body tell its node's; those of the root only what takes them."""
    yield from (one for name, one in graph.declared.items() if name not in graph.initializers)
    taken = {name for node in graph.nodes for name in node.inputs} if root and graph.outputs else set()
    yield from (one for one in graph.outputs if not root or one.name in taken)


def _type(dtype: str | None, shape: Shape | None) -> bytes:
    """A `TypeProto` of a tensor."""
    inner = number_field(1, proto.CODES.get(dtype or "", 0))
    if shape is not None:
        dims = b"".join(block(1, number_field(1, size) if isinstance(size, int) else text(2, size) if size else b"") for size in shape)
        inner += block(2, dims)
    return block(1, inner)


def symbols(infos: Iterable[TensorInfo]) -> Collection[str]:
    """Names of dimensions that a file uses itself."""
    return {size for one in infos for size in one.shape or () if isinstance(size, str)}
