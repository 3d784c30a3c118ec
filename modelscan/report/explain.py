"""The derivation of a layer's count, step by step: each weight as a product, the tensor that confirms it, the factored formula."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from modelscan.ledger import LayerReport, ModelReport, WeightReport
from modelscan.report.text import Style, escape, number, pad, shape, shapes, width

_BETWEEN = 12
"""Columns between those of a weight's line."""


def explain(report: ModelReport, style: Style, layers: Sequence[LayerReport] | None = None) -> str:
    """The layers given, or all that hold weights or should."""
    blocks = ["\n".join(_layer(report, one, style)) for one in (_explained(report) if layers is None else layers)]
    if not blocks:
        blocks = ["no layer of this model has weights"]
    return style.finish("\n\n".join(blocks))


def derivations(report: ModelReport, layers: Sequence[LayerReport] | None = None) -> ModelReport:
    """The same report with those layers alone; a container brings those in it, whose sum it is."""
    if layers is None:
        return replace(report, layers=tuple(_explained(report)))
    chosen = []
    within = -1  # the depth of the container that is gone through; no layer is below
    paths = {one.path for one in layers}
    for one in report.layers:
        if within < 0 or one.depth <= within:
            within = -1
            if one.path not in paths:
                continue
            within = one.depth if one.container else -1
        chosen.append(one)
    return replace(report, layers=tuple(chosen))


def _explained(report: ModelReport) -> Iterator[LayerReport]:
    """What has something to explain, containers for their layers."""
    return (one for one in report.layers if one.weights or (one.parameters and not one.container))


def _layer(report: ModelReport, layer: LayerReport, style: Style) -> Iterator[str]:
    arrow = f"{shapes(layer.input_shapes)} → {shapes(layer.output_shapes)}"
    yield f"{style.paint(escape(layer.path), 'bold')} · {escape(layer.type)} · {arrow}"
    if layer.container:
        yield from _container(report, layer)
        return
    columns = _columns(layer.weights)
    for weight in layer.weights:
        yield from _weight(weight, columns, style)
    yield from _sum(layer, style, sum(columns) + _BETWEEN)
    yield from _witnesses(layer)
    if layer.tied:
        yield f"  {number(layer.tied)} of these are shared with a layer above and counted there"
    if layer.logical is not None and layer.logical != layer.parameters:
        yield f"  {number(layer.logical)} parameters before packing"
    if layer.macs:
        yield f"  {number(layer.macs)} multiply-accumulates for one sample"
    if layer.note:
        yield f"  note: {escape(layer.note)}"


def _container(report: ModelReport, layer: LayerReport) -> Iterator[str]:
    parts = []
    start = report.layers.index(layer) + 1
    for one in report.layers[start:]:
        if one.depth <= layer.depth:
            break
        if one.depth == layer.depth + 1 and one.parameters:
            parts.append(one)
    for one in parts:
        yield f"  {escape(one.name)} ({escape(one.type)})  {number(one.parameters)}"
    yield f"  sum of {len(parts)} parts with parameters = {number(layer.parameters)}"


def _columns(weights: Sequence[WeightReport]) -> tuple[int, int, int, int, int]:
    """Widths of role, symbols, values, count and what is stored."""
    return (
        max((width(escape(one.role or one.name or "?")) for one in weights), default=0),
        max((width(one.formula or "") for one in weights), default=0),
        max((width(one.formula_values or "") for one in weights), default=0),
        max((width(number(one.elements)) for one in weights), default=0),
        max((width(_stored(one)) for one in weights), default=0),
    )


def _weight(weight: WeightReport, columns: tuple[int, int, int, int, int], style: Style) -> Iterator[str]:
    role = escape(weight.role or weight.name or "?")
    symbols, values = weight.formula or "", weight.formula_values or ""
    several = any("×" in one for one in (symbols, values))
    parts = [
        pad(role, columns[0]),
        pad(symbols, columns[1]),
        f"{pad(values if several else '', columns[2], True)} {'=' if several else ' '} {pad(number(weight.elements), columns[3], True)}",
        pad(_stored(weight), columns[4]),
    ]
    yield f"  {'   '.join(parts)}   {style.mark(weight.verdict)}".rstrip()
    if weight.problem:
        yield f"      {style.paint(escape(weight.problem), 'red')}"


def _stored(weight: WeightReport) -> str:
    if weight.stored_shape is None:
        held = weight.nbytes is not None
        return f"in an attribute, {escape(weight.dtype or '?')}, {number(weight.nbytes)} B" if held else "not stored"
    place = escape(weight.file) if weight.file else ""
    at = (
        f" at {place}{' byte ' if place else 'byte '}{number(weight.offset)}"
        if weight.offset is not None
        else f" in {place}"
        if place
        else ""
    )
    nbytes = f", {number(weight.nbytes)} B" if weight.nbytes is not None else ""
    kind = " (a second copy)" if weight.copy else " (shared)" if weight.tied else "" if weight.counted else " (no parameter)"
    return f"stored {shape(weight.stored_shape)} {escape(weight.stored_dtype or '?')}{nbytes}{at}{kind}"


def _sum(layer: LayerReport, style: Style, column: int) -> Iterator[str]:
    """The whole formula; its mark stands below those of the weights where there is room."""
    mark = style.mark(layer.verdict)
    if layer.formula is None:
        if layer.parameters or layer.weights:
            reason = "no formula is known for this type; counted from the store" if layer.verdict == "unknown" else ""
            yield f"  {pad(f'{number(layer.parameters)} {reason}', column)}   {mark}".rstrip()
        else:
            yield "  no parameters"
        return
    values = f" = {layer.formula_values}" if layer.formula_values != layer.formula else ""
    total = number(layer.parameters)
    ending = f" = {total}" if total not in (layer.formula_values, layer.formula) else ""
    yield f"  {pad(f'{layer.formula}{values}{ending}', column)}   {mark}"


def _witnesses(layer: LayerReport) -> Iterator[str]:
    """What attests each symbol; those that were read off the weights say so."""
    seen: dict[str, str | None] = {}
    for weight in layer.weights:
        seen.update(weight.witnesses)
    if seen:
        words = [f"{name}: {escape(witness) if witness else 'read off the stored weights'}" for name, witness in seen.items()]
        yield f"  where {'; '.join(words)}"
