"""Nodes and initializers of which there is nothing to tell, as nearly all are, read in one loop over the bytes.

A graph of a hundred thousand messages spends most of its time on the way from one function to the next. What is not of the plain form
is left untouched to the thorough way (`structure`), which tells what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any

from modelscan.errors import UnreadableFile
from modelscan.formats.onnx import strides
from modelscan.formats.onnx.context import NOTHING, Extent, Layout, PlainType, Reading, Tables
from modelscan.formats.onnx.proto import (
    GRAPH_INITIALIZER,
    GRAPH_NODE,
    NODE_ATTRIBUTE,
    NODE_INPUT,
    NODE_METADATA,
    NODE_NAME,
    NODE_OP,
    NODE_OUTPUT,
    TENSOR_DIMS,
    TENSOR_NAME,
    TENSOR_RAW,
    TENSOR_TYPE,
)
from modelscan.formats.onnx.tensors import type_of
from modelscan.graph import Graph, Node
from modelscan.model import StoredTensor
from modelscan.wire import LENGTH, varint

Held = tuple[Mapping[str, Any], Mapping[str, Graph], Mapping[str, str]]
Rest = Callable[[tuple[list[Extent], list[Extent]], tuple[str, str, str], list[str], int], Held]
"""Reads what a node has besides: extents of attributes and of metadata; its name, operator and domain; its outputs; its place in the graph.
Gives plain attributes, bodies, and the metadata."""

Part = tuple[int, int, int]
"""A field of a node that is no name: its tag, and where its message begins and ends in the bytes at hand."""
Parts = tuple[str, str, list[str], list[str], list[Part]]

_BARE = NOTHING, NOTHING, NOTHING
_NODE, _INITIALIZER = GRAPH_NODE << 3 | LENGTH, GRAPH_INITIALIZER << 3 | LENGTH
_INPUT, _OUTPUT, _NAME, _OP = (number << 3 | LENGTH for number in (NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OP))
_ATTRIBUTE, _METADATA = NODE_ATTRIBUTE << 3 | LENGTH, NODE_METADATA << 3 | LENGTH
"""Tags of the fields that most nodes have, and no others."""
_WORDS, _MESSAGES = frozenset((_INPUT, _OUTPUT, _OP)), frozenset((_ATTRIBUTE, _METADATA))
_DIM, _CODE, _TENSOR_NAME, _RAW = TENSOR_DIMS << 3, TENSOR_TYPE << 3, TENSOR_NAME << 3 | LENGTH, TENSOR_RAW << 3 | LENGTH
"""Tags of the fields of such a tensor; its dimensions stand one by one."""
_NAME_THEN_RAW = bytes((_TENSOR_NAME, _RAW))
_LAYOUTS = 3
"""Ways in which the fields of nodes of one size lie that are remembered."""
_FIELDS = 30
"""Fields of such a node: few, since what is remembered takes thirty times the bytes of the node."""
_NEVER: Layout = Struct("").unpack_from, (b"",), 0, 0, 0
"""In the place of one that is not looked for: what has metadata, or its fields in another order."""
_HEADS = 4096
"""Different beginnings of tensors that are remembered."""
_LONGEST_HEAD = 64
"""Bytes before a tensor's name within which it is looked for: a few dimensions and the type."""
_NODE_BYTES = 4096
"""Bytes of a node that is read this way: too few for more entries than any limit allows."""
_TENSOR_BYTES = 512
"""Bytes that a tensor has before its payload, in nearly all files."""
_BEFORE = 12
"""Bytes of a tag and a length."""


