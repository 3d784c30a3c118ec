"""Fully connected layers: MatMul with the addition behind it, Gemm, Einsum: `units × (inputs + 1)`."""

from __future__ import annotations

from modelscan.layers.onnx.axes import total
from modelscan.layers.onnx.catalogue.cells import cell
from modelscan.layers.onnx.catalogue.common import add_bias, stated, take_scale
from modelscan.layers.onnx.catalogue.embedding import is_weight
from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.macs import without_weights
from modelscan.layers.onnx.site import Draft, Found, Site, layer

DENSE = "Dense"


@layer("MatMul", "MatMulInteger")
def matmul(site: Site) -> Found | None:
    """A product with one stored operand, and the bias that follows."""
    if site.view(1) is not None and site.view(0) is None:
        unrolled = cell(site)
        return unrolled or product(site, kernel=1, activation=0)
    if site.view(0) is not None and site.view(1) is None:
        return product(site, kernel=0, activation=1)
    if site.view(0) is not None and site.view(1) is not None:
        return _static(site)
    return None


def product(site: Site, kernel: int, activation: int, *, bias: bool = True) -> Found:
    """A Dense layer whose kernel is on either side of the product."""
    view = site.view(kernel)
    shape = view.shape if view is not None else ()
    right = kernel > activation
    inner, outer = (-2, -1) if right else (-1, -2)
    if len(shape) == 1:
        inner = -1
    x_axis = -1 if right or len(site.axes(activation) or (0, 0)) == 1 else -2
    inputs, units = Quantity("inputs"), Quantity("units")
    inputs.activation(site.axis(activation, x_axis), site.name(activation))
    site.stored(inputs, kernel, inner, "kernel")
    found = Found(DENSE, site.call, output=site.output, inputs=(site.value(activation),))
    extents: list[Extent] = []
    for place in range(len(shape) - 2):
        batch = Quantity(f"batch_{place + 1}" if len(shape) > 3 else "batch")
        batch.activation(site.axis(activation, place - len(shape)), site.name(activation))
        site.stored(batch, kernel, place, "kernel")
        site.wanted(batch, site.output, place - len(shape))
        extents.append(extent(1) if shape[place] == 1 else extent(batch))
    if len(shape) == 1:
        extents.append(extent(inputs))
    else:
        site.stored(units, kernel, outer, "kernel")
        site.wanted(units, site.output, outer)
        extents += [extent(inputs), extent(units)] if right else [extent(units), extent(inputs)]
    found.drafts.append(Draft("kernel", site.value(kernel), tuple(extents), multiplied=True))
    if site.call.op == "MatMulInteger":
        take_scale(site, found, units)
    if bias and len(shape) > 1:
        add_bias(site, found, units, outer)
    axes = site.axes(activation)
    if axes is not None and len(axes) >= -x_axis:
        rest = axes[:-1] if x_axis == -1 else (*axes[:-2], axes[-1])
        if len(shape) > 2:
            rest = tuple([axis for place, axis in enumerate(rest) if place == 0 or place >= len(rest) - 1])
        found.positions = site.positions(rest)
    added = bool(found.fused) and any(one.op == "Add" for one in found.fused)
    found.config = {"operator": f"{site.call.node.op}+Add" if added else site.call.node.op}
    return found


def _static(site: Site) -> Found | None:
    """Both operands are stored (a factorised kernel, a table of positions through a small network): each is a weight."""
    left, right = site.view(0), site.view(1)
    if left is None or right is None or len(left.shape) < 2 or len(right.shape) < 2:
        return None
    if not (is_weight(site, 0) and is_weight(site, 1)):
        return None
    inner, columns = Quantity("inner"), Quantity("columns")
    rows = [Quantity("rows" if place == len(left.shape) - 2 else f"size_{place + 1}") for place in range(len(left.shape) - 1)]
    batch = [Quantity(f"batch_{place + 1}") for place in range(len(right.shape) - 2)]
    for place, row in enumerate(rows):
        site.stored(row, 0, place, "left factor")
        site.wanted(row, site.output, place - len(left.shape))
    for place, one in enumerate(batch):
        site.stored(one, 1, place, "right factor")
    site.stored(inner, 0, -1, "left factor")
    site.stored(inner, 1, -2, "right factor")
    site.stored(columns, 1, -1, "right factor")
    site.wanted(columns, site.output, -1)
    found = Found("MatMul", site.call, output=site.output, positions=total(axes[:-1] if (axes := site.axes(0)) else ()))
    found.drafts.append(Draft("left", site.value(0), (*map(extent, rows), extent(inner))))
    found.drafts.append(Draft("right", site.value(1), (*map(extent, batch), extent(inner), extent(columns)), multiplied=True))
    add_bias(site, found, columns, -1)
    return found


