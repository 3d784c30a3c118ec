"""A program's variables against the entries of its checkpoint: whether each has one, and whether shape and type are the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelscan.formats.tensorflow.savers import Saved
from modelscan.model import Kind, Observation, Severity, Shape, StoredTensor, shape_text
from modelscan.program import Checkpoint, Entry, MetaGraph, VariableDef

_SHOWN = 20


def check_variables(
    graphs: tuple[MetaGraph, ...], savers: tuple[Saved, ...], checkpoint: Checkpoint, tensors: tuple[StoredTensor, ...], whole: bool
) -> Iterator[Observation]:
    """What does not agree; `whole` tells whether all entries of the index are known."""
    used: set[str] = set()
    told: set[tuple[str, str]] = set()
    seen: list[Observation] = []
    for graph, saved in zip(graphs, savers, strict=True):
        seen.extend(_objects(graph, checkpoint, whole, used))
        seen.extend(_nodes(graph, checkpoint))
        seen.extend(_unsaved(graph))
        seen.extend(_types(saved, checkpoint))
        used.update(name for names in saved.lists for name in names)
        if whole:
            seen.extend(_missing(saved, checkpoint))
        seen.extend(_order(saved, checkpoint))
    if used:
        seen.extend(_unused(tensors, used))
    for one in seen:
        if (one.kind, one.tensor or one.message) not in told:
            told.add((one.kind, one.tensor or one.message))
            yield one


def _objects(graph: MetaGraph, checkpoint: Checkpoint, whole: bool, used: set[str]) -> Iterator[Observation]:
    """TF 2: the variables of the object graph."""
    for number, one in enumerate(graph.objects):
        if one.variable is None:
            continue
        name = one.variable.name or f"object {number}"
        entry = checkpoint.entries.get(one.key) if one.key is not None else None
        if one.key is not None:
            used.add(one.key)
        if entry is not None:
            yield from _compared(name, one.variable.shape, one.variable.dtype, entry)
        elif whole and (checkpoint.objects or one.key is not None):
            text = f"the program's variable {name}, {_shape(one.variable.shape)} {one.variable.dtype}, has no entry in the checkpoint"
            yield Observation("variable-without-entry", text, tensor=one.key or name, where=f"{checkpoint.prefix}.index")


def _nodes(graph: MetaGraph, checkpoint: Checkpoint) -> Iterator[Observation]:
    """The variable nodes of the graph itself that the saver reads."""
    notes = {one.name.partition(":")[0]: one for some in graph.collections.values() for one in some}
    nodes = {one.name: one for one in graph.nodes}
    for name, key in graph.variable_keys.items():
        node, entry = nodes.get(name), checkpoint.entries.get(key)
        if node is None or entry is None or "table" in node.op.lower():
            continue
        shape, dtype = node.attributes.get("shape"), node.attributes.get("dtype")
        declared = shape if isinstance(shape, tuple) else None
        note = notes.get(name)
        if note is not None and note.full_name:
            yield from _part(name, note, declared, entry)
        elif isinstance(dtype, str) and not entry.slices:
            yield from _compared(name, declared, dtype, entry)


def _unsaved(graph: MetaGraph) -> Iterator[Observation]:
    """Nodes that no saver reads beside the saved variables of their name: Keras 3's `export` leaves one of each.

    A name without a scope is anybody's and says nothing.
    """
    shapes: dict[str, set[Shape | None]] = {}
    for one in graph.objects:
        if one.variable is not None and one.key is not None:
            shapes.setdefault(_base(one.variable.name), set()).add(one.variable.shape)
    for node in graph.nodes:
        known = shapes.get(_base(node.name)) if node.op == "VarHandleOp" and node.name not in graph.variable_keys else None
        shape = node.attributes.get("shape") if known and "/" in node.name else None
        if isinstance(shape, tuple) and known and not any(_agree(shape, one) for one in known):
            text = f"the program's node {node.name} is {shape_text(shape)}, its variables of that name are {_listed(known)}"
            yield Observation("variable-shape", text, where=node.name, severity=Severity.MEDIUM)


def _base(name: str) -> str:
    """A name without the number that makes it unique."""
    return re.sub(r"_\d+$", "", name.partition(":")[0])


def _agree(one: Shape, other: Shape | None) -> bool:
    return other is None or (len(one) == len(other) and all(a == b or a is None or b is None for a, b in zip(one, other, strict=True)))


def _listed(shapes: set[Shape | None]) -> str:
    return ", ".join(sorted(_shape(one) for one in shapes))


def _types(saved: Saved, checkpoint: Checkpoint) -> Iterator[Observation]:
    """The element types of which the savers write each name."""
    for name, dtype in saved.types.items():
        entry = checkpoint.entries.get(name)
        if entry is not None and entry.dtype != dtype:
            text = f"the program saves and restores {name} as {dtype}, in the checkpoint it is {entry.dtype}"
            yield Observation("variable-type", text, tensor=name)


def _part(name: str, note: VariableDef, declared: Shape | None, entry: Entry) -> Iterator[Observation]:
    """The node of one part of a partitioned variable: what it is the part of, and whether that part is stored."""
    yield from _compared(note.full_name or name, note.full_shape, "type 0", entry)
    if declared is not None and not _fits(declared, note.shape):
        text = f"the program's variable {name} is {shape_text(declared)}, as a part of {note.full_name} it is {shape_text(note.shape)}"
        yield Observation("variable-shape", text, tensor=entry.key)
    stored = {(one.extent.starts, one.shape) for one in entry.slices if one.extent is not None}
    if stored and (note.offset, note.shape) not in stored:
        text = f"the part of {entry.key} that is {name}, {shape_text(note.shape)} from {note.offset} on, is not stored by itself"
        yield Observation("missing-slice", text, tensor=entry.key)


def _compared(name: str, shape: Shape | None, dtype: str, entry: Entry) -> Iterator[Observation]:
    where = f"stored as {entry.key}" if entry.key != name else "in the checkpoint"
    if shape is not None and not _fits(shape, entry.shape):
        text = f"the program's variable {name} is {shape_text(shape)}, {where} it is {shape_text(entry.shape)}"
        yield Observation("variable-shape", text, tensor=entry.key)
    if dtype not in ("type 0", entry.dtype):
        text = f"the program's variable {name} is {dtype}, {where} it is {entry.dtype}"
        yield Observation("variable-type", text, tensor=entry.key)


def _fits(shape: Shape, stored: tuple[int, ...]) -> bool:
    return len(shape) == len(stored) and all(one in (None, other) for one, other in zip(shape, stored, strict=True))


def _shape(shape: Shape | None) -> str:
    return "of unknown shape" if shape is None else shape_text(shape)


def _missing(saved: Saved, checkpoint: Checkpoint) -> Iterator[Observation]:
    """Names on the saver's list without an entry."""
    for name in dict.fromkeys(name for names in saved.lists for name in names):
        if name not in checkpoint.entries:
            text = f"the program saves and restores {name}, which has no entry in the checkpoint"
            yield Observation("variable-without-entry", text, tensor=name, where=f"{checkpoint.prefix}.index")


