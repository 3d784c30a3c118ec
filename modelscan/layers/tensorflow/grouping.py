"""Which weights make one layer: those of one scope, a bias with the product that it is added to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from modelscan.layers.tensorflow.trace import HANDED_ON, LAID_OUT, Use
from modelscan.layers.tensorflow.weights import PRODUCTS, SUMS, Weight
from modelscan.program import Operation

_CELL = re.compile(r"(?:^|_)cell(?:_\d+)?$")
_RECURRENT = frozenset(("kernel", "recurrent_kernel"))
_NEAR = 8
"""Operations between a product and the sum with its bias."""


@dataclass
class Group:
    """The weights of one layer."""

    path: str
    weights: list[Weight] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Where the program uses it first."""
        return min(one.first for one in self.weights)


def grouped(weights: Sequence[Weight]) -> list[Group]:
    """Groups in the order of the program."""
    by_scope: dict[str, list[Weight]] = {}
    for one in weights:
        by_scope.setdefault(_scope(one), []).append(one)
    found: list[Group] = []
    for scope, members in by_scope.items():
        found.extend(_split(scope, members))
    names = {one.path for one in found}
    for group in found:
        if not group.path:
            group.path = _unique(group.weights[0].word, names)
            names.add(group.path)
    return sorted(found, key=lambda one: one.first)


def _scope(weight: Weight) -> str:
    """The layer's scope: a cell's weights are those of the layer around it."""
    outer, _, last = weight.scope.rpartition("/")
    return outer if outer and _CELL.search(last) else weight.scope


def _split(scope: str, members: list[Weight]) -> list[Group]:
    """A scope with several products is several layers, unless it is one recurrent or separable layer."""
    kernels = [one for one in members if one.used_as(PRODUCTS) is not None]
    words = {one.word for one in kernels}
    if scope and (len(kernels) < 2 or words >= _RECURRENT or {"depthwise_kernel", "pointwise_kernel"} <= words):
        return [Group(scope, members)]
    if not scope and not kernels:
        return [Group(one.name, [one]) for one in members]
    groups = {id(one): Group(_path(scope, one), [one]) for one in kernels}
    by_product = {id(use.node): one for one in kernels for use in one.uses if PRODUCTS.get(use.op) == use.place}
    rest: list[Weight] = []
    for one in members:
        if id(one) in groups:
            continue
        owner = next(
            (by_product[id(node)] for use in one.uses if (node := product_before(use)) is not None and id(node) in by_product), None
        )
        if owner is not None:
            groups[id(owner)].weights.append(one)
        else:
            rest.append(one)
    left = [Group(scope, rest)] if scope and rest else [Group(one.name, [one]) for one in rest]
    return [*groups.values(), *left]


def _path(scope: str, kernel: Weight) -> str:
    """Where a kernel alone names the layer, the operation's own scope does better than `Variable_3`."""
    use = kernel.used_as(PRODUCTS)
    node = use.node.name if use is not None else ""
    inner = node.rpartition("/")[0]
    if inner and inner != scope and inner.startswith(f"{scope}/" if scope else ""):
        return inner
    return f"{scope}/{kernel.word}" if scope else kernel.name


def product_before(use: Use) -> Operation | None:
    """The product whose result a bias is added to."""
    if use.op not in SUMS:
        return None
    others = [reference for place, reference in enumerate(use.node.data_inputs) if place != use.place]
    node = use.body.producer(others[0]) if others else None
    for _ in range(_NEAR):
        if node is None or node.op in PRODUCTS:
            return node
        if node.op not in HANDED_ON and node.op not in LAID_OUT:
            return None
        inputs = node.data_inputs
        node = use.body.producer(inputs[0]) if inputs else None
    return None


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 1
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found
