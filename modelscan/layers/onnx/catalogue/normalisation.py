"""Normalisations: scale and shift per channel or per element of the normalised axes, running statistics."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue.chains import filled, source
from modelscan.layers.onnx.catalogue.common import contradiction, stated
from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.site import Draft, Found, Site, layer

ROLES = {
    "BatchNormalization": ("scale", "bias", "mean", "variance"),
    "InstanceNormalization": ("scale", "bias"),
    "GroupNormalization": ("scale", "bias"),
}


@layer(*ROLES)
def channelwise(site: Site) -> Found | None:
    """One element per channel of axis 1 in each of scale, bias and the running statistics."""
    roles = [(place, role) for place, role in enumerate(ROLES[site.call.op], start=1) if site.view(place) is not None]
    if not roles:
        return None
    if site.call.op == "InstanceNormalization" and _identity(site):
        return Found(site.call.op, site.call)
    channels = Quantity("channels").activation(site.axis(0, 1), site.name(0))
    for place, role in roles:
        site.stored(channels, place, 0, f"{role} length")
    found = Found(site.call.op, site.call, output=site.output, inputs=(site.value(0),))
    size = (extent(channels),)
    found.drafts.extend([Draft(role, site.value(place), size) for place, role in roles])
    found.config = stated(site, "epsilon", "momentum", "num_groups")
    return found


def _identity(site: Site) -> bool:
    """Whether scale and bias are the ones and zeros that exporters fill in for a normalisation without parameters."""
    return filled(site.setting, site.value(1), 1) and filled(site.setting, site.value(2), 0)


def _left_out(site: Site, place: int, number: int) -> bool:
    """Whether an operand is a node that says so many ones or zeros: what `torch.onnx` writes for a parameter that is not there.

    Parameters are initializers, those of a fresh model too, which are ones and zeros as well.
    """
    value = source(site.setting, site.value(place))
    return value != NONE and site.flow.producer[value] != NONE and filled(site.setting, value, number)


@layer("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def layerwise(site: Site) -> Found | None:
    """Scale and bias over `shape[axis:]`."""
    if site.view(1) is None and site.view(2) is None:
        return None
    left_out = [place for place, number in ((1, 1), (2, 0)) if _left_out(site, place, number)]
    if all(site.view(place) is None or place in left_out for place in (1, 2)):
        return Found(site.call.op, site.call)
    axes, axis = site.axes(0), site.call.integer("axis", -1)
    held = site.view(1) or site.view(2)
    rank = len(axes) if axes is not None else None
    count = -axis if axis < 0 else rank - axis if rank is not None else len(held.shape if held is not None else ())
    found = Found(site.call.op, site.call, output=site.output, inputs=(site.value(0),))
    most = rank if rank is not None else len(held.shape if held is not None else ())
    if not 0 < count <= most:
        found.observations.append(contradiction(site, f"axis {axis} is none of the {most} axes of {site.name(0)}"))
        count = most
    sizes = normalised_sizes(site, count)
    for place, role in ((1, "scale"), (2, "bias")):
        view = site.view(place)
        if view is not None and site.value(place) != NONE and place not in left_out:
            found.drafts.append(Draft(role, site.value(place), fitted(sizes, view.shape)))
    found.config = {"axis": axis, "epsilon": site.call.attribute("epsilon", 1e-5)}
    return found


def normalised_sizes(site: Site, count: int) -> list[Quantity]:
    """The sizes of the last `count` axes of the first input, with what scale and bias say of them."""
    sizes = []
    for back in range(count, 0, -1):
        size = Quantity("width" if count == 1 else f"size_{count - back + 1}").activation(site.axis(0, -back), site.name(0))
        for place, role in ((1, "scale"), (2, "bias")):
            view = site.view(place)
            if view is not None and len(view.shape) >= back and view.shape[-back] != 1:
                site.stored(size, place, -back, f"{role} length")
        sizes.append(size)
    return sizes


def fitted(sizes: list[Quantity], shape: tuple[int, ...]) -> tuple[Extent, ...]:
    """The sizes as far as a tensor has axes for them; an axis of 1 is a broadcast one."""
    extents = [extent(size) for size in sizes]
    if len(shape) < len(extents):
        extents = extents[len(extents) - len(shape) :]
    lead = [extent(1)] * (len(shape) - len(extents))
    return tuple(extent(1) if size == 1 else one for one, size in zip([*lead, *extents], shape, strict=True))