def nodes(reading: Reading, made: list[Node], position: int, end: int, rest: Rest) -> int:
    """Reads the nodes that follow one another from `position` on, in a message that ends at `end`, as long as they are plain.

    Returns where the first field begins that is something else. Raises what `rest` raises; that node is left out.
    """
    wire, layouts, most = reading.wire, reading.layouts, reading.limits.nodes
    data, at, stop, base, sizes = b"", 0, 0, position, strides.Sizes()
    while reading.nodes < most:
        if stop - at < _NODE_BYTES and base + stop < end:
            position = base + at
            data, at, stop = wire.ahead(position, _NODE_BYTES, end)
            base = position - at
        begin = at
        if stop - at < _BEFORE or data[at] != _NODE:  # the last bytes of a message are left, too
            return base + begin
        size, at = data[at + 1], at + 2
        if size > 127:
            size, at = size + (data[at] << 7) - 128, at + 1
        if at + size > stop or size > _NODE_BYTES:  # longer lengths have more bytes than two
            return base + begin
        node = _like_before(reading, data, at, size, base) if size in layouts else None
        if node is None:
            parts = _parts(reading, data, at, at + size)
            if parts is None:
                return base + begin
            name, op, inputs, outputs, more = parts
            if len(inputs) + len(outputs) + len(more) <= _FIELDS and op != "Constant":  # whose attribute is another one each time
                _remember(layouts, data, at, at + size)
            reading.nodes += 1
            plain, graphs, notes = rest(_extents(base, more), (name, op, ""), outputs, len(made)) if more else _BARE
            node = Node(name, op, "", tuple(inputs), tuple(outputs), plain, graphs, notes, "", base + at, size)
        else:
            reading.nodes += 1
        made.append(node)
        at += size
        sizes.append(at - begin)
        if len(sizes.seen) == sizes.due:
            at = strides.nodes(reading, made, sizes, data, at, stop, base)
    return base + at


def _parts(reading: Reading, data: bytes, at: int, end: int) -> Parts | None:
    """Name, operator, inputs, outputs and the rest of a plain node, field by field; None for any other."""
    texts, name, op = reading.texts, "", ""
    inputs: list[str] = []
    outputs: list[str] = []
    more: list[Part] = []
    try:
        while at < end:
            tag, length = data[at], data[at + 1]
            start = at + 2
            if length > 127:
                length, start = varint(data, start, length)
                if length > reading.limits.name_bytes:
                    return None
            at = start + length
            if tag in _WORDS:
                piece = data[start:at]
                word = texts.get(piece)
                if word is None:
                    word = texts[piece] = piece.decode()
                if tag == _INPUT:
                    inputs.append(word)
                elif tag == _OUTPUT:
                    outputs.append(word)
                else:
                    op = word
            elif tag == _NAME:
                name = data[start:at].decode()
            elif tag in _MESSAGES and length:
                more.append((tag, start, at))
            else:
                return None
    except (IndexError, UnicodeDecodeError, UnreadableFile):
        return None
    return (name, op, inputs, outputs, more) if at == end else None


def _like_before(reading: Reading, data: bytes, at: int, size: int, base: int) -> Node | None:
    """The node at `at` if its fields lie as those of one of its size before did, and its attributes are known; None for any other."""
    texts, text = reading.texts, reading.text
    for unpack, heads, inputs, outputs, last in reading.layouts[size]:
        parts = unpack(data, at)
        if parts[::2] != heads:
            continue
        words = parts[1::2]
        op = text(words[last])
        settings = NOTHING
        if len(words) > last + 1:
            known = None if op == "Constant" else reading.settings.get(words[last + 1 :])  # that one's are a stored tensor
            if known is None:
                return None
            settings = known
        names = [texts.get(word) or text(word) for word in words[:outputs]]
        name = words[outputs].decode("utf-8", "backslashreplace") if last > outputs else ""
        return Node(name, op, "", tuple(names[:inputs]), tuple(names[inputs:]), settings, NOTHING, NOTHING, "", base + at, size)
    return None


def _remember(layouts: dict[int, list[Layout]], data: bytes, start: int, end: int) -> None:
    """Keeps how the fields of the plain node in `data[start:end]` lie, unless enough of its size are known."""
    known = layouts.setdefault(end - start, [])
    if len(known) == _LAYOUTS:
        return
    found = strides.fields(data, start, end)
    counts = strides.as_written(bytes([data[head] for head, _, _ in found]))
    if counts is None:
        known.append(_NEVER)
        return
    form = "=" + "".join([f"{begin - head}s{after - begin}s" for head, begin, after in found])
    inputs, outputs, last = counts
    known.append((Struct(form).unpack_from, tuple([data[head:begin] for head, begin, _ in found]), inputs, outputs, last - 1))


def _extents(base: int, parts: list[Part]) -> tuple[list[Extent], list[Extent]]:
    """Attributes and metadata."""
    attributes, metadata = ([(base + start, base + end) for tag, start, end in parts if tag == which] for which in (_ATTRIBUTE, _METADATA))
    return attributes, metadata


