"""A `GraphDef`: its nodes, and its library of functions, each decoded when it is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.tensorflow import proto
from modelscan.formats.tensorflow.attributes import Attributes, Place, Tail, attribute_map, tail_of, type_name
from modelscan.model import Observation
from modelscan.program import Argument, Function, Operation
from modelscan.wire import LENGTH, VARINT, Wire


class Names:
    """One string for every name: a node's name stands again in the inputs of those that use it. Likewise one `Tail` for equal ones."""

    def __init__(self) -> None:
        self.known: dict[bytes, str] = {}
        self._tails: dict[bytes, Tail | None] = {}

    def of(self, data: bytes) -> str:
        """The name that the bytes of a field are."""
        found = self.known.get(data)
        if found is None:
            found = self.known[data] = data.decode("utf-8", "backslashreplace")
        return found

    def tail(self, data: bytes) -> Tail | None:
        """What is known of attributes by their bytes; None for many or broken ones."""
        if data in self._tails:
            return self._tails[data]
        if not 0 < len(data) <= _TAIL or len(self._tails) >= _TAILS:
            return None
        found = self._tails[data] = tail_of(data, proto.NODE_ATTRIBUTE)
        return found


_TAIL, _TAILS = 512, 16 * 1024
"""Bytes of attributes that are remembered, and how many different ones."""


def operation(wire: Wire, start: int, end: int, names: Names, seen: list[Observation]) -> Operation:
    """The node in `[start, end)`."""
    data = wire.read(start, end - start) if end - start <= _SMALL else b""
    found = _scanned(data, names) if data else None
    name, op, inputs, device, behind = found or _walked(wire, start, end, names)
    attributes = Attributes(wire, start, end, proto.NODE_ATTRIBUTE, seen, names.tail(data[behind:]) if found else None)
    controls: tuple[str, ...] = ()
    if any(one.startswith("^") for one in inputs):
        controls = tuple([one for one in inputs if one.startswith("^")])
        inputs = tuple([one for one in inputs if not one.startswith("^")])
    return Operation(name, op, inputs, attributes, device, controls, start, end - start)


_SMALL = 16 * 1024
"""A node up to this size is read whole; a larger one holds a tensor that stays where it is."""
_NAME, _OP, _INPUT, _DEVICE, _ATTRIBUTE, _DEBUG = (number << 3 | LENGTH for number in range(1, 7))
_TEXTS = frozenset({_NAME, _OP, _DEVICE})
_PASSED = frozenset({_ATTRIBUTE, _DEBUG})
_Parts = tuple[str, str, tuple[str, ...], str, int]
"""Name, operator, inputs, device; where in the message the attributes begin, if nothing but these and the origin of the node follows."""


def _scanned(data: bytes, names: Names) -> _Parts | None:
    """The parts of a node whose fields are the usual ones in their order with lengths below 2^14; None for any other.

    The same as `_walked`, four times as fast: graphs have tens of thousands of nodes.
    """
    texts: dict[int, str] = {}
    inputs: list[str] = []
    of, at, end = names.of, 0, len(data)
    behind = end
    try:
        while at < end:
            tag, length = data[at], data[at + 1]
            if tag in _PASSED:
                behind = min(behind, at)
            elif behind != end:
                return None
            at += 2
            if length >= 128:
                if data[at] >= 128:
                    return None
                length += (data[at] << 7) - 128
                at += 1
            if tag == _INPUT:
                inputs.append(of(data[at : at + length]))
            elif tag in _TEXTS:
                texts[tag] = of(data[at : at + length])
            elif tag not in _PASSED:
                return None
            at += length
    except IndexError:
        return None
    return (texts.get(_NAME, ""), texts.get(_OP, ""), tuple(inputs), texts.get(_DEVICE, ""), behind) if at == end else None


