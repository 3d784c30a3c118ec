"""The graph of all scopes as one flat list of calls over numbered values, so that everything after it is a linear pass.

Bodies of If, Loop and Scan come before the call that owns them, in between artificial calls (domain `SCOPE`) that carry
values over the border: `alias` (the same value), `join` (one of several: the branches of an If), `stack` (a leading axis
more), `unstack` (one less) and `carry` (a loop's state handed to its next turn).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.errors import LimitExceeded
from modelscan.graph import Graph, Node, SparseTensor
from modelscan.layers.onnx import arity
from modelscan.limits import Limits
from modelscan.model import Shape, StoredTensor, TensorInfo
from modelscan.records import record

SCOPE = "·scope"
"""Domain of the artificial calls; no file can hold it, since readers keep domains as they are and this one is ours."""
KNOWN = 1024
"""Elements of a stored tensor whose values are looked at."""
CONTROL = frozenset(("If", "Loop", "Scan"))
"""Operators whose results come out of bodies."""
MALFORMED = "·malformed"
"""What a call with too few operands is to every rule: an operator that nothing is known of. The reader reports it."""
UNBATCHED = 9
"""Opset since which Scan has no batch axis."""
NONE = -1
"""The number of an omitted optional value."""


@dataclass(slots=True)
class Call:
    """One node in one scope."""

    index: int
    node: Node
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    op: str
    """The operator, with its domain in front if it is not the standard one."""
    owner: int = NONE
    """The place of the enclosing control-flow node in `Flow.owners`, NONE at the top."""

    def attribute(self, name: str, default: Any = None) -> Any:
        """A plain attribute value."""
        return self.node.attributes.get(name, default)

    def integer(self, name: str, default: int) -> int:
        """An integer attribute; the default where it is absent or of another type."""
        value = self.node.attributes.get(name, default)
        return value if isinstance(value, int) else default

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers; None where it is absent or of another type."""
        value = self.node.attributes.get(name)
        if value is not None and isinstance(value, tuple | list) and all(isinstance(one, int) for one in value):
            return tuple(value)
        return None

    def aligned(self, rank: int, other: int) -> int | None:
        """The axis of a first operand of `rank` axes that the first one of `other` axes of a second operand meets.

        Before opset 7 an attribute said so; None since then, when operands meet at their last axes.
        """
        if not self.integer("broadcast", 0):
            return None
        axis = self.integer("axis", rank - other)
        return axis + rank if axis < 0 else axis


@record(frozen=True, slots=True)
class Owner:
    """A body of a control-flow node."""

    node: Node
    branch: str
    parent: int
    number: int
    """Of the node among all, for names where the file has none."""


class Contents:
    """Elements of small values by number: of stored tensors, decoded when asked for, and of what the rules work out."""

    __slots__ = ("_known", "_names", "_stored", "_tensors")

    def __init__(self, names: list[str], tensors: list[StoredTensor | None]) -> None:
        self._known: dict[int, tuple[int | float, ...] | None] = {}
        self._stored: dict[int, Mapping[str, tuple[int | float, ...]]] = {}
        self._names, self._tensors = names, tensors

    def stored(self, value: int, contents: Mapping[str, tuple[int | float, ...]]) -> None:
        """Notes where the elements of a stored tensor are to be had, by its name."""
        self._stored[value] = contents

    def get(self, value: int) -> tuple[int | float, ...] | None:
        """The elements, None where they are not known."""
        if value in self._known:
            return self._known[value]
        source, tensor = self._stored.get(value), self._tensors[value] if value != NONE else None
        if source is None or tensor is None or tensor.elements > KNOWN:
            return None
        found = self._known[value] = source.get(self._names[value])
        return found

    def note(self, value: int, elements: tuple[int | float, ...]) -> None:
        """What a rule worked out."""
        self._known[value] = elements

    def forget(self, value: int) -> None:
        """Takes back what a rule worked out."""
        self._known.pop(value, None)


@dataclass(slots=True)
class Flow:
    """The flat graph. Lists are indexed by value number."""

    calls: list[Call] = field(default_factory=list)
    owners: list[Owner] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    infos: list[TensorInfo | None] = field(default_factory=list)
    """Declared or inferred."""
    declared: list[TensorInfo | None] = field(default_factory=list)
    """What the file itself says of the value, inputs and outputs of graphs included."""
    tensors: list[StoredTensor | None] = field(default_factory=list)
    sparse: dict[int, SparseTensor] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    """What the exporter says that stored values were: `PARAMETER`, `BUFFER`, …"""
    producer: list[int] = field(default_factory=list)
    uses: list[list[tuple[int, int]]] = field(default_factory=list)
    """Calls and input positions that take the value."""
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    """Of the whole graph."""
    opset: int = 0
    """Version of the standard operators; 0 where the file does not say."""
    results: tuple[TensorInfo, ...] = ()
    """What the file declares of the outputs, in their order."""
    escapes: set[int] = field(default_factory=set)
    """Values that leave as outputs of a graph or a body."""
    contents: Contents = field(init=False)

    def __post_init__(self) -> None:
        self.contents = Contents(self.names, self.tensors)

    def declared_shape(self, value: int) -> Shape | None:
        """What the file states of a value's shape."""
        info = self.declared[value]
        return None if info is None else info.shape

    def users(self, value: int) -> list[Call]:
        """The calls that take a value, each once for every position."""
        return [self.calls[call] for call, _ in self.uses[value]]