@layer("Gemm", "com.microsoft:FusedGemm", "com.microsoft:GemmFastGelu", "com.microsoft:GemmFloat8")
def gemm(site: Site) -> Found | None:
    """Kernel `[K, N]` or transposed, bias C that may broadcast."""
    if site.view(1) is None:
        if site.view(0) is not None and site.call.op == "Gemm":
            return _gemm_left(site)
        return _gemm_bias_only(site)
    turned = bool(site.call.integer("transB", 0))
    inputs, units = Quantity("inputs"), Quantity("units")
    inputs.activation(site.axis(0, 0 if site.call.integer("transA", 0) else 1), site.name(0))
    site.stored(inputs, 1, 1 if turned else 0, "kernel")
    site.stored(units, 1, 0 if turned else 1, "kernel")
    site.wanted(units, site.output, 1)
    found = Found(DENSE, site.call, output=site.output, inputs=(site.value(0),))
    sides = (extent(units), extent(inputs)) if turned else (extent(inputs), extent(units))
    found.drafts.append(Draft("kernel", site.value(1), sides, multiplied=True))
    _gemm_bias(site, found, units)
    if len(found.drafts) == 1 and site.value(2) == NONE:
        add_bias(site, found, units, -1)
    rows = site.axis(0, 1 if site.call.integer("transA", 0) else 0)
    found.positions = site.positions((rows,))
    found.config = {"operator": "Gemm"} | stated(site, "alpha", "beta", "transA", "transB", "activation")
    return found


def _gemm_bias(site: Site, found: Found, units: Quantity) -> None:
    """C: one element per unit, or per row, or one for all: whatever broadcasts to the result."""
    view = site.view(2)
    if view is None:
        return
    shape = view.shape
    if shape and shape[-1] != 1:
        site.stored(units, 2, -1, "bias length")
    extents: list[Extent] = []
    for back in range(len(shape), 0, -1):
        size = shape[-back]
        if back == 1 and size == (units.settled() if size == 1 else size):
            extents.append(extent(units))
        elif size == 1:
            extents.append(extent(1))
        else:
            rows = Quantity("rows").activation(site.axis(0, 1 if site.call.integer("transA", 0) else 0), site.name(0))
            extents.append(extent(site.stored(rows, 2, -back, "bias")))
    if len(extents) <= 2:
        found.drafts.append(Draft("bias", site.value(2), tuple(extents)))
    else:
        found.drafts.append(Draft("bias", site.value(2), (extent(units),)))


def _gemm_bias_only(site: Site) -> Found | None:
    """A product of two activations, to which a stored vector is added."""
    if site.view(2) is None:
        return None
    units = Quantity("units").activation(site.axis(1, 0 if site.call.integer("transB", 0) else 1), site.name(1))
    site.wanted(units, site.output, 1)
    found = Found(DENSE, site.call, output=site.output, inputs=site.call.inputs[:2], config={"operator": "Gemm"})
    _gemm_bias(site, found, units)
    found.extra_macs = without_weights(site.setting, site.call)
    return found


def _gemm_left(site: Site) -> Found | None:
    """The stored operand is A: its columns meet the activation's rows."""
    if site.view(1) is not None:
        return None
    turned = bool(site.call.integer("transA", 0))
    inputs, units = Quantity("inputs"), Quantity("units")
    inputs.activation(site.axis(1, 1 if site.call.integer("transB", 0) else 0), site.name(1))
    site.stored(inputs, 0, 0 if turned else 1, "kernel")
    site.stored(units, 0, 1 if turned else 0, "kernel")
    site.wanted(units, site.output, 0)
    found = Found(DENSE, site.call, output=site.output, inputs=(site.value(1),), config={"operator": "Gemm"})
    sides = (extent(inputs), extent(units)) if turned else (extent(units), extent(inputs))
    found.drafts.append(Draft("kernel", site.value(0), sides, multiplied=True))
    found.positions = site.positions((site.axis(1, 0 if site.call.integer("transB", 0) else 1),), batch_first=False)
    return found