def _walked(wire: Wire, start: int, end: int, names: Names) -> _Parts:
    """The parts of any node; nothing is told of its attributes."""
    texts = {proto.NODE_NAME: "", proto.NODE_OP: "", proto.NODE_DEVICE: ""}
    inputs: list[str] = []
    for number, kind, value, length in wire.fields(start, end):
        if kind != LENGTH or (number != proto.NODE_INPUT and number not in texts):
            continue
        if length > wire.limits.name_bytes:
            raise LimitExceeded("name_bytes", length, wire.limits.name_bytes, offset=value)
        word = names.of(wire.read(value, length))
        if number != proto.NODE_INPUT:
            texts[number] = word
            continue
        if len(inputs) >= wire.limits.values:
            raise LimitExceeded("values", len(inputs) + 1, wire.limits.values, offset=start)
        inputs.append(word)
    return texts[proto.NODE_NAME], texts[proto.NODE_OP], tuple(inputs), texts[proto.NODE_DEVICE], 0


def graph_parts(wire: Wire, start: int, end: int) -> Iterator[tuple[int, Place]]:
    """Field number and place of every node and library of a graph."""
    for number, kind, value, length in wire.fields(start, end):
        if kind == LENGTH and number in (proto.GRAPH_NODE, proto.GRAPH_LIBRARY):
            yield number, (value, value + length)


