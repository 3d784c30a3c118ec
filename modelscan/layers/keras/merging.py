"""Layers that merge several tensors; source: `keras/src/layers/merging/`."""

from __future__ import annotations

from modelscan.layers.keras.registry import BadConfigError, Config, Derived, layer
from modelscan.model import Shape


def broadcast(shapes: list[Shape]) -> Shape:
    """The shape of an elementwise operation on tensors of these shapes; None stays None unless another tells more than 1."""
    rank = max(len(shape) for shape in shapes)
    result: list[int | str | None] = []
    for axis in range(rank):
        sizes: list[int | str | None] = []
        for shape in shapes:
            at = axis - (rank - len(shape))
            sizes.append(shape[at] if at >= 0 else 1)
        known = {size for size in sizes if size not in (None, 1)}
        if len(known) > 1:
            raise BadConfigError(f"shapes {', '.join(map(str, shapes))} cannot be broadcast together")
        result.append(known.pop() if known else None if None in sizes else 1)
    return tuple(result)


@layer("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "CustomScaleLayer")
def elementwise(c: Config) -> Derived:
    """Elementwise over all inputs. Axis 0 is the batch and never broadcast; InceptionResNetV2's scaled sum is one, too."""
    return _elementwise(c)


def _elementwise(c: Config) -> Derived:
    known = [shape for shape in c.inputs if shape is not None]
    if not known or len(known) != len(c.inputs):
        return Derived((), (None,), 0)
    batch = next((shape[0] for shape in known if shape and shape[0] is not None), None)
    ranks = {len(shape) for shape in known}
    if len(ranks) == 1:
        return Derived((), ((batch, *broadcast([shape[1:] for shape in known])),), 0)
    return Derived((), (broadcast(known),), 0)


@layer("Concatenate")
def concatenate(c: Config) -> Derived:
    """The sum along one axis, everything else as it is."""
    return _concatenated(c, c.integer("axis", -1, least=-64))


def _concatenated(c: Config, axis: int) -> Derived:
    known = [shape for shape in c.inputs if shape is not None]
    if not known or len(known) != len(c.inputs):
        return Derived((), (None,), 0)
    first = known[0]
    if any(len(shape) != len(first) for shape in known) or not -len(first) <= axis < len(first):
        raise BadConfigError(f"shapes {', '.join(map(str, known))} cannot be concatenated along axis {axis}")
    axis %= len(first)
    sizes = [shape[axis] for shape in known]
    total = sum(size for size in sizes if isinstance(size, int)) if all(isinstance(size, int) for size in sizes) else None
    merged: list[int | str | None] = []
    for at in range(len(first)):
        others = {shape[at] for shape in known} - {None}
        if at != axis and len(others) > 1:
            raise BadConfigError(f"shapes {', '.join(map(str, known))} cannot be concatenated along axis {axis}")
        merged.append(total if at == axis else next(iter(others), None))
    return Derived((), (tuple(merged),), 0)


@layer("Dot")
def dot(c: Config) -> Derived:
    """Contraction of one axis of each input."""
    if len(c.inputs) != 2 or c.inputs[0] is None or c.inputs[1] is None:
        return Derived((), (None,), 0, None)
    axes = c.get("axes")
    pair = [axes, axes] if isinstance(axes, int) else list(axes) if isinstance(axes, list | tuple) else []
    if len(pair) != 2 or not all(isinstance(one, int) for one in pair):
        raise BadConfigError(f"axes is {axes!r}")
    left, right = list(c.inputs[0]), list(c.inputs[1])
    for shape, axis in ((left, pair[0]), (right, pair[1])):
        if not -len(shape) <= axis < len(shape):
            raise BadConfigError(f"axis {axis} of an input with {len(shape)} dimensions")
    one, other = pair[0] % len(left), pair[1] % len(right)
    output = [size for at, size in enumerate(left) if at != one] + [size for at, size in enumerate(right) if at not in (0, other)]
    return Derived((), (tuple(output) if len(output) > 1 else (*output, 1),), 0, None)


@layer("Merge")
def merge(c: Config) -> Derived:
    """Keras 1's one layer for all of them, by `mode`."""
    mode = c.get("mode", "sum")
    if mode == "concat":
        return _concatenated(c, c.integer("concat_axis", -1, least=-64))
    if mode in ("sum", "mul", "ave", "max"):
        return _elementwise(c)
    return Derived((), (None,), 0, None)
