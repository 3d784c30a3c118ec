"""Quantised operators: the weights of the float layer, with scales and zero points beside them that are no parameters."""

from __future__ import annotations

from modelscan.layers.onnx.evidence import Quantity, extent
from modelscan.layers.onnx.site import Draft, Found, Site


def side_tensors(site: Site, found: Found, roles: dict[int, str]) -> None:
    """Scales and zero points at the given inputs: in the file for the layer, not counted."""
    for place, role in roles.items():
        view = site.view(place)
        if view is not None and view.elements > 1:
            extents = tuple(extent(site.stored(Quantity(f"{role}_{axis}"), place, axis, "itself")) for axis in range(len(view.shape)))
            found.drafts.append(Draft(role, site.value(place), extents, counted=False))
