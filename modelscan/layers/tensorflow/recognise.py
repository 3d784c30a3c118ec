"""From a group of weights to a layer: its type by the operations that use them, what it should hold by what the program declares.

The names of dimensions are those of the Keras catalogue. A dimension that the program declares (the shape of the variable, apart from the
checkpoint's own) is attested by that; what only the stored tensor tells is read off it, and the verdict says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from modelscan.formula import Dim, const, dim
from modelscan.layers.tensorflow.grouping import Group, product_before
from modelscan.layers.tensorflow.trace import LAID_OUT, Use
from modelscan.layers.tensorflow.weights import LOOKUPS, NORMS, PRODUCTS, Weight
from modelscan.model import Claim, Layer, WeightSpec
from modelscan.naming import free

_AXES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("kernel_length",),
    2: ("kernel_height", "kernel_width"),
    3: ("kernel_depth", "kernel_height", "kernel_width"),
}
_GATES = {1: "SimpleRNN", 3: "GRU", 4: "LSTM"}
_NORM_PLACES = ("", "gamma", "beta", "moving_mean", "moving_variance")
_OLD_CELLS = re.compile(r"(?:^|/)(?:basic_)?(lstm|gru|rnn)_cell(?:_\d+)?$")
_OLD_GATES = {"lstm": 4, "gru": 2, "rnn": 1}
_KERAS_NAMES = {
    "group_normalization": "GroupNormalization",
    "rms_normalization": "RMSNormalization",
    "unit_normalization": "UnitNormalization",
    "batch_normalization": "BatchNormalization",
    "layer_normalization": "LayerNormalization",
}


@dataclass
class Draft:
    """A layer that was recognised: type, dimensions by weight, in the order of the specs."""

    type: str
    dims: dict[int, tuple[Dim, ...]] = field(default_factory=dict)
    """By the identity of the weight."""
    roles: dict[int, str] = field(default_factory=dict)
    multiplied: set[int] = field(default_factory=set)
    use: Use | None = None
    positions: int | None = None

    def add(self, weight: Weight, role: str, dims: Sequence[Dim], *, multiplied: bool = False) -> None:
        """Notes one weight."""
        self.dims[id(weight)] = tuple(dims)
        self.roles[id(weight)] = role
        if multiplied:
            self.multiplied.add(id(weight))


def shape_of(weight: Weight) -> tuple[int | None, ...]:
    """The declared shape, else the stored one."""
    return weight.tensor.shape if weight.declared is None else tuple(one if isinstance(one, int) else None for one in weight.declared)


def size(name: str, weight: Weight, axis: int, divisor: int = 1) -> Dim:
    """The dimension along an axis: attested where the program declares it, otherwise left to be read off."""
    if weight.declared is None:
        return dim(name, None)
    value = shape_of(weight)[axis]
    if value is None or value % divisor:
        return dim(name, None)
    return dim(name, value // divisor, f"declared {weight.name}")


def sizes(weight: Weight) -> tuple[Dim, ...]:
    """All dimensions of a weight of no particular kind."""
    shape = shape_of(weight)
    if len(shape) == 1:
        return (size("width", weight, 0),)
    return tuple(const(1) if one == 1 else size(f"size_{axis + 1}", weight, axis) for axis, one in enumerate(shape))


def recognised(group: Group) -> Draft | None:
    """What a group is; None when nothing in the program uses it."""
    words = {one.part: one for one in group.weights}
    if len(words) != len(group.weights):
        words = {}
    for proof in _PROOFS:
        found = proof(group, words)
        if found is not None:
            break
    else:
        if not any(one.uses for one in group.weights):
            return None
        first = next(use for one in group.weights for use in one.uses)
        found = Draft(_operation(first.op), use=first, positions=1)
    roles = dict.fromkeys(found.roles.values(), 2)
    for one in group.weights:
        if id(one) not in found.dims:
            found.add(one, free(one.part, roles), sizes(one))
    return found


def _operation(op: str) -> str:
    """An operation as people call it."""
    return {"AddV2": "Add", "BiasAdd": "BiasAdd", "RealDiv": "Div", "GatherV2": "Gather"}.get(op, op)


def _recurrent(group: Group, words: Mapping[str, Weight]) -> Draft | None:
    """Kernel (inputs, gates × units), recurrent kernel (units, gates × units); in a ConvLSTM with a window before them."""
    if not {"kernel", "recurrent_kernel"} <= words.keys() <= {"kernel", "recurrent_kernel", "bias"}:
        return None
    kernel, inner = words["kernel"], words["recurrent_kernel"]
    outer, square = shape_of(kernel), shape_of(inner)
    units, wide = (square[-2], square[-1]) if len(square) >= 2 else (None, None)
    if len(outer) != len(square) or len(outer) - 2 not in _AXES or not units or wide is None or wide % units:
        return None
    gates, rank = wide // units, len(outer) - 2
    if gates not in _GATES or (rank and gates != 4):
        return None
    found = Draft(f"ConvLSTM{rank}D" if rank else _GATES[gates])
    unit = size("filters" if rank else "units", inner, -2)
    window = [size(name, kernel, axis) for axis, name in enumerate(_AXES[rank])]
    again = [size(name, inner, axis) for axis, name in enumerate(_AXES[rank])]
    found.add(kernel, "kernel", (*window, size("channels" if rank else "inputs", kernel, -2), gates * unit), multiplied=True)
    found.add(inner, "recurrent_kernel", (*again, unit, gates * unit), multiplied=True)
    bias = words.get("bias")
    if bias is not None:
        length = shape_of(bias)[-1:]
        double = len(shape_of(bias)) == 1 and length == (2 * gates * units,)
        found.add(bias, "bias", (const(2), gates * unit) if len(shape_of(bias)) == 2 else ((2 if double else 1) * gates * unit,))
    return found


def _old_cell(group: Group, words: Mapping[str, Weight]) -> Draft | None:
    """A cell of TF 1: one kernel over inputs and state together."""
    place = _OLD_CELLS.search(group.weights[0].scope)
    peepholes = [word for word in ("w_i_diag", "w_f_diag", "w_o_diag") if word in words]
    if place is None or words.keys() - {"kernel", "bias", *peepholes} or (peepholes and place[1] != "lstm"):
        return None
    kernel, bias = words.get("kernel"), words.get("bias")
    gates = _OLD_GATES[place[1]]
    if kernel is None or len(shape_of(kernel)) != 2 or (shape_of(kernel)[1] or 0) % gates:
        return None
    units = size("units", kernel, 1, gates)
    found = Draft({"lstm": "LSTMCell", "gru": "GRUCell", "rnn": "SimpleRNNCell"}[place[1]], use=kernel.used_as(PRODUCTS))
    found.add(kernel, "kernel", (size("(inputs + units)", kernel, 0), gates * units), multiplied=True)
    if bias is not None:
        found.add(bias, "bias", (gates * units,))
    for word in peepholes:
        found.add(words[word], word, (units,))
    return found


def _separable(group: Group, words: Mapping[str, Weight]) -> Draft | None:
    """A depthwise kernel and a pointwise one behind it."""
    depthwise, pointwise = words.get("depthwise_kernel"), words.get("pointwise_kernel")
    if depthwise is None or pointwise is None or len(shape_of(depthwise)) - 2 not in (1, 2):
        return None
    rank = len(shape_of(depthwise)) - 2
    channels, multiplier = size("channels", depthwise, -2), size("depth_multiplier", depthwise, -1)
    filters = size("filters", pointwise, -1)
    window = [size(name, depthwise, axis) for axis, name in enumerate(_AXES[rank])]
    found = Draft(f"SeparableConv{rank}D", use=pointwise.used_as(PRODUCTS))
    found.add(depthwise, "depthwise_kernel", (*window, channels, multiplier), multiplied=True)
    found.add(pointwise, "pointwise_kernel", (*(const(1) for _ in window), channels * multiplier, filters), multiplied=True)
    if "bias" in words:
        found.add(words["bias"], "bias", (filters,))
    found.positions = _spatial(found.use)
    return found


def _batch_norm(group: Group, words: Mapping[str, Weight]) -> Draft | None:
    """Scale, offset and running statistics, by the operation's inputs or by Keras' names."""
    by_place = {use.place: one for one in group.weights for use in one.uses if use.op in NORMS and 1 <= use.place <= 4}
    roles = {_NORM_PLACES[place]: one for place, one in sorted(by_place.items())}
    if not roles or len({id(one) for one in roles.values()}) != len(group.weights):
        roles = dict(words)
    if not {"moving_mean", "moving_variance"} <= roles.keys() <= set(_NORM_PLACES):
        return None
    if any(len(shape_of(one)) != 1 for one in roles.values()):
        return None
    found = Draft("BatchNormalization", use=next((use for one in group.weights for use in one.uses if use.op in NORMS), None), positions=1)
    first = next(iter(roles.values()))
    for role in _NORM_PLACES[1:]:
        if role in roles:
            found.add(roles[role], role, (size("channels", first, 0),))
    return found


def _other_norm(group: Group, words: Mapping[str, Weight]) -> Draft | None:
    """gamma and beta over the normalised axes."""
    last = re.sub(r"_\d+$", "", group.path.rpartition("/")[2])
    known = {"scale"} if last == "rms_normalization" else {"gamma", "beta"}
    if not words or not words.keys() <= known or len({shape_of(one) for one in words.values()}) != 1:
        return None
    first = next(iter(words.values()))
    use = next((use for one in group.weights for use in sorted(one.uses, key=lambda use: -use.order)), None)
    found = Draft(_KERAS_NAMES.get(last, "LayerNormalization"), use=use, positions=1)
    shape = shape_of(first)
    for role in ("gamma", "beta", "scale"):
        if role in words:
            found.add(words[role], role, (size("channels", first, 0),) if len(shape) == 1 else sizes(first))
    return found


def _statistics(group: Group, words: Mapping[str, Weight]) -> Draft | None:
    """What Keras' Normalization has learnt of its inputs; the program itself holds them as constants."""
    del group
    if words.keys() != {"mean", "variance", "count"} or shape_of(words["mean"]) != shape_of(words["variance"]) or shape_of(words["count"]):
        return None
    found = Draft("Normalization", positions=1)
    first = words["mean"]
    dims = (size("channels", first, 0),) if len(shape_of(first)) == 1 else sizes(first)
    found.add(first, "mean", dims)
    found.add(words["variance"], "variance", dims)
    found.add(words["count"], "count", ())
    return found


