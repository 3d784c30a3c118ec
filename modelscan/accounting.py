"""The heart: what each layer should hold against what is stored, tensor by tensor.

Pure functions of a derived `Model`. Symbols that nothing in the file attests are solved from the stored shapes, and the
verdict says so (`inferred`); whatever does not agree becomes a row with its problem; nothing stored is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from modelscan import dtypes
from modelscan.formula import Formula
from modelscan.formula import elements as elements_of
from modelscan.model import FLOATING, Account, Claim, Kind, Layer, Model, Row, Shape, StoredTensor, Totals, Verdict, WeightSpec, shape_text
from modelscan.records import record
from modelscan.series import Repeat, parts_of, series
from modelscan.sums import GRAVITY, TensorId, bytes_in_attributes, bytes_of, identity, known_sum, totals, with_subtotals

Share = tuple[TensorId, str | None]
"""A stored tensor, or the part of it that one of several layers gets."""
_NO_WEIGHTS = Formula.of(())
_optional, _logical = attrgetter("optional"), attrgetter("logical")


@record(frozen=True, slots=True)
class Accounts:
    """The reconciliation of a whole model."""

    accounts: Sequence[Account]
    unclaimed: tuple[StoredTensor, ...]
    """Stored weights that no layer claims."""
    totals: Totals


def reconcile(model: Model) -> Accounts:
    """Accounts of all layers in their order, what is left over, and the totals."""
    seen: set[Share] = set()
    own: list[Account | Repeat[Account]] = []
    for part in parts_of(model.layers):
        if isinstance(part, Repeat):
            own.extend(_repeated(part, own, seen))
        else:
            own.append(account(part, seen))
    figures, unclaimed = totals(model, own)
    return Accounts(series(with_subtotals(own)), unclaimed, figures)


def _share(claim: Claim) -> Share:
    return identity(claim.tensor), claim.part


def _brought(share: Share, seen: set[Share]) -> bool:
    """Whether the tensor, or at least this part of it, was counted before."""
    return share in seen or (share[1] is not None and (share[0], None) in seen)


def _seen_shape(claim: Claim) -> tuple[int, ...]:
    return claim.tensor.shape if claim.seen is None else claim.seen


def account(layer: Layer, seen: set[Share] | None = None) -> Account:
    """One layer's account. `seen` holds the tensors that earlier layers have brought, and gains this layer's."""
    seen = set() if seen is None else seen
    if layer.container and not layer.specs and not layer.claims:
        return Account(layer, Verdict.EMPTY, None, macs=0)
    if layer.specs is None:
        return _unknown(layer, seen)
    if not layer.specs and not layer.claims:
        return Account(layer, Verdict.EMPTY, _NO_WEIGHTS, (), 0, 0, 0, 0, None, layer.extra_macs)
    claims: dict[str, list[Claim]] = {}
    for claim in layer.claims:
        claims.setdefault(claim.role or "", []).append(claim)
    specs = _solve(layer.specs, claims)
    rows: list[Row] = []
    for spec in specs:
        rows.extend(_rows(spec, claims.get(spec.role, ()), seen))
    roles = {spec.role for spec in specs}
    for role, left in claims.items():
        if role not in roles:
            rows.extend(_extra(claim, layer) for claim in left)
    return _judged(layer, specs, tuple(rows))


def _repeated(layers: Repeat[Layer], before: Sequence[Account | Repeat[Account]], seen: set[Share]) -> Iterator[Account | Repeat[Account]]:
    """The accounts of layers that repeat others: as one repeat, where those of the sample are the same as those of the block behind it.

    Args:
        layers: the copies.
        before: the accounts of all layers before them.
        seen: as for `account`.
    """
    size = len(layers.sample)
    sample, twin = before[-2 * size : -size], before[-size:]
    if [_figures(one) for one in sample] != [_figures(one) for one in twin]:  # what they share is brought by one of them
        yield from (account(layer, seen) for layer in layers.items())
        return
    for layer in (layers.item(place, layers.count - 1) for place in range(size)):
        account(layer, seen)  # for whoever comes behind the last copy
    accounts = tuple([one for one in sample if isinstance(one, Account)])
    paired = [_paired(one) for one in accounts]
    yield Repeat(accounts, layers.count, lambda one, place, copy: _again(one, layers.item(place, copy), paired[place]), layers.columns)


def _paired(sample: Account) -> bool:
    """Whether the rows of an account agree and are those of the layer's specs and claims, one by one."""
    layer, rows = sample.layer, sample.rows
    if layer.specs is None or not len(layer.specs) == len(layer.claims) == len(rows):
        return False
    pairs = zip(rows, layer.specs, layer.claims, strict=True)
    return all(row.problem is None and row.spec is spec and row.tensor is claim.tensor for row, spec, claim in pairs)