class Library(Mapping[str, Function]):
    """The functions of a graph by name. What it knows of each before it is asked is where it stands."""

    def __init__(self, wire: Wire, seen: list[Observation]) -> None:
        self.wire = wire
        self.places: dict[str, Place] = {}
        self._seen = seen
        self._decoded: dict[str, Function] = {}
        self._names = Names()
        self._nodes = 0

    def add(self, start: int, end: int) -> None:
        """Take up the functions of a `FunctionDefLibrary`."""
        for number, kind, value, length in self.wire.fields(start, end):
            if number != proto.LIBRARY_FUNCTION or kind != LENGTH:
                continue
            if len(self.places) >= self.wire.limits.nodes:
                raise LimitExceeded("nodes", len(self.places) + 1, self.wire.limits.nodes, offset=value)
            name = _function_name(self.wire, value, value + length)
            if name in self.places:
                text = f"the function {name!r} stands twice in the library; which one is called is left to the runtime"
                self._seen.append(Observation("library-duplicate", text, offset=value, where=name))
                continue
            self.places[name] = (value, value + length)

    def __getitem__(self, key: str) -> Function:
        found = self._decoded.get(key)
        if found is None:
            found = self._decoded[key] = self._read(key, *self.places[key])
            self._nodes += len(found.nodes)
        return found

    def once(self, key: str) -> Function:
        """A function for somebody who looks once: one that is decoded now is not kept."""
        found = self._decoded.get(key)
        return found if found is not None else self._read(key, *self.places[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, key: object) -> bool:
        return key in self.places

    def _read(self, name: str, start: int, end: int) -> Function:
        """The function; one that is broken, or passes a limit, has what came before that."""
        wire = self.wire
        inputs: list[Argument] = []
        outputs: list[Argument] = []
        nodes: list[Operation] = []
        returns: dict[str, str] = {}
        controls: dict[str, str] = {}
        told: dict[int, Place] = {}
        try:
            for number, kind, value, length in wire.fields(start, end):
                stop = value + length
                if kind != LENGTH:
                    continue
                if number == proto.FUNCTION_SIGNATURE:
                    inputs, outputs = _arguments(wire, value, stop)
                elif number == proto.FUNCTION_NODE:
                    if self._nodes + len(nodes) >= wire.limits.nodes:
                        raise LimitExceeded("nodes", wire.limits.nodes + 1, wire.limits.nodes, offset=value)
                    nodes.append(operation(wire, value, stop, self._names, self._seen))
                elif number in (proto.FUNCTION_RETURN, proto.FUNCTION_CONTROL):
                    key, at, size = map_entry(wire, value, stop)
                    (returns if number == proto.FUNCTION_RETURN else controls)[key] = wire.text(at, size)
                elif number == proto.FUNCTION_ARGUMENTS:
                    index, place = _indexed(wire, value, stop)
                    told[index] = place
            for index, place in told.items():  # what is told of a variable's handle is of no use
                if index < len(inputs) and inputs[index].dtype != "resource":
                    inputs[index] = _told(inputs[index], dict(attribute_map(wire, *place, 1, 0)))
        except UnreadableFile as error:
            self._seen.append(Observation(error.kind, str(error.inside(name)), offset=error.offset, where=name))
        attributes = Attributes(wire, start, end, proto.FUNCTION_ATTRIBUTE, self._seen)
        return Function(name, tuple(inputs), tuple(outputs), tuple(nodes), returns, attributes, start, end - start, controls)


def map_entry(wire: Wire, start: int, end: int) -> tuple[str, int, int]:
    """Key of a `map<string, …>` entry, and where its value begins and how long it is."""
    key, place = "", (start, 0)
    for number, kind, value, length in wire.fields(start, end):
        if kind == LENGTH and number == 1:
            key = wire.text(value, length)
        elif kind == LENGTH and number == 2:
            place = (value, length)
    return key, *place


def _indexed(wire: Wire, start: int, end: int) -> tuple[int, Place]:
    """Key and place of the value of a `map<uint32, …>` entry."""
    index, place = 0, (start, start)
    for number, kind, value, length in wire.fields(start, end):
        if (number, kind) == (1, VARINT):
            index = value
        elif (number, kind) == (2, LENGTH):
            place = (value, value + length)
    return index, place


def _told(argument: Argument, attributes: Mapping[str, Any]) -> Argument:
    """An argument with what its attributes say of it."""
    shapes = attributes.get("_output_shapes")
    if not shapes:
        return argument
    shape = shapes[0] if isinstance(shapes, tuple) and isinstance(shapes[0], tuple) else None
    return Argument(argument.name, argument.dtype, shape)


def _arguments(wire: Wire, start: int, end: int) -> tuple[list[Argument], list[Argument]]:
    """Inputs and outputs of an `OpDef`."""
    inputs: list[Argument] = []
    outputs: list[Argument] = []
    for number, kind, value, length in wire.fields(start, end):
        if kind == LENGTH and number in (proto.OP_INPUT, proto.OP_OUTPUT):
            name, dtype = "", None
            for inner, way, at, size in wire.fields(value, value + length):
                if (inner, way) == (proto.ARGUMENT_NAME, LENGTH):
                    name = wire.text(at, size)
                elif (inner, way) == (proto.ARGUMENT_TYPE, VARINT):
                    dtype = type_name(at)
            (inputs if number == proto.OP_INPUT else outputs).append(Argument(name, dtype))
            if len(inputs) + len(outputs) > wire.limits.values:
                raise LimitExceeded("values", len(inputs) + len(outputs), wire.limits.values, offset=value)
    return inputs, outputs


def _function_name(wire: Wire, start: int, end: int) -> str:
    """The name, from the first bytes if the signature and the name in it come first, as every writer has it."""
    head = wire.read(start, min(1024, end - start))
    short = Wire(head, wire.limits, lambda error: None)
    first = next(iter(short.fields()), None)
    if first is not None and first[:2] == (proto.FUNCTION_SIGNATURE, LENGTH):
        name = next(iter(short.fields(first[2], min(first[2] + first[3], len(head)))), None)
        if name is not None and name[:2] == (proto.OP_NAME, LENGTH) and name[2] + name[3] < len(head):
            return short.text(name[2], name[3])
    for number, kind, value, length in wire.fields(start, end):
        if (number, kind) == (proto.FUNCTION_SIGNATURE, LENGTH):
            for inner, way, at, size in wire.fields(value, value + length):
                if (inner, way) == (proto.OP_NAME, LENGTH):
                    return wire.text(at, size)
    return ""