def _unused(tensors: tuple[StoredTensor, ...], used: set[str]) -> Iterator[Observation]:
    """Entries that nothing in the program refers to."""
    left = [one for one in tensors if one.name not in used and one.kind in (Kind.WEIGHT, Kind.OPTIMIZER)]
    for one in left[:_SHOWN]:
        text = f"{one.name}, {shape_text(one.shape)} {one.dtype}, belongs to no variable of the program"
        severity = None if one.kind is Kind.WEIGHT else Severity.INFO
        yield Observation("entry-without-variable", text, tensor=one.name, offset=one.offset, severity=severity)
    if len(left) > _SHOWN:
        text = f"{len(left) - _SHOWN:,} more entries belong to no variable of the program"
        yield Observation("entry-without-variable", text, severity=Severity.INFO)


def _order(saved: Saved, checkpoint: Checkpoint) -> Iterator[Observation]:
    """Whether the values lie in the shards in the order of the list that they were written from."""
    for names in saved.lists:
        last: dict[int, Entry] = {}
        for name in names:
            entry = checkpoint.entries.get(name)
            if entry is None or entry.slices or not entry.nbytes:
                continue
            before = last.get(entry.shard)
            if before is not None and entry.offset < before.offset:
                text = (
                    f"{name} is saved after {before.key} and lies before it, at byte {entry.offset:,}; that one at byte {before.offset:,}"
                )
                yield Observation("entry-order", text, tensor=name, offset=entry.offset)
                break
            last[entry.shard] = entry
