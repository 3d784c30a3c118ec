"""The summary's tree: scopes as containers, single layers taking their module's name, unique paths."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from modelscan.layers.onnx.macs import without_weights
from modelscan.layers.onnx.names import Place, short
from modelscan.layers.onnx.rows import ACTIVATIONS, Row, inbound, sources
from modelscan.layers.onnx.site import Setting
from modelscan.model import Layer, Shape

SHOWN_OPERATORS = 3
"""Operators named in the type of a scope that became one row."""

_MADE_UP = re.compile(r"^unk__\d+$|/|_dim_\d+$|^s\d+$")
"""Names that exporters make up for sizes that they do not know."""
WHOLE = frozenset(("RNN", "LSTM", "GRU", "LayerNormalization", "RMSNormalization", "GroupNormalization"))
"""Layers that exporters take apart: whatever else stands in their scope is of their making."""
WRAPPERS = (".Sequential", ".ModuleList", ".ModuleDict")
"""Classes that say nothing of the one layer that they hold."""


@dataclass(slots=True)
class _Scope:
    name: str
    kind: str | None = None
    order: int = 0
    children: list[_Scope | int] = field(default_factory=list)
    """Scopes and row numbers, in the order of their first call."""
    scopes: dict[str, _Scope] = field(default_factory=dict)
    depth: int = 0


def layers(setting: Setting, made: list[Row]) -> tuple[Layer, ...]:
    """All layers and containers in the order of the summary, each container before its layers."""
    root = _grown(made)
    _collapse(root, made)
    feeding = sources(setting, made)
    numbered = _numbered(root, made)
    built: list[Layer] = []
    for item, depth, path in numbered:
        if isinstance(item, _Scope):
            built.append(Layer(item.name, path, short(item.kind) if item.kind else "Scope", depth, container=True, trainable=None))
        else:
            row = made[item]
            feeds = tuple([made[one].path for one in inbound(made, item, feeding) if made[one].path])
            built.append(_layer(setting, row, depth, feeds))
    return tuple(built)


def _grown(made: list[Row]) -> _Scope:
    root = scope = _Scope("")
    before: Place | None = None
    for number, row in enumerate(made):
        place = row.place
        if before is not None and place.scope == before.scope and place.classes == before.classes:
            scope.children.append(number)
            continue
        before, scope = place, root
        for name, kind in zip(place.scope, place.classes, strict=True):
            inner = scope.scopes.get(name)
            if inner is None:
                inner = scope.scopes[name] = _Scope(name, kind, row.order)
                scope.children.append(inner)
            inner.kind = inner.kind or kind
            scope = inner
        scope.children.append(number)
    return root


def _collapse(root: _Scope, made: list[Row]) -> None:
    """Scopes that hold one layer become that layer, innermost first."""
    order: list[_Scope] = [root]
    for scope in order:
        order.extend(child for child in scope.children if isinstance(child, _Scope))
    for scope in reversed(order):
        scope.children = [_single(child, made) if isinstance(child, _Scope) else child for child in scope.children]
        if scope is not root:
            _absorb(scope, made)


def _single(scope: _Scope, made: list[Row]) -> _Scope | int:
    """The only row of a scope, under the scope's name; otherwise the scope."""
    if len(scope.children) != 1 or isinstance(scope.children[0], _Scope):
        return scope
    row = made[scope.children[0]]
    row.place = type(row.place)(row.place.scope, row.place.classes, scope.name, row.place.told)
    row.module = True
    if scope.kind and not scope.kind.startswith("aten.") and not scope.kind.endswith(WRAPPERS) and not _folded(scope.kind, row):
        row.type = short(scope.kind)
    return scope.children[0]


def _folded(kind: str, row: Row) -> bool:
    """Whether a layer stands in a normalisation's scope because it was folded into it: it is still what it computes."""
    return "BatchNorm" in kind and row.found is not None and row.found.type.startswith(("Conv", "Dense"))


