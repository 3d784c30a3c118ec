"""The ONNX catalogue: from an operator graph to the layers that its author wrote, with formulas and witnesses."""

from __future__ import annotations

from dataclasses import replace

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
from modelscan.layers.onnx.build import of_kind
from modelscan.layers.onnx.cost import activations
from modelscan.layers.onnx.demands import Demands
from modelscan.layers.onnx.flow import flatten
from modelscan.layers.onnx.recognise import recognise
from modelscan.layers.onnx.rows import rows
from modelscan.layers.onnx.shapes import Shapes
from modelscan.layers.onnx.site import Setting, inert
from modelscan.layers.onnx.tree import layers
from modelscan.limits import Limits
from modelscan.model import Kind, Model

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


def derive(model: Model, limits: Limits) -> Model:
    """The model with its layers reconstructed, and every stored tensor told weight or constant."""
    if not isinstance(model.graph, Graph):
        return model
    flow = flatten(inline(model.graph, limits), limits)
    shapes = Shapes(flow)
    shapes.propagate()
    demands = Demands(flow, shapes)
    demands.collect()
    setting = Setting(flow, shapes.views, shapes, demands, inert=inert(flow, shapes.views), batch=_batch(shapes))
    found = recognise(setting)
    demands.wanted.clear()
    drawn = rows(setting, found)
    told = (*(seen for one in found for seen in one.observations), *checks.declared(shapes, model.observations))
    observations = (*told, *arguments.contradictions(shapes))
    activity = activations(setting)
    del found
    setting.forget()
    made = layers(setting, drawn)
    weights = {(c.tensor.file, c.tensor.name) for layer in made for c in layer.claims if c.tensor.kind is Kind.WEIGHT}
    tensors = tuple(of_kind(one, (one.file, one.name) in weights) for one in model.tensors)
    facts = {**model.facts, "activations": activity}
    return replace(model, layers=made, tensors=tensors, observations=model.observations + observations, facts=facts, trainable_known=False)


def _batch(shapes: Shapes) -> int | None:
    """The batch size that the inputs fix: the first axis of the first input that has more than one."""
    for value in shapes.flow.inputs:
        axes = shapes.of(value)
        if axes is not None and len(axes) > 1 and shapes.flow.tensors[value] is None:
            return axes[0].static or None
    return None
