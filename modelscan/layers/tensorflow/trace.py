"""Where variables end: followed through handles, reads and calls of functions to the operations that use them.

A value of interest is a variable, or a constant that a variable was frozen into; both go by the name of their stored tensor. Everything
else is not followed. A function is walked once for each way in which variables are handed to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modelscan.errors import LimitExceeded
from modelscan.limits import Limits
from modelscan.model import Shape
from modelscan.program import FunctionRef, MetaGraph, Operation
from modelscan.records import record

Key = str
"""Name of a stored tensor."""
FAR = 64
"""Operations that only hand a value on, in a row."""
HANDED_ON = frozenset(
    (
        "Identity IdentityN Cast StopGradient PreventGradient CheckNumerics Snapshot Enter RefEnter Switch RefSwitch Merge ReadVariableOp "
        "ReadVariableXlaSplitND Bitcast NoOp EnsureShape DeepCopy"
    ).split()
)
"""Operations whose first output is their first input."""
LAID_OUT = frozenset("Reshape ExpandDims Squeeze Transpose StridedSlice Slice ConcatV2 Split SplitV Unpack Pack Tile BroadcastTo".split())
"""Operations that lay a value's elements out anew."""
_PLUMBING = frozenset(
    (
        "VarIsInitializedOp AssignVariableOp AssignAddVariableOp AssignSubVariableOp Assign IsVariableInitialized DisableCopyOnRead "
        "SaveV2 Save SaveSlices RestoreV2 VariableShape DestroyResourceOp NoOp ShapeN Shape"
    ).split()
)
"""Operations that manage variables; being used by them says nothing."""
_CALLS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "PartitionedCall": (("f",), 0),
    "StatefulPartitionedCall": (("f",), 0),
    "TPUPartitionedCall": (("f",), 0),
    "XlaLaunch": (("function",), 0),
    "RemoteCall": (("f",), 1),
    "While": (("cond", "body"), 0),
    "StatelessWhile": (("cond", "body"), 0),
    "If": (("then_branch", "else_branch"), 1),
    "StatelessIf": (("then_branch", "else_branch"), 1),
    "Case": (("branches",), 1),
    "StatelessCase": (("branches",), 1),
    "BatchFunction": (("f",), 0),
    "MapDefun": (("f",), 0),
}
"""Attributes that name functions, and how many inputs come before those that are handed on."""


@dataclass
class Body:
    """A graph or function while it is walked."""

    nodes: Mapping[str, Operation]
    given: Mapping[str, Key]
    """What the arguments are."""
    prefix: str = ""
    """Before the names of stored constants."""
    looped: bool = False
    """Whether it is, or is called from, the body of a loop."""

    def producer(self, reference: str) -> Operation | None:
        """The operation that makes a value, None for an argument."""
        return self.nodes.get(reference.partition(":")[0])


@record(frozen=True, slots=True)
class Use:
    """One operation that takes a variable's value (or its handle, for a lookup)."""

    node: Operation
    place: int
    """Which of its inputs."""
    body: Body
    order: int
    """Counts all uses, as the program would run."""

    @property
    def op(self) -> str:
        """The operation's name."""
        return self.node.op

    def shape(self, place: int) -> Shape | None:
        """The shape that the file states of one of the operation's inputs."""
        inputs = self.node.inputs
        return stated(self.body, inputs[place]) if 0 <= place < len(inputs) else None

    @property
    def result(self) -> Shape | None:
        """The shape that the file states of the operation's first output."""
        return _listed(self.node, 0)


def stated(body: Body, reference: str) -> Shape | None:
    """The shape that the file states of a value (`_output_shapes`)."""
    node = body.producer(reference)
    if node is None:
        return None
    last = reference.rpartition(":")[2]
    return _listed(node, int(last) if last.isdecimal() and ":" in reference else 0)


def _listed(node: Operation, place: int) -> Shape | None:
    shapes = node.attributes.get("_output_shapes")
    if isinstance(shapes, tuple) and place < len(shapes):
        found = shapes[place]
        return found if isinstance(found, tuple) else None
    return None


