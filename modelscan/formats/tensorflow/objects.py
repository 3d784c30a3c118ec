"""The object graphs: that of a SavedModel's program, that of a checkpoint, and which variable's value stands under which key.

Source: tensorflow/core/protobuf/{saved_object_graph,trackable_object_graph}.proto. The two graphs number their objects differently, so
they are walked together from the root by the names of their edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.tensorflow.attributes import shape_of, type_name
from modelscan.formats.tensorflow.graphdef import map_entry
from modelscan.program import ConcreteFunction, Entry, SavedObject, SavedVariable, Slot, Trackable
from modelscan.source import Source
from modelscan.wire import LENGTH, VARINT, Wire

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_CHILDREN, _SLOTS = 1, 3
_KINDS = {
    4: "user_object",
    5: "asset",
    6: "function",
    7: "variable",
    8: "bare_concrete_function",
    9: "constant",
    10: "resource",
    12: "captured_tensor",
}
_REGISTERED = 13


def _child(wire: Wire, start: int, end: int) -> tuple[str, int]:
    name, node = "", 0
    for number, kind, value, length in wire.fields(start, end):
        if (number, kind) == (1, VARINT):
            node = value
        elif (number, kind) == (2, LENGTH):
            name = wire.text(value, length)
    return name, node


def _slot(wire: Wire, start: int, end: int) -> Slot:
    original = variable = 0
    name = ""
    for number, kind, value, length in wire.fields(start, end):
        if (number, kind) == (1, VARINT):
            original = value
        elif (number, kind) == (2, LENGTH):
            name = wire.text(value, length)
        elif (number, kind) == (3, VARINT):
            variable = value
    return Slot(original, name, variable)


def saved_objects(
    wire: Wire, start: int, end: int
) -> tuple[tuple[SavedObject, ...], dict[str, ConcreteFunction], dict[int, tuple[int, int]]]:
    """The objects of a `SavedObjectGraph`, its concrete functions, and where user objects keep their metadata (offset, length)."""
    objects: list[SavedObject] = []
    concrete: dict[str, ConcreteFunction] = {}
    metadata: dict[int, tuple[int, int]] = {}
    for number, kind, value, length in wire.fields(start, end):
        if kind != LENGTH:
            continue
        if len(objects) + len(concrete) >= wire.limits.nodes:
            raise LimitExceeded("nodes", len(objects) + len(concrete) + 1, wire.limits.nodes, offset=value)
        if number == 1:
            one, note = _object(wire, value, value + length)
            if note is not None:
                metadata[len(objects)] = note
            objects.append(one)
        elif number == 2:
            name, at, size = map_entry(wire, value, value + length)
            concrete[name] = _concrete(wire, name, at, at + size)
    return tuple(objects), concrete, metadata


def _concrete(wire: Wire, name: str, start: int, end: int) -> ConcreteFunction:
    bound: list[int] = []
    arguments: int | None = None
    for field in wire.fields(start, end):
        if field[0] == 2:
            bound.extend(wire.numbers(field, wire.limits.values))
        elif field[:2] == (3, LENGTH):
            arguments = _tensors(wire, field[2], field[2] + field[3])
    return ConcreteFunction(name, tuple(bound), arguments)


_SPECS = frozenset({33, 35})
"""Kinds of a `StructuredValue` that are one tensor each; a plain Python value is none."""
_PLAIN = frozenset({1, 11, 12, 13, 14, 31, 32})
_LISTS = frozenset({51, 52})
_TUPLE, _DICT = 52, 53


def _tensors(wire: Wire, start: int, end: int) -> int | None:
    """How many tensors the arguments in a `StructuredValue` are (tensorflow/core/protobuf/struct.proto).

    None where it holds something that may be several, and where it is no tuple: of a function cut out of a graph nothing is said there.
    """
    count = 0
    pending = [(start, end, 0)] if any(number == _TUPLE for number, *_ in wire.fields(start, end)) else []
    if not pending:
        return None
    while pending:
        at, stop, depth = pending.pop()
        if depth > wire.limits.nesting:
            raise LimitExceeded("nesting", depth, wire.limits.nesting, offset=at)
        for number, kind, value, length in wire.fields(at, stop):
            if number in _SPECS:
                count += 1
            elif number in _LISTS and kind == LENGTH:
                pending += [(one, one + size, depth + 1) for inner, way, one, size in wire.fields(value, value + length) if way == LENGTH]
            elif number == _DICT and kind == LENGTH:
                for inner, way, one, size in wire.fields(value, value + length):
                    if (inner, way) == (1, LENGTH):
                        _, place, span = map_entry(wire, one, one + size)
                        pending.append((place, place + span, depth + 1))
            elif number not in _PLAIN:
                return None
    return count


def _object(wire: Wire, start: int, end: int) -> tuple[SavedObject, tuple[int, int] | None]:
    children: dict[str, int] = {}
    slots: list[Slot] = []
    one, registered = SavedObject(""), ""
    metadata: tuple[int, int] | None = None
    for number, kind, value, length in wire.fields(start, end):
        if kind != LENGTH:
            continue
        stop = value + length
        if number == _CHILDREN:
            name, node = _child(wire, value, stop)
            children[name] = node
        elif number == _SLOTS:
            slots.append(_slot(wire, value, stop))
        elif number == _REGISTERED:
            registered = wire.text(value, length)
        elif number in _KINDS:
            one, metadata = _kind(wire, _KINDS[number], value, stop)
    return replace(one, children=children, slots=tuple(slots), registered_name=registered), metadata


def _kind(wire: Wire, kind: str, start: int, end: int) -> tuple[SavedObject, tuple[int, int] | None]:
    """What an object is, by the message of its kind."""
    match kind:
        case "variable":
            return SavedObject(kind, variable=_variable(wire, start, end)), None
        case "user_object":
            identifier, metadata = "", None
            for number, way, value, length in wire.fields(start, end):
                if (number, way) == (1, LENGTH):
                    identifier = wire.text(value, length)
                elif (number, way) == (3, LENGTH) and length:
                    metadata = (value, length)
            return SavedObject(kind, identifier=identifier), metadata
        case "function" | "bare_concrete_function":
            names = [wire.text(value, length) for number, way, value, length in wire.fields(start, end) if (number, way) == (1, LENGTH)]
            return SavedObject(kind, functions=tuple(names)), None
        case "constant":
            names = [wire.text(value, length) for number, way, value, length in wire.fields(start, end) if (number, way) == (1, LENGTH)]
            return SavedObject(kind, operation=names[0] if names else ""), None
        case "asset":
            index = next((value for number, way, value, _ in wire.fields(start, end) if (number, way) == (1, VARINT)), 0)
            return SavedObject(kind, asset=index), None
    return SavedObject(kind), None


def _variable(wire: Wire, start: int, end: int) -> SavedVariable:
    dtype, shape, trainable, name, device = "type 0", None, False, "", ""
    for number, kind, value, length in wire.fields(start, end):
        match number, kind:
            case 1, 0:
                dtype = type_name(value)
            case 2, 2:
                shape = shape_of(wire, value, value + length)
            case 3, 0:
                trainable = bool(value)
            case 6, 2:
                name = wire.text(value, length)
            case 7, 2:
                device = wire.text(value, length)
    return SavedVariable(dtype, shape, trainable, name, device)


def trackables(source: Source, entry: Entry, wire_of: Callable[[bytes], Wire]) -> tuple[Trackable, ...]:
    """The object graph of a checkpoint, out of the string tensor that holds it.

    Raises:
        UnreadableFile: its bytes are not all there or no object graph.
    """
    data = source.read(entry.offset, entry.nbytes)
    at = next((index for index, byte in enumerate(data[:10]) if byte < 128), None)
    if at is None or len(data) < at + 5:
        raise UnreadableFile("malformed-index", "the object graph is no string tensor", offset=entry.offset)
    wire = wire_of(data)
    found: list[Trackable] = []
    for number, kind, value, length in wire.fields(at + 5, len(data)):
        if (number, kind) == (1, LENGTH):
            if len(found) >= wire.limits.nodes:
                raise LimitExceeded("nodes", len(found) + 1, wire.limits.nodes, offset=value)
            found.append(_trackable(wire, value, value + length))
    return tuple(found)


def _trackable(wire: Wire, start: int, end: int) -> Trackable:
    children: dict[str, int] = {}
    keys: dict[str, str] = {}
    full_name = ""
    slots: list[Slot] = []
    for number, kind, value, length in wire.fields(start, end):
        if kind != LENGTH:
            continue
        stop = value + length
        if number == _CHILDREN:
            name, node = _child(wire, value, stop)
            children[name] = node
        elif number == 2:
            texts = {n: wire.text(at, size) for n, way, at, size in wire.fields(value, stop) if way == LENGTH}
            keys[texts.get(1, "")] = texts.get(3, "")
            full_name = full_name or texts.get(2, "")
        elif number == _SLOTS:
            slots.append(_slot(wire, value, stop))
    return Trackable(children, keys, full_name, tuple(slots))


def with_keys(objects: tuple[SavedObject, ...], stored: Sequence[Trackable], entries: Mapping[str, Entry]) -> tuple[SavedObject, ...]:
    """The program's objects with the checkpoint keys of its variables."""
    if not objects:
        return objects
    if not stored:
        return _by_path(objects, entries)
    keys: dict[int, str] = {}
    partner = {0: 0}
    pending = [0]
    optimizers: list[int] = []
    while pending:
        here = pending.pop()
        one, other = objects[here], stored[partner[here]]
        if one.variable is not None and _VALUE in other.keys:
            keys[here] = other.keys[_VALUE]
        if one.slots:
            optimizers.append(here)
        _pair(
            ((node, other.children[name]) for name, node in one.children.items() if name in other.children),
            partner,
            pending,
            stored,
            objects,
        )
        if not pending:  # slots name their variables by number: these must have met their partners first
            slots = [pair for number in optimizers for pair in _slot_pairs(objects[number], stored[partner[number]], partner)]
            _pair(slots, partner, pending, stored, objects)
            optimizers = []
    return tuple(replace(one, key=keys[number]) if number in keys else one for number, one in enumerate(objects))


