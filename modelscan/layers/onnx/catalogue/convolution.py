"""Convolutions of every rank: `filters × (channels / groups × ∏ kernel + 1)`."""

from __future__ import annotations

from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.catalogue.common import add_bias, contradiction, direct_bias, stated, take_scale
from modelscan.layers.onnx.catalogue.quantised import side_tensors
from modelscan.layers.onnx.evidence import NEIGHBOUR, Extent, Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.macs import without_weights
from modelscan.layers.onnx.shape_rules import numbers_of
from modelscan.layers.onnx.site import Draft, Found, Site, layer

AXES = {1: ("kernel_size",), 2: ("kernel_height", "kernel_width"), 3: ("kernel_depth", "kernel_height", "kernel_width")}


@layer("Conv", "ConvInteger", *words("com.microsoft:FusedConv com.microsoft:NhwcFusedConv com.microsoft:NhwcConv com.microsoft.nchwc:Conv"))
def conv(site: Site) -> Found | None:
    """Conv and its fused and integer forms: kernel `[O, I/g, k…]`, bias `[O]`."""
    last = site.call.node.op.startswith("Nhwc")
    return convolution(site, kernel=1, bias=None if site.call.op == "ConvInteger" else 2, channels_last=last)


@layer("QLinearConv", "com.microsoft:QLinearConv")
def qlinear_conv(site: Site) -> Found | None:
    """The quantised form: kernel at input 3, its scale and zero point at 4 and 5, bias at 8."""
    found = convolution(site, kernel=3, bias=8, channels_last=bool(site.call.integer("channels_last", 0)))
    if found is not None:
        filters = found.drafts[0].extents[0] if found.drafts and site.view(3) is not None else None
        for place in (4, 5):
            view = site.view(place)
            if view is not None and view.elements > 1 and filters is not None:
                site.stored(filters.quantities[0], place, 0, "scale length")
        side_tensors(site, found, {4: "kernel_scale", 5: "kernel_zero_point"}, filters)
    return found


def convolution(site: Site, kernel: int, bias: int | None, *, channels_last: bool = False) -> Found | None:
    """A convolution with its weights at the given inputs."""
    if site.view(kernel) is None and (bias is None or site.view(bias) is None):
        return None
    group = site.call.integer("group", 1)
    rank = _rank(site, kernel)
    filters, channels = Quantity("filters"), Quantity("channels" if group == 1 else "channels/groups")
    channel_axis = -1 if channels_last else 1
    x = site.axis(0, channel_axis)
    found = Found(site.call.node.op, site.call, output=site.output, inputs=(site.value(0),))
    if group < 1 or (x.static is not None and group > 0 and x.static % group):
        found.observations.append(contradiction(site, f"group {group} does not divide the {x.static} channels of {site.name(0)}"))
    channels.activation(x, site.name(0), group)
    site.stored(channels, kernel, 1, "kernel")
    out_axis = -1 if channels_last else 1
    site.stored(filters, kernel, 0, "kernel")
    site.wanted(filters, site.output, out_axis)
    if site.view(kernel) is not None:
        extents = (extent(filters), extent(channels), *_window(site, kernel, rank))
        found.drafts.append(Draft("kernel", site.value(kernel), extents, multiplied=True))
    else:
        filters.activation(site.axis(kernel, 0), site.name(kernel))
    if bias is not None:
        direct_bias(site, found, bias, filters)
    if site.call.op == "ConvInteger":
        take_scale(site, found, filters)
    if (bias is None and not channels_last) or (len(found.drafts) == 1 and not channels_last and site.value(bias or 0) == NONE):
        add_bias(site, found, filters, -(rank - 1))
    size = filters.settled()
    if size is not None and group > 0 and size % group:
        found.observations.append(contradiction(site, f"group {group} does not divide the {size} filters"))
    found.positions = _places(site, channels_last=channels_last)
    if site.view(kernel) is None:
        found.extra_macs = without_weights(site.setting, site.call)
    found.config = _config(site, group)
    if group > 1 and x.static == group:
        found.config["depthwise"] = True
    return found


