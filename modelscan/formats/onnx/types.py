"""Declared types: `ValueInfoProto` and the `TypeProto` inside it."""

from __future__ import annotations

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.onnx.context import Extent, Reading
from modelscan.formats.onnx.proto import DTYPES
from modelscan.formats.onnx.provenance import FOLDED
from modelscan.model import Shape, TensorInfo
from modelscan.wire import LENGTH, VARINT, signed, varint

_METADATA = 4
KIND = "pkg.torch.export.graph_signature.InputSpec.kind"
"""What `torch.onnx` notes beside the values that it stores: whether they were parameters or buffers of the program."""
_TENSOR, _SEQUENCE, _MAP, _OPAQUE, _SPARSE, _OPTIONAL = 1, 4, 5, 7, 8, 9
_SHORT = 128
"""Types of up to this many bytes are read once: a model has thousands of values and a few dozen types."""
_FIELD = 2 * _SHORT + 3
"""Bytes of such a value's field: its tag, a length of two bytes, its name and type."""
_LEAST = 8
"""Bytes of the shortest one that is looked at this way."""
_NAME, _TYPE = 1 << 3 | LENGTH, 2 << 3 | LENGTH
"""Tags of the fields of a `ValueInfoProto`."""
_NESTED = {_SEQUENCE: "sequence", _OPTIONAL: "optional"}


def value_info(reading: Reading, start: int, end: int, scope: str | None = None) -> TensorInfo:
    """Name, element type and shape of a declared value. With a scope, the extent of a type that is no tensor is remembered."""
    short = _short(reading, start, end) if end - start <= 2 * _SHORT else None
    if short is not None:
        return short
    name = told = folded = ""
    types: list[Extent] = []
    for number, kind, value, length in reading.wire.fields(start, end):
        if kind == LENGTH and number == 1:
            name = reading.wire.text(value, length)
        elif kind == LENGTH and number == 2:
            types.append((value, value + length))
        elif kind == LENGTH and number == _METADATA and scope is not None:
            key, text = reading.entry(value, length)
            told = text if key == KIND else told
            folded = text if key == FOLDED else folded
    if told and scope is not None:
        reading.kinds.setdefault(scope, {})[name] = told
    elif folded and scope is not None:
        reading.folded.setdefault(scope, {})[name] = folded
    if len(types) == 1 and types[0][1] - types[0][0] <= _SHORT:
        start, end = types[0]
        written = reading.wire.read(start, end - start)
        known = reading.known_types.get(written)
        if known is None:
            known = reading.known_types[written] = _plain(written, reading.limits.rank) or type_proto(reading, types)
        dtype, shape = known
    else:
        dtype, shape = type_proto(reading, types)
    if scope is not None and len(types) == 1 and dtype is not None and "(" in dtype:
        reading.types[scope, name] = types[0]
    return TensorInfo(name, dtype, shape)


def _short(reading: Reading, start: int, end: int) -> TensorInfo | None:
    """A name and a type that was read before, and nothing else; None for anything but that."""
    data = reading.wire.read(start, end - start)
    if len(data) < 4 or data[0] != _NAME or data[1] >= _SHORT or len(data) < data[1] + 4:
        return None
    at = data[1] + 2
    if data[at] != _TYPE or data[at + 1] != len(data) - at - 2:
        return None
    written = data[at + 2 :]
    known = reading.known_types.get(written)
    if known is None:
        known = _plain(written, reading.limits.rank)
        if known is None:
            return None
        reading.known_types[written] = known
    elif known[0] is not None and "(" in known[0]:
        return None
    return TensorInfo(reading.text(data[2:at]), *known)


def plain_infos(reading: Reading, start: int, end: int, tag: int, most: int) -> tuple[list[TensorInfo], int]:
    """Declared values of which there is nothing to tell, as nearly all are, in fields that follow one another; at most so many.

    `start` is where the first of these fields begins, `tag` what each begins with, `end` where their message ends. Returned with the
    values is where the first field begins that is something else.
    """
    wire, known, texts, text = reading.wire, reading.known_types, reading.texts, reading.text
    found: list[TensorInfo] = []
    data, at, stop, base = b"", 0, 0, start
    while len(found) < most:
        if stop - at < _FIELD and base + stop < end:
            position = base + at
            data, at, stop = wire.ahead(position, _FIELD, end)
            base = position - at
        if stop - at < _LEAST or data[at] != tag:
            break
        size, begin = data[at + 1], at + 2
        if size >= 128:
            size, begin = size + (data[begin] << 7) - 128, begin + 1
        named, after = begin + 2, begin + size
        typed = named + data[begin + 1]
        if size > 2 * _SHORT or after > stop or data[begin] != _NAME or data[begin + 1] >= _SHORT or typed + 2 > after:
            break
        if data[typed] != _TYPE or data[typed + 1] != after - typed - 2:
            break
        written = data[typed + 2 : after]
        kind = known.get(written)
        if kind is None:
            kind = _plain(written, reading.limits.rank)
            if kind is None:
                break
            known[written] = kind
        elif kind[0] is not None and "(" in kind[0]:
            break
        name = data[named:typed]
        found.append(TensorInfo(texts.get(name) or text(name), *kind))
        at = after
    return found, base + at