def _figures(one: Account | Repeat[Account]) -> Any:
    """What copies have in common of an account; nothing of what is no single one, which is equal to nothing."""
    if isinstance(one, Repeat):
        return object()
    rows = [(row.verdict, row.problem, row.copy, row.tied) for row in one.rows]
    return one.verdict, rows, one.parameters, one.trainable, one.non_trainable, one.tied, one.logical, one.macs, one.nbytes


def _again(sample: Account, layer: Layer, paired: bool) -> Account:
    """The account of a layer that repeats another one; its rows are made from specs and claims where the sample's are these (`paired`)."""
    formula, rows = sample.formula, sample.rows
    if paired and rows:
        pairs = zip(rows, layer.specs or (), layer.claims, strict=True)
        rows = tuple([Row(spec, claim.tensor, row.verdict, None, row.copy, row.tied) for row, spec, claim in pairs])
    elif rows:
        own = account(layer)
        formula, rows = own.formula, tuple([replace(row, tied=like.tied) for row, like in zip(own.rows, rows, strict=True)])
    return Account(
        layer,
        sample.verdict,
        formula,
        rows,
        sample.parameters,
        sample.trainable,
        sample.non_trainable,
        sample.tied,
        sample.logical,
        sample.macs,
        sample.nbytes,
    )


def _solve(specs: Iterable[WeightSpec], claims: dict[str, list[Claim]]) -> tuple[WeightSpec, ...]:
    """The specs with unknown symbols read off the stored shapes, as far as these agree among themselves."""
    specs = tuple(specs)
    while not all(map(_known, specs)):
        found: dict[str, int] = {}
        for spec in specs:
            shapes = [_seen_shape(claim) for claim in claims.get(spec.role, ())]
            if not shapes or len(shapes[0]) != len(spec.dims):
                continue
            for one, size in zip(spec.dims, shapes[0], strict=True):
                solution = one.solve(size) if one.value is None else None
                if solution:
                    found.setdefault(*solution)
        if not found:
            return specs
        specs = tuple(
            replace(
                spec,
                dims=tuple(one.bind(found) for one in spec.dims),
                logical=None if spec.logical is None else tuple(one.bind(found) for one in spec.logical),
            )
            for spec in specs
        )
    return specs


def _known(spec: WeightSpec) -> bool:
    """Whether every dimension has a size."""
    for one in spec.dims:
        for symbol in one.symbols:
            if symbol.value is None:
                return False
    return True


def _rows(spec: WeightSpec, claims: Sequence[Claim], seen: set[Share]) -> list[Row]:
    shape, agreed = _expected(spec)
    if not claims:
        if spec.embedded or spec.added:
            return [Row(spec, None, agreed)]
        text = f"no stored tensor for {spec.role}, expected shape {shape_text(shape)}"
        return [] if spec.optional else [Row(spec, None, Verdict.MISSING, text)]
    rows: list[Row] = []
    for claim in claims:
        problem = _problem(spec, claim, shape)
        share = _share(claim)
        tied = not rows and _brought(share, seen)
        if spec.counted:  # where it counts for nothing, it is left for the layer where it counts
            seen.add(share)
        rows.append(Row(spec, claim.tensor, Verdict.MISMATCH if problem else agreed, problem, claim.copy or bool(rows), tied))
    return rows


def _expected(spec: WeightSpec) -> tuple[Shape, Verdict]:
    """The shape that a stored tensor should have, and the verdict on one that has it."""
    shape: list[int | None] = []
    verdict = Verdict.MATCH
    for one in spec.dims:
        size: int | None = one.coefficient
        for symbol in one.symbols:
            value = symbol.value
            size = None if value is None or size is None else size * value
            if symbol.witness is None:
                verdict = Verdict.INFERRED
        shape.append(size)
    return tuple(shape), verdict


def _extra(claim: Claim, layer: Layer) -> Row:
    return Row(
        None,
        claim.tensor,
        Verdict.EXTRA,
        f"{layer.type} with this configuration has no weight {claim.key}, stored shape {shape_text(claim.tensor.shape)}",
    )


