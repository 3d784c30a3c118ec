"""Sums over accounts: what containers hold, the totals of a model, the elements that are explained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

from modelscan import dtypes
from modelscan.model import Account, Kind, Model, Row, StoredTensor, Totals, Verdict

GRAVITY = (Verdict.MISSING, Verdict.MISMATCH, Verdict.EXTRA)
"""What is wrong with a layer, the gravest first."""
_ORDER = (*GRAVITY, Verdict.UNKNOWN, Verdict.INFERRED, Verdict.MATCH)
TensorId = tuple[str | None, str]

identity: Callable[[StoredTensor], TensorId] = attrgetter("file", "name")
"""What makes two claims the same stored tensor: its file and its full name."""


def with_subtotals(accounts: list[Account]) -> Iterator[Account]:
    """Containers with the sums over the layers below them and what they hold themselves; one pass from the end."""
    done: list[Account] = []
    open_levels: dict[int, list[Account]] = {}
    for found in reversed(accounts):
        one, depth = found, found.layer.depth
        parts = [child for level in [level for level in open_levels if level > depth] for child in open_levels.pop(level)]
        if one.layer.container:
            parts.append(one)
            one = Account(
                one.layer,
                _worst({part.verdict for part in parts}),
                one.formula,
                one.rows,
                known_sum([part.parameters if part.parameters is None else part.parameters - part.tied for part in parts]),
                known_sum([_without_tied(part, True) for part in parts]),
                known_sum([_without_tied(part, False) for part in parts]),
                tied=0,
                logical=one.logical,
                macs=known_sum([part.macs for part in parts]),
                nbytes=sum([part.nbytes for part in parts]),
            )
        open_levels.setdefault(depth, []).append(one)
        done.append(one)
    return reversed(done)


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


def bytes_of(tensors: Iterable[StoredTensor]) -> int:
    """Bytes of the payloads, each once."""
    unique = {identity(tensor): tensor for tensor in tensors}
    return sum(size_in_bytes(tensor) for tensor in unique.values())


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


def totals(model: Model, accounts: Sequence[Account], unclaimed: tuple[StoredTensor, ...]) -> Totals:
    """The totals of a model; `accounts` are those of its layers without subtotals."""
    explained, independent = _explained(accounts)
    weights: list[StoredTensor] = []
    by_kind: dict[Kind, int] = dict.fromkeys(Kind, 0)
    by_dtype: dict[str, int] = {}
    agreeing = alone = 0
    for tensor in model.tensors:
        elements, kind = tensor.elements, tensor.kind
        by_kind[kind] += elements
        if kind is Kind.WEIGHT:
            weights.append(tensor)
            by_dtype[tensor.dtype] = by_dtype.get(tensor.dtype, 0) + elements
            own = identity(tensor)
            agreeing += elements if own in explained else 0
            alone += elements if own in independent else 0
    without = [one for one in accounts if one.rows and not one.layer.claims]
    for row in (row for one in without for row in one.rows):
        if row.spec is not None and row.spec.embedded:
            dtype = row.spec.dtype or "?"
            by_dtype[dtype] = by_dtype.get(dtype, 0) + (row.spec.elements or 0)
    left = sum(tensor.elements for tensor in unclaimed)
    total = known_sum(one.parameters if one.parameters is None else one.parameters - one.tied for one in accounts)
    known = model.trainable_known and not unclaimed
    packed = any(one.logical is not None for one in accounts)
    return Totals(
        total=None if total is None else total + left,
        trainable=known_sum(_without_tied(one, True) for one in accounts) if known else None,
        non_trainable=known_sum(_without_tied(one, False) for one in accounts) if known else None,
        optimizer=by_kind[Kind.OPTIMIZER],
        stored=by_kind[Kind.WEIGHT],
        constants=by_kind[Kind.CONSTANT] + by_kind[Kind.STATE],
        explained=agreeing,
        independent=alone,
        by_dtype=dict(sorted(by_dtype.items())),
        weight_bytes=bytes_of(weights) + sum(bytes_in_attributes(one.rows) for one in without),
        macs=known_sum(one.macs for one in accounts),
        logical=known_sum(map(_logical, accounts)) if packed else None,
    )


def _logical(one: Account) -> int | None:
    count = one.parameters if one.logical is None else one.logical
    return None if count is None else count - one.tied


def _explained(accounts: Sequence[Account]) -> tuple[set[TensorId], set[TensorId]]:
    """The tensors in accounts that agree, and those of them that nothing but the file's own statements was needed for.

    A tensor of which several layers get a part each is among the latter when that holds for each part.
    """
    explained: set[TensorId] = set()
    whole: set[TensorId] = set()
    parts: dict[Verdict, set[TensorId]] = {Verdict.MATCH: set(), Verdict.INFERRED: set()}
    for one in accounts:
        if one.verdict not in parts:
            continue
        ids = [identity(row.tensor) for row in one.rows if row.tensor is not None]
        explained.update(ids)
        cut = {identity(claim.tensor) for claim in one.layer.claims if claim.part is not None}
        if cut:
            parts[one.verdict].update(cut.intersection(ids))
        if one.verdict is Verdict.MATCH:
            whole.update([own for own in ids if own not in cut] if cut else ids)
    return explained, whole | (parts[Verdict.MATCH] - parts[Verdict.INFERRED])


def _without_tied(one: Account, trainable: bool) -> int | None:
    """The account's trainable or non-trainable elements less those that another layer has brought already."""
    value = one.trainable if trainable else one.non_trainable
    if value is None or not one.tied:
        return value
    for row in one.rows:
        if row.tied and row.spec is not None and row.spec.counted and bool(one.layer.trainable and row.spec.trainable) is trainable:
            value -= row.spec.elements or 0
    return value
