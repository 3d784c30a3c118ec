"""A SavedModel folder, a checkpoint or a GraphDef as a `Model`: what is stored, what the program says of it, what does not agree."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.tensorflow import detection, keras_metadata, proto
from modelscan.formats.tensorflow.agreement import check_variables
from modelscan.formats.tensorflow.bundle import read_bundle
from modelscan.formats.tensorflow.constants import stored
from modelscan.formats.tensorflow.copies import Copies, second_copies
from modelscan.formats.tensorflow.fingerprint import FILE as FINGERPRINT
from modelscan.formats.tensorflow.fingerprint import Fingerprint
from modelscan.formats.tensorflow.hazards import Walk
from modelscan.formats.tensorflow.integrity import check_entries
from modelscan.formats.tensorflow.keras_layers import keras_model
from modelscan.formats.tensorflow.kinds import kinds
from modelscan.formats.tensorflow.metagraph import Draft, read_graph, read_meta_graph
from modelscan.formats.tensorflow.objects import OBJECT_GRAPH, trackables, with_keys
from modelscan.formats.tensorflow.savers import Saved, saved
from modelscan.formats.tensorflow.sealed import check_strings
from modelscan.formats.tensorflow.soundness import Soundness
from modelscan.formats.tensorflow.starts import starting
from modelscan.limits import Limits
from modelscan.model import Kind, Model, Observation, StoredTensor, TensorInfo
from modelscan.program import Checkpoint, Constant, Entry, KerasNode, MetaGraph, Operation, Program, Signature, Trackable
from modelscan.records import record
from modelscan.source import Source, Tree
from modelscan.wire import LENGTH, Wire

DEFAULT_SIGNATURE = "serving_default"
_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})
_INCOMPLETE = frozenset({"limit-exceeded", "malformed-protobuf", "truncated-file"})
_NO_RESULTS = frozenset({"Const", "NoOp", "Assert"})


@record(frozen=True, slots=True)
class Place:
    """Where the parts of a model lie."""

    tree: Tree
    program: str | None = None
    """The file with the program, relative to the tree."""
    prefix: str | None = None
    """Of the checkpoint, without `.index`."""
    folder: str = ""
    """Of the SavedModel within the tree: empty, or ending with `/`."""
    own: bool = False
    """Whether the program's file is the artifact itself."""
    graph: bool = False
    """Whether it is a GraphDef."""


@dataclass(slots=True)
class Reading:
    """One artifact while it is read."""

    limits: Limits
    seen: list[Observation] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    wire: Wire | None = None
    """The program's file."""


def read(artifact: Artifact, limits: Limits) -> Model:
    """The model of a SavedModel folder or archive, a checkpoint index, or a GraphDef.

    Raises:
        UnreadableFile: when neither a program nor variables can be read.
    """
    reading = Reading(limits)
    place = locate(artifact, limits, reading.seen)
    _program(place, reading)
    checkpoint, whole = _checkpoint(place, reading)
    if checkpoint is None and not any(draft.nodes or draft.objects.objects for draft in reading.drafts):
        first = next(iter(reading.seen), None)
        raise (
            UnreadableFile(first.kind, first.message, offset=first.offset)
            if first
            else UnreadableFile("missing-program", "nothing to read")
        )
    savers = tuple(_saved(draft, reading) for draft in reading.drafts)
    graphs = tuple(_graph(draft, saved, checkpoint) for draft, saved in zip(reading.drafts, savers, strict=True))
    keras = _keras(place, reading)
    copies = _copies(graphs, checkpoint)
    tensors = tuple(_stored_tensors(checkpoint, graphs[0] if graphs else None, copies.state)) if checkpoint is not None else ()
    if checkpoint is not None:
        reading.seen.extend(check_entries(checkpoint, whole))
        reading.seen.extend(check_variables(graphs, savers, checkpoint, tensors, whole))
    else:
        reading.seen.extend(_without_index(place, graphs, savers))
    constants = [one for graph, draft in zip(graphs, reading.drafts, strict=True) for one in _constants(place, reading, graph, draft)]
    reading.seen.extend(_beside(place, reading, graphs))
    program = Program(graphs, checkpoint, keras, copies.copies, None if place.own else place.program)
    objects = next((graph.objects for graph in graphs if graph.objects), ())
    described = keras_model(objects, keras, [one for one in tensors if one.name not in copies.copies], limits, reading.seen)
    model = _model(place, reading, program, (*tensors, *constants))
    if described is None:
        return model
    block, layers = described
    return replace(model, graph=block, layers=layers, name=block.name, model_type=block.class_name)


