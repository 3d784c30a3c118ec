"""Dense, EinsumDense, Embedding and what has no weights and keeps its input's shape."""

from __future__ import annotations

import re

from modelscan.formula import Dim, const, dim
from modelscan.layers.keras.registry import BadConfigError, Config, Derived, layer, same
from modelscan.model import Shape


@layer("Dense", "TimeDistributedDense")
def dense(c: Config) -> Derived:
    """inputs × units + units."""
    units = c.dim("units")
    weights = [c.weight("kernel", c.from_input("inputs", -1), units, multiplied=True)]
    if c.flag("use_bias", True):
        weights.append(c.weight("bias", units))
    return Derived(weights, c.replace_last(units.value), c.positions())


@layer("Embedding")
def embedding(c: Config) -> Derived:
    """input_dim × output_dim; a look-up multiplies nothing."""
    table = c.weight("embeddings", c.dim("input_dim"), c.dim("output_dim"))
    output = None if c.input is None else (*c.input, c.integer("output_dim"))
    return Derived([table], (output,), 0)


@layer("ReversibleEmbedding")
def reversible_embedding(c: Config) -> Derived:
    """An embedding that can be applied backwards, with a second table unless the two are tied."""
    rows, columns = c.dim("input_dim"), c.dim("output_dim")
    weights = [c.weight("embeddings", rows, columns)]
    if not c.flag("tie_weights", True):
        weights.append(c.weight("reverse_embeddings", columns, rows))
    reverse = bool(c.arguments.get("reverse", False))
    if c.input is None:
        return Derived(weights, (None,), 0)
    return Derived(weights, ((*c.input[:-1], rows.value) if reverse else (*c.input, columns.value),), 0)


@layer("EinsumDense")
def einsum_dense(c: Config) -> Derived:
    """A kernel whose axes an equation names; source: `keras/src/layers/core/einsum_dense.py`, `_analyze_einsum_string`."""
    equation = c.text("equation")
    left, kernel_axes, right, elided = equation_parts(equation)
    target = c.get("output_shape", ())
    target = list(target) if isinstance(target, list | tuple) else [target]
    shape = c.input
    sizes: dict[str, Dim] = {}
    for axis, letter in enumerate(left):
        at = axis - len(left) if elided == "left" else axis
        sizes[letter] = c.from_input(f"inputs_{letter}", at)
    outputs: dict[str, int | None] = {}
    declared = ([None] if shape is None else [shape[0]]) + target
    for axis, letter in enumerate(right):
        at = axis - len(right) if elided == "left" else axis
        value = declared[at] if -len(declared) <= at < len(declared) else None
        outputs[letter] = value if isinstance(value, int) else None
        if letter not in sizes or sizes[letter].value is None or (isinstance(value, int) and letter in kernel_axes):
            sizes[letter] = c.stated(f"outputs_{letter}", outputs[letter], "output_shape")
    unknown = [letter for letter in kernel_axes if letter not in sizes]
    if unknown:
        raise BadConfigError(f"the equation {equation!r} does not tell the extent of {unknown[0]!r}")
    weights = [c.weight("kernel", *(sizes[letter] for letter in kernel_axes), multiplied=True)]
    bias_axes = c.text("bias_axes")
    if bias_axes:
        first = min((right.index(letter) for letter in bias_axes if letter in right), default=0)
        extents = [sizes[letter] if letter in bias_axes else const(1) for letter in right[first:]]
        weights.append(c.weight("bias", *extents, *([const(1)] * (_elided_rank(c, left) if elided == "right" else 0))))
    output = _einsum_output(c, left, right, elided, target)
    contracted = [letter for letter in kernel_axes if letter not in right]
    positions = c.positions(output, [axis for axis, letter in enumerate(right) if letter in kernel_axes and letter not in contracted])
    return Derived(weights, (output,), positions if not elided else None)


def equation_parts(equation: str) -> tuple[str, str, str, str]:
    """Input, kernel and output axes without an ellipsis, and on which side one stands (`left`, `right` or nothing)."""
    text = equation.replace(" ", "")
    found = re.fullmatch(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?", text)
    if found is None:
        raise BadConfigError(f"the equation {equation!r} is none of an EinsumDense")
    return found[2], found[4], found[6], "left" if found[1] else "right" if found[3] else ""


def _elided_rank(c: Config, left: str) -> int:
    return max(0, len(c.input) - len(left)) if c.input is not None else 0


def _einsum_output(c: Config, left: str, right: str, elided: str, target: list[object]) -> Shape | None:
    """(batch, …) + output_shape, the elided dimensions in their place."""
    if c.input is None:
        return None
    elided_dims = c.input[1 : _elided_rank(c, left)] if elided == "left" else c.input[len(left) :] if elided == "right" else ()
    kept = tuple(one if isinstance(one, int) else None for one in target)
    if elided == "left":
        return (c.input[0], *elided_dims, *kept)
    if elided == "right":
        return (c.input[0], *kept, *elided_dims)
    del right
    return (c.input[0], *kept)


@layer("PReLU")
def prelu(c: Config) -> Derived:
    """A slope per element, shared along `shared_axes`; source: `keras/src/layers/activations/prelu.py`."""
    shape = c.input
    shared = set(c.axes("shared_axes"))
    if shape is None:
        return Derived([c.weight("alpha", dim("elements", None))], (None,), 0)
    dims = [const(1) if axis in shared else c.from_input(f"inputs_{axis}", axis) for axis in range(1, len(shape))]
    return Derived([c.weight("alpha", *dims)], (shape,), 0)


@layer("LayerScale")
def layer_scale(c: Config) -> Derived:
    """A learned factor per channel; source: `keras/src/applications/convnext.py`."""
    return Derived([c.weight("gamma", c.dim("projection_dim"))], c.inputs[:1] or (None,), 0)


for _name in (
    "Activation",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "Softmax",
    "ThresholdedReLU",
    "ActivityRegularization",
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "Masking",
    "Identity",
    "UnitNormalization",
    "StochasticDepth",
):
    layer(_name)(same)


@layer("InputLayer")
def input_layer(c: Config) -> Derived:
    """The declared shape."""
    shape = c.values.get("batch_shape", c.values.get("batch_input_shape"))
    if isinstance(shape, list | tuple):
        return Derived((), (tuple(one if isinstance(one, int) else None for one in shape),), 0)
    if c.inputs:
        return same(c)
    return Derived((), (None,), 0)