def _table(group: Group, words: Mapping[str, Weight]) -> Draft | None:
    """Rows that are looked up."""
    del words
    if len(group.weights) != 1 or len(shape_of(group.weights[0])) != 2:
        return None
    table = group.weights[0]
    use = table.used_as(LOOKUPS)
    if use is None or (use.place and "Resource" in use.op):
        return None
    found = Draft("Embedding", use=use, positions=1)
    found.add(table, "embeddings", (size("input_dim", table, 0), size("output_dim", table, 1)))
    return found


def _product(group: Group, words: Mapping[str, Weight]) -> Draft | None:
    """One kernel, and what is added to its product."""
    del words
    kernels = [(one, use) for one in group.weights if (use := one.used_as(PRODUCTS)) is not None]
    if len(kernels) != 1:
        return None
    kernel, use = kernels[0]
    rank = len(shape_of(kernel))
    found = Draft("", use=use)
    if "Einsum" in use.op:
        outputs = _einsum(found, kernel, use)
    elif "Conv" in use.op and rank - 2 in (1, 2, 3):
        outputs = _convolution(found, kernel, use)
    elif rank == 2 and "Conv" not in use.op:
        outputs = _dense(found, kernel, use)
    else:
        found.type = "EinsumDense" if kernel.part == "kernel" else _operation(use.op)
        found.add(kernel, "kernel", sizes(kernel), multiplied=True)
        outputs = []
    for one in group.weights:
        if one is not kernel and outputs and _is_bias(one, outputs):
            found.add(one, "bias", outputs[len(outputs) - len(shape_of(one)) :])
            break
    return found