def initializers(reading: Reading, into: Tables, position: int, end: int, index: int) -> tuple[int, int]:
    """Reads the initializers that follow one another from `position` on, in a message that ends at `end`, as long as they are plain.

    Returns where the first field begins that is something else, and the number of the next initializer; that of the first one is `index`.
    """
    wire, limits = reading.wire, reading.limits
    held, small, prefix = into
    data, at, stop = wire.ahead(position, _TENSOR_BYTES, end)
    base = begin = position - at
    sizes = strides.Sizes()
    while index < limits.tensors:
        if stop - at < _TENSOR_BYTES and base + stop < end:
            position = base + at
            data, at, stop = wire.ahead(position, _TENSOR_BYTES, end)
            base = position - at
        begin = at
        if stop - at < _BEFORE or data[at] != _INITIALIZER:
            break
        size, at = data[at + 1], at + 2
        if size > 127:
            try:
                size, at = varint(data, at, size)
            except (IndexError, UnreadableFile):
                break
        at += size
        one = _tensor(reading, data, at - size, at) if at <= end - base else None
        if one is None:
            break
        (shape, dtype, nbytes, kind), own, payload = one
        if not own or own in held:
            break
        held[own] = tensor = reading.add(StoredTensor(reading.unique(prefix + own), shape, dtype, nbytes, None, base + payload, kind))
        if nbytes <= limits.kept_payload:
            small.setdefault(own, tensor)
        index += 1
        sizes.append(at - begin)
        if len(sizes.seen) == sizes.due:
            at, index = strides.initializers(reading, into, sizes, data, at, stop, base, index)
    else:
        begin = at
    return base + begin, index


def tensor(reading: Reading, start: int, end: int, scope: str, name: str | None = None) -> tuple[str, StoredTensor] | None:
    """A tensor of which there is nothing to tell: dimensions, type, name, and as many raw bytes at its end as it needs.

    None for any other, of which nothing is kept then. The arguments are those of `tensors.stored`.
    """
    data, base = reading.wire.chunk(start, min(end - start, _TENSOR_BYTES))
    one = _tensor(reading, data, start - base, end - base)
    if one is None:
        return None
    (shape, dtype, nbytes, kind), own, payload = one
    own = name or own
    if own is None:
        return None
    return own, reading.add(StoredTensor(reading.unique(scope + own), shape, dtype, nbytes, None, base + payload, kind))


def _tensor(reading: Reading, data: bytes, at: int, end: int) -> tuple[PlainType, str | None, int] | None:
    """What such a tensor in `data[at:end]` is, its name, and where its payload begins; the payload need not be in `data`."""
    named = data.find(_TENSOR_NAME, at, at + _LONGEST_HEAD)
    head = reading.heads.get(data[at:named]) if at < named < len(data) - 1 else None
    if head is not None:  # it begins like one before it
        known, tail = head
        begin, size = named + 2, data[named + 1]
        after = begin + size
        if size < 128 and data.startswith(tail, after) and after + len(tail) + known[2] == end:
            name, texts = data[begin:after], reading.texts
            return known, texts[name] if name in texts else reading.text(name), after + len(tail)
    return _by_field(reading, data, at, end)


def _by_field(reading: Reading, data: bytes, start: int, end: int) -> tuple[PlainType, str | None, int] | None:
    """The same, field by field; what comes before the name of such a tensor is remembered, for many begin with the same bytes."""
    at, stop = start, min(end, len(data))
    dims: list[int] = []
    own: str | None = None
    code, nbytes = 0, -1
    order = bytearray()
    named = after = 0
    try:
        while at < stop and nbytes < 0:
            begin, tag, value = at, data[at], data[at + 1]
            at += 2
            order.append(tag)
            if value > 127:
                value, at = varint(data, at, value)
            if tag == _DIM and len(dims) < reading.limits.rank and value < 1 << 63:
                dims.append(value)
            elif tag == _CODE and value < 1 << 31:
                code = value
            elif tag == _TENSOR_NAME and at + value <= stop:
                named = begin
                own = reading.text(data[at : at + value])
                at = after = at + value
            elif tag == _RAW:
                nbytes = value
            else:
                return None
    except (IndexError, UnreadableFile):  # the thorough way tells what is wrong
        return None
    shape, dtype, _, needed, kind = type_of(reading, tuple(dims), code)
    if dtype is None or nbytes != needed or at + nbytes != end:
        return None
    if order.endswith(_NAME_THEN_RAW) and order.count(_TENSOR_NAME) == 1 and len(reading.heads) < _HEADS:
        reading.heads[data[start:named]] = (shape, dtype, nbytes, kind), data[after:at]
    return (shape, dtype, nbytes, kind), own, at