def _problem(spec: WeightSpec, claim: Claim, expected: Shape) -> str | None:
    tensor, shape = claim.tensor, _seen_shape(claim)
    if expected != shape:
        what = "stored shape" if shape == tensor.shape else f"stored shape {shape_text(tensor.shape)}, used as"
        names = ", ".join(str(one) for one in spec.dims)
        if len(expected) != len(shape) or any(e is not None and e != s for e, s in zip(expected, shape, strict=True)):
            return f"{what} {shape_text(shape)}, expected {shape_text(expected)} = ({names})"
        return f"{what} {shape_text(shape)} does not fit ({names})"
    if spec.dtype is not None and spec.dtype != tensor.dtype and not (spec.dtype == FLOATING and dtypes.is_float(tensor.dtype)):
        return f"stored as {tensor.dtype}, expected {f'a {FLOATING}-point type' if spec.dtype == FLOATING else spec.dtype}"
    if tensor.encoding == "raw" and tensor.nbytes is not None:
        dense = dtypes.nbytes(tensor.dtype, tensor.elements)
        if dense is not None and dense != tensor.nbytes:
            return f"{tensor.nbytes:,} bytes stored, {dense:,} needed for {shape_text(tensor.shape)} {tensor.dtype}"
    return None


def _judged(layer: Layer, specs: tuple[WeightSpec, ...], rows: tuple[Row, ...]) -> Account:
    verdicts = {row.verdict for row in rows}
    counted = [spec for spec in specs if spec.counted]
    if any(map(_optional, counted)):
        present = {row.spec.role for row in rows if row.spec is not None}
        counted = [spec for spec in counted if spec.role in present or not spec.optional]
    if len(verdicts) < 2:
        verdict = rows[0].verdict if rows else Verdict.EMPTY
    else:
        verdict = next((bad for bad in GRAVITY if bad in verdicts), Verdict.INFERRED if Verdict.INFERRED in verdicts else Verdict.MATCH)
    formula = Formula.of([spec.dims for spec in counted])
    packed = any(map(_logical, counted))
    trainable, non_trainable = _split(layer, counted)
    return Account(
        layer,
        verdict,
        formula,
        rows,
        formula.value,
        trainable,
        non_trainable,
        sum([row.spec.elements or 0 for row in rows if row.tied and row.spec is not None and row.spec.counted]),
        Formula.of(spec.logical or spec.dims for spec in counted).value if packed else None,
        _macs(layer, specs),
        bytes_of([row.tensor for row in rows if row.tensor is not None]) if layer.claims else bytes_in_attributes(rows),
    )


def _split(layer: Layer, specs: Iterable[WeightSpec]) -> tuple[int | None, int | None]:
    """Trainable and non-trainable elements; None when the format cannot tell."""
    trainable: int | None = 0
    non_trainable: int | None = 0
    for spec in specs:
        if layer.trainable is None or spec.trainable is None:
            return None, None
        value = spec.elements
        if layer.trainable and spec.trainable:
            trainable = None if value is None or trainable is None else trainable + value
        else:
            non_trainable = None if value is None or non_trainable is None else non_trainable + value
    return trainable, non_trainable


def _macs(layer: Layer, specs: Iterable[WeightSpec]) -> int | None:
    multiplied = [spec for spec in specs if spec.multiplied]
    if not multiplied:
        return layer.extra_macs
    elements = known_sum([elements_of(spec.logical or spec.dims) for spec in multiplied])
    if elements is None or layer.positions is None or layer.extra_macs is None:
        return None
    return elements * layer.positions + layer.extra_macs


def _unknown(layer: Layer, seen: set[Share]) -> Account:
    rows = []
    for claim in layer.claims:
        share = _share(claim)
        tied = _brought(share, seen)
        seen.add(share)
        rows.append(Row(None, claim.tensor, Verdict.UNKNOWN, copy=claim.copy, tied=tied))
    weights = [row for row in rows if row.tensor is not None and row.tensor.kind is Kind.WEIGHT and not row.copy]
    elements = sum(row.tensor.elements for row in weights if row.tensor is not None)
    trained = _trained(layer, weights)
    return Account(
        layer,
        Verdict.UNKNOWN,
        None,
        tuple(rows),
        parameters=elements,
        trainable=trained,
        non_trainable=None if trained is None else elements - trained,
        tied=sum(row.tensor.elements for row in weights if row.tied and row.tensor is not None),
        nbytes=bytes_of(row.tensor for row in rows if row.tensor is not None),
    )


def _trained(layer: Layer, weights: Sequence[Row]) -> int | None:
    """Elements that are trained of a layer without a formula; None when the file does not tell of each of its weights."""
    if layer.trainable is False:
        return 0
    known = {identity(claim.tensor): claim.trainable for claim in layer.claims}
    told = [(known[identity(row.tensor)], row.tensor.elements) for row in weights if row.tensor is not None]
    if any(trained is None for trained, _ in told):
        return None
    return sum(elements for trained, elements in told if trained)
