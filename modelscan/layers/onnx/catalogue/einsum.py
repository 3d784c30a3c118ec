"""Einsum with a stored operand: a Dense layer over any axes, its letters the dimensions."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue.dense import DENSE
from modelscan.layers.onnx.einsum import Equation, parsed
from modelscan.layers.onnx.evidence import Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.site import Draft, Found, Setting, Site, layer, stored


@layer("Einsum")
def einsum(site: Site) -> Found | None:
    """The kernel has the letters of its term; those that the result lacks are inputs, those it has are units."""
    held = [place for place in range(len(site.call.inputs)) if site.view(place) is not None]
    equation = parsed(site.call.attribute("equation"), [site.axes(place) for place in range(len(site.call.inputs))])
    if equation is None or len(held) != 1 or len(site.call.inputs) < 2:
        return None
    kernel = held[0]
    others = [place for place in range(len(site.call.inputs)) if place != kernel]
    sizes = _sizes(site, equation, kernel, others)
    found = Found(DENSE, site.call, output=site.output, inputs=tuple(site.value(place) for place in others))
    letters = equation.inputs[kernel]
    found.drafts.append(Draft("kernel", site.value(kernel), tuple(extent(sizes[letter]) for letter in letters), multiplied=True))
    _bias(site, equation, letters, sizes, found)
    if len(others) == 1:  # with more, the cost depends on the order in which they are multiplied
        axes = site.axes(others[0]) or ()
        found.positions = site.positions([a for letter, a in zip(equation.inputs[others[0]], axes, strict=True) if letter not in letters])
    found.config = {"operator": "Einsum", "equation": site.call.attribute("equation")}
    return found


def _sizes(site: Site, equation: Equation, kernel: int, others: list[int]) -> dict[str, Quantity]:
    letters, output = equation.inputs[kernel], equation.output
    contracted = [letter for letter in letters if letter not in output]
    kept = [letter for letter in letters if letter in output]
    names = {letter: "inputs" if len(contracted) == 1 else f"inputs_{letter}" for letter in contracted}
    names |= {letter: "units" if len(kept) == 1 else f"units_{letter}" for letter in kept}
    sizes: dict[str, Quantity] = {}
    for place, letter in enumerate(letters):
        size = sizes.setdefault(letter, Quantity(names[letter]))
        for other in others:
            if letter in equation.inputs[other]:
                size.activation(site.axis(other, equation.inputs[other].index(letter)), site.name(other))
        site.stored(size, kernel, place, "kernel")
        if letter in output:
            site.wanted(size, site.output, output.index(letter))
    return sizes


def _bias(site: Site, equation: Equation, letters: str, sizes: dict[str, Quantity], found: Found) -> None:
    """An addition behind it of a stored tensor over the result's last axes, all of them the kernel's."""
    setting: Setting = site.setting
    after = site.only_user(site.output) if site.output != NONE else None
    if after is None or after.op != "Add" or len(after.inputs) != 2 or not after.outputs:
        return
    other = after.inputs[1] if after.inputs[0] == site.output else after.inputs[0]
    view = setting.views.get(other)
    last = equation.output[len(equation.output) - len(view.shape) :] if view is not None else ""
    if view is None or not view.shape or len(view.shape) > len(equation.output) or any(letter not in letters for letter in last):
        return
    for place, letter in enumerate(last):
        stored(setting, sizes[letter], other, place, "bias length")
    found.drafts.append(Draft("bias", other, tuple(extent(sizes[letter]) for letter in last)))
    found.fused.append(after)
    found.output = after.outputs[0]
