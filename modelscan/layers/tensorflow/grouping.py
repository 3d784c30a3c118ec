"""Which weights make one layer: those of one scope, a bias with the product that it is added to."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from modelscan.layers.tensorflow.trace import HANDED_ON, LAID_OUT, Use
from modelscan.layers.tensorflow.weights import NORMS, PRODUCTS, SUMS, Weight
from modelscan.naming import free
from modelscan.program import Operation

_CELL = re.compile(r"(?:^|_)cell(?:_\d+)?$")
_RECURRENT = frozenset(("kernel", "recurrent_kernel"))
_SEPARABLE = frozenset(("depthwise_kernel", "pointwise_kernel"))
_INNER = re.compile(r"(?:while|cond|batchnorm|einsum|moments|Tensordot|separable_conv\dd|depthwise|.*_cell)(?:_\d+)?$")
"""Scopes that a layer opens inside of its own."""
_DEEPEST = 32
"""Scopes of a path that are looked at."""
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
    """Groups in the order of the program, each with a path of its own."""
    by_scope: dict[str, list[Weight]] = {}
    for one in weights:
        by_scope.setdefault(_scope(one), []).append(one)
    found: list[Group] = []
    for scope, members in by_scope.items():
        found.extend(_split(scope, members))
    found.sort(key=lambda one: one.first)
    names: dict[str, int] = {}
    outer = {"/".join(parts[:depth]) for one in found for parts in (one.path.split("/"),) for depth in range(1, min(len(parts), _DEEPEST))}
    for group in found:
        if group.path in outer and len(group.weights) == 1:  # a weight of the scope that other layers lie in
            group.path = f"{group.path}/{group.weights[0].word}"
        group.path = free(group.path or group.weights[0].word, names, first=1)
    return found


def _scope(weight: Weight) -> str:
    """The layer's scope: a cell's weights are those of the layer around it."""
    outer, _, last = weight.scope.rpartition("/")
    return outer if outer and _CELL.search(last) else weight.scope


def _split(scope: str, members: list[Weight]) -> list[Group]:
    """A scope with several products is several layers, unless it is one recurrent or separable layer."""
    kernels = [one for one in members if one.used_as(PRODUCTS) is not None]
    words = Counter(one.word for one in members)
    repeated = max(words.values()) > 1 and len({_site(one) for one in members}) > 1
    if scope and not repeated and (len(kernels) < 2 or _is_one({one.part for one in members})):
        return [Group(scope, members)]
    groups = _of_products(scope, kernels, repeated=repeated)
    by_product = {id(use.node): group for group in groups for one in group.weights for use in one.uses if PRODUCTS.get(use.op) == use.place}
    known = {id(one) for one in kernels}
    rest: list[Weight] = []
    for one in members:
        if id(one) in known:
            continue
        owner = _owner(one, by_product)
        if owner is not None:
            owner.weights.append(one)
        else:
            rest.append(one)
    groups += _of_the_rest(scope, rest, groups, repeated=repeated)
    if scope and len(groups) == 1:
        groups[0].path = scope
    return groups


def _is_one(parts: set[str]) -> bool:
    """Whether the weights of several products are those of one recurrent or separable layer."""
    return parts >= _RECURRENT or parts >= _SEPARABLE


def _of_products(scope: str, kernels: list[Weight], *, repeated: bool) -> list[Group]:
    """A group for each kernel; the two of a recurrent or separable layer, used in one place, share theirs."""
    groups: list[Group] = []
    pairs: dict[tuple[str, frozenset[str]], Group] = {}
    for one in kernels:
        pair = next((words for words in (_RECURRENT, _SEPARABLE) if one.part in words), None)
        partner = pairs.get((_site(one), pair)) if pair is not None and repeated else None
        if partner is not None and all(other.part != one.part for other in partner.weights):
            partner.weights.append(one)
            continue
        group = Group(_path(scope, one, repeated=repeated), [one])
        groups.append(group)
        if pair is not None:
            pairs[_site(one), pair] = group
    return groups


def _owner(weight: Weight, by_product: dict[int, Group]) -> Group | None:
    """The layer to whose product a weight is added as its bias: it has no axis that the product's result does not get from the kernel."""
    for use in weight.uses:
        node = product_before(use)
        owner = by_product.get(id(node)) if node is not None else None
        if owner is not None:
            axes = [size for at, size in enumerate(weight.tensor.shape) if size != 1 or any(one != 1 for one in weight.tensor.shape[:at])]
            if len(axes) < len(owner.weights[0].tensor.shape):
                return owner
    return None


def _of_the_rest(scope: str, rest: list[Weight], groups: list[Group], *, repeated: bool) -> list[Group]:
    """Weights without a product: together by the normalisation that takes them, else by the scope that uses them."""
    found: dict[object, Group] = {}
    sites = {_site(one): group for group in groups for one in group.weights}
    for one in rest:
        norm = one.used_as(NORMS)
        site = _site(one)
        if repeated and site and site in sites and all(other.word != one.word for other in sites[site].weights):
            sites[site].weights.append(one)
        elif norm is not None and (repeated or not scope):
            found.setdefault(id(norm.node), Group(_named(scope, one, site))).weights.append(one)
        elif repeated and site:
            found.setdefault(site, Group(_named(scope, one, site))).weights.append(one)
        elif scope:
            found.setdefault(scope, Group(f"{scope}/{one.word}" if groups else scope)).weights.append(one)
        else:
            found[id(one)] = Group(one.name, [one])
    return list(found.values())


def _site(weight: Weight) -> str:
    """The scope of the operation that uses a weight first, without those that a layer opens inside of its own."""
    if not weight.uses:
        return ""
    first = min(weight.uses, key=lambda use: use.order)
    parts = first.node.name.split("/")[:-1]
    while parts and _INNER.match(parts[-1]):
        parts.pop()
    return "/".join(parts)


def _named(scope: str, weight: Weight, site: str) -> str:
    """A layer that the variables' own names do not tell from others goes by the scope that uses it."""
    outer, _, inner = site.partition("/")
    last = scope.rpartition("/")[2]
    if re.sub(r"_\d+$", "", outer) != re.sub(r"_\d+$", "", last):
        inner = site
    return "/".join(part for part in (scope, inner or weight.word) if part)


def _path(scope: str, kernel: Weight, *, repeated: bool) -> str:
    """Where a kernel alone names the layer, the operation's own scope does better than `Variable_3`."""
    if repeated:
        return _named(scope, kernel, _site(kernel))
    use = kernel.used_as(PRODUCTS)
    node = use.node.name if use is not None else ""
    inner = node.rpartition("/")[0]
    if inner and inner != scope and inner.startswith(f"{scope}/" if scope else ""):
        return inner
    return f"{scope}/{kernel.word}" if scope else kernel.name


def product_before(use: Use) -> Operation | None:
    """The product whose result a bias is added to, the nearest one where several are summed."""
    if use.op not in SUMS:
        return None
    beside = (reference for place, reference in enumerate(use.node.inputs[: _NEAR + 1]) if place != use.place)
    pending = deque(map(use.body.producer, beside))
    for _ in range(_NEAR):
        node = pending.popleft() if pending else None
        if node is None:
            if not pending:
                return None
            continue
        if node.op in PRODUCTS:
            return node
        if node.op in SUMS:
            pending.extend(map(use.body.producer, node.inputs[:_NEAR]))
        elif (node.op in HANDED_ON or node.op in LAID_OUT) and node.inputs:
            pending.append(use.body.producer(node.inputs[0]))
    return None
