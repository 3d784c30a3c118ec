"""Nodes against the schemas of their operators: how many inputs and outputs, of which types, which attributes.

Only what both of onnx's full checker and ONNX Runtime refuse is noted, and of what no schema says (`choices`, calls of functions) what
the runtime refuses; a type that is not known is no reason.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from modelscan.formats.onnx import choices
from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.native import knows, native, newest_opset
from modelscan.formats.onnx.operators import STANDARD
from modelscan.formats.onnx.proto import DTYPES
from modelscan.graph import Fill, Graph, Node, SparseTensor
from modelscan.model import StoredTensor, TensorInfo
from modelscan.records import record

_LEFT_OUT = " "
"""In place of the type of an input that is left out."""
_TYPE_NAMES = {"float32": "float", "float64": "double"}
Types = MutableMapping[str, str | None]
_MANY = 1 << 20
"""What a schema says is more than any node has: there is no upper limit."""
Problem = tuple[str, str, Node, str, str]
"""Kind, text, node with its title, field path."""


@record(frozen=True, slots=True)
class Signature:
    """What a schema asks for, in plain form."""

    least: int
    most: int
    inputs: tuple[tuple[str, frozenset[str], bool], ...]
    """Type parameter, allowed types, and whether all inputs of that parameter have one type; the last one may repeat."""
    outputs: tuple[tuple[str, frozenset[str], bool], ...]
    """The same of the outputs."""
    results: tuple[int, int]
    """How many outputs there are at least and at most."""
    needed: tuple[tuple[int, ...], tuple[int, ...]]
    """Places of the inputs, and of the outputs, that cannot be left out by an empty name."""
    attributes: Mapping[str, str]
    """Type by name."""
    required: frozenset[str]
    since: int
    """Version of the standard that brought this form of the operator."""


def check(reading: Reading, graph: Graph) -> None:
    """All nodes of the graph and its bodies; functions have versions of their own and are left to those who call them."""
    if graph.folded is not None and not any(_Checker(graph.opsets).scope(graph.folded.graph, ChainMap(), "graph")):
        return  # what holds for the copies that it has holds for all
    for kind, text, node, title, where in chain(_Checker(graph.opsets).scope(graph, ChainMap(), "graph"), _calls(graph)):
        reading.note(kind, text, layer=title, offset=node.offset, where=where)


def _calls(graph: Graph) -> Iterator[Problem]:
    """Calls of model-local functions, in functions too, that hand over or take more values than the function has."""
    if not graph.functions:
        return
    whole = (("graph", graph), *((f"function {one.name}", one.graph) for one in graph.functions.values()))
    for where, root in whole:
        for path, scope in root.scopes():
            for index, node in enumerate(scope.nodes):
                called = graph.functions.get((node.domain, node.op, node.overload))
                if called is None:
                    continue
                for side, given, formal in (("inputs", node.inputs, called.inputs), ("outputs", node.outputs, called.outputs)):
                    if len(given) > len(formal):
                        title = node.title(index)
                        text = f"{node.op} {title}: {len(given)} {side}, the function has {len(formal)}"
                        yield (
                            "operator-signature",
                            text,
                            node,
                            title,
                            f"{where} > {path}.node[{index}]" if path else f"{where}.node[{index}]",
                        )


class _Checker:
    def __init__(self, opsets: Mapping[str, int]) -> None:
        self.opsets = opsets
        self.signatures: dict[tuple[str, str], Signature | None] = {}
        self.plain: set[tuple[str, tuple[str | None, ...], int]] = set()
        """Standard operators without attributes and bodies, with the types of their inputs and the number of their outputs, none of
        these left out, that are known to be right."""
        self.judged: dict[tuple[str, str, tuple[str | None, ...]], str | None] = {}
        self.carried: set[str] = set()
        """Values whose type neither the file nor general inference tells, but the schemas of the operators."""

    def scope(self, graph: Graph, outer: ChainMap[str, str | None], where: str) -> Iterator[Problem]:
        """What is wrong with the nodes of one graph, by the types that names have in it."""
        types: dict[str, str | None] = {name: one.dtype for name, one in graph.values.items()}
        types.update({name: tensor.dtype for name, tensor in graph.initializers.items()})
        types.update({name: tensor.dtype for name, tensor in graph.constants.items()})
        types[""] = _LEFT_OUT
        seen = outer.new_child(types)
        inner = types if len(outer.maps) == 1 else seen
        get, plain = inner.get, self.plain
        for index, node in enumerate(graph.nodes):
            if (
                not (node.attributes or node.graphs or node.domain)
                and (node.op, tuple(map(get, node.inputs)), len(node.outputs)) in plain
                and "" not in node.outputs
            ):
                continue
            if node.domain in STANDARD:
                signature = self._signature(node.op, node.domain)
                if signature is not None:
                    for kind, text in self._node(node, signature, inner):
                        title = node.title(index)
                        yield kind, f"{node.op} {title}: {text}", node, title, f"{where}.node[{index}]"
            for key, body in node.graphs.items():
                yield from self.scope(body, seen, f"{where}.node[{index}].{key}")

    def _signature(self, op: str, domain: str) -> Signature | None:
        key = (op, domain)
        if key not in self.signatures:
            version = min(self.opsets.get(domain, newest_opset(domain)), newest_opset(domain) or 1)
            self.signatures[key] = _signature(op, domain, version) if version > 0 and knows(op, domain, version) else None
        return self.signatures[key]

    def _node(self, node: Node, signature: Signature, types: Types | ChainMap[str, str | None]) -> Sequence[tuple[str, str]]:
        """Kinds and texts of what is wrong with a node."""
        dtypes = tuple([types.get(name) for name in node.inputs])
        key = (node.op, node.domain, dtypes)
        if key not in self.judged:
            self.judged[key] = _type_problem(node, signature, dtypes)
        problem = self.judged[key]
        if problem is None and node.domain:  # general inference knows the results of the standard operators alone
            problem = _result_problem(node, signature, types)
        unknown = None in map(types.get, node.outputs)
        if problem is None and (unknown or self.carried):
            problem = self._carry(node, signature, dtypes, types)
        found = [] if problem is None else [("type-mismatch", problem)]
        found.extend(("operator-signature", text) for text in (*_shape_of_call(node, signature), *_bodies(node)))
        if not (found or unknown or self.carried or node.attributes or node.graphs or node.domain or "" in node.outputs):
            self.plain.add((node.op, dtypes, len(node.outputs)))
        return found

    def _carry(self, node: Node, signature: Signature, dtypes: tuple[str | None, ...], types: Types) -> str | None:
        """Gives results of an unknown type the only one that the schema leaves; tells where such a one meets another declared type.

        ONNX Runtime finds the types of all results this way, general inference only those of operators that have a function for it.
        """
        made = _results(signature, dtypes)
        for place, (name, dtype) in enumerate(zip(node.outputs, made, strict=False)):
            if not name or dtype is None:
                continue
            told = types.get(name)
            if told is None:
                types[name] = dtype
                self.carried.add(name)
            elif told != dtype and not self.carried.isdisjoint(node.inputs):
                return f"output {place} is {told}, {dtype} follows from its inputs"
        return None


@lru_cache(maxsize=1024)
def _signature(op: str, domain: str, version: int) -> Signature:
    """What the schema of an operator asks for; the files of a folder have few different ones."""
    defs = native().defs
    schema = defs.get_schema(op, version, domain)
    allowed = {one.type_param_str: frozenset(one.allowed_type_strs) for one in schema.type_constraints}
    return Signature(
        schema.min_input,
        schema.max_input,
        _formal(schema.inputs, allowed),
        _formal(schema.outputs, allowed),
        (schema.min_output, schema.max_output),
        (_single(schema.inputs), _single(schema.outputs)),
        {name: one.type.name for name, one in schema.attributes.items()},
        frozenset(name for name, one in schema.attributes.items() if one.required),
        schema.since_version,
    )


def _formal(side: Sequence[Any], allowed: Mapping[str, frozenset[str]]) -> tuple[tuple[str, frozenset[str], bool], ...]:
    """Of each formal parameter its type parameter, the types that it allows, and whether all values of it have one type."""
    return tuple((one.type_str, allowed.get(one.type_str, frozenset({one.type_str})), bool(one.is_homogeneous)) for one in side)


def _single(formal: Sequence[Any]) -> tuple[int, ...]:
    """Places of the formal parameters that are one value, neither optional nor any number of them."""
    return tuple(place for place, one in enumerate(formal) if one.option.name == "Single")


def _type_problem(node: Node, signature: Signature, dtypes: tuple[str | None, ...]) -> str | None:
    """What is wrong with the types of a node's inputs, as far as they are known tensors."""
    bound: dict[str, str] = {}
    for place, dtype in enumerate(dtypes):
        if dtype is None or "(" in dtype or " " in dtype or not signature.inputs:
            continue
        parameter, allowed, homogeneous = signature.inputs[min(place, len(signature.inputs) - 1)]
        if f"tensor({_onnx_name(dtype)})" not in allowed:
            return f"input {place} is {dtype}, which the operator does not take there"
        if homogeneous and bound.setdefault(parameter, dtype) != dtype:
            return f"input {place} is {dtype}, another of the same type {parameter} is {bound[parameter]}"
    return None


