"""Operators whose weights are a matter of a table: at which input, with which axes, attested by what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.site import LAYERS, Draft, Found, Site
from modelscan.records import record


@record(frozen=True, slots=True)
class Slot:
    """One weight of an operator."""

    position: int
    role: str
    axes: str
    """Axes, separated by commas, each a product of numbers and names: `inputs, 3*hidden`."""
    multiplied: bool = False
    counted: bool = True


@record(frozen=True, slots=True)
class Layout:
    """The weights of an operator and the witnesses of their names."""

    slots: tuple[Slot, ...]
    activations: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """By name: inputs and axes that have this size."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """By name: the attribute that states it."""
    outputs: Mapping[str, int] = field(default_factory=dict)
    """By name: the axis of the first output that has this size."""
    type: str | None = None


def register(layouts: Mapping[str, Layout]) -> None:
    """Makes catalogue functions of layouts, by operator."""
    for operator, layout in layouts.items():
        LAYERS[operator] = lambda site, layout=layout: laid_out(site, layout)  # type: ignore[misc]


def laid_out(site: Site, layout: Layout) -> Found | None:
    """The layer as its table says; None when nothing of it is stored."""
    present = [slot for slot in layout.slots if site.view(slot.position) is not None]
    if not present:
        return None
    quantities: dict[str, Quantity] = {}
    for slot in layout.slots:
        for names in _factors(slot.axes):
            for name in names:
                if not name.isdigit():
                    quantities.setdefault(name, Quantity(name))
    _attest(site, layout, quantities)
    for slot in present:
        _read(site, slot, quantities)
    found = Found(layout.type or site.call.node.op, site.call, output=site.output)
    for slot in present:
        extents = tuple(extent(*(int(name) if name.isdigit() else quantities[name] for name in names)) for names in _factors(slot.axes))
        found.drafts.append(Draft(slot.role, site.value(slot.position), broadcast_ones(site, slot, extents), slot.multiplied, slot.counted))
    found.inputs = tuple(value for value in site.call.inputs if value != NONE and value not in site.setting.views)
    if any(slot.multiplied for slot in present):
        axes = site.axes(0)
        found.positions = site.positions(axes[:-1] if axes is not None else None)
    return found


def _factors(axes: str) -> list[list[str]]:
    return [[name.strip() for name in one.split("*")] for one in axes.split(",")]


def _attest(site: Site, layout: Layout, quantities: dict[str, Quantity]) -> None:
    for name, attribute in layout.attributes.items():
        quantities[name].attribute(attribute, site.call.attribute(attribute))
    for name, places in layout.activations.items():
        for position, axis in places:
            if site.view(position) is None and site.value(position) != NONE:
                quantities[name].activation(site.axis(position, axis), site.name(position))
    for name, axis in layout.outputs.items():
        site.wanted(quantities[name], site.output, axis)


def _read(site: Site, slot: Slot, quantities: dict[str, Quantity]) -> None:
    view = site.view(slot.position)
    axes = _factors(slot.axes)
    if view is None or len(view.shape) != len(axes):
        return
    for place, names in enumerate(axes):
        known = [name for name in names if not name.isdigit()]
        if len(known) == 1:
            divisor = 1
            for name in names:
                divisor *= int(name) if name.isdigit() else 1
            site.stored(quantities[known[0]], slot.position, place, f"{slot.role} {'length' if len(axes) == 1 else 'shape'}", divisor)


def broadcast_ones(site: Site, slot: Slot, extents: tuple[Extent, ...]) -> tuple[Extent, ...]:
    """A vector may be stored with leading axes of 1."""
    view = site.view(slot.position)
    if view is None or len(view.shape) <= len(extents) or any(size != 1 for size in view.shape[: len(view.shape) - len(extents)]):
        return extents
    return (*(extent(1) for _ in range(len(view.shape) - len(extents))), *extents)
