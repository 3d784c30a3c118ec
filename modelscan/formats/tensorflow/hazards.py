"""What a graph does beside computing, where it can be reached: files, connections, Python; and calls that never end or lead nowhere.

Reached is what a signature's outputs hang on, what a loader runs at once, and every function that the object graph offers to a caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelscan.formats.tensorflow.operations import CACHES, DANGERS, SAVERS, TABLES, is_known, may_call
from modelscan.model import Observation, Severity
from modelscan.program import Constant, FunctionRef, MetaGraph, Operation

_SHOWN = 20
_STEPS = 32
_PASSED_THROUGH = frozenset({"Identity", "StringJoin", "ShardedFilename", "Reshape", "ExpandDims", "Pack", "Squeeze"})
_LOADING = "loading"
_ADAPT, _ADAPTING = "_adapt_function", "a function that adapts a layer to data"


class Walk:
    """One pass over a program, from its roots inwards.

    Attributes:
        seen: what was remarkable.
        constants: nodes with tensors that a signature reaches, by their place.
        calls: the functions that were reached, and those that each of them calls.
    """

    def __init__(self, graph: MetaGraph, saver_file: str) -> None:
        """`saver_file` is the tensor that a loader feeds with the checkpoint's path."""
        self.graph = graph
        self.saver_file = saver_file.partition(":")[0]
        self.nodes = {one.name: one for one in graph.nodes}
        self.assets = {one.tensor.partition(":")[0] for one in graph.assets}
        self.seen: list[Observation] = []
        self.constants: dict[str, Operation] = {}
        self.custom: dict[str, str] = {}
        self.calls: dict[str, tuple[str, ...]] = {}
        self.undefined: dict[str, tuple[str, Severity | None]] = {}
        """Functions that are not there, where they are called; what an attribute of a node's own names may be a note about it."""

    def run(self) -> Walk:
        """Look at everything that can be reached."""
        for title, outputs in self._roots():
            self._main(title, outputs)
        for title, names in self._functions():
            self._library(title, names, Severity.MEDIUM)
        self._recursion()
        for missing, (place, severity) in list(self.undefined.items())[:_SHOWN]:
            text = f"{place} calls {missing!r}, which the library does not have"
            self.seen.append(Observation("undefined-function", text, where=place, severity=severity))
        if self.custom:
            listed = ", ".join(sorted(self.custom)[:_SHOWN])
            text = f"{len(self.custom):,} operations are not TensorFlow's own and need a library to be loaded: {listed}"
            self.seen.append(Observation("custom-op", text, where=next(iter(self.custom.values()))))
        return self

    def _roots(self) -> Iterator[tuple[str, list[str]]]:
        """Nodes of the graph that somebody asks for, most exposed first."""
        if self.graph.initializers:
            yield _LOADING, sorted(self.graph.initializers)
        for signature in self.graph.signatures.values():
            yield f"the signature {signature.name}", [one.name for one in signature.outputs.values()]
        if not self.graph.signatures and not self.graph.objects:
            yield "the graph", list(self.nodes)

    def _functions(self) -> Iterator[tuple[str, list[str]]]:
        names = list(self.graph.concrete) or [name for one in self.graph.objects for name in one.functions]
        adapting = self._adapting()
        for title, chosen in (("a function of the model", set(names) - adapting), (_ADAPTING, adapting.intersection(names))):
            if chosen:
                yield title, [name for name in names if name in chosen]

    def _adapting(self) -> set[str]:
        """The functions by which Keras' preprocessing layers learn from data: Discretization's sorts its bins in Python."""
        objects = self.graph.objects
        held = [(name, objects[child]) for one in objects for name, child in one.children.items() if 0 <= child < len(objects)]
        found = {function for name, one in held if name == _ADAPT for function in one.functions}
        return found - {function for name, one in held if name != _ADAPT and one.kind == "function" for function in one.functions}

    def _main(self, title: str, outputs: Iterable[str]) -> None:
        """The nodes that the outputs hang on, control dependencies included, and the functions they call."""
        pending = [_node(one) for one in outputs]
        found: set[str] = set()
        called: list[str] = []
        while pending:
            name = pending.pop()
            if name in found or name not in self.nodes:
                continue
            found.add(name)
            node = self.nodes[name]
            pending.extend(_node(one) for one in (*node.inputs, *node.controls))
            called.extend(self._look(node, name, title, self.nodes, None))
        self._library(title, called, None)

    def _library(self, title: str, names: Iterable[str], severity: Severity | None) -> None:
        pending = list(names)
        while pending:
            name = pending.pop()
            if name in self.calls or name not in self.graph.functions:
                continue
            function = self.graph.functions[name]
            inner = {one.name: one for one in function.nodes}
            called: list[str] = []
            for node in function.nodes:
                called.extend(self._look(node, f"{name} > {node.name}", title, inner, severity))
            self.calls[name] = tuple(dict.fromkeys(called))
            pending.extend(self.calls[name])

    def _look(self, node: Operation, place: str, title: str, around: Mapping[str, Operation], severity: Severity | None) -> list[str]:
        """Judge one node; the functions that it calls."""
        op = node.op
        if op == "Const" and severity is None:
            self.constants[place] = node
        if op in self.graph.functions:  # TF 1 calls a function by its name
            return [op, *self._named(node, place)]
        danger = DANGERS.get(op)
        if danger is not None:
            self._danger(node, place, title, around, severity)
        elif op == "PrintV2" or op.startswith("Debug"):
            self._streams(node, place, title, severity)
        if not may_call(op):
            return []
        if not is_known(op):
            self.custom.setdefault(op, place)
        return list(self._named(node, place))

    def _named(self, node: Operation, place: str) -> Iterator[str]:
        """The functions that a node's attributes name."""
        for name, value in node.attributes.items():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, FunctionRef) and one.name:
                    if one.name in self.graph.functions:
                        yield one.name
                    elif not is_known(one.name) and (one.name not in self.undefined or not name.startswith("_")):
                        self.undefined[one.name] = (place, Severity.MEDIUM if name.startswith("_") else None)

    def _danger(self, node: Operation, place: str, title: str, around: Mapping[str, Operation], severity: Severity | None) -> None:
        danger = DANGERS[node.op]
        source, path = (None, None) if danger.place is None else _path(node, danger.place, around)
        told = f" {path!r}" if path else ""
        if node.op in SAVERS and (path is None or source == self.saver_file):
            return
        if node.op in TABLES:
            if path is None or source in self.assets:
                return
            severity = Severity.MEDIUM
        if node.op in CACHES and not path:
            return
        if title == _ADAPTING and danger.kind == "python-op":
            severity = Severity.INFO  # the code is not in the file, and nothing that uses the model calls it
        self._tell(danger.kind, f"{node.op} {danger.does}{told}", place, title, severity)

    def _streams(self, node: Operation, place: str, title: str, severity: Severity | None) -> None:
        """Printing to a file, and debug operations that send tensors away."""
        values: Any = node.attributes.get("output_stream") if node.op == "PrintV2" else node.attributes.get("debug_urls")
        for one in values if isinstance(values, tuple) else (values,):
            if isinstance(one, str) and one.startswith("file://"):
                self._tell("file-write-op", f"{node.op} writes to {one!r}", place, title, severity)
            elif isinstance(one, str) and one.startswith("grpc://"):
                self._tell("network-op", f"{node.op} sends tensors to {one!r}", place, title, severity)

    def _tell(self, kind: str, text: str, place: str, title: str, severity: Severity | None) -> None:
        if sum(one.kind == kind for one in self.seen) < _SHOWN:
            when = "run when the model is loaded" if title == _LOADING else f"reached from {title}"
            self.seen.append(Observation(kind, f"{text} at {place}, {when}", where=place, severity=severity))

    def _recursion(self) -> None:
        """Functions that call themselves, directly or through others; walked without recursion of our own."""
        done: set[str] = set()
        for root in self.calls:
            path: list[str] = []
            on_path: set[str] = set()
            stack: list[tuple[str, Iterator[str]]] = [] if root in done else [(root, iter(self.calls[root]))]
            if stack:
                path.append(root)
                on_path.add(root)
            while stack:
                name, inner = stack[-1]
                following = next(inner, None)
                if following is None:
                    stack.pop()
                    path.pop()
                    on_path.discard(name)
                    done.add(name)
                elif following in on_path:
                    circle = " > ".join([*path[path.index(following) :], following][-_SHOWN:])
                    self.seen.append(Observation("recursive-call", f"the function {following!r} calls itself: {circle}", where=following))
                    done.add(following)
                elif following not in done and following in self.calls:
                    stack.append((following, iter(self.calls[following])))
                    path.append(following)
                    on_path.add(following)


def _node(value: str) -> str:
    return value.removeprefix("^").partition(":")[0]


def _path(node: Operation, place: int, around: Mapping[str, Operation]) -> tuple[str | None, str | None]:
    """The constant node that an input comes from, and its text."""
    inputs = node.inputs
    if place >= len(inputs):
        return None, None
    value = inputs[place]
    for _ in range(_STEPS):
        one = around.get(_node(value))
        if one is None:
            return None, None
        if one.op == "Const":
            tensor = one.attributes.get("value")
            texts = [text for text in (tensor.values or ()) if isinstance(text, str)] if isinstance(tensor, Constant) else []
            return one.name, ", ".join(texts[:3])
        if one.op not in _PASSED_THROUGH or not one.inputs:
            return None, None
        value = one.inputs[0]
    return None, None