def locate(artifact: Artifact, limits: Limits, seen: list[Observation]) -> Place:
    """What the artifact is, and where its parts are."""
    tree: Tree = artifact.folder
    folder = ""
    if artifact.source is not None:
        if detection.is_archive(artifact):
            tree, folder = _in_archive(artifact, limits, seen)
        elif detection.is_index(artifact):
            return Place(tree, None, artifact.name.removesuffix(".index"))
        elif detection.is_saved_model(artifact.source):
            beside = tree.size(f"{detection.VARIABLES}.index") is not None
            return Place(tree, artifact.name, detection.VARIABLES if beside else None, own=True)
        else:
            return Place(tree, artifact.name, own=True, graph=True)
    names = (detection.SAVED_MODEL, detection.TEXT_MODEL, detection.CHUNKED_MODEL)
    program = next((name for name in names if detection.is_there(tree, f"{folder}{name}")), None)
    index = detection.is_there(tree, f"{folder}{detection.VARIABLES}.index")
    return Place(tree, program and f"{folder}{program}", f"{folder}{detection.VARIABLES}" if index else None, folder)


def _in_archive(artifact: Artifact, limits: Limits, seen: list[Observation]) -> tuple[Tree, str]:
    """The inside of an archive and the SavedModel's folder in it."""
    from modelscan.formats.tensorflow.archive import models_in, open_tree

    tree = open_tree(artifact, limits, seen)
    folders = models_in(tree)
    if not folders:
        raise UnreadableFile("unknown-format", "the archive holds no SavedModel")
    if len(folders) > 1:
        text = f"the archive holds {len(folders):,} SavedModels; this is the one in {folders[0] or 'its root'}"
        seen.append(Observation("several-models", text, where=folders[0] or None))
    return tree, folders[0]


def _program(place: Place, reading: Reading) -> None:
    """Read the program, if there is one."""
    seen, name = reading.seen, place.program
    if name is None:
        if place.prefix is not None and place.prefix.endswith(detection.VARIABLES):
            seen.append(Observation("missing-program", f"there are variables and no {detection.SAVED_MODEL}"))
        return
    if not name.endswith(".pb") and not place.own:
        seen.append(Observation("missing-program", f"{name} is a form of the program that modelscan does not read", where=name))
        return
    try:
        source = place.tree.open(name)
        if not source.size:
            raise UnreadableFile("missing-program", f"{name} is empty")
        reading.wire = wire = Wire(source, reading.limits)
        if place.graph:
            draft = Draft()
            read_graph(wire, 0, wire.size, draft, seen, "graph_def")
            reading.drafts.append(draft)
        else:
            _saved_model(wire, source, reading)
    except UnreadableFile as error:
        seen.append(Observation(error.kind, str(error), offset=error.offset, where=name))


def _saved_model(wire: Wire, source: Source, reading: Reading) -> None:
    if not detection.is_saved_model(source):
        raise UnreadableFile(
            "missing-program", f"{source.name} is no SavedModel: its first bytes are {source.read(0, min(16, source.size))!r}"
        )
    for number, kind, value, length in wire.fields():
        if (number, kind) == (proto.SAVED_MODEL_META_GRAPH, LENGTH):
            path = f"meta_graphs[{len(reading.drafts)}]"
            reading.drafts.append(read_meta_graph(wire, value, value + length, reading.seen, path))


def _checkpoint(place: Place, reading: Reading) -> tuple[Checkpoint | None, bool]:
    if place.prefix is None:
        return None, False
    try:
        checkpoint, whole = read_bundle(place.tree, place.prefix, reading.limits, reading.seen)
    except UnreadableFile as error:
        reading.seen.append(Observation(error.kind, str(error), offset=error.offset, where=f"{place.prefix}.index"))
        return None, False
    return replace(checkpoint, objects=_trackables(place.tree, checkpoint, reading)), whole


def _trackables(tree: Tree, checkpoint: Checkpoint, reading: Reading) -> tuple[Trackable, ...]:
    """The checkpoint's own object graph; none where its shard is missing or cut, which is told elsewhere."""
    entry = checkpoint.entries.get(OBJECT_GRAPH)
    if entry is None or not 0 <= entry.shard < len(checkpoint.shards) or not 0 < entry.nbytes <= reading.limits.skeleton_bytes:
        return ()
    shard = checkpoint.shards[entry.shard]
    if shard.nbytes is None or not 0 <= entry.offset <= shard.nbytes - entry.nbytes:
        return ()
    try:
        source = tree.open(shard.file)
        try:
            check_strings(source, entry)
        except UnreadableFile as error:
            reading.seen.append(Observation(error.kind, str(error), tensor=OBJECT_GRAPH, offset=error.offset, where=shard.file))
        return trackables(source, entry, lambda data: Wire(data, reading.limits))
    except UnreadableFile as error:
        reading.seen.append(Observation(error.kind, str(error), tensor=OBJECT_GRAPH, offset=entry.offset, where=shard.file))
        return ()