def _pair(
    pairs: Iterable[tuple[int, int]],
    partner: dict[int, int],
    pending: list[int],
    stored: Sequence[Trackable],
    objects: Sequence[SavedObject],
) -> None:
    """Note which object of the checkpoint is which of the program, and that its own edges are to be followed."""
    for mine, theirs in pairs:
        if mine not in partner and mine < len(objects) and theirs < len(stored):
            partner[mine] = theirs
            pending.append(mine)


def _slot_pairs(one: SavedObject, other: Trackable, partner: Mapping[int, int]) -> list[tuple[int, int]]:
    stored = {(slot.original, slot.name): slot.variable for slot in other.slots}
    wanted = ((slot.variable, (partner.get(slot.original, -1), slot.name)) for slot in one.slots)
    return [(variable, stored[place]) for variable, place in wanted if place in stored]


def _by_path(objects: tuple[SavedObject, ...], entries: Mapping[str, Entry]) -> tuple[SavedObject, ...]:
    """Keys by the rule they are made by, where the checkpoint's object graph is not there: the shortest path to the variable."""
    keys: dict[int, str] = {}
    paths = {0: ""}
    pending = [0]
    for here in pending:  # breadth first, as the writer names them
        one = objects[here]
        key = f"{paths[here]}/.ATTRIBUTES/{_VALUE}"
        if one.variable is not None and key in entries:
            keys[here] = key
        for name, node in one.children.items():
            if node < len(objects) and node not in paths:
                paths[node] = f"{paths[here]}/{escaped(name)}" if paths[here] else escaped(name)
                pending.append(node)
    return tuple(replace(one, key=keys[number]) if number in keys else one for number, one in enumerate(objects))


def escaped(name: str) -> str:
    """A local name as it stands in a key (tensorflow/python/checkpoint/trackable_view.py)."""
    return name.replace(".", "..").replace("/", ".S")
