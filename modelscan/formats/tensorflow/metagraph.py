"""A `MetaGraphDef`: tags, graph, signatures, objects, assets, and TF 1's collections of variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.tensorflow import proto
from modelscan.formats.tensorflow.attributes import Place, shape_of, type_name
from modelscan.formats.tensorflow.graphdef import Library, Names, graph_parts, map_entry, operation
from modelscan.formats.tensorflow.objects import saved_objects
from modelscan.model import Observation, TensorInfo
from modelscan.program import Asset, MetaGraph, Operation, Signature, VariableDef
from modelscan.wire import LENGTH, VARINT, Wire, signed

INITIALIZER = "__saved_model_init_op"
_INTERNAL = frozenset({INITIALIZER, "__saved_model_train_op"})
_ASSETS = "saved_model_assets"
_RUN_ON_LOAD = frozenset({"saved_model_main_op", "legacy_init_op", "saved_model_init_op"})
_VARIABLES = frozenset(
    {
        "variables",
        "trainable_variables",
        "local_variables",
        "model_variables",
        "moving_average_variables",
        "global_step",
        "metric_variables",
    }
)
"""TF 1's collections of variables; the others hold whatever their authors put there."""


@dataclass(slots=True)
class Draft:
    """A MetaGraph as far as it has been read, and where the rest of it lies."""

    tags: list[str] = field(default_factory=list)
    version: str = ""
    nodes: list[Operation] = field(default_factory=list)
    library: Library | None = None
    signatures: dict[str, Signature] = field(default_factory=dict)
    on_load: set[str] = field(default_factory=set)
    saver: tuple[str, str, str] = ("", "", "")
    """Tensor of the file name, tensor that saves, operation that restores."""
    assets: list[Asset] = field(default_factory=list)
    collections: dict[str, tuple[VariableDef, ...]] = field(default_factory=dict)
    objects: MetaGraph = field(default_factory=MetaGraph)
    """Holds the object graph."""
    metadata: dict[int, Place] = field(default_factory=dict)
    """Where user objects keep their metadata: offset and length."""

    def finished(self) -> MetaGraph:
        """As the vocabulary has it; keys of variables are added by who knows the checkpoint."""
        on_load = self.on_load | ({self.saver[2]} if self.saver[2] else set())
        return MetaGraph(
            tuple(self.tags),
            self.version,
            tuple(self.nodes),
            self.library if self.library is not None else {},
            self.signatures,
            self.objects.objects,
            self.objects.concrete,
            tuple(self.assets),
            self.collections,
            initializers=frozenset(on_load),
        )


def read_graph(wire: Wire, start: int, end: int, draft: Draft, seen: list[Observation], path: str) -> None:
    """Take up the nodes and functions of a `GraphDef`; what is broken ends it and is observed."""
    names = Names()
    limit = wire.limits.nodes
    draft.library = library = Library(wire, seen)
    left_out = 0
    try:
        for number, (at, stop) in graph_parts(wire, start, end):
            if number == proto.GRAPH_LIBRARY:
                library.add(at, stop)
            elif len(draft.nodes) < limit:
                draft.nodes.append(operation(wire, at, stop, names, seen))
            else:
                left_out += 1
    except UnreadableFile as error:
        seen.append(Observation(error.kind, str(error), offset=error.offset, where=path))
    if left_out:
        passed = LimitExceeded("nodes", limit + left_out, limit)
        seen.append(Observation(passed.kind, f"{passed}; the others are left out", where=path))


def read_meta_graph(wire: Wire, start: int, end: int, seen: list[Observation], path: str) -> Draft:
    """The MetaGraph in `[start, end)`. A part that is broken is observed, the others are read."""
    draft = Draft()
    for number, kind, value, length in _fields(wire, start, end, seen, path):
        if kind != LENGTH:
            continue
        stop = value + length
        if number == proto.META_GRAPH:
            read_graph(wire, value, stop, draft, seen, f"{path} > graph_def")
            continue
        try:
            _part(wire, number, value, stop, draft)
        except UnreadableFile as error:
            place = _NAMES.get(number, str(number))
            seen.append(Observation(error.kind, str(error.inside(place)), offset=error.offset, where=f"{path} > {place}"))
    return draft


_NAMES = {
    proto.META_INFO: "meta_info_def",
    proto.META_SAVER: "saver_def",
    proto.META_COLLECTION: "collection_def",
    proto.META_SIGNATURE: "signature_def",
    proto.META_ASSET: "asset_file_def",
    proto.META_OBJECTS: "object_graph_def",
}


def _fields(wire: Wire, start: int, end: int, seen: list[Observation], path: str) -> Iterator[tuple[int, int, int, int]]:
    try:
        yield from wire.fields(start, end)
    except UnreadableFile as error:
        seen.append(Observation(error.kind, str(error), offset=error.offset, where=path))


