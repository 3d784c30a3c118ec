"""Budgets and requirements against one model's ledger: what does not hold is an observation of a POL or DEP rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.ledger import ModelReport
from modelscan.model import Observation
from modelscan.policy.paths import word_fits
from modelscan.policy.signature import wanted_differences
from modelscan.policy.targets import target_problems
from modelscan.settings import Budget, Requirements

_NAMED = 5
"""Offenders that a message names; the rest is counted."""
_MOST = 100
"""Findings of one rule on one file; the rest is counted."""


def budget_problems(model: ModelReport, budget: Budget) -> Iterator[Observation]:
    """Figures above their budget, and figures that cannot be told."""
    figures: tuple[tuple[str, str, int | None, int | None], ...] = (
        ("parameters", "parameters", model.parameters.total, budget.parameters),
        ("bytes", "bytes of weights", model.weight_bytes, budget.bytes),
        ("file-bytes", "bytes of the file", model.file_bytes, budget.file_bytes),
        ("macs", "multiply-accumulates", model.macs, budget.macs),
        ("layers", "layers", sum(not one.container for one in model.layers), budget.layers),
    )
    for key, words, actual, allowed in figures:
        if allowed is None:
            continue
        if actual is None:
            yield Observation(
                "budget-untold", f"the number of {words} cannot be told, and the budget is {allowed:,}", where=f"budget.{key}"
            )
        elif actual > allowed:
            yield _over(f"budget.{key}", words, actual, allowed)
    for dtype, allowed in budget.dtypes.items():
        actual = model.parameters.by_dtype.get(dtype, 0)
        if actual > allowed:
            yield _over(f"budget.dtypes.{dtype}", f"elements of {dtype}", actual, allowed)


def _over(where: str, words: str, actual: int, allowed: int) -> Observation:
    return Observation("over-budget", f"{actual:,} {words}, {actual - allowed:,} more than the budget of {allowed:,}", where=where)


def requirement_problems(model: ModelReport, require: Requirements) -> Iterator[Observation]:
    """Everything that `require` demands and the model is not."""
    if require.formats and model.format not in require.formats:
        yield Observation(
            "format-not-allowed", f"the format is {model.format}; allowed: {', '.join(require.formats)}", where="require.formats"
        )
    if model.format == "onnx":
        yield from _versions(model, require)
    yield from _dtypes(model, require.dtypes)
    yield from _operators(model, require.operators)
    yield from _coverage(model, require)
    if require.dynamic_batch is not None:
        yield from _batch(model, require.dynamic_batch)
    yield from wanted_differences(model.inputs, require.inputs, "input")
    yield from wanted_differences(model.outputs, require.outputs, "output")
    for target in require.runtimes:
        yield from target_problems(model, target)


def opsets_of(model: ModelReport) -> Mapping[str, int]:
    """Versions of the imported operator sets by domain, the standard one as `ai.onnx`."""
    found: Any = model.facts.get("opsets")
    if not isinstance(found, Mapping):
        return {}
    return {domain or "ai.onnx": number for domain, number in found.items() if isinstance(number, int)}


def _versions(model: ModelReport, require: Requirements) -> Iterator[Observation]:
    imported = opsets_of(model)
    for domain, allowed in require.opsets.items():
        number = imported.get(domain)
        if number is not None and (number,) not in allowed:
            yield Observation("version-not-allowed", f"operator set {number} of {domain}; demanded: {allowed}", where="require.opset")
    number = model.facts.get("ir_version")
    if require.ir_version is not None and isinstance(number, int) and (number,) not in require.ir_version:
        yield Observation("version-not-allowed", f"IR version {number}; demanded: {require.ir_version}", where="require.ir-version")


def _dtypes(model: ModelReport, allowed: tuple[str, ...]) -> Iterator[Observation]:
    if not allowed:
        return
    for dtype, count in sorted(model.parameters.by_dtype.items()):
        if dtype not in allowed and count:
            held = [one.path for one in model.layers if any(weight.stored_dtype == dtype for weight in one.weights) and not one.container]
            places = f" in {listed(held)}" if held else ""
            yield Observation(
                "dtype-not-allowed",
                f"{count:,} stored elements of {dtype}{places}; allowed: {', '.join(allowed)}",
                layer=held[0] if len(held) == 1 else None,
                where="require.dtypes",
            )


def _operators(model: ModelReport, allowed: tuple[str, ...]) -> Iterator[Observation]:
    if not allowed:
        return
    strange = {name: count for name, count in used_operators(model).items() if not any(word_fits(pattern, name) for pattern in allowed)}
    for name in sorted(strange)[:_MOST]:
        times = "once" if strange[name] == 1 else f"{strange[name]:,} times"
        yield Observation(
            "operator-not-allowed", f"{name}, used {times}, is not on the list of allowed operators", where="require.operators"
        )
    if len(strange) > _MOST:
        more = f"{len(strange) - _MOST:,} more operators are not on the list of allowed ones"
        yield Observation("operator-not-allowed", more, where="require.operators")


def used_operators(model: ModelReport) -> Mapping[str, int]:
    """Operators of a graph, or else layer types, with how often they are used."""
    counted: Any = model.facts.get("operators")
    if isinstance(counted, Mapping) and counted:
        return counted
    found: dict[str, int] = {}
    for layer in model.layers:
        if not layer.container:
            found[layer.type] = found.get(layer.type, 0) + 1
    return dict(sorted(found.items()))


def _coverage(model: ModelReport, require: Requirements) -> Iterator[Observation]:
    stored = model.parameters.stored
    for key, words, demanded, actual in (
        ("explained", "are explained by a formula", require.explained, model.parameters.explained),
        ("independent", "are explained without reading a dimension off the weights", require.independent, model.parameters.independent),
    ):
        # Compared as whole numbers: 99 % of 1,000,000 elements are not to depend on rounding.
        if demanded is not None and actual * 100 < demanded * stored:
            share = f"{actual:,} of {stored:,} stored elements ({100 * actual / stored:.4g} %) {words}"
            yield Observation("low-coverage", f"{share}; demanded: {demanded:g} %", where=f"require.{key}")


def _batch(model: ModelReport, dynamic: bool) -> Iterator[Observation]:
    for one in model.inputs:
        if not one.shape:
            continue
        fixed = isinstance(one.shape[0], int)
        if fixed == dynamic:
            told = f"fixed at {one.shape[0]}" if fixed else "dynamic"
            wish = "dynamic" if dynamic else "fixed"
            yield Observation(
                "batch-dimension", f"the first dimension of input {one.name} is {told}; demanded: {wish}", where="require.dynamic-batch"
            )


def listed(names: list[str]) -> str:
    """The first few names, the rest counted."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