def _plain(data: bytes, most: int) -> tuple[str | None, Shape | None] | None:
    """The type of a tensor with an element type and at most `most` dimensions, written as all writers do; None for any other."""
    shape: list[int | str | None] = []
    end = len(data)
    try:
        code = data[3]
        if (data[0], data[1], data[2]) != (_TENSOR << 3 | LENGTH, end - 2, 1 << 3) or not 0 < code < 128:
            return None
        if end == 4:
            return DTYPES.get(code, f"data_type {code}"), None
        if (data[4], data[5]) != (2 << 3 | LENGTH, end - 6) or end > _SHORT:
            return None
        at = 6
        while at < end:
            tag, size = data[at], data[at + 1]
            begin = at + 2
            at = begin + size
            if tag != 1 << 3 | LENGTH or size > 127 or at > end:
                return None
            if size == 0:
                shape.append(None)
            elif data[begin] == 2 << 3 | LENGTH and data[begin + 1] == size - 2:
                shape.append(data[begin + 2 : at].decode("utf-8", "backslashreplace") or None)
            elif data[begin] == 1 << 3:
                value, after = varint(data, begin + 2, data[begin + 1])
                if after != at:
                    return None
                shape.append(value if value < 1 << 63 else None)
            else:
                return None
    except (IndexError, UnreadableFile):
        return None
    return (DTYPES.get(code, f"data_type {code}"), tuple(shape)) if len(shape) <= most else None


def type_proto(reading: Reading, extents: list[Extent], depth: int = 0) -> tuple[str | None, Shape | None]:
    """Element type and shape; a type that is no tensor is a word like `sequence(float32)` and has no shape."""
    if depth > reading.limits.nesting:
        raise LimitExceeded("nesting", depth, reading.limits.nesting, offset=extents[0][0] if extents else None)
    tensors: list[Extent] = []
    word: str | None = None
    for number, kind, value, length in reading.messages(extents):
        if kind != LENGTH:
            continue
        here = (value, value + length)
        if number == _TENSOR:
            tensors.append(here)
        elif number == _SPARSE:
            word = f"sparse_tensor({_tensor_type(reading, [here])[0] or '?'})"
        elif number in _NESTED:
            word = f"{_NESTED[number]}({_element(reading, here, 1, depth) or '?'})"
        elif number == _MAP:
            word = f"map({_map_key(reading, here)}, {_element(reading, here, 2, depth) or '?'})"
        elif number == _OPAQUE:
            word = "opaque()"
    if tensors:
        return _tensor_type(reading, tensors)
    return word, None


def _element(reading: Reading, extent: Extent, wanted: int, depth: int) -> str | None:
    inner = [(value, value + length) for number, kind, value, length in reading.wire.fields(*extent) if number == wanted and kind == LENGTH]
    return type_proto(reading, inner, depth + 1)[0]


def _map_key(reading: Reading, extent: Extent) -> str:
    codes = [value for number, kind, value, _ in reading.wire.fields(*extent) if number == 1 and kind == VARINT]
    return DTYPES.get(codes[-1], "?") if codes else "?"


def _tensor_type(reading: Reading, extents: list[Extent]) -> tuple[str | None, Shape | None]:
    code = 0
    shape: list[int | str | None] | None = None
    for number, kind, value, length in reading.messages(extents):
        if number == 1 and kind == VARINT:
            code = value
        elif number == 2 and kind == LENGTH:
            shape = [] if shape is None else shape
            for inner, inner_kind, at, size in reading.wire.fields(value, value + length):
                if inner == 1 and inner_kind == LENGTH:
                    if len(shape) >= reading.limits.rank:
                        raise LimitExceeded("rank", len(shape) + 1, reading.limits.rank, offset=at)
                    shape.append(_dimension(reading, at, size))
    dtype = DTYPES.get(code, f"data_type {code}") if code else None
    return dtype, None if shape is None else tuple(shape)


def _dimension(reading: Reading, start: int, length: int) -> int | str | None:
    """A size, a name, or None; negative sizes are an old way to say that it is not known."""
    size: int | str | None = None
    for number, kind, value, extra in reading.wire.fields(start, start + length):
        if number == 1 and kind == VARINT:
            size = signed(value) if signed(value) >= 0 else None
        elif number == 2 and kind == LENGTH:
            size = reading.wire.text(value, extra) or None
    return size