def _saved(draft: Draft, reading: Reading) -> Saved:
    """What the savers of a program hold."""
    return saved(draft.finished(), reading.wire) if reading.wire is not None else Saved()


def _graph(draft: Draft, savers: Saved, checkpoint: Checkpoint | None) -> MetaGraph:
    """The program, its variables with the keys of their values."""
    graph = replace(draft.finished(), variable_keys=savers.keys)
    if checkpoint is None:
        return graph
    return replace(graph, objects=with_keys(graph.objects, checkpoint.objects, checkpoint.entries))


def _constants(place: Place, reading: Reading, graph: MetaGraph, draft: Draft) -> Iterator[StoredTensor]:
    """The tensors that stand in the graph itself: all of a GraphDef, the large ones of a SavedModel. The graph is checked on the way."""
    walk = Walk(graph, draft.saver[0]).run()
    reading.seen.extend(walk.seen)
    if not any(one.kind in _INCOMPLETE for one in reading.seen):  # what was not read would be missed
        reading.seen.extend(Soundness(graph, walk.calls).run())
    nodes = {one.name: one for one in graph.nodes if one.op == "Const"} if place.graph else walk.constants
    starts = starting(graph) if place.graph else frozenset()
    count = 0
    for name, node in nodes.items():
        tensor = node.attributes.get("value") if place.graph or node.nbytes > reading.limits.kept_payload else None
        if isinstance(tensor, Constant) and (place.graph or tensor.dtype != "string"):
            count += 1
            if count > reading.limits.tensors:
                error = LimitExceeded("tensors", count, reading.limits.tensors, offset=node.offset)
                reading.seen.append(Observation(error.kind, str(error), offset=error.offset))
                return
            one = stored(name.replace(" > ", "/"), tensor, None if place.own else place.program)
            yield replace(one, kind=Kind.CONSTANT) if name in starts else one


def _without_index(place: Place, graphs: tuple[MetaGraph, ...], savers: tuple[Saved, ...]) -> Iterator[Observation]:
    """What a program wants restored, where there is no index; one that is there and broken has been told of."""
    if place.graph or place.prefix is not None:
        return
    wanted = {name for one in savers for names in one.lists for name in names if name != OBJECT_GRAPH}
    wanted |= {f"object {number}" for graph in graphs for number, one in enumerate(graph.objects) if one.variable} if not wanted else set()
    if wanted:
        text = f"the program restores {len(wanted):,} variables and {detection.VARIABLES}.index is not there"
        yield Observation("missing-index", text, where=f"{place.folder}{detection.VARIABLES}.index")


def _beside(place: Place, reading: Reading, graphs: tuple[MetaGraph, ...]) -> Iterator[Observation]:
    """The files beside program and checkpoint: assets and the fingerprint."""
    if place.graph or place.program is None:
        return
    for asset in {one.file for graph in graphs for one in graph.assets}:
        name = f"{place.folder}assets/{asset}"
        try:
            if place.tree.size(name) is None:
                yield Observation("missing-asset", f"{name} is not there; the program reads it when it is loaded", where=name)
        except UnreadableFile as error:
            yield Observation(error.kind, str(error), where=name)
    name = f"{place.folder}{FINGERPRINT}"
    if place.prefix is not None and detection.is_there(place.tree, name):
        try:
            yield from Fingerprint(place.tree.open(name), reading.limits).check_index(place.tree.open(f"{place.prefix}.index"))
        except UnreadableFile as error:
            yield Observation(error.kind, str(error), offset=error.offset, where=name)


def _keras(place: Place, reading: Reading) -> tuple[KerasNode, ...]:
    """Keras' metadata: from their file, else from the object graph."""
    name = f"{place.folder}{keras_metadata.FILE}"
    if not place.graph and place.program is not None and place.tree.size(name):
        try:
            return keras_metadata.from_file(Wire(place.tree.open(name), reading.limits), name, reading.seen)
        except UnreadableFile as error:
            reading.seen.append(Observation(error.kind, str(error), offset=error.offset, where=name))
    for draft in reading.drafts:
        if draft.metadata and reading.wire is not None:
            return keras_metadata.from_objects(reading.wire, draft.objects.objects, draft.metadata, place.program or "", reading.seen)
    return ()


def _copies(graphs: tuple[MetaGraph, ...], checkpoint: Checkpoint | None) -> Copies:
    """What is stored twice, by the first program that has an object graph."""
    graph = next((one for one in graphs if one.objects), None)
    return second_copies(graph, checkpoint.entries) if graph is not None and checkpoint is not None else Copies()


