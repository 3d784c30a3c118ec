"""A graph with the calls of its model-local functions replaced by what the functions do: names become `call/inner`."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelscan.graph import Function, FunctionKey, Graph, Node, Reference, SparseTensor
from modelscan.limits import Limits
from modelscan.model import StoredTensor, TensorInfo
from modelscan.naming import free

Rename = Callable[[str], str]
_DEPTH = 64
"""Functions in functions; deeper calls stay calls."""


class _Renamed(Mapping[str, tuple[int | float, ...]]):
    """Contents of another scope under new names, still decoded only when asked for."""

    def __init__(self, names: Mapping[str, str], contents: Mapping[str, tuple[int | float, ...]]) -> None:
        self._names = names
        self._contents = contents

    def __getitem__(self, name: str) -> tuple[int | float, ...]:
        return self._contents[self._names[name]]

    def __contains__(self, name: object) -> bool:
        return name in self._names and self._names[name] in self._contents  # type: ignore[index]

    def __iter__(self) -> Iterator[str]:
        return (name for name, old in self._names.items() if old in self._contents)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Scope:
    """What the calls in one graph add to it."""

    def __init__(self) -> None:
        self.constants: dict[str, StoredTensor] = {}
        self.sparse: dict[str, SparseTensor] = {}
        self.contents: list[Mapping[str, tuple[int | float, ...]]] = []

    def adopt(self, graph: Graph, rename: Rename) -> None:
        """Take in the constants of a function's body."""
        names = {rename(name): name for name in (*graph.constants, *graph.initializers)}
        self.constants.update({rename(name): tensor for name, tensor in graph.constants.items()})
        self.sparse.update({rename(name): tensor for name, tensor in graph.sparse.items()})
        self.contents.append(_Renamed(names, graph.contents))


class _Inliner:
    def __init__(self, functions: Mapping[FunctionKey, Function], limit: int) -> None:
        self.functions = functions
        self.left = limit
        self.calls: dict[str, int] = {}

    def graph(self, graph: Graph, rename: Rename, path: str, bound: Mapping[str, Any], stack: tuple[FunctionKey, ...]) -> Graph:
        """A graph or body with its calls replaced and its names changed."""
        scope = _Scope()
        nodes = tuple(self.nodes(graph, rename, path, bound, stack, scope))
        names = {rename(name): name for name in (*graph.constants, *graph.initializers)}
        contents: Mapping[str, tuple[int | float, ...]] = _Renamed(names, graph.contents)
        if scope.contents:
            contents = ChainMap(contents, *scope.contents)  # type: ignore[arg-type]  # only looked up, never written to
        return replace(
            graph,
            nodes=nodes,
            inputs=tuple(replace(one, name=rename(one.name)) for one in graph.inputs),
            outputs=tuple(replace(one, name=rename(one.name)) for one in graph.outputs),
            values=_infos(graph.values, rename),
            declared=_infos(graph.declared, rename),
            initializers={rename(name): tensor for name, tensor in graph.initializers.items()},
            constants={rename(name): tensor for name, tensor in graph.constants.items()} | scope.constants,
            sparse={rename(name): tensor for name, tensor in graph.sparse.items()} | scope.sparse,
            contents=contents,
            kinds={rename(name): kind for name, kind in graph.kinds.items()},
        )

    def nodes(
        self, graph: Graph, rename: Rename, path: str, bound: Mapping[str, Any], stack: tuple[FunctionKey, ...], scope: _Scope
    ) -> Iterator[Node]:
        """The nodes of a graph, calls replaced by the nodes of the function."""
        for index, node in enumerate(graph.nodes):
            title = f"{path}{node.title(index)}"
            one = self._resolved(node, title, rename, bound, stack)
            key = (node.domain, node.op, node.overload)
            function = self.functions.get(key)
            if function is None or key in stack or len(stack) >= _DEPTH or len(function.graph.nodes) > self.left:
                yield one
            else:
                self.left -= len(function.graph.nodes)
                yield from self._call(one, function, free(title, self.calls, "#"), (*stack, key), scope)

    def _resolved(self, node: Node, title: str, rename: Rename, bound: Mapping[str, Any], stack: tuple[FunctionKey, ...]) -> Node:
        """A node with its new names, and references to attributes of the call replaced by their values."""
        attributes: dict[str, Any] = {}
        graphs = {key: self.graph(body, rename, "", bound, stack) for key, body in node.graphs.items()}
        for key, value in node.attributes.items():
            found = bound.get(value.name) if isinstance(value, Reference) else value
            if isinstance(found, Graph):
                graphs[key] = found
            elif found is not None:
                attributes[key] = found
        return replace(
            node,
            name=title,
            inputs=tuple(map(rename, node.inputs)),
            outputs=tuple(map(rename, node.outputs)),
            attributes=attributes,
            graphs=graphs,
        )

    def _call(self, call: Node, function: Function, path: str, stack: tuple[FunctionKey, ...], scope: _Scope) -> Iterator[Node]:
        names = {"": ""}
        names.update(dict.fromkeys(function.inputs, ""))
        names.update(zip(function.inputs, call.inputs, strict=False))
        passed = []
        for formal, actual in zip(function.outputs, call.outputs, strict=False):
            if formal in function.inputs:
                passed.append((names[formal], actual))
            elif actual:
                names[formal] = actual

        def rename(name: str) -> str:
            found = names.get(name)
            return f"{path}/{name}" if found is None else found

        scope.adopt(function.graph, rename)
        bound = {**function.defaults, **call.attributes, **call.graphs}
        yield from self.nodes(function.graph, rename, f"{path}/", bound, stack, scope)
        for source, target in passed:
            yield Node(f"{path}/{target}", "Identity", inputs=(source,), outputs=(target,))


