"""The graph's own consistency: every value defined once and before its use, every operator known, functions that end.

One pass over each scope from the innermost outwards: a body hands the names it captures to the node that holds it, which then
needs them like its inputs. Shadowing a name of an outer scope is legal and silent, and so is an initializer that is also an input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from modelscan.formats.onnx.context import Reading
from modelscan.graph import Function, FunctionKey, Graph, Node
from modelscan.inline import allowed, calls_of, expanded

Needs = dict[str, str]
"""Names that a scope takes from outside, each with the place that needs it first."""


def settle(reading: Reading, graph: Graph, where: str, extra: Iterable[str] = ()) -> tuple[Graph, Needs]:
    """The graph with its nodes, and those of its bodies, in an order in which they can run; and what it needs from outside.

    Args:
        reading: takes the observations.
        graph: one scope.
        where: field path of the scope.
        extra: names that are defined besides inputs and initializers (formal inputs of a function).
    """
    return (graph, {}) if _in_order(graph, extra) else _settled(reading, graph, where, extra)


def _settled(reading: Reading, graph: Graph, where: str, extra: Iterable[str]) -> tuple[Graph, Needs]:
    """The same, name by name."""
    defined: dict[str, int] = {}
    for name in (*(one.name for one in graph.inputs), *extra):
        defined[name] = defined.get(name, 0) + 1
    for name in graph.initializers:
        defined.setdefault(name, 1)
    produced: dict[str, int] = {}
    captured: dict[int, Needs] = {}
    nodes = list(graph.nodes)
    for index, node in enumerate(graph.nodes):
        if node.graphs:
            nodes[index], captured[index] = _bodies(reading, node, f"{where}.node[{index}]")
        for name in node.outputs:
            if name:
                defined[name] = defined.get(name, 0) + 1
                produced[name] = index
    if len(defined) != sum(defined.values()):
        _note_duplicates(reading, graph, defined, where)
    missing, late = _unmet(nodes, captured, defined, produced, where)
    for one in graph.outputs:
        if one.name not in defined and one.name:
            missing.setdefault(one.name, f"{where}.output {one.name}")
    if late is not None:
        nodes = _sorted(reading, nodes, captured, produced, late, where)
    if late is not None or captured:
        graph = replace(graph, nodes=tuple(nodes))
    return graph, missing


def _in_order(graph: Graph, extra: Iterable[str]) -> bool:
    """Whether every node takes what stands before it, every name is defined once and every output defined, as nearly always."""
    given = [*(one.name for one in graph.inputs), *extra]
    known = {"", *given, *graph.initializers}
    count = len(known) if len(set(given)) == len(given) else -1
    for node in graph.nodes:
        if node.graphs or not known.issuperset(node.inputs):
            return False
        known.update(node.outputs)
        count += len(node.outputs)
    return count == len(known) and known.issuperset([one.name for one in graph.outputs])


def _unmet(
    nodes: list[Node], captured: Mapping[int, Needs], defined: Mapping[str, int], produced: Mapping[str, int], where: str
) -> tuple[Needs, int | None]:
    """What the scope does not define itself, and the first node that comes before one that it needs."""
    missing: Needs = {}
    late: int | None = None
    for index, node in enumerate(nodes):
        for name in node.inputs if index not in captured else (*node.inputs, *captured[index]):
            if name in defined:
                if late is None and produced.get(name, -1) >= index:
                    late = index
            elif name and name not in missing:
                place = f"{where}.node[{index}]"
                missing[name] = place if name in node.inputs else captured[index][name]
    return missing, late


def _bodies(reading: Reading, node: Node, where: str) -> tuple[Node, Needs]:
    """A node with settled bodies, and the names that these capture."""
    needs: Needs = {}
    graphs = {}
    for key, body in node.graphs.items():
        graphs[key], inner = settle(reading, body, f"{where}.{key}")
        needs.update({name: place for name, place in inner.items() if name not in needs})
    return replace(node, graphs=graphs), needs


def _note_duplicates(reading: Reading, graph: Graph, defined: Mapping[str, int], where: str) -> None:
    for name, count in defined.items():
        if count > 1:
            by = next((f"node {node.title(index)}" for index, node in enumerate(graph.nodes) if name in node.outputs), "the inputs")
            reading.note("duplicate-value", f"{name} is defined {count} times, by {by} among others", tensor=name, where=where)


def _sorted(
    reading: Reading, nodes: list[Node], captured: Mapping[int, Needs], produced: Mapping[str, int], first: int, where: str
) -> list[Node]:
    """The nodes in an order in which they can run; those of a cycle at the end, in file order."""
    named = [node if node.name else replace(node, name=node.title(index)) for index, node in enumerate(nodes)]
    users: dict[int, list[int]] = {}
    waiting = []
    for index, node in enumerate(named):
        sources = {produced[name] for name in (*node.inputs, *captured.get(index, ())) if name in produced}
        waiting.append(len(sources))
        for source in sources:
            users.setdefault(source, []).append(index)
    ready = [index for index, count in enumerate(waiting) if not count]
    order = []
    for index in ready:  # grows while it is walked
        order.append(index)
        for user in users.get(index, ()):
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    node = named[first]
    if len(order) < len(named):
        left = [index for index, count in enumerate(waiting) if count]
        some = ", ".join(named[index].name for index in left[:5])
        text = f"{len(left):,} nodes wait for one another in a circle, among them {some}"
        reading.note("graph-cycle", text, layer=named[left[0]].name, offset=named[left[0]].offset, where=f"{where}.node[{left[0]}]")
        order.extend(left)
    else:
        text = f"node {node.name} uses a value before the node that computes it"
        reading.note("unsorted-nodes", text, layer=node.name, offset=node.offset, where=f"{where}.node[{first}]")
    return [named[index] for index in order]


def check(reading: Reading, graph: Graph) -> Graph:
    """The whole model: the root settled, with functions and training graphs; all that does not fit together noted."""
    graph, missing = settle(reading, graph, "graph")
    for name, place in missing.items():
        if place.startswith("graph.output "):
            reading.note("undefined-output", f"{name} is an output and nowhere defined", tensor=name, where=place)
        else:
            reading.note("undefined-input", f"{name} is used and nowhere defined", tensor=name, where=place)
    # What a training graph does not define itself it takes from the inference graph (docs/IR.md, TrainingInfoProto).
    training = {path: settle(reading, one, path)[0] for path, one in graph.training.items()}
    functions = {key: _checked_function(reading, one) for key, one in graph.functions.items()}
    graph = replace(graph, training=training, functions=functions)
    if functions:
        _check_functions(reading, graph)
    return graph


def _checked_function(reading: Reading, function: Function) -> Function:
    where = f"function {function.name}"
    body, missing = settle(reading, function.graph, where, function.inputs)
    produced = {name for node in body.nodes for name in node.outputs} | set(function.inputs)
    missing.update({name: where for name in function.outputs if name not in produced})
    for name, place in missing.items():
        reading.note("undefined-input", f"{name} is nowhere defined in the function", tensor=name, where=place)
    return replace(function, graph=body)


def _check_functions(reading: Reading, graph: Graph) -> None:
    """Functions that call themselves, also through others, and calls that multiply beyond any bound."""
    calls = {key: calls_of(function.graph, graph.functions) for key, function in graph.functions.items()}
    state: dict[FunctionKey, int] = {}
    for start in graph.functions:
        stack = [(start, iter(calls[start]))]
        if start in state:
            continue
        state[start] = 1
        while stack:
            key, rest = stack[-1]
            inner = next(rest, None)
            if inner is None:
                stack.pop()
                state[key] = 2
            elif inner not in state:
                state[inner] = 1
                stack.append((inner, iter(calls[inner])))
            elif state[inner] == 1:
                text = f"function {inner[1]} calls itself" + ("" if inner == key else f" through {key[1]}")
                reading.note("recursive-function", text, layer=inner[1], where=f"functions > {inner[1]}")
    total, limit = expanded(graph), allowed(graph, reading.limits)
    if total > limit:
        text = f"its functions come to {total:,} nodes once their calls are followed, more than the limit of {limit:,}"
        reading.note("limit-exceeded", text, where="functions")


def unused(reading: Reading, graph: Graph) -> None:
    """Initializers that no node and no output uses, in any scope."""
    used = {one.name for one in graph.outputs}
    for _, scope in graph.scopes():
        used.update(*[node.inputs for node in scope.nodes])
        used.update(one.name for one in scope.outputs)
    for one in graph.training.values():
        used.update(name for _, scope in one.scopes() for node in scope.nodes for name in node.inputs)
    for _, scope in graph.scopes():
        for name, tensor in scope.initializers.items():
            if name not in used:
                reading.note("unused-initializer", f"{tensor.name} is stored and nowhere used", tensor=tensor.name, offset=tensor.offset)