def flatten(graph: Graph, limits: Limits) -> Flow:
    """All scopes of a graph in one list; raises `LimitExceeded` for nesting or size beyond the bounds."""
    flow = Flow(opset=graph.opsets.get("", 0))
    top = _Scope(flow, graph, None)
    flow.inputs = [top.names[one.name] for one in graph.inputs]
    stack: list[tuple[_Scope, Iterator[Node], _Frame | None]] = [(top, iter(graph.nodes), None)]
    while stack:
        scope, nodes, frame = stack[-1]
        for node in nodes:
            if node.graphs or len(flow.calls) > limits.inlined_nodes:
                break
            scope.call(node)
        else:
            stack.pop()
            scope.close()
            if frame is not None:
                frame.leave(scope)
            continue
        if len(flow.calls) > limits.inlined_nodes:
            raise LimitExceeded("inlined_nodes", len(flow.calls), limits.inlined_nodes)
        if len(stack) > limits.nesting:
            raise LimitExceeded("nesting", len(stack), limits.nesting, where=(node.name or node.op,))
        number = len(flow.calls)
        inner = _Frame(scope, node, scope.call(node, outputs=False), len(node.graphs))
        for branch, body in reversed(tuple(node.graphs.items())):
            flow.owners.append(Owner(node, branch, scope.owner, number))
            bound = _Scope(flow, body, scope, len(flow.owners) - 1)
            stack.append((bound, inner.enter(bound), inner))
    flow.results = graph.outputs
    flow.outputs = [top.lookup(one.name) for one in graph.outputs]
    return flow


class _Scope:
    """Names of one graph while it is walked; what it does not define, it captures from the scopes around it."""

    def __init__(self, flow: Flow, graph: Graph, parent: _Scope | None, owner: int = NONE) -> None:
        self.flow, self.graph, self.parent, self.owner = flow, graph, parent, owner
        self.names: dict[str, int] = {}
        self.values = graph.values
        self.stated = {**graph.declared, **{one.name: one for one in graph.outputs}}
        for info in graph.inputs:
            self.define(info.name, declared=info)
        for name, tensor in graph.initializers.items():
            value = self.names[name] if name in self.names else self.define(name)
            flow.tensors[value] = tensor
            flow.contents.stored(value, graph.contents)
        for name, kind in graph.kinds.items():
            if name in graph.initializers:
                flow.kinds[self.names[name]] = kind
        for name, sparse in graph.sparse.items():
            self.flow.sparse[self.names[name] if name in self.names else self.define(name)] = sparse
        self.nameless = "" in self.names
        """Whether something has no name; it is not what nodes mean that omit an input."""

    def define(self, name: str, declared: TensorInfo | None = None) -> int:
        flow, value = self.flow, len(self.flow.names)
        stated = declared or self.stated.get(name)
        flow.names.append(name)
        flow.infos.append(self.values.get(name) or stated)
        flow.declared.append(stated)
        flow.tensors.append(None)
        flow.producer.append(NONE)
        flow.uses.append([])
        self.names[name] = value
        return value

    def lookup(self, name: str) -> int:
        """The value that a name stands for here; a name that nobody defines becomes a value without a producer."""
        if not name:
            return NONE
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return self.define(name)

    def call(self, node: Node, inputs: tuple[int, ...] | None = None, outputs: bool | tuple[int, ...] = True) -> Call:
        """Appends a call; `outputs=False` leaves its results to the artificial calls behind its bodies."""
        flow, names, define = self.flow, self.names, self.define
        try:
            taken = inputs or tuple([names[name] for name in node.inputs])
            if self.nameless:
                raise KeyError
        except KeyError:  # an omitted input, or one from around this scope
            taken = inputs or tuple([self.lookup(name) for name in node.inputs])
        if isinstance(outputs, tuple):
            made = outputs
        else:
            made = tuple([define(name) if name else NONE for name in node.outputs]) if outputs else ()
        op = f"{node.domain}:{node.op}" if node.domain else node.op
        if len(taken) < arity.LEAST.get(op, 0) or (not made and node.domain != SCOPE and op not in CONTROL):
            op = MALFORMED
        index = len(flow.calls)
        one = Call(index, node, taken, made, op, self.owner)
        flow.calls.append(one)
        uses, producer = flow.uses, flow.producer
        for position, value in enumerate(taken):
            if value != NONE:
                uses[value].append((index, position))
        for value in made:
            if value != NONE and producer[value] == NONE:
                producer[value] = index
        if node.op == "Constant" and not node.domain and made and made[0] != NONE:
            flow.tensors[made[0]] = self.graph.constants.get(flow.names[made[0]])
            flow.contents.stored(made[0], self.graph.contents)
        return one

    def border(self, kind: str, source: int, target: int, axis: int = 0) -> None:
        """An artificial call that carries one value over a scope's border; `carry` makes none, it only joins two."""
        if NONE not in (source, target):
            joined = kind == "carry"
            self.call(
                Node("", kind, SCOPE, attributes={"axis": axis}), (source, target) if joined else (source,), () if joined else (target,)
            )

    def close(self) -> None:
        """Notes what leaves the scope."""
        self.flow.escapes.update(self.lookup(one.name) for one in self.graph.outputs)


