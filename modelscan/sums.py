"""Sums over accounts: what containers hold, the totals of a model, the elements that are explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import compress
from math import prod
from operator import attrgetter

from modelscan import dtypes
from modelscan.model import Account, Kind, Model, Row, StoredTensor, Totals, Verdict
from modelscan.series import Repeat, claimed

GRAVITY = (Verdict.MISSING, Verdict.MISMATCH, Verdict.EXTRA)
"""What is wrong with a layer, the gravest first."""
_ORDER = (*GRAVITY, Verdict.UNKNOWN, Verdict.INFERRED, Verdict.MATCH)
TensorId = tuple[str | None, str]

identity: Callable[[StoredTensor], TensorId] = attrgetter("file", "name")
"""What makes two claims the same stored tensor: its file and its full name."""
_SORT = attrgetter("kind", "dtype", "shape")
"""What sums ask of a stored tensor."""


Part = Account | Repeat[Account]
Levels = dict[int, list[tuple[Account, int]]]
"""By depth, accounts that no container has taken yet, and how often each is there."""


def with_subtotals(accounts: Sequence[Part]) -> list[Part]:
    """Containers with the sums over the layers below them and what they hold themselves; one pass from the end."""
    done: list[Part] = []
    levels: Levels = {}
    for part in reversed(accounts):
        if not isinstance(part, Repeat):
            done.append(_summed(part, levels))
        elif _self_contained(part, done):
            inside: Levels = {}
            sample = [_summed(one, inside) for one in reversed(part.sample)]
            for depth, held in inside.items():
                levels.setdefault(depth, []).extend([(one, times * part.count) for one, times in held])
            done.append(replace(part, sample=tuple(reversed(sample))))
        else:
            done.extend([_summed(one, levels) for one in reversed(list(part.items()))])
    return done[::-1]


def _self_contained(part: Repeat[Account], behind: Sequence[Part]) -> bool:
    """Whether what the containers of a copy hold ends with it; `behind` are the accounts behind the last copy, from the end."""
    depths = [one.layer.depth for one in part.sample]
    if not any(one.layer.container for one in part.sample):
        return True
    follows = behind[-1] if behind else None
    return min(depths) == depths[0] and (follows is None or (isinstance(follows, Account) and follows.layer.depth <= depths[0]))


def _summed(one: Account, levels: Levels) -> Account:
    """The account, that of a container with its sums; it takes what is deeper than itself out of `levels`, and stands there then."""
    depth = one.layer.depth
    deeper = [level for level in levels if level > depth]
    parts = [held for level in deeper for held in levels.pop(level)]
    if one.layer.container:
        parts.append((one, 1))
        one = Account(
            one.layer,
            _worst({part.verdict for part, _ in parts}),
            one.formula,
            one.rows,
            _product_sum((part.parameters if part.parameters is None else part.parameters - part.tied, times) for part, times in parts),
            _product_sum((_without_tied(part, True), times) for part, times in parts),
            _product_sum((_without_tied(part, False), times) for part, times in parts),
            tied=0,
            logical=one.logical,
            macs=_product_sum((part.macs, times) for part, times in parts),
            nbytes=sum([part.nbytes * times for part, times in parts]),
        )
    levels.setdefault(depth, []).append((one, 1))
    return one


def _worst(found: set[Verdict]) -> Verdict:
    return next((one for one in _ORDER if one in found), Verdict.EMPTY)


def known_sum(values: Iterable[int | None]) -> int | None:
    """The sum, None where a part of it is unknown."""
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _product_sum(values: Iterable[tuple[int | None, int]]) -> int | None:
    """The sum of products, None where a factor is unknown."""
    return known_sum(None if value is None else value * times for value, times in values)


def bytes_of(tensors: Iterable[StoredTensor]) -> int:
    """Bytes of the payloads, each once."""
    held: Collection[StoredTensor] = tuple(tensors)
    if len(held) > 1 and len(set(map(identity, held))) < len(held):
        held = {identity(one): one for one in held}.values()
    return sum([size_in_bytes(one) if one.nbytes is None else one.nbytes for one in held])


def size_in_bytes(tensor: StoredTensor) -> int:
    """Bytes of the payload: as stored if the file tells, else by dtype and shape (0 for what has no fixed width)."""
    if tensor.nbytes is not None:
        return tensor.nbytes
    return dtypes.nbytes(tensor.dtype, tensor.elements) or 0


def embedded_bytes(row: Row) -> int | None:
    """Bytes of a weight whose values stand in an attribute; None for any other."""
    spec = row.spec
    return dtypes.nbytes(spec.dtype or "", spec.elements or 0) if spec is not None and spec.embedded and row.tensor is None else None


def bytes_in_attributes(rows: Iterable[Row]) -> int:
    """Bytes of the weights in rows whose values stand in attributes."""
    return sum(embedded_bytes(row) or 0 for row in rows)


def totals(model: Model, accounts: Sequence[Part]) -> tuple[Totals, tuple[StoredTensor, ...]]:
    """The totals of a model, and its stored weights that no layer claims; `accounts` are those of its layers without subtotals."""
    by_kind: dict[Kind, int] = dict.fromkeys(Kind, 0)
    by_dtype: dict[str, int] = {}
    for (kind, dtype, shape), times in Counter(map(_SORT, model.tensors)).items():
        elements = prod(shape) * times
        by_kind[kind] += elements
        if kind is Kind.WEIGHT:
            by_dtype[dtype] = by_dtype.get(dtype, 0) + elements
    weights = [one for one in model.tensors if one.kind is Kind.WEIGHT]
    ids = list(map(identity, weights))
    alone, other = _explained(accounts)
    further = [(own, one) for own, one in zip(ids, weights, strict=True) if own not in alone]
    unexplained = [(own, one) for own, one in further if own not in other]
    taken = set(map(identity, claimed(model.layers))) if unexplained else set()
    unclaimed = tuple([one for own, one in unexplained if own not in taken])
    counted = list(_counted(accounts))
    without = [(one, times) for one, times in counted if one.rows and not one.layer.claims]
    for row, times in ((row, times) for one, times in without for row in one.rows):
        if row.spec is not None and row.spec.embedded:
            dtype = row.spec.dtype or "?"
            by_dtype[dtype] = by_dtype.get(dtype, 0) + (row.spec.elements or 0) * times
    left = sum(tensor.elements for tensor in unclaimed)
    total = _product_sum((one.parameters if one.parameters is None else one.parameters - one.tied, times) for one, times in counted)
    known = model.trainable_known and not unclaimed
    packed = any(one.logical is not None for one, _ in counted)
    figures = Totals(
        total=None if total is None else total + left,
        trainable=_product_sum((_without_tied(one, True), times) for one, times in counted) if known else None,
        non_trainable=_product_sum((_without_tied(one, False), times) for one, times in counted) if known else None,
        optimizer=by_kind[Kind.OPTIMIZER],
        stored=by_kind[Kind.WEIGHT],
        constants=by_kind[Kind.CONSTANT] + by_kind[Kind.STATE],
        explained=by_kind[Kind.WEIGHT] - sum([one.elements for _, one in unexplained]),
        independent=by_kind[Kind.WEIGHT] - sum([one.elements for _, one in further]),
        by_dtype=dict(sorted(by_dtype.items())),
        weight_bytes=bytes_of(weights) + sum(bytes_in_attributes(one.rows) * times for one, times in without),
        macs=_product_sum((one.macs, times) for one, times in counted),
        logical=_product_sum((_logical(one), times) for one, times in counted) if packed else None,
    )
    return figures, unclaimed


def _counted(accounts: Iterable[Part]) -> Iterator[tuple[Account, int]]:
    """Accounts, and how often each is there."""
    for part in accounts:
        if isinstance(part, Repeat):
            yield from ((one, part.count) for one in part.sample)
        else:
            yield part, 1


def _logical(one: Account) -> int | None:
    count = one.parameters if one.logical is None else one.logical
    return None if count is None else count - one.tied


def _explained(accounts: Sequence[Part]) -> tuple[set[TensorId], set[TensorId]]:
    """The tensors in accounts that agree for which nothing but the file's own statements was needed, and the others of those that agree.

    A tensor of which several layers get a part each is among the former when that holds for each part.
    """
    whole: set[TensorId] = set()
    inferred: set[TensorId] = set()
    parts: dict[Verdict, set[TensorId]] = {Verdict.MATCH: set(), Verdict.INFERRED: set()}
    for one, columns in _claiming(accounts):
        if one.verdict not in parts:
            continue
        claims, agreeing = one.layer.claims, whole if one.verdict is Verdict.MATCH else inferred
        shared = [claim.part is not None for claim in claims]
        if columns is None and True not in shared:
            agreeing.update([identity(claim.tensor) for claim in claims])
            continue
        held = [(claim.tensor,) for claim in claims] if columns is None else columns
        cut = {own for column in compress(held, shared) for own in map(identity, column)}
        parts[one.verdict].update(cut)
        for column in held:
            agreeing.update(own for own in map(identity, column) if own not in cut) if cut else agreeing.update(map(identity, column))
    whole |= parts[Verdict.MATCH] - parts[Verdict.INFERRED]
    return whole, (inferred | parts[Verdict.INFERRED]) - whole


def _claiming(accounts: Iterable[Part]) -> Iterator[tuple[Account, Sequence[Sequence[StoredTensor]] | None]]:
    """Accounts; for those of a repeat the tensors that all copies claim, a column for each claim."""
    for part in accounts:
        if isinstance(part, Repeat):
            yield from ((one, part.columns.tensors(place)) for place, one in enumerate(part.sample))
        else:
            yield part, None


def _without_tied(one: Account, trainable: bool) -> int | None:
    """The account's trainable or non-trainable elements less those that another layer has brought already."""
    value = one.trainable if trainable else one.non_trainable
    if value is None or not one.tied:
        return value
    for row in one.rows:
        if row.tied and row.spec is not None and row.spec.counted and bool(one.layer.trainable and row.spec.trainable) is trainable:
            value -= row.spec.elements or 0
    return value