def _is_bias(weight: Weight, outputs: Sequence[Dim]) -> bool:
    shape = shape_of(weight)
    added = weight.part == "bias" or any(product_before(use) is not None for use in weight.uses)
    known = [one.value for one in outputs[len(outputs) - len(shape) :]]
    return added and 0 < len(shape) <= len(outputs) and all(a is None or b is None or a == b for a, b in zip(known, shape, strict=True))


def _dense(found: Draft, kernel: Weight, use: Use) -> list[Dim]:
    """(inputs, units), or the other way round where the operation turns it."""
    turned = any(use.node.attributes.get(name) is True for name in ("transpose_b", "adj_y"))
    inputs, units = size("inputs", kernel, 1 if turned else 0), size("units", kernel, 0 if turned else 1)
    found.type = "Dense"
    found.add(kernel, "kernel", (units, inputs) if turned else (inputs, units), multiplied=True)
    before = use.body.producer(use.node.inputs[0])
    result = use.result
    if not use.body.looped and (before is None or before.op not in LAID_OUT) and result is not None and len(result) == 2:
        found.positions = 1
    return [units]


def _convolution(found: Draft, kernel: Weight, use: Use) -> list[Dim]:
    rank = len(shape_of(kernel)) - 2
    window = [size(name, kernel, axis) for axis, name in enumerate(_AXES[rank])]
    if "Depthwise" in use.op:
        channels, multiplier = size("channels", kernel, -2), size("depth_multiplier", kernel, -1)
        found.type = f"DepthwiseConv{rank}D"
        found.add(kernel, "kernel", (*window, channels, multiplier), multiplied=True)
        found.positions = _spatial(use)
        return [channels * multiplier]
    if "Backprop" in use.op:
        filters = size("filters", kernel, -2)
        found.type = f"Conv{rank}DTranspose"
        found.add(kernel, "kernel", (*window, filters, size("channels", kernel, -1)), multiplied=True)
        return [filters]
    filters = size("filters", kernel, -1)
    found.type = f"Conv{rank}D"
    found.add(kernel, "kernel", (*window, size("channels", kernel, -2), filters), multiplied=True)
    found.positions = _spatial(use)
    return [filters]