@layer("ConvTranspose")
def conv_transpose(site: Site) -> Found | None:
    """Kernel `[I, O/g, k…]`, bias `[O]`: each element is applied once at every position of the *input*."""
    if site.view(1) is None:
        return None
    group = site.call.integer("group", 1)
    rank = _rank(site, 1)
    filters, channels = Quantity("filters" if group == 1 else "filters/groups"), Quantity("channels")
    channels.activation(site.axis(0, 1), site.name(0))
    site.stored(channels, 1, 0, "kernel")
    site.stored(filters, 1, 1, "kernel")
    if group > 0:
        site.wanted(filters, site.output, 1, group)
        site.stored(filters, 2, -1, "bias length", group)
    found = Found("ConvTranspose", site.call, output=site.output, inputs=(site.value(0),))
    extents = (extent(channels), extent(filters), *_window(site, 1, rank))
    found.drafts.append(Draft("kernel", site.value(1), extents, multiplied=True))
    if site.view(2) is not None:
        whole = extent(filters) if group == 1 else extent(group, filters)
        found.drafts.append(Draft("bias", site.value(2), (whole,)))
    else:
        add_bias(site, found, filters, -(rank - 1))
    size = channels.settled()
    if group < 1 or (size is not None and size % group):
        found.observations.append(contradiction(site, f"group {group} does not divide the {size} input channels"))
    axes = site.axes(0)
    found.positions = site.positions((axes[0], *axes[2:]) if axes else None)
    found.config = _config(site, group)
    return found


def _rank(site: Site, kernel: int) -> int:
    """Axes of kernel and activation: from the attribute or the activation, the kernel itself at the last."""
    stated, axes, view = site.call.integers("kernel_shape"), site.axes(0), site.view(kernel)
    if axes is not None:
        return len(axes)
    if stated is not None:
        return len(stated) + 2
    return len(view.shape) if view is not None else 2


def _window(site: Site, kernel: int, rank: int) -> list[Extent]:
    stated = site.call.integers("kernel_shape")
    names = AXES.get(rank - 2) or tuple(f"kernel_{number}" for number in range(rank - 2))
    sizes = []
    for place, name in enumerate(names):
        size = Quantity(name)
        if stated is not None and len(stated) == len(names):
            size.attribute("kernel_shape", stated[place])
        site.stored(size, kernel, 2 + place, "kernel")
        for one in site.setting.demands.of(site.output, 2 + place):
            reach = _reach(site, place, len(names), one.size)
            if reach is not None:
                size.add(one._replace(size=reach, weight=NEIGHBOUR))
        sizes.append(extent(size))
    return sizes


def _reach(site: Site, place: int, count: int, out: int) -> int | None:
    """The kernel size that makes this output of this input; None where several would."""
    numbers = [numbers_of(site.call, name, length, default) for name, length, default in _geometry(count)]
    (strides, dilations, pads, extra), length = numbers, site.axis(0, 2 + place).static
    stride, dilation, padding = strides[place], dilations[place], pads[place] + pads[place + count]
    if length is None or dilation < 1 or site.call.attribute("auto_pad", "NOTSET") != "NOTSET" or site.call.attribute("output_shape"):
        return None
    if site.call.op == "ConvTranspose":
        reach = out - stride * (length - 1) - extra[place] + padding
    elif stride == 1 and site.call.op in ("Conv", "com.microsoft:FusedConv"):
        reach = length + padding - out + 1
    else:
        return None
    return (reach - 1) // dilation + 1 if reach > 0 and (reach - 1) % dilation == 0 else None


def _geometry(count: int) -> tuple[tuple[str, int, int], ...]:
    return (("strides", count, 1), ("dilations", count, 1), ("pads", 2 * count, 0), ("output_padding", count, 0))


def _places(site: Site, *, channels_last: bool) -> int | None:
    axes = site.setting.shapes.of(site.output)
    if axes is None or len(axes) < 3:
        return None
    return site.positions((axes[0], *(axes[1:-1] if channels_last else axes[2:])))


def _config(site: Site, group: int) -> dict[str, object]:
    held = stated(site, "kernel_shape", "strides", "dilations", "pads", "auto_pad", "output_padding", "activation")
    return held | ({"group": group} if group != 1 else {})