@dataclass
class Trace:
    """All uses of the variables and constants of one program."""

    graph: MetaGraph
    keys: Mapping[str, Key]
    """By node of the graph itself: variables, handles and constants."""
    constants: frozenset[str]
    """Names of the stored constants."""
    copies: Mapping[Key, Key]
    """Second entries of variables, by the entry that counts."""
    limits: Limits
    uses: dict[Key, list[Use]] = field(default_factory=dict)
    seen: set[tuple[str, tuple[Key | None, ...]]] = field(default_factory=set)
    steps: int = 0

    def run(self) -> None:
        """From the graph itself, then from functions that are bound to variables which nothing has used yet."""
        nodes = {one.name: one for one in self.graph.nodes}
        self._walk(Body(nodes, {}))
        keys = [one.key and self.copies.get(one.key, one.key) for one in self.graph.objects]
        for name, concrete in self.graph.concrete.items():
            bound = [keys[one] if 0 <= one < len(keys) else None for one in concrete.bound]
            if any(one is not None and one not in self.uses for one in bound) and name in self.graph.functions:
                count = len(self.graph.functions[name].inputs)
                given = ([None] * (count - len(bound)) + bound)[:count]
                body = self._body(name, tuple(given), looped=False)
                if body is not None:
                    self._walk(body)

    def _walk(self, first: Body) -> None:
        """Every operation of a body, and of the bodies that it calls where it calls them."""
        stack: list[tuple[Body, Iterator[Operation]]] = [(first, iter(first.nodes.values()))]
        while stack:
            body, nodes = stack[-1]
            node = next(nodes, None)
            if node is None:
                stack.pop()
                continue
            self.steps += 1
            if self.steps > self.limits.inlined_nodes:
                raise LimitExceeded("inlined_nodes", self.steps, self.limits.inlined_nodes)
            if node.op in HANDED_ON or node.op in _PLUMBING:
                continue
            taken = [self.origin(body, reference) for reference in node.inputs]
            if not any(taken):
                continue
            if node.op in _CALLS or node.op in self.graph.functions:
                inner = [one for one in self._called(node, taken, body) if one is not None]
                if len(stack) < self.limits.nesting:
                    stack.extend((one, iter(one.nodes.values())) for one in reversed(inner))
                continue
            for place, key in enumerate(taken):
                if key is not None and node.op not in LAID_OUT:
                    self.uses.setdefault(key, []).append(Use(node, place, body, self.steps))

    def _called(self, node: Operation, taken: list[Key | None], body: Body) -> Iterator[Body | None]:
        names, skipped = _CALLS.get(node.op, ((), 0))
        looped = body.looped or node.op in ("While", "StatelessWhile")
        references = [node.attributes.get(name) for name in names] if names else [FunctionRef(node.op)]
        for reference in references:
            for one in reference if isinstance(reference, tuple) else (reference,):
                if isinstance(one, FunctionRef):
                    yield self._body(one.name, tuple(taken[skipped:]), looped=looped)

    def _body(self, name: str, given: tuple[Key | None, ...], *, looped: bool) -> Body | None:
        """The body of a function for these arguments; None when it was walked with them before."""
        if (name, given) in self.seen or name not in self.graph.functions:
            return None
        self.seen.add((name, given))
        function = self.graph.functions[name]
        known = {argument.name: key for argument, key in zip(function.inputs, given, strict=False) if key is not None}
        return Body({one.name: one for one in function.nodes}, known, f"{name}/", looped)

    def origin(self, body: Body, reference: str) -> Key | None:
        """The variable or constant whose value a reference hands on; None where it is computed."""
        for _ in range(FAR):
            name = reference.partition(":")[0]
            if name in body.given:
                return body.given[name]
            node = body.nodes.get(name)
            if node is None:
                return None
            if not body.prefix and name in self.keys:
                return self.keys[name]
            if node.op == "Const":
                stored = f"{body.prefix}{name}"
                return stored if stored in self.constants else None
            if node.op not in HANDED_ON and node.op not in LAID_OUT:
                return None
            inputs = node.inputs
            if not inputs:
                return None
            reference = inputs[1] if node.op == "Split" and len(inputs) > 1 else inputs[0]
        return None
