"""Recurrent layers and their cells.

One declaration per cell serves the layer, the cell inside `RNN`, and stacks of cells. Weights lie below `cell` in archives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from modelscan.formula import Dim, const
from modelscan.layers.keras.registry import BadConfigError, Config, Derived, keyed, layer, prefixed
from modelscan.model import Shape, WeightSpec

Bias = Callable[[Config, Dim], tuple[Dim, ...]]


def _plain(gates: int) -> Bias:
    return lambda c, units: (gates * units,)


def reset_after(c: Config) -> bool:
    """Whether a GRU resets after the matrix product: its bias is then double. The default changed with TF 2 (Keras 2.4)."""
    stated = c.values.get("reset_after")
    if stated is not None:
        return bool(stated)
    return c.version is not None and c.version >= (2, 4)


def _gru_bias(c: Config, units: Dim) -> tuple[Dim, ...]:
    return (const(2), 3 * units) if reset_after(c) else (3 * units,)


_CELLS: dict[str, tuple[int, Bias, int]] = {
    "SimpleRNN": (1, _plain(1), 1),
    "LSTM": (4, _plain(4), 2),
    "GRU": (3, _gru_bias, 1),
    "CuDNNLSTM": (4, _plain(8), 2),
    "CuDNNGRU": (3, _plain(6), 1),
}
"""Class: gates, bias dimensions, states."""


def cell_weights(c: Config, kind: str) -> list[WeightSpec]:
    """gates × units × (inputs + units + 1) for most; see `_CELLS` for the biases."""
    gates, bias, _ = _CELLS[kind]
    units = c.dim("units")
    weights = [
        c.weight("kernel", c.from_input("inputs", -1), gates * units, multiplied=True),
        c.weight("recurrent_kernel", units, gates * units, multiplied=True),
    ]
    if c.flag("use_bias", True) or kind.startswith("CuDNN"):
        weights.append(c.weight("bias", *bias(c, units)))
    return weights


def _outputs(c: Config, features: tuple[int | None, ...], states: tuple[int | None, ...]) -> tuple[Shape | None, ...]:
    """Sequence or last step, then the states if asked for."""
    shape = c.input
    if shape is None:
        return (None,)
    batch = shape[0]
    first = (batch, shape[1], *features) if c.flag("return_sequences", False) else (batch, *features)
    return (first, *((batch, size) for size in states)) if c.flag("return_state", False) else (first,)


def _steps(c: Config) -> int | None:
    """Time steps: how often the cell is applied to one sample."""
    length = c.input[1] if c.input is not None and len(c.input) > 1 else None
    return length if isinstance(length, int) else None


def _recurrent(kind: str, c: Config) -> Derived:
    if c.input is not None and len(c.input) != 3:
        raise BadConfigError(f"the input has {len(c.input)} dimensions, a {c.type} needs 3: batch, time, features")
    units = c.integer("units")
    weights = cell_weights(c, kind)
    if not c.flag("trainable", True) and (c.version or (0, 0)) >= (3, 0):  # they hand it on to their cell; `ConvLSTM2D` does not
        weights = [replace(spec, trainable=False) for spec in weights]
    place = "vars" if kind.startswith("CuDNN") else "cell/vars"
    return Derived(keyed(weights, place), _outputs(c, (units,), (units,) * _CELLS[kind][2]), _steps(c))


def _cell(kind: str, c: Config) -> Derived:
    return Derived(cell_weights(c, kind), c.replace_last(c.integer("units")), 1)


for _kind in _CELLS:
    layer(_kind)(lambda c, kind=_kind: _recurrent(kind, c))  # type: ignore[misc]
    if not _kind.startswith("CuDNN"):
        layer(f"{_kind}Cell")(lambda c, kind=_kind: _cell(kind, c))  # type: ignore[misc]


def _cell_entries(entry: Any) -> list[Any]:
    """The cells of an RNN's `cell`: one, or those of a list or of a StackedRNNCells."""
    if isinstance(entry, list):
        return entry
    config = entry.get("config") if isinstance(entry, dict) else None
    cells = (
        config.get("cells")
        if isinstance(config, dict) and isinstance(entry, dict) and entry.get("class_name") == "StackedRNNCells"
        else None
    )
    return cells if isinstance(cells, list) else [entry]


def _stacked(c: Config, entries: list[Any], step: Shape | None) -> tuple[list[WeightSpec], Shape | None]:
    """The cells' weights, each cell fed by the one before; groups are numbered per class."""
    from modelscan.layers.keras.names import snake_case

    weights: list[WeightSpec] = []
    used: dict[str, int] = {}
    for index, entry in enumerate(entries):
        inner = c.inner(entry, (step,))
        name = snake_case(str(entry.get("class_name", ""))) if isinstance(entry, dict) else "cell"
        count = used.get(name, 0)
        used[name] = count + 1
        group = f"{name}_{count}" if count else name
        found = [replace(spec, key=f"cells/{group}/{spec.key}") for spec in keyed(inner.weights)]
        weights.extend(replace(spec, role=f"cells/{index}/{spec.role}") for spec in found)
        step = inner.outputs[0] if inner.outputs else None
    return weights, step


