"""LSTM, GRU and RNN: `directions × gates × hidden × (inputs + hidden + 2)`, two biases where Keras has one."""

from __future__ import annotations

from modelscan.layers.onnx.evidence import Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.site import Draft, Found, Site, layer

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1, "com.microsoft:DynamicQuantizeLSTM": 4}


@layer(*GATES)
def recurrent(site: Site) -> Found | None:
    """W `[D, G·H, I]`, R `[D, G·H, H]`, B `[D, 2·G·H]`, peepholes `[D, 3·H]`."""
    if site.view(1) is None and site.view(2) is None:
        return None
    gates = GATES[site.call.op]
    swapped = site.call.op.endswith("DynamicQuantizeLSTM")
    both = site.call.attribute("direction", "forward") in ("bidirectional", b"bidirectional")
    hidden = Quantity("hidden").attribute("hidden_size", site.call.attribute("hidden_size"))
    inputs = Quantity("inputs").activation(site.axis(0, 2), site.name(0))
    site.stored(inputs, 1, 1 if swapped else 2, "kernel")
    site.stored(hidden, 1, 2 if swapped else 1, "kernel", gates)
    site.stored(hidden, 2, 1 if swapped else 2, "recurrent_kernel")
    site.stored(hidden, 3, 1, "bias length", 2 * gates)
    directions = Quantity("directions").attribute("direction", 2 if both else 1)
    lead = extent(directions) if both else extent(1)
    found = Found(site.call.node.op, site.call, output=site.output, inputs=(site.value(0),))
    outer = extent(gates, hidden)
    sides = {1: (outer, extent(inputs)), 2: (outer, extent(hidden))}
    for place, role in ((1, "kernel"), (2, "recurrent_kernel")):
        if site.view(place) is not None:
            pair = tuple(reversed(sides[place])) if swapped else sides[place]
            found.drafts.append(Draft(role, site.value(place), (lead, *pair), multiplied=True))
    if site.view(3) is not None:
        found.drafts.append(Draft("bias", site.value(3), (lead, extent(2 * gates, hidden))))
    if gates == 4 and site.view(7) is not None and site.value(7) != NONE:
        site.stored(hidden, 7, 1, "peepholes", 3)
        found.drafts.append(Draft("peepholes", site.value(7), (lead, extent(3, hidden))))
    found.positions = site.positions((site.axis(0, 1 if site.call.integer("layout", 0) else 0),), batch_first=False)
    found.config = {"hidden_size": hidden.settled(), "direction": site.call.attribute("direction", "forward")}
    found.note = _two_biases(site, gates, hidden, directions)
    _states(site, found, gates, hidden, directions)
    return found


def _two_biases(site: Site, gates: int, hidden: Quantity, directions: Quantity) -> str | None:
    size, count = hidden.settled(), directions.settled()
    if site.view(3) is None or size is None or count is None:
        return None
    return f"ONNX keeps two biases: {gates * size * count:,} more than Keras' one"


def _states(site: Site, found: Found, gates: int, hidden: Quantity, directions: Quantity) -> None:
    """Initial states that are stored are kept in the file, but no parameters."""
    for place, role in ((5, "initial_hidden"), (6, "initial_cell")):
        view = site.view(place) if place == 5 or gates == 4 else None
        if view is not None and view.elements > 1 and len(view.shape) == 3:
            batch = site.stored(Quantity("batch").activation(site.axis(0, 1), site.name(0)), place, 1, role)
            found.drafts.append(Draft(role, site.value(place), (extent(directions), extent(batch), extent(hidden)), counted=False))
