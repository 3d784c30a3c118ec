"""From the vocabulary to plain data: one `ModelReport` out of a model, its accounts and its findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

from modelscan.accounting import Accounts
from modelscan.census import operators
from modelscan.formula import Formula, Symbol
from modelscan.ledger import FindingReport, LayerReport, ModelReport, Parameters, TensorReport, WeightReport
from modelscan.model import FLOATING, Account, Finding, Model, Row, StoredTensor, TensorInfo, Totals, WeightSpec
from modelscan.series import Made, Repeat, parts_of, series
from modelscan.sums import TensorId, embedded_bytes, identity
from modelscan.targets.loading import loads_in
from modelscan.targets.onnxruntime import oldest_release

if TYPE_CHECKING:
    from modelscan.values import Statistics


def assemble(
    path: str,
    file_bytes: int | None,
    model: Model,
    accounts: Accounts,
    findings: Iterable[Finding],
    statistics: Mapping[TensorId, Statistics] | None = None,
    brief: bool = False,
) -> ModelReport:
    """The report on one readable file; `statistics` where the values were read; `brief` as `ModelReport.brief` has it."""
    return ModelReport(
        path=path,
        format=model.format,
        readable=True,
        file_bytes=file_bytes,
        producer=dict(model.producer),
        name=model.name,
        model_type=model.model_type,
        parameters=_parameters(accounts.totals),
        weight_bytes=accounts.totals.weight_bytes,
        macs=accounts.totals.macs,
        findings=tuple(FindingReport.of(one) for one in findings),
        **({} if brief else _ledger(model, accounts, statistics or {})),
    )


def _ledger(model: Model, accounts: Accounts, figures: Mapping[TensorId, Statistics]) -> dict[str, Any]:
    """What a brief report leaves out."""
    return {
        "inputs": tuple(_tensor(one) for one in model.inputs),
        "outputs": tuple(_tensor(one) for one in model.outputs),
        "layers": _layers(accounts.accounts, figures),
        "unclaimed": tuple(_weight(Row(None, one), figures) for one in accounts.unclaimed),
        "facts": {**model.facts, **_census(model)},
    }


def _census(model: Model) -> dict[str, Any]:
    """What policy and views ask for: a graph's operators, the first ONNX Runtime that loads the file, what is known of Keras 2 and 3."""
    found: dict[str, Any] = {}
    counts = operators(model.graph)
    if counts:
        found["operators"] = counts
    opsets, ir_version = model.facts.get("opsets"), model.facts.get("ir_version")
    if model.format == "onnx" and isinstance(opsets, Mapping) and (release := oldest_release(opsets, ir_version)) is not None:
        found["onnxruntime"] = f">={release}"
    loading = loads_in(model)
    if loading:
        found["loads_in"] = loading
    return found


def unreadable(path: str, file_bytes: int | None, findings: Iterable[Finding], format: str | None = None) -> ModelReport:
    """The report on a file of which nothing can be told but why."""
    return ModelReport(path, format, False, file_bytes, findings=tuple(FindingReport.of(one) for one in findings))


def _tensor(info: TensorInfo) -> TensorReport:
    return TensorReport(info.name, info.dtype, info.shape)


def _parameters(totals: Totals) -> Parameters:
    return Parameters(
        total=totals.total,
        trainable=totals.trainable,
        non_trainable=totals.non_trainable,
        optimizer=totals.optimizer,
        stored=totals.stored,
        constants=totals.constants,
        explained=totals.explained,
        independent=totals.independent,
        by_dtype=dict(totals.by_dtype),
        logical=totals.logical,
    )


def _layers(accounts: Sequence[Account], figures: Mapping[TensorId, Statistics]) -> Sequence[LayerReport]:
    return series([_copies(part, figures) if isinstance(part, Repeat) else _layer(part, figures) for part in parts_of(accounts)])


def _copies(accounts: Repeat[Account], figures: Mapping[TensorId, Statistics]) -> Repeat[LayerReport]:
    """The reports on copies: put together for those that are looked at."""
    sample = tuple([_layer(one, figures) for one in accounts.sample])
    return Repeat(sample, accounts.count, lambda _, place, copy: _layer(accounts.item(place, copy), figures), accounts.columns)


def _layer(account: Account, figures: Mapping[TensorId, Statistics]) -> LayerReport:
    layer, formula = account.layer, account.formula
    has_formula = formula is not None and bool(formula.terms)
    return LayerReport(  # in the order of the fields: twenty keywords take longer than all the rest
        layer.name,
        layer.path,
        layer.type,
        layer.depth,
        layer.inbound,
        layer.input_shapes,
        layer.output_shapes,
        account.parameters,
        account.trainable,
        account.non_trainable,
        account.macs,
        formula.symbolic if formula is not None and has_formula else None,
        formula.numeric if formula is not None and has_formula else None,
        str(account.verdict),
        Made(partial(_weights, account.rows, figures)) if account.rows else (),
        layer.container,
        account.tied,
        account.logical,
        account.nbytes,
        layer.note,
    )


def _weights(rows: Iterable[Row], figures: Mapping[TensorId, Statistics]) -> tuple[WeightReport, ...]:
    return tuple([_weight(row, figures) for row in rows])


def _weight(row: Row, figures: Mapping[TensorId, Statistics]) -> WeightReport:
    spec, tensor = row.spec, row.tensor
    product = Formula.of([spec.dims]) if spec is not None else None
    return WeightReport(
        role=spec.role if spec is not None else None,
        name=tensor.name if tensor is not None else None,
        symbols=tuple(str(one) for one in spec.dims) if spec is not None else None,
        shape=spec.shape if spec is not None else None,
        dtype=spec.dtype if spec is not None and spec.dtype != FLOATING else None,
        stored_shape=tensor.shape if tensor is not None else None,
        stored_dtype=tensor.dtype if tensor is not None else None,
        nbytes=tensor.nbytes if tensor is not None else embedded_bytes(row),
        file=tensor.file if tensor is not None else None,
        offset=tensor.offset if tensor is not None else None,
        trainable=spec.trainable if spec is not None else None,
        verdict=str(row.verdict),
        problem=row.problem,
        elements=_elements(spec, tensor),
        formula=product.symbolic if product is not None else None,
        formula_values=product.numeric if product is not None else None,
        witnesses={symbol.name: symbol.witness for symbol in _symbols(spec)},
        tied=row.tied,
        copy=row.copy,
        counted=spec.counted if spec is not None else True,
        statistics=_figures(figures.get(identity(tensor))) if figures and tensor is not None else None,
    )


def _figures(found: Statistics | None) -> dict[str, float | int | None] | None:
    """JSON has no infinities: a mean that overflowed becomes None."""
    if found is None:
        return None
    values = {name: getattr(found, name) for name in found.__slots__}
    return {name: value if value is None or isfinite(value) else None for name, value in values.items()}


def _elements(spec: WeightSpec | None, tensor: StoredTensor | None) -> int | None:
    if spec is not None:
        return spec.elements
    return tensor.elements if tensor is not None else None


def _symbols(spec: WeightSpec | None) -> list[Symbol]:
    return [] if spec is None else [symbol for one in spec.dims for symbol in one.symbols]