def _results(signature: Signature, dtypes: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """Types of the results as far as the schema ties them to the inputs, or has only one."""
    bound: dict[str, str] = {}
    for (parameter, _, homogeneous), dtype in zip(signature.inputs, dtypes, strict=False):
        if dtype is not None and "(" not in dtype and " " not in dtype and homogeneous:
            bound.setdefault(parameter, dtype)
    return tuple(
        bound.get(parameter) or (_OWN_NAMES.get(min(allowed)) if len(allowed) == 1 else None) for parameter, allowed, _ in signature.outputs
    )


def _result_problem(node: Node, signature: Signature, types: Types | ChainMap[str, str | None]) -> str | None:
    """What is wrong with the types that the file declares of a node's results."""
    for place, (name, (_, allowed, _)) in enumerate(zip(node.outputs, signature.outputs, strict=False)):
        dtype = types.get(name) if name else None
        if dtype is not None and "(" not in dtype and " " not in dtype and f"tensor({_onnx_name(dtype)})" not in allowed:
            return f"output {place} is {dtype}, which the operator does not make"
    return None


def _onnx_name(dtype: str) -> str:
    """`float32` as schemas call it: `float`; `float8_e4m3fn` is `float8e4m3fn`, `float4_e2m1fn` is `float4e2m1`."""
    name = _TYPE_NAMES.get(dtype, dtype).replace("_", "")
    return name.removesuffix("fn") if name.startswith(("float4", "float6")) else name.replace("e8m0fnu", "e8m0")


_OWN_NAMES = {f"tensor({_onnx_name(dtype)})": dtype for dtype in DTYPES.values()}


def _shape_of_call(node: Node, signature: Signature) -> Iterator[str]:
    """Counts and attributes that the schema does not have."""
    given, made = len(node.inputs), len(node.outputs)
    if not signature.least <= given <= signature.most:
        yield f"{given} inputs, {_range(signature.least, signature.most)} possible"
    least, most = signature.results
    if not least <= made <= most:
        yield f"{made} outputs, {_range(least, most)} possible"
    for side, names, needed in zip(("input", "output"), (node.inputs, node.outputs), signature.needed, strict=True):
        if "" in names and (left := [place for place in needed if place < len(names) and not names[place]]):
            yield f"{side} {left[0]} is left out, the operator cannot do without it"
    yield from _attributes(node, signature)


def _range(least: int, most: int) -> str:
    return (
        f"{least} {'is' if least == 1 else 'are'}"
        if least == most
        else f"{least} or more are"
        if most > _MANY
        else f"{least} to {most} are"
    )


def _attributes(node: Node, signature: Signature) -> Iterator[str]:
    """Attributes that the schema does not have, of other types than there, or that are missing."""
    if not node.attributes and not node.graphs:
        names: set[str] = set()
    else:
        names = {*node.attributes, *(key.partition("[")[0] for key in node.graphs)}
        for name in sorted(names):
            wanted = signature.attributes.get(name)
            if wanted is None:
                # Names with two underscores are for internal use; consumed_inputs is left over from opset 1 (onnx/defs/schema.cc).
                if not name.startswith("__") and name != "consumed_inputs":
                    yield f"the operator has no attribute {name}"
            elif name in node.attributes and _kind(node.attributes[name]) not in (None, wanted):
                yield f"attribute {name} is {_kind(node.attributes[name])}, {wanted} is right"
    if node.op == "Constant" and len(names & signature.attributes.keys()) != 1:
        yield "one attribute has to give its value"
    to = node.attributes.get("to") if node.op == "Cast" else None
    if isinstance(to, int) and to not in DTYPES:
        yield f"{to} is no element type"
    missing = signature.required - names
    if missing:
        yield f"attribute {min(missing)} is missing"
    if names:
        yield from choices.problems(node, signature.since)


def _bodies(node: Node) -> Iterator[str]:
    """Bodies of control flow that take or yield another number of values than their node."""
    if node.op not in ("If", "Loop", "Scan"):
        return
    for name, body in node.graphs.items():
        yields = len(body.outputs) - (1 if node.op == "Loop" else 0)
        if yields < len(node.outputs) or (node.op == "If" and yields != len(node.outputs)):
            yield f"{name} yields {yields} values for {len(node.outputs)} results"
        if node.op == "Loop" and len(node.inputs) >= 2 and len(body.inputs) != len(node.inputs):
            yield f"{name} takes {len(body.inputs)} values, {len(node.inputs)} are right"


def _kind(value: Any) -> str | None:
    """The type of an attribute by its value, None where that does not tell."""
    match value:
        case int():
            return "INT"
        case float():
            return "FLOAT"
        case str() | bytes():
            return "STRING"
        case StoredTensor() | Fill():
            return "TENSOR"
        case SparseTensor():
            return "SPARSE_TENSOR"
        case TensorInfo():
            return "TYPE_PROTO"
        case tuple() if value and all(isinstance(one, int) for one in value):
            return "INTS"
        case tuple() if value and all(isinstance(one, float) for one in value):
            return "FLOATS"
        case tuple() if value and all(isinstance(one, str | bytes) for one in value):
            return "STRINGS"
        case _:
            return None
