"""Where a layer is recognised: one call with everything that is known around it, and what a catalogue function says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from modelscan.layers.onnx.axes import FREE, UNKNOWN, Axes, Axis
from modelscan.layers.onnx.demands import Demands
from modelscan.layers.onnx.evidence import Extent, Quantity
from modelscan.layers.onnx.flow import NONE, Call, Flow
from modelscan.layers.onnx.shapes import Shapes
from modelscan.layers.onnx.views import View
from modelscan.model import Claim, Observation, WeightSpec


@dataclass(slots=True)
class Draft:
    """One weight of a layer, before it is tied to the stored pieces."""

    role: str
    value: int
    """The value that the operator takes, NONE when it is missing."""
    extents: tuple[Extent, ...]
    multiplied: bool = False
    counted: bool = True
    logical: tuple[Extent, ...] | None = None
    dtype: str | None = None
    embedded: bool = False
    """Whether the values stand in an attribute."""
    view: View | None = None
    """How the layer sees it, where that is not how its operator gets it (a bias added behind a reshape)."""


@dataclass(slots=True)
class Found:
    """A layer that was recognised."""

    type: str
    call: Call
    drafts: list[Draft] = field(default_factory=list)
    """Its weights; empty once `build.tell` has made specs and claims of them."""
    specs: tuple[WeightSpec, ...] | None = None
    claims: tuple[Claim, ...] = ()
    values: tuple[int, ...] = ()
    """The values of its weights, NONE for one that is missing."""
    counted: bool = False
    """Whether any of its weights is a parameter."""
    fused: list[Call] = field(default_factory=list)
    """Further calls that are part of it."""
    inputs: tuple[int, ...] = ()
    """Activations that it takes."""
    output: int = NONE
    positions: int | None = None
    extra_macs: int | None = 0
    config: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    known: bool = True
    """False when no formula is known: its tensors are listed, nothing is derived."""
    observations: list[Observation] = field(default_factory=list)


@dataclass(slots=True)
class Setting:
    """What all recognition shares."""

    flow: Flow
    views: dict[int, View]
    shapes: Shapes
    demands: Demands
    taken: set[int] = field(default_factory=set)
    """Calls that a layer owns already."""
    inert: set[int] = field(default_factory=set)
    """Values that no input's elements flow into: made of constants and of shapes."""
    batch: int | None = None
    """The batch size that the graph's inputs fix, None when they leave it open."""

    def forget(self) -> None:
        """Drops what only recognition asks for: of a large model, a third of the memory."""
        for held in (self.views, self.inert, self.taken, self.flow.uses, self.shapes.computed, self.shapes.amounts):
            held.clear()


class Site:
    """One call in its setting."""

    def __init__(self, setting: Setting, call: Call) -> None:
        self.setting, self.call = setting, call
        self.flow = setting.flow

    def value(self, position: int) -> int:
        """The number of an input, NONE when it is omitted."""
        inputs = self.call.inputs
        return inputs[position] if position < len(inputs) else NONE

    def view(self, position: int) -> View | None:
        """The static view of an input, None when it is computed at run time or omitted."""
        inputs = self.call.inputs
        return self.setting.views.get(inputs[position]) if position < len(inputs) else None

    def axes(self, position: int) -> Axes | None:
        """The axes of an input."""
        return self.setting.shapes.input(self.call, position)

    def axis(self, position: int, axis: int) -> Axis:
        """One axis of an input."""
        axes = self.setting.shapes.input(self.call, position)
        return axes[axis] if axes is not None and -len(axes) <= axis < len(axes) else UNKNOWN

    def name(self, position: int) -> str:
        """The name of an input."""
        return self.flow.names[self.value(position)]

    @property
    def output(self) -> int:
        """The first output."""
        return self.call.outputs[0] if self.call.outputs else NONE

    def stored(self, quantity: Quantity, position: int, axis: int, text: str, divisor: int = 1) -> Quantity:
        """Notes the size that the stored tensors behind an input have along an axis."""
        return stored(self.setting, quantity, self.value(position), axis, text, divisor)

    def wanted(self, quantity: Quantity, value: int, axis: int, divisor: int = 1) -> Quantity:
        """Notes what the rest of the file says of an axis of a value."""
        for one in self.setting.demands.of(value, axis):
            if one.size % divisor == 0 and one.size:
                quantity.evidence.append(one if divisor == 1 else one._replace(size=one.size // divisor))
        return quantity

    def users(self, value: int) -> list[Call]:
        """The calls that take a value."""
        return self.flow.users(value)

    def only_user(self, value: int) -> Call | None:
        """The one call that takes a value that goes nowhere else."""
        users = self.flow.users(value)
        return users[0] if len(users) == 1 and value not in self.flow.escapes else None

    def positions(self, axes: Iterable[Axis] | None, *, batch_first: bool = True) -> int | None:
        """How many positions these axes are for one sample; the first one is taken for the batch."""
        return positions(self.setting, axes, batch_first=batch_first)


def stored(setting: Setting, quantity: Quantity, value: int, axis: int, text: str, divisor: int = 1) -> Quantity:
    """Notes the size that the stored tensors behind a value have along an axis, each with its own statement."""
    view = setting.views.get(value)
    if view is None:
        return quantity
    shape = view.shape
    if not -len(shape) <= axis < len(shape):
        return quantity
    size = shape[axis]
    if size % divisor == 0:
        for piece in view.pieces:
            if piece.extent[axis] == size:
                quantity.stored(size // divisor, text, piece.value)
    return quantity


def positions(setting: Setting, axes: Iterable[Axis] | None, *, batch_first: bool = True) -> int | None:
    """The product of sizes without the batch: an open first size is the batch, a static one holds it as a factor."""
    if axes is None:
        return None
    count, first = 1, batch_first
    for size, _ in axes:
        if first:
            first = False
            if isinstance(size, int) and not setting.batch:
                count *= size
            elif isinstance(size, int) and setting.batch and size % setting.batch == 0:
                count *= size // setting.batch
        elif isinstance(size, int):
            count *= size
        else:
            return None
    return count


_SHAPES = frozenset(("Shape", "Size", "Constant"))


def inert(flow: Flow, views: dict[int, View]) -> set[int]:
    """Values that are made of constants and shapes alone: initial states, masks by position, shape arithmetic."""
    found = {NONE, *views}
    for call in flow.calls:
        if (call.inputs and found.issuperset(call.inputs) and not call.node.graphs) or call.op in _SHAPES:
            found.update(call.outputs)
    found.discard(NONE)
    return found


def plain(axes: Axes | None) -> tuple[int | str | None, ...] | None:
    """Sizes without origin."""
    return None if axes is None else tuple(axis.size for axis in axes)


Catalogue = Callable[[Site], "Found | None"]
LAYERS: dict[str, Catalogue] = {}
"""Catalogue functions by operator, filled by the `layer` decorator."""


def layer(*operators: str) -> Callable[[Catalogue], Catalogue]:
    """Registers a catalogue function for operators; contrib ones are written with their domain."""

    def register(function: Catalogue) -> Catalogue:
        LAYERS.update(dict.fromkeys(operators, function))
        return function

    return register


__all__ = ["FREE", "LAYERS", "Draft", "Found", "Setting", "Site", "inert", "layer", "plain", "positions", "stored"]
