"""Quantised operators: the weights of the float layer, with scales and zero points beside them that are no parameters."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue import dense
from modelscan.layers.onnx.catalogue.common import add_bias
from modelscan.layers.onnx.catalogue.elementwise import broadcast_extents
from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.site import Draft, Found, Site, layer

PRODUCTS: dict[str, tuple[int, int | None, dict[int, str]]] = {
    "QLinearMatMul": (3, None, {4: "kernel_scale", 5: "kernel_zero_point"}),
    "com.microsoft:DynamicQuantizeMatMul": (1, 4, {2: "kernel_scale", 3: "kernel_zero_point"}),
    "com.microsoft:MatMulIntegerToFloat": (1, 6, {3: "kernel_scale", 5: "kernel_zero_point"}),
    "com.microsoft:MatMulInteger16": (1, None, {}),
    "com.microsoft:QOrderedMatMul": (2, 5, {3: "kernel_scale"}),
    "com.microsoft:MatMulBlockQuantizedFp8Weight": (1, 4, {2: "kernel_scale"}),
}
"""By operator: the inputs of kernel and bias, and those beside them."""


def side_tensors(site: Site, found: Found, roles: dict[int, str], units: Extent | None = None) -> None:
    """Scales and zero points at the given inputs: in the file for the layer, not counted. A vector has one per unit."""
    for place, role in roles.items():
        view = site.view(place)
        if view is not None and view.elements > 1:
            long = [axis for axis, size in enumerate(view.shape) if size != 1]
            plain = tuple(extent(size) for size in view.shape)
            fitted = (
                tuple(units if axis in long else one for axis, one in enumerate(plain)) if units is not None and len(long) == 1 else plain
            )
            found.drafts.append(Draft(role, site.value(place), fitted, counted=False))


@layer(*PRODUCTS)
def product(site: Site) -> Found | None:
    """A product whose kernel is stored as integers."""
    kernel, bias, beside = PRODUCTS[site.call.op]
    view = site.view(kernel)
    if view is None or site.view(0) is not None:
        return None
    found = dense.product(site, kernel=kernel, activation=0, bias=bias is None)
    found.config = {"operator": site.call.node.op}
    if bias is not None and site.view(bias) is not None and len(view.shape) > 1:
        units = found.drafts[0].extents[-1].quantities[0]
        site.stored(units, bias, -1, "bias length")
        lead = len((site.view(bias) or view).shape) - 1
        found.drafts.append(Draft("bias", site.value(bias), (*(extent(1) for _ in range(lead)), extent(units))))
    side_tensors(site, found, beside, found.drafts[0].extents[-1] if len(view.shape) > 1 else None)
    return found


@layer("com.microsoft:QGemm")
def qgemm(site: Site) -> Found | None:
    """Gemm with its kernel at input 3 and its bias at input 6."""
    if site.view(3) is None:
        return None
    turned = bool(site.call.integer("transB", 0))
    inputs, units = Quantity("inputs"), Quantity("units")
    inputs.activation(site.axis(0, 0 if site.call.integer("transA", 0) else 1), site.name(0))
    site.stored(inputs, 3, 1 if turned else 0, "kernel")
    site.stored(units, 3, 0 if turned else 1, "kernel")
    site.wanted(units, site.output, 1)
    found = Found(dense.DENSE, site.call, output=site.output, inputs=(site.value(0),), config={"operator": "QGemm"})
    sides = (extent(units), extent(inputs)) if turned else (extent(inputs), extent(units))
    found.drafts.append(Draft("kernel", site.value(3), sides, multiplied=True))
    view = site.view(6)
    if view is not None:
        site.stored(units, 6, -1, "bias length")
        found.drafts.append(Draft("bias", site.value(6), (*(extent(1) for _ in view.shape[:-1]), extent(units))))
    side_tensors(site, found, {4: "kernel_scale", 5: "kernel_zero_point"}, extent(units))
    found.positions = site.positions((site.axis(0, 1 if site.call.integer("transA", 0) else 0),))
    return found


@layer("com.microsoft:QLinearAdd", "com.microsoft:QLinearMul")
def binary(site: Site) -> Found | None:
    """An elementwise operation with a stored operand at input 0 or 3."""
    held = [place for place in (0, 3) if (view := site.view(place)) is not None and view.elements > 1]
    if len(held) != 1:
        return None
    other = site.value(3 - held[0])
    role = "shift" if site.call.node.op == "QLinearAdd" else "scale"
    extents = broadcast_extents(site, held[0], other, site.setting.shapes.of(other))
    found = Found(site.call.node.op, site.call, output=site.output, inputs=(other,) if other != NONE else ())
    found.drafts.append(Draft(role, site.value(held[0]), extents))
    return found


@layer("com.microsoft:FusedMatMul", "com.microsoft:TransposeMatMul", "com.microsoft:FusedMatMulActivation")
def fused(site: Site) -> Found | None:
    """A product with a transposed operand."""
    if site.view(1) is None or site.view(0) is not None:
        return None
    turned = bool(site.call.integer("transB", 0))
    view = site.view(1)
    shape = view.shape if view is not None else ()
    if len(shape) != 2:
        return dense.product(site, kernel=1, activation=0)
    inputs, units = Quantity("inputs"), Quantity("units")
    inputs.activation(site.axis(0, -2 if site.call.integer("transA", 0) else -1), site.name(0))
    site.stored(inputs, 1, 1 if turned else 0, "kernel")
    site.stored(units, 1, 0 if turned else 1, "kernel")
    site.wanted(units, site.output, -1)
    found = Found(dense.DENSE, site.call, output=site.output, inputs=(site.value(0),), config={"operator": site.call.node.op})
    sides = (extent(units), extent(inputs)) if turned else (extent(inputs), extent(units))
    found.drafts.append(Draft("kernel", site.value(1), sides, multiplied=True))
    add_bias(site, found, units, -1)
    axes = site.axes(0)
    found.positions = site.positions(axes[:-1] if axes is not None else None)
    return found