def _part(wire: Wire, number: int, start: int, end: int, draft: Draft) -> None:
    match number:
        case proto.META_INFO:
            for inner, kind, value, length in wire.fields(start, end):
                if (inner, kind) == (proto.INFO_TAGS, LENGTH):
                    draft.tags.append(wire.text(value, length))
                elif (inner, kind) == (proto.INFO_VERSION, LENGTH):
                    draft.version = wire.text(value, length)
        case proto.META_SAVER:
            texts = {inner: wire.text(value, length) for inner, kind, value, length in wire.fields(start, end) if kind == LENGTH}
            draft.saver = (texts.get(1, ""), texts.get(2, ""), texts.get(3, ""))
        case proto.META_COLLECTION:
            _collection(wire, start, end, draft)
        case proto.META_SIGNATURE:
            name, at, size = map_entry(wire, start, end)
            signature = _signature(wire, name, at, at + size)
            if name in _INTERNAL:
                draft.on_load |= {one.name.partition(":")[0] for one in signature.outputs.values()}
            else:
                draft.signatures[name] = signature
        case proto.META_ASSET:
            draft.assets.append(_asset(wire, start, end))
        case proto.META_OBJECTS:
            objects, concrete, draft.metadata = saved_objects(wire, start, end)
            draft.objects = MetaGraph(objects=objects, concrete=concrete)


def _signature(wire: Wire, name: str, start: int, end: int) -> Signature:
    sides: tuple[dict[str, TensorInfo], dict[str, TensorInfo]] = ({}, {})
    method = ""
    for number, kind, value, length in wire.fields(start, end):
        if kind == LENGTH and number in (1, 2):
            key, at, size = map_entry(wire, value, value + length)
            sides[number - 1][key] = _tensor_info(wire, at, at + size)
        elif kind == LENGTH and number == 3:
            method = wire.text(value, length)
    return Signature(name, method, _sorted(sides[0]), _sorted(sides[1]))


def _sorted(infos: dict[str, TensorInfo]) -> dict[str, TensorInfo]:
    """By name: a map's order in the file is arbitrary."""
    return dict(sorted(infos.items()))


def _tensor_info(wire: Wire, start: int, end: int) -> TensorInfo:
    name, dtype, shape = "", None, None
    for number, kind, value, length in wire.fields(start, end):
        if (number, kind) == (1, LENGTH):
            name = wire.text(value, length)
        elif (number, kind) == (2, VARINT):
            dtype = type_name(value)
        elif (number, kind) == (3, LENGTH):
            shape = shape_of(wire, value, value + length)
    return TensorInfo(name, dtype, shape)


def _asset(wire: Wire, start: int, end: int) -> Asset:
    tensor, file = "", ""
    for number, kind, value, length in wire.fields(start, end):
        if (number, kind) == (1, LENGTH):
            tensor = _tensor_info(wire, value, value + length).name
        elif (number, kind) == (2, LENGTH):
            file = wire.text(value, length)
    return Asset(file, tensor)


def _collection(wire: Wire, start: int, end: int, draft: Draft) -> None:
    """Variables, and the operations that a loader runs at once."""
    name, at, size = map_entry(wire, start, end)
    if name in _RUN_ON_LOAD:
        for number, kind, value, length in wire.fields(at, at + size):
            if (number, kind) == (1, LENGTH):
                draft.on_load |= {
                    wire.text(one, count).partition(":")[0]
                    for inner, way, one, count in wire.fields(value, value + length)
                    if (inner, way) == (1, LENGTH)
                }
    if name == _ASSETS and not draft.assets:
        draft.assets.extend(_packed_assets(wire, at, at + size))
    if name not in _VARIABLES:
        return
    found: list[VariableDef] = []
    for number, kind, value, length in wire.fields(at, at + size):
        if (number, kind) != (2, LENGTH):
            continue
        for inner, way, one, count in wire.fields(value, value + length):
            if len(found) >= wire.limits.tensors:
                raise LimitExceeded("tensors", len(found) + 1, wire.limits.tensors, offset=one)
            if (inner, way) == (1, LENGTH) and count:
                found.append(_variable_def(wire, one, one + count))
    draft.collections[name] = tuple(found)


def _packed_assets(wire: Wire, start: int, end: int) -> Iterator[Asset]:
    """Assets as they were noted before the message had a field for them: a list of `Any`, each with its type and its bytes."""
    for number, kind, value, length in wire.fields(start, end):
        if (number, kind) != (5, LENGTH):
            continue
        for inner, way, at, size in wire.fields(value, value + length):
            if (inner, way) == (1, LENGTH):
                for last, form, place, count in wire.fields(at, at + size):
                    if (last, form) == (2, LENGTH):
                        yield _asset(wire, place, place + count)


def _variable_def(wire: Wire, start: int, end: int) -> VariableDef:
    texts: dict[int, str] = {}
    flags: dict[int, int] = {}
    full_name: str | None = None
    slices: dict[int, list[int]] = {2: [], 3: [], 4: []}
    for number, kind, value, length in wire.fields(start, end):
        if kind == VARINT:
            flags[number] = value
        elif kind == LENGTH and number in (1, 2, 3):
            texts[number] = wire.text(value, length)
        elif kind == LENGTH and number == 4:
            for inner, way, at, size in wire.fields(value, value + length):
                if (inner, way) == (1, LENGTH):
                    full_name = wire.text(at, size)
                elif inner in slices:
                    slices[inner] += map(signed, wire.numbers((inner, way, at, size), wire.limits.rank))
    name, initializer, snapshot = (texts.get(number, "") for number in (1, 2, 3))
    sizes = (tuple(slices[number]) for number in (2, 3, 4))
    return VariableDef(name, initializer, snapshot, bool(flags.get(7)), full_name, *sizes)
