"""One ONNX file to a `Model`: walk, measure, infer shapes, check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelscan import repeats
from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.onnx import declarations, external, integrity, operators, refusals, shapes, signatures, structure
from modelscan.formats.onnx.context import Extent, Reading
from modelscan.formats.onnx.proto import (
    MODEL_DOC,
    MODEL_DOMAIN,
    MODEL_FUNCTIONS,
    MODEL_GRAPH,
    MODEL_IR_VERSION,
    MODEL_METADATA,
    MODEL_OPSETS,
    MODEL_PRODUCER,
    MODEL_PRODUCER_VERSION,
    MODEL_TRAINING,
    MODEL_VERSION,
)
from modelscan.graph import Function, FunctionKey, Graph
from modelscan.inline import inline
from modelscan.limits import Limits
from modelscan.model import Model
from modelscan.wire import LENGTH, VARINT, Wire, signed

_TEXTS = {
    MODEL_PRODUCER: "framework",
    MODEL_PRODUCER_VERSION: "version",
    MODEL_DOMAIN: "domain",
    MODEL_DOC: "doc_string",
}


def read(artifact: Artifact, limits: Limits) -> Model:
    """The model of an ONNX file. Payloads are located and measured, never read."""
    return _read(artifact, limits)


def _read(artifact: Artifact, limits: Limits) -> Model:
    if artifact.source is None:
        raise UnreadableFile("unknown-format", f"{artifact.path} is a folder")
    broken: list[UnreadableFile] = []
    reading = Reading(artifact, Wire(artifact.source, limits, overrun=broken.append), limits)
    parts: dict[int, list[Extent]] = {}
    numbers: dict[int, int] = {}
    try:
        for number, kind, value, length in reading.wire.fields():
            if kind == LENGTH:
                found = parts.setdefault(number, [])
                found.append((value, value + length))
                if len(found) > limits.values:
                    raise LimitExceeded("values", len(found), limits.values, offset=value, where=("model",))
            elif kind == VARINT:
                numbers[number] = signed(value)
    except UnreadableFile as error:
        broken.append(error)
    graph = _graph(reading, parts)
    _note_broken(reading, broken)
    external.check_layout(reading)
    facts = _facts(reading, graph, parts, numbers)
    graph = integrity.check(reading, graph)
    operators.check(reading, graph, facts, MODEL_GRAPH in parts)
    declarations.check(reading, graph)
    graph = _with_shapes(reading, graph, facts["ir_version"])
    signatures.check(reading, graph)
    refusals.settle(reading)
    integrity.unused(reading, graph)
    return Model(
        format="onnx",
        catalogue="onnx",
        name=graph.name or None,
        producer=_producer(facts),
        inputs=tuple(one for one in graph.inputs if one.name not in graph.initializers),
        outputs=graph.outputs,
        tensors=tuple(reading.tensors),
        observations=reading.observations(),
        graph=graph,
        facts=facts,
        trainable_known=False,
    )


def _note_broken(reading: Reading, broken: list[UnreadableFile]) -> None:
    """Broken lengths; that the file is cut off is told once, not for every message around the place."""
    cut = [error for error in broken if error.kind == "truncated-file"]
    for error in (*cut[-1:], *(error for error in broken if error.kind != "truncated-file")):
        reading.note_error(error, "")


def _graph(reading: Reading, parts: dict[int, list[Extent]]) -> Graph:
    extents = parts.get(MODEL_GRAPH, [])
    graph = structure.graph(reading, extents, "", "graph", 0) if extents else Graph()
    functions: dict[FunctionKey, Function] = {}
    for index, extent in enumerate(parts.get(MODEL_FUNCTIONS, ())):
        where = f"functions[{index}]"
        try:
            one = structure.function(reading, extent, index)
        except UnreadableFile as error:
            reading.note_error(error, where)
            continue
        if one.key in functions:
            text = f"function {one.domain}.{one.name} is defined twice"
            reading.note("duplicate-function", text, layer=one.name, offset=extent[0], where=where)
        functions.setdefault(one.key, one)
    training: dict[str, Graph] = {}
    for index, extent in enumerate(parts.get(MODEL_TRAINING, ())):
        training.update(_training(reading, extent, index))
    opsets = reading.opsets(parts.get(MODEL_OPSETS, []), "model")
    return replace(graph, opsets=opsets, functions=functions, training=training)


def _training(reading: Reading, extent: Extent, index: int) -> dict[str, Graph]:
    """The graphs of one `TrainingInfoProto` by path."""
    found: dict[int, list[Extent]] = {}
    try:
        for number, kind, value, length in reading.wire.fields(*extent):
            if kind == LENGTH:
                found.setdefault(number, []).append((value, value + length))
    except UnreadableFile as error:
        reading.note_error(error, f"training_info[{index}]")
    return {
        f"training[{index}]/{key}": structure.graph(reading, found[number], f"training[{index}]/{key}", f"training_info[{index}].{key}", 0)
        for number, key in ((1, "initialization"), (2, "algorithm"))
        if number in found
    }


def _with_shapes(reading: Reading, graph: Graph, ir_version: int | None) -> Graph:
    """The graph with inferred shapes; with functions, these are inferred in the view that sees through the calls."""
    options = reading.artifact.options
    if not graph.functions:
        if options.dims or options.inputs:
            shapes.check_options(options, graph)
        fold = None if options.dims or options.inputs else repeats.fold(graph)
        folded = None if fold is None else shapes.infer_folded(reading, graph, fold, ir_version)
        return folded or shapes.infer(reading, graph, ir_version)
    inlined = inline(graph, reading.limits)
    if options.dims or options.inputs:
        shapes.check_options(options, inlined)
    seen_through = shapes.infer(reading, inlined, ir_version)
    values = dict(graph.values)
    for node in graph.nodes:
        values.update({name: seen_through.values[name] for name in node.outputs if name in seen_through.values})
    return replace(graph, values=values, inlined=seen_through)


def _facts(reading: Reading, graph: Graph, parts: dict[int, list[Extent]], numbers: dict[int, int]) -> dict[str, Any]:
    """What the file says of itself."""
    facts: dict[str, Any] = {
        "ir_version": numbers.get(MODEL_IR_VERSION),
        "model_version": numbers.get(MODEL_VERSION),
        "opsets": graph.opsets,
        "metadata": reading.metadata(parts.get(MODEL_METADATA, []), "model"),
    }
    for number, key in _TEXTS.items():
        for start, end in parts.get(number, ()):
            facts[key] = reading.wire.text(start, min(end - start, reading.limits.name_bytes))
    return facts


def _producer(facts: dict[str, Any]) -> dict[str, str]:
    found = {key: facts[key] for key in ("framework", "version") if facts.get(key)}
    if facts.get("ir_version") is not None:
        found["ir_version"] = str(facts["ir_version"])
    for domain, version in facts["opsets"].items():
        found["opset" if not domain else f"opset {domain}"] = str(version)
    return found
