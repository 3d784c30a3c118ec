"""The ONNX catalogue: from an operator graph to the layers that its author wrote, with formulas and witnesses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from modelscan.graph import Graph
from modelscan.inline import inline
from modelscan.layers.onnx import (
    arguments,
    catalogue,
    checks,
    demand_rules,
    demand_rules_contrib,
    norms,
    shape_rules,
    shape_rules_contrib,
    shape_rules_norms,
    shape_rules_scopes,
)
from modelscan.layers.onnx.cost import activations
from modelscan.layers.onnx.demands import Demands
from modelscan.layers.onnx.flow import flatten
from modelscan.layers.onnx.recognise import recognise
from modelscan.layers.onnx.rows import rows
from modelscan.layers.onnx.shapes import Shapes
from modelscan.layers.onnx.site import Setting, inert
from modelscan.layers.onnx.tree import layers
from modelscan.layers.onnx.unfold import renamed, unfolded
from modelscan.limits import Limits
from modelscan.model import Kind, Layer, Model, Observation
from modelscan.records import record
from modelscan.repeats import MARK, Fold, copy_of
from modelscan.series import claimed

WEIGHT, CONSTANT = Kind.WEIGHT, Kind.CONSTANT
CONTRADICTION = "operator-contradiction"

__all__ = [
    "catalogue",
    "demand_rules",
    "demand_rules_contrib",
    "derive",
    "norms",
    "shape_rules",
    "shape_rules_contrib",
    "shape_rules_norms",
    "shape_rules_scopes",
]


@record(frozen=True, slots=True)
class Derived:
    """What a graph tells."""

    layers: Sequence[Layer]
    observations: tuple[Observation, ...]
    activity: Mapping[str, Any]
    placed: bool = True
    """Whether the layers of a folded graph have paths that tell of which copy they are."""


def derive(model: Model, limits: Limits) -> Model:
    """The model with its layers reconstructed, and every stored tensor told weight or constant."""
    graph = model.graph
    if not isinstance(graph, Graph):
        return model
    fold: Fold | None = graph.folded
    made = None if fold is None else _of_fold(fold, model, limits)
    if made is None:
        made = _derived(inline(graph, limits), model.observations, limits)
    weights = {one.name for one in claimed(made.layers) if one.kind is WEIGHT}  # in an ONNX file, names are unique
    return replace(
        model,
        layers=made.layers,
        tensors=tuple([one.of_kind(WEIGHT if one.name in weights else CONSTANT) for one in model.tensors]),
        observations=_once(model.observations, made.observations) + made.observations,
        facts={**model.facts, "activations": made.activity},
        trainable_known=False,
    )


def _once(seen: tuple[Observation, ...], made: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """What the reader told, less the nodes of which the catalogue says in its own words that they cannot be."""
    told = {one.where for one in made if one.kind == CONTRADICTION}
    return tuple(one for one in seen if one.kind != CONTRADICTION or one.where not in told) if told else seen


def _of_fold(fold: Fold, model: Model, limits: Limits) -> Derived | None:
    """What a folded graph tells of the whole; None where its copies turn out not to be alike."""
    made = _derived(fold.graph, model.observations, limits, dict.fromkeys(fold.sample(), fold.left_out + 1))
    if not made.placed or not fold.same_contents() or any(MARK.search(repr(one)) for one in made.observations):
        return None
    whole = unfolded(fold, made.layers, {one.name: one for one in model.tensors})
    if whole is None:
        return None
    return replace(made, layers=whole, activity={name: renamed(fold, value) for name, value in made.activity.items()})


def _derived(graph: Graph, seen: tuple[Observation, ...], limits: Limits, copies: Mapping[str, int] = MappingProxyType({})) -> Derived:
    flow = flatten(graph, limits)
    shapes = Shapes(flow)
    shapes.propagate()
    demands = Demands(flow, shapes)
    demands.collect()
    setting = Setting(flow, shapes.views, shapes, demands, inert=inert(flow, shapes.views), batch=_batch(shapes))
    found = recognise(setting)
    demands.wanted.clear()
    drawn = rows(setting, found)
    told = (*(one for layer in found for one in layer.observations), *checks.declared(shapes, seen))
    observations = (*told, *arguments.contradictions(shapes))
    activity = activations(setting, copies)
    del found
    setting.forget()
    made = layers(setting, drawn)
    placed = not copies or all(copy_of(row.path) == copy_of("".join(row.calls[0].node.outputs[:1])) for row in drawn if row.calls)
    return Derived(made, observations, activity, placed=placed)


def _batch(shapes: Shapes) -> int | None:
    """The batch size that the inputs fix: the first axis of the first input that has more than one."""
    for value in shapes.flow.inputs:
        axes = shapes.of(value)
        if axes is not None and len(axes) > 1 and shapes.flow.tensors[value] is None:
            return axes[0].static or None
    return None