def _infos(values: Mapping[str, TensorInfo], rename: Rename) -> dict[str, TensorInfo]:
    return {rename(name): replace(one, name=rename(name)) for name, one in values.items()}


def allowed(graph: Graph, limits: Limits) -> int:
    """Nodes that calls may come to: in proportion to the file, so that a small one cannot keep its reader busy for long."""
    own = sum(len(scope.nodes) for root in (graph, *(one.graph for one in graph.functions.values())) for _, scope in root.scopes())
    return min(limits.inlined_nodes, max(limits.inlined_free, limits.inlined_ratio * own))


def expanded(graph: Graph) -> int:
    """Nodes that the functions' calls come to once they are followed, each function counted once for all its callers."""
    calls = {key: calls_of(one.graph, graph.functions) for key, one in graph.functions.items()}
    sizes: dict[FunctionKey, int] = {}
    for start in graph.functions:
        if start in sizes:
            continue
        stack: list[tuple[FunctionKey, Iterator[FunctionKey]]] = [(start, iter(calls[start]))]
        under_way = {start}
        while stack:
            key, rest = stack[-1]
            inner = next((one for one in rest if one not in sizes and one not in under_way), None)
            if inner is None:
                stack.pop()
                under_way.discard(key)
                sizes[key] = len(graph.functions[key].graph.nodes) + sum(sizes.get(one, 0) * count for one, count in calls[key].items())
            else:
                under_way.add(inner)
                stack.append((inner, iter(calls[inner])))
    return sum(sizes[key] * count for key, count in calls_of(graph, graph.functions).items())


def calls_of(graph: Graph, functions: Mapping[FunctionKey, Function]) -> Counter[FunctionKey]:
    """How often each function is called in a scope and its bodies."""
    found: Counter[FunctionKey] = Counter()
    for _, scope in graph.scopes():
        found.update(key for node in scope.nodes if (key := (node.domain, node.op, node.overload)) in functions)
    return found


def inline(graph: Graph, limits: Limits) -> Graph:
    """The graph with every call of one of its functions replaced, in bodies and in functions too.

    Where that would come to more nodes than `allowed`, the graph stays as it is: functions that call functions twice double at
    every level. A call is a path: the nodes and values of a function are named `call/inner`, those of a function in it
    `call/inner call/inner`; every node has a name, which in a body counts from there. A tensor of a function keeps its identity,
    so that two calls share it. Calls of a function inside itself stay calls.
    """
    if graph.inlined is not None or not graph.functions:
        return graph.inlined or graph
    limit = allowed(graph, limits)
    if expanded(graph) > limit:
        return graph
    return _Inliner(graph.functions, limit).graph(graph, str, "", {}, ())