def _spatial(use: Use | None) -> int | None:
    """Output positions of a convolution for one sample, where the file states them."""
    result = use.result if use is not None else None
    if use is None or result is None or use.body.looped:
        return None
    layout = use.node.attributes.get("data_format")
    known = result[2:] if isinstance(layout, str) and layout.startswith("NC") else result[1:-1]
    return prod(one for one in known if isinstance(one, int)) if all(isinstance(one, int) for one in known) else None


def _einsum(found: Draft, kernel: Weight, use: Use) -> list[Dim]:
    """The kernel's letters: those that the result lacks are inputs, the others units."""
    equation = use.node.attributes.get("equation")
    left, arrow, result = equation.replace(" ", "").partition("->") if isinstance(equation, str) else ("", "", "")
    terms = left.split(",")
    letters = terms[use.place] if use.place < len(terms) else ""
    found.type = "EinsumDense"
    if not arrow or len(letters) != len(shape_of(kernel)) or len(set(letters)) != len(letters) or not letters.isalpha():
        found.add(kernel, "kernel", sizes(kernel), multiplied=True)
        return []
    kept = [letter for letter in letters if letter in result]
    gone = [letter for letter in letters if letter not in result]
    names = {letter: "units" if len(kept) == 1 else f"units_{letter}" for letter in kept}
    names |= {letter: "inputs" if len(gone) == 1 else f"inputs_{letter}" for letter in gone}
    dims = {letter: size(names[letter], kernel, axis) for axis, letter in enumerate(letters)}
    found.add(kernel, "kernel", [dims[letter] for letter in letters], multiplied=True)
    tail: list[Dim] = []
    for letter in reversed(result):
        if letter not in dims:
            break
        tail.insert(0, dims[letter])
    return tail


_PROOFS: tuple[Callable[[Group, Mapping[str, Weight]], Draft | None], ...] = (
    _recurrent,
    _old_cell,
    _separable,
    _batch_norm,
    _other_norm,
    _statistics,
    _table,
    _product,
)


def as_layer(group: Group, draft: Draft | None, name: str, depth: int, path: str) -> Layer:
    """The layer; without a draft one of unknown type, whose weights are listed."""
    if draft is None:
        claims = tuple(Claim(one.tensor, f"{one.scope}/{one.part}".lstrip("/"), trainable=one.trainable) for one in group.weights)
        return Layer(name, path, "?", depth, claims=claims, extra_macs=None)
    weights = {id(one): one for one in group.weights}
    ordered = [weights[key] for key in draft.dims if key in weights]
    specs = tuple(
        WeightSpec(draft.roles[id(one)], draft.dims[id(one)], trainable=one.trainable, key=one.name, multiplied=id(one) in draft.multiplied)
        for one in ordered
    )
    use = draft.use
    taken = use.shape(0) if use is not None and not use.body.looped else None
    made = use.result if use is not None and not use.body.looped else None
    return Layer(
        name,
        path,
        draft.type,
        depth,
        input_shapes=(taken,) if taken is not None else (),
        output_shapes=(made,) if made is not None else (),
        specs=specs,
        claims=tuple(Claim(one.tensor, one.name, draft.roles[id(one)]) for one in ordered),
        positions=draft.positions,
        trainable=True,
    )