def _absorb(scope: _Scope, made: list[Row]) -> None:
    """Weightless rows beside the one layer of their scope belong to it; a scope of nothing else is one weightless layer."""
    if any(isinstance(child, _Scope) for child in scope.children):
        return
    numbers = [child for child in scope.children if isinstance(child, int)]
    weighted = [number for number in numbers if (found := made[number].found) is not None and found.values]
    if len(numbers) < 2 or len(weighted) > 1 or any(made[number].module for number in numbers):
        return
    if weighted:
        main = made[weighted[0]]
        beside = [made[number] for number in numbers if number != weighted[0]]
        if main.type not in WHOLE and any(row.type not in ACTIVATIONS for row in beside):
            return
        main.activations.extend(row.type for row in beside)
    else:
        main, *beside = [made[number] for number in numbers]
        if not scope.kind and len(numbers) > SHOWN_OPERATORS + 1:
            return
        kinds = list(dict.fromkeys(made[number].type for number in numbers))
        main.type = "+".join(kinds[:SHOWN_OPERATORS]) + ("+…" if len(kinds) > SHOWN_OPERATORS else "")
    for row in beside:
        main.calls.extend(row.calls)
        row.calls = []
    main.outputs = beside[-1].outputs
    scope.children = [weighted[0] if weighted else numbers[0]]


def _numbered(root: _Scope, made: list[Row]) -> list[tuple[_Scope | int, int, str]]:
    """Preorder with depth and unique path; rows learn theirs."""
    found: list[tuple[_Scope | int, int, str]] = []
    taken: dict[str, int] = {}
    stack: list[tuple[_Scope | int, int, str]] = [(child, 0, "") for child in reversed(root.children)]
    while stack:
        item, depth, above = stack.pop()
        name = item.name if isinstance(item, _Scope) else made[item].place.leaf
        path = f"{above}/{name}" if above else name
        if path in taken:
            taken[path] += 1
            path = f"{path}#{taken[path]}"
        taken.setdefault(path, 1)
        found.append((item, depth, path))
        if isinstance(item, _Scope):
            stack.extend((child, depth + 1, path) for child in reversed(item.children))
        else:
            made[item].path = path
    return found


def _layer(setting: Setting, row: Row, depth: int, feeds: tuple[str, ...]) -> Layer:
    found = row.found
    name = row.path.rsplit("/", 1)[-1]
    config = found.config if found is not None else _attributes(row)
    if row.activations:
        config["activation"] = "+".join(row.activations)
    inputs, outputs = _shapes(setting, row.inputs), _shapes(setting, row.outputs)
    if found is None:
        macs = [without_weights(setting, call) for call in row.calls]
        extra = None if any(one is None for one in macs) else sum(one or 0 for one in macs)
        return Layer(name, row.path, row.type, depth, feeds, config, inputs, outputs, (), (), False, None, extra, None)
    weights, claims, note = found.specs, found.claims, found.note
    positions, extra = found.positions, found.extra_macs
    return Layer(name, row.path, row.type, depth, feeds, config, inputs, outputs, weights, claims, False, positions, extra, None, note)


def _attributes(row: Row) -> dict[str, object]:
    plain_types = (int, float, str, tuple)
    return {name: value for name, value in row.calls[0].node.attributes.items() if isinstance(value, plain_types)} if row.calls else {}


def _shapes(setting: Setting, values: tuple[int, ...]) -> tuple[Shape, ...]:
    known = [setting.shapes.of(value) for value in values]
    return tuple([_named(tuple([size for size, _ in axes])) for axes in known if axes is not None])


@lru_cache(maxsize=4096)
def _named(shape: Shape) -> Shape:
    """A shape without the names that nobody gave; a model has few different ones."""
    return tuple([None if isinstance(size, str) and _MADE_UP.search(size) else size for size in shape])