def _stored_tensors(checkpoint: Checkpoint, graph: MetaGraph | None, state: Collection[str]) -> list[StoredTensor]:
    """The entries as stored tensors, a partitioned variable as one."""
    known = kinds(checkpoint.entries, checkpoint.objects, graph.objects if graph is not None else ())
    known.update(dict.fromkeys(state, Kind.STATE))
    return [_tensor(entry, checkpoint, known[key]) for key, entry in checkpoint.entries.items()]


def _tensor(entry: Entry, checkpoint: Checkpoint, kind: Kind) -> StoredTensor:
    first = entry.slices[0] if entry.slices else entry
    file = checkpoint.shards[first.shard].file if 0 <= first.shard < len(checkpoint.shards) else None
    encoding, offset = "raw", entry.offset
    if len(entry.slices) == 1:
        offset = first.offset
    elif entry.slices:
        return StoredTensor(entry.key, entry.shape, entry.dtype, entry.nbytes, file, None, kind, "slices")
    if entry.dtype in ("int4", "uint4", "int2", "uint2"):
        encoding = "unpacked"
    elif entry.dtype == "string" and entry.key != OBJECT_GRAPH:  # that one is checked when it is read
        encoding = "sealed strings"
    elif checkpoint.big_endian:
        encoding = "big-endian"
    return StoredTensor(entry.key, entry.shape, entry.dtype, entry.nbytes, file, offset, kind, encoding)


def _model(place: Place, reading: Reading, program: Program, tensors: tuple[StoredTensor, ...]) -> Model:
    graphs = program.metagraphs
    version = next((one.version for one in graphs if one.version), None)
    signature = next((one for graph in graphs for one in _preferred(graph)), None)
    inputs, outputs = _ends(graphs[0]) if place.graph and graphs else ((), ())
    if signature is not None:
        inputs, outputs = _named(signature.inputs), _named(signature.outputs)
    return Model(
        "graphdef" if place.graph else "savedmodel" if place.program is not None or graphs else "checkpoint",
        "tensorflow",
        producer={"framework": "TensorFlow"} | ({"version": version} if version else {}),
        inputs=inputs,
        outputs=outputs,
        tensors=tensors,
        observations=tuple(reading.seen),
        program=program,
        facts={
            "signatures": [name for graph in graphs for name in graph.signatures],
            "tags": [list(graph.tags) for graph in graphs],
            "calls": [_call(graph, one) for graph in graphs for one in _preferred(graph)],
        },
        trainable_known=any(graph.objects for graph in graphs),
    )


def _ends(graph: MetaGraph) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Where a graph without signatures begins and ends: its placeholders, and the values that no operation takes."""
    taken = {value.removeprefix("^").partition(":")[0] for one in graph.nodes for value in (*one.inputs, *one.controls)}
    inputs = [one for one in graph.nodes if one.op in _PLACEHOLDERS]
    outputs = [one for one in graph.nodes if one.name not in taken and one.op not in _PLACEHOLDERS | _NO_RESULTS]
    return tuple(_end(one, ("dtype",), "shape") for one in inputs), tuple(_end(one, ("T", "dtype"), "_output_shapes") for one in outputs)


def _end(node: Operation, types: tuple[str, ...], shapes: str) -> TensorInfo:
    dtype = next((found for name in types if isinstance(found := node.attributes.get(name), str)), None)
    shape = node.attributes.get(shapes)
    if shapes == "_output_shapes":
        shape = shape[0] if isinstance(shape, tuple) and shape else None
    return TensorInfo(node.name, dtype, shape if isinstance(shape, tuple) else None)


def _call(graph: MetaGraph, signature: Signature) -> dict[str, Any]:
    """One way to call one of the programs, as plain data."""

    def told(infos: Mapping[str, TensorInfo]) -> list[dict[str, Any]]:
        return [{"name": name, "dtype": one.dtype, "shape": None if one.shape is None else list(one.shape)} for name, one in infos.items()]

    return {"tags": graph.title, "name": signature.name, "inputs": told(signature.inputs), "outputs": told(signature.outputs)}


def _preferred(graph: MetaGraph) -> list[Signature]:
    """The signatures, the one that a server calls by default first."""
    return sorted(graph.signatures.values(), key=lambda one: (one.name != DEFAULT_SIGNATURE, one.name))


def _named(infos: Mapping[str, TensorInfo]) -> tuple[TensorInfo, ...]:
    """By the names that a caller uses."""
    return tuple(replace(one, name=name) for name, one in infos.items())