@layer("RNN")
def rnn(c: Config) -> Derived:
    """The weights of the cell, or of the stacked cells, for the input of one time step."""
    entries = _cell_entries(c.get("cell"))
    shape = c.ranked(2)
    step: Shape | None = None if shape is None else (shape[0], *shape[2:])
    if len(entries) == 1 and not _is_stacked(c.get("cell")):
        inner = c.inner(entries[0], (step,))
        weights = prefixed(keyed(inner.weights), "cell", "")
        last = inner.outputs[0] if inner.outputs else None
    else:
        stacked, last = _stacked(c, entries, step)
        weights = [replace(spec, key=f"cell/{spec.key}") for spec in stacked]
    features = last[1:] if last is not None else (None,)
    states = _states(c.get("cell"))
    outputs = _outputs(c, tuple(one if isinstance(one, int) else None for one in features), states or ())
    return Derived(weights, outputs if states else outputs[:1], _steps(c))


_STATES = {f"{kind}Cell": states for kind, (_, _, states) in _CELLS.items()}


def _states(entry: Any) -> tuple[int | None, ...] | None:
    """The sizes of the states that a cell or a stack of cells keeps, None where a cell is not one of Keras' own."""
    if _is_stacked(entry):
        parts = [_states(one) for one in _cell_entries(entry)]
        return tuple(size for part in parts for size in part or ()) if all(parts) else None
    config = entry.get("config") if isinstance(entry, dict) else None
    count = _STATES.get(str(entry.get("class_name")).rsplit(">", 1)[-1]) if isinstance(entry, dict) else None
    if count is None or not isinstance(config, dict):
        return None
    units = config.get("units")
    return (units if isinstance(units, int) else None,) * count


def _is_stacked(entry: Any) -> bool:
    return isinstance(entry, list) or (isinstance(entry, dict) and entry.get("class_name") == "StackedRNNCells")


@layer("StackedRNNCells")
def stacked_cells(c: Config) -> Derived:
    """Cells on top of one another."""
    cells = c.get("cells")
    if not isinstance(cells, list):
        raise BadConfigError("cells is no list")
    weights, last = _stacked(c, cells, c.input)
    return Derived(weights, (last,), 1)


@layer("Bidirectional")
def bidirectional(c: Config) -> Derived:
    """Forward weights, then backward weights; `merge_mode` decides the output."""
    entry = c.get("layer")
    other = c.get("backward_layer")
    _check_halves(entry, other)
    forward = c.inner(entry, c.inputs)
    backward = c.inner(other, c.inputs) if other is not None else forward
    weights = [*prefixed(keyed(forward.weights), "forward_layer"), *prefixed(keyed(backward.weights), "backward_layer")]
    if (c.version or (0, 0)) >= (3, 0):  # which declares the forward layer's shapes for both, whatever the other one yields
        backward = replace(backward, outputs=forward.outputs)
    if not forward.outputs or forward.outputs[0] is None or not backward.outputs or backward.outputs[0] is None:
        return Derived(weights, (None,))
    left, right = forward.outputs[0], backward.outputs[0]
    match c.values.get("merge_mode", "concat"):
        case "concat":
            both = (*left[:-1], _added(left[-1], right[-1]))
            outputs: tuple[Shape | None, ...] = (both,)
        case None:
            outputs = (left, right)
        case _:
            outputs = (left,)
    return Derived(weights, (*outputs, *forward.outputs[1:], *backward.outputs[1:]), forward.positions)


def _check_halves(forward: Any, backward: Any) -> None:
    """What the layers of a Bidirectional must agree in, and in what not; source: `Bidirectional._verify_layer_config` of any version."""
    configs = [one.get("config") if isinstance(one, Mapping) else None for one in (forward, backward)]
    left, right = (one if isinstance(one, Mapping) else {} for one in configs)
    if "go_backwards" in left and left["go_backwards"] == right.get("go_backwards"):
        raise BadConfigError(f"forward and backward layer both have go_backwards {left['go_backwards']}")
    for name in ("stateful", "return_sequences", "return_state"):
        if name in left and name in right and left[name] != right[name]:
            raise BadConfigError(f"{name} is {left[name]} in the forward and {right[name]} in the backward layer")


def _added(one: int | str | None, other: int | str | None) -> int | None:
    return one + other if isinstance(one, int) and isinstance(other, int) else None
