"""Kernels packed to a few bits: attributes state the float layer, bytes are what is stored."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue.common import add_bias
from modelscan.layers.onnx.catalogue.quantised import side_tensors
from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.site import Draft, Found, Site, layer


def stated(name: str, size: int | None, attributes: str) -> Quantity:
    """A size that follows from attributes."""
    return Quantity(name).attribute(attributes, size) if size is not None else Quantity(name)


@layer("com.microsoft:MatMulNBits")
def nbits(site: Site) -> Found | None:
    """B `[N, ⌈K/block⌉, block·bits/8]` uint8 with scales and zero points per block: `K × N` weights."""
    if site.view(1) is None:
        return None
    bits, block = site.call.integer("bits", 4), site.call.integer("block_size", 0)
    inputs, units = _sides(site)
    depth = inputs.settled()
    blocks = -(-depth // block) if depth is not None and block > 0 else None
    found = Found("MatMulNBits", site.call, output=site.output, inputs=(site.value(0),))
    of_blocks = site.stored(stated("blocks", blocks, "K, block_size"), 1, 1, "kernel")
    of_bytes = site.stored(stated("block_bytes", block * bits // 8 if block > 0 else None, "block_size, bits"), 1, 2, "kernel")
    logical = (extent(units), extent(inputs))
    found.drafts.append(
        Draft("kernel", site.value(1), (extent(units), extent(of_blocks), extent(of_bytes)), multiplied=True, logical=logical)
    )
    _per_block(site, found, {2: "scales", 3: "zero_points"}, units, of_blocks, bits)
    if site.view(5) is not None:
        site.stored(units, 5, 0, "bias length")
        found.drafts.append(Draft("bias", site.value(5), (extent(units),)))
    else:
        add_bias(site, found, units, -1)
    return _finished(site, found, {"K": depth, "N": units.settled(), "bits": bits, "block_size": block})


def _sides(site: Site) -> tuple[Quantity, Quantity]:
    inputs = Quantity("inputs").attribute("K", site.call.attribute("K")).activation(site.axis(0, -1), site.name(0))
    units = Quantity("units").attribute("N", site.call.attribute("N"))
    return inputs, site.wanted(units, site.output, -1)


def _finished(site: Site, found: Found, config: dict[str, object]) -> Found:
    axes = site.axes(0)
    found.positions = site.positions(axes[:-1] if axes is not None else None)
    found.config = config
    return found


def _per_block(site: Site, found: Found, roles: dict[int, str], units: Quantity, blocks: Quantity, bits: int) -> None:
    """Scales and zero points: one per block, flat or by row; zero points may be packed."""
    for place, role in roles.items():
        view = site.view(place)
        if view is None:
            continue
        tensor = site.flow.tensors[view.pieces[0].value] if view.pieces else None
        count, rows = blocks.settled(), units.settled()
        per_row = (
            -(-count * bits // 8)
            if count is not None and role == "zero_points" and tensor is not None and tensor.dtype == "uint8"
            else count
        )
        row = stated("blocks" if per_row == count else "packed_blocks", per_row, "K, block_size, bits")
        if len(view.shape) == 2:
            extents: tuple[Extent, ...] = (extent(units), extent(row))
        elif rows is not None and len(view.shape) == 1:
            extents = (extent(units, row),)
        else:
            extents = tuple(extent(size) for size in view.shape)
        found.drafts.append(Draft(role, site.value(place), extents, counted=False))


@layer("com.microsoft:MatMulBnb4")
def bnb4(site: Site) -> Found | None:
    """B is `⌈K·N/2⌉` bytes in one row, `absmax` one scale per block."""
    if site.view(1) is None:
        return None
    inputs, units = _sides(site)
    depth, rows, block = inputs.settled(), units.settled(), site.call.integer("block_size", 0)
    whole = depth * rows if depth is not None and rows is not None else None
    packed = stated("packed_bytes", -(-whole // 2) if whole is not None else None, "K, N")
    site.stored(packed, 1, 0, "kernel")
    found = Found("MatMulBnb4", site.call, output=site.output, inputs=(site.value(0),))
    view = site.view(1)
    lead = tuple(extent(1) for _ in (view.shape[1:] if view is not None else ()))
    logical = (extent(units), extent(inputs))
    found.drafts.append(Draft("kernel", site.value(1), (extent(packed), *lead), multiplied=True, logical=logical))
    if site.view(2) is not None:
        count = -(-whole // block) if whole is not None and block > 0 else None
        scales = site.stored(stated("blocks", count, "K, N, block_size"), 2, 0, "absmax")
        found.drafts.append(Draft("absmax", site.value(2), (extent(scales),), counted=False))
    add_bias(site, found, units, -1)
    return _finished(site, found, {"K": depth, "N": rows, "block_size": block, "quant_type": site.call.integer("quant_type", 0)})


@layer("com.microsoft:GatherBlockQuantized")
def gather(site: Site) -> Found | None:
    """A table quantised in blocks along one axis; uint8 holds several elements in a byte along the last one."""
    view = site.view(0)
    if view is None or not view.shape:
        return None
    rank = len(view.shape)
    bits, block = site.call.integer("bits", 4), site.call.integer("block_size", 128)
    axis = site.call.integer("gather_axis", 0) % rank
    along = site.call.integer("quantize_axis", 1) % rank
    tensor = site.flow.tensors[view.pieces[0].value] if view.pieces else None
    each = max(8 // bits, 1) if tensor is not None and tensor.dtype == "uint8" and bits > 0 else 1
    extents, logical = [], []
    for place in range(rank):
        name = "vocabulary" if place == axis else "width" if place == rank - 1 else f"size_{place + 1}"
        size = site.stored(Quantity(name if place < rank - 1 or each == 1 else "packed_width"), 0, place, "table")
        scales = site.view(2)
        if scales is not None and len(scales.shape) == rank and place != along:
            site.stored(size, 2, place, "scales shape", 1)
        index_rank = len(site.axes(1) or ())
        if place != axis:
            out_axis = place if place < axis else place + index_rank - 1
            site.wanted(size, site.output, out_axis, each if place == rank - 1 else 1)
        extents.append(extent(size))
        logical.append(extent(size) if place < rank - 1 or each == 1 else extent(each, size))
    found = Found("Embedding", site.call, output=site.output, inputs=(site.value(1),))
    found.drafts.append(Draft("embeddings", site.value(0), tuple(extents), logical=tuple(logical) if each > 1 else None))
    for place, role in ((2, "scales"), (3, "zero_points")):
        held = site.view(place)
        if held is not None and len(held.shape) == rank:
            sizes = tuple(extent(held.shape[n]) if n == along or (each > 1 and n == rank - 1) else extents[n] for n in range(rank))
            found.drafts.append(Draft(role, site.value(place), sizes, counted=False))
    found.config = {"operator": "GatherBlockQuantized", "bits": bits, "block_size": block, "axis": axis}
    return found


@layer("com.microsoft:QMoE")
def experts(site: Site) -> Found | None:
    """Expert kernels `[experts, outputs, inputs·bits/8]`, their biases, scales per row or block."""
    bits = site.call.integer("expert_weight_bits", 4)
    count = Quantity("experts").activation(site.axis(1, -1), site.name(1))
    width = Quantity("width").activation(site.axis(0, -1), site.name(0))
    inter, fused = Quantity("inter"), Quantity("fused_inter")
    found = Found("QMoE", site.call, output=site.output, inputs=(site.value(0), site.value(1)))
    layout = ((2, "fc1", fused, width), (5, "fc2", width, inter), (8, "fc3", inter, width))
    for place, name, outputs, inputs in layout:
        if site.view(place) is None:
            continue
        own = site.call.integer(f"{name}_expert_weight_bits", bits)
        each = max(8 // own, 1) if own > 0 else 1
        site.stored(count, place, 0, f"{name} shape")
        site.stored(outputs, place, 1, f"{name} shape")
        view = site.view(place)
        last = view.shape[-1] if view is not None and view.shape else 0
        for piece in view.pieces if view is not None else ():
            inputs.stored(last * each, f"{name} shape", piece.value)
        site.stored(count, place + 2, 0, f"{name} bias shape")
        site.stored(outputs, place + 2, 1, f"{name} bias shape")
        depth = inputs.settled()
        packed = Quantity(f"packed_{inputs.name}")
        for one in inputs.evidence:
            if one.size % each == 0:
                packed.add(one._replace(size=one.size // each))
        logical = (extent(count), extent(outputs), extent(inputs)) if depth is not None else None
        found.drafts.append(
            Draft(f"{name}_weights", site.value(place), (extent(count), extent(outputs), extent(packed)), True, logical=logical)
        )
        if site.view(place + 2) is not None:
            found.drafts.append(Draft(f"{name}_bias", site.value(place + 2), (extent(count), extent(outputs))))
    if not found.drafts:
        return None
    side_tensors(
        site,
        found,
        {3: "fc1_scales", 6: "fc2_scales", 9: "fc3_scales", 11: "fc1_zero_points", 12: "fc2_zero_points", 13: "fc3_zero_points"},
    )
    return _finished(site, found, {"expert_weight_bits": bits, "k": site.call.integer("k", 1)})