class _Frame:
    """A control-flow node whose bodies are being walked."""

    def __init__(self, scope: _Scope, node: Node, call: Call, bodies: int) -> None:
        self.scope, self.node, self.call = scope, node, call
        self.results = [scope.define(name) if name else NONE for name in node.outputs]
        self.left = bodies
        self.branches: list[list[int]] = [[] for _ in self.results]
        """For an If: what each of its branches yields for each of its results."""

    def enter(self, body: _Scope) -> Iterator[Node]:
        """Binds the body's inputs when its turn comes, then yields its nodes."""
        inner = [body.names[one.name] for one in body.graph.inputs]
        given = self.call.inputs
        if self.node.op == "Loop":
            held = _unchanged(body.graph)
            for place, (value, source) in enumerate(zip(inner[2:], given[2:], strict=False)):
                body.border("hold" if place in held else "alias", source, value)
        elif self.node.op == "Scan" and not self._batched():
            states = self._scan_states(body)
            for number, (value, source) in enumerate(zip(inner, given, strict=False)):
                body.border("alias" if number < states else "unstack", source, value, self._axis("scan_input_axes", number - states))
        yield from body.graph.nodes

    def leave(self, body: _Scope) -> None:
        """Binds the node's results to what the body yields."""
        inner = [body.lookup(one.name) for one in body.graph.outputs]
        carried = [body.names[one.name] for one in body.graph.inputs]
        scope, results = body, self.results
        if self.node.op == "Loop":
            states = max(len(carried) - 2, 0)
            for number, value in enumerate(inner[1:]):
                if number < states:
                    scope.border("carry", value, carried[number + 2])
                if number < len(results):
                    scope.border("alias" if number < states else "stack", value, results[number])
        elif self.node.op == "Scan" and not self._batched():
            states = self._scan_states(body)
            for number, value in enumerate(inner[: len(results)]):
                if number < states:
                    scope.border("carry", value, carried[number])
                axis = self._axis("scan_output_axes", number - states)
                scope.border("alias" if number < states else "stack", value, results[number], axis)
        elif self.node.op != "Scan":
            self._join(inner)

    def _join(self, inner: list[int]) -> None:
        """Results of a node whose bodies are alternatives are bound when the last of them is walked."""
        for values, value in zip(self.branches, inner, strict=False):
            values.append(value)
        self.left -= 1
        if self.left == 0:
            for values, result in zip(self.branches, self.results, strict=True):
                if values and result != NONE:
                    self.scope.call(Node("", "join", SCOPE, attributes={"owner": self.call.index}), tuple(values), (result,))

    def _batched(self) -> bool:
        """Whether this is the Scan of opset 8, whose operands have a batch axis in front and whose first one is lengths."""
        return 0 < self.scope.flow.opset < UNBATCHED

    def _axis(self, name: str, place: int) -> int:
        axes = self.node.attributes.get(name)
        return axes[place] if isinstance(axes, tuple) and 0 <= place < len(axes) and isinstance(axes[place], int) else 0

    def _scan_states(self, body: _Scope) -> int:
        scanned = self.node.attributes.get("num_scan_inputs", 0)
        return max(len(body.graph.inputs) - (scanned if isinstance(scanned, int) else 0), 0)


def _unchanged(body: Graph) -> frozenset[int]:
    """The states of a Loop, by number, that each turn hands on as it got them: weights that an exporter passed in."""
    same = {node.outputs[0]: node.inputs[0] for node in body.nodes if node.op == "Identity" and node.inputs and node.outputs}
    found = []
    for place, (state, result) in enumerate(zip(body.inputs[2:], body.outputs[1:], strict=False)):
        name, steps = result.name, len(same)
        while name in same and steps:
            name, steps = same[name], steps - 1
        if name == state.name:
            found.append(place)
    return frozenset(found)
