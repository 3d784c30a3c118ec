"""Operations between tensors that a functional graph holds beside its layers: Keras 3's `ops`, tf.keras' TFOpLambda.

Only shapes are derived here; what no rule knows is left to what the file declares of the tensors (Keras 3), or unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelscan.layers.keras.merging import broadcast
from modelscan.layers.keras.registry import BadConfigError, Config, Derived, Shapes
from modelscan.model import Shape
from modelscan.topology import Call, TensorRef

_ELEMENTWISE = frozenset(
    "add addv2 subtract sub multiply mul divide truediv true_divide realdiv floordiv maximum minimum power pow squared_difference "
    "greater less equal not_equal greater_equal less_equal logical_and logical_or mod".split()
)
_UNARY = frozenset(
    "relu relu6 sigmoid tanh softmax log_softmax exp log sqrt rsqrt square abs absolute negative neg cast identity stop_gradient gelu silu "
    "swish elu selu softplus softsign leaky_relu hard_sigmoid round floor ceil sin cos sign clip clip_by_value l2_normalize "
    "logical_not zeros_like ones_like nan_to_num is_nan erf dropout".split()
)


def operation(c: Config, name: str) -> Derived:
    """The output shape of the operation called `name` (`math.add`, `Add`, `__operators__.add`), unknown if there is no rule."""
    plain = name.rsplit(".", 1)[-1].lower().lstrip("_")
    if plain in _UNARY:
        return Derived((), c.inputs[:1] or (None,), 0)
    if plain in _ELEMENTWISE:
        operands = [*c.inputs, *c.keywords.values(), *c.positional]
        known = [shape for shape in operands if shape is not None]
        if len(known) != len(operands) or not known:
            return Derived((), (None,), 0)
        try:
            return Derived((), (broadcast(known),), 0)
        except BadConfigError:
            return Derived((), (None,), 0)
    several = _SEVERAL.get(plain) if (c.version or (0, 0)) < (3, 0) else None  # Keras 3 declares the shapes of its own
    if several is not None:
        return Derived((), several(c) or (None,), 0)
    rule = _RULES.get(plain)
    return Derived((), (rule(c) if rule is not None else None,), 0)


def yields_one(name: str) -> bool:
    """Whether an operation of Keras 3 is known to yield one tensor."""
    plain = name.lower()
    return plain in _UNARY or plain in _ELEMENTWISE or plain in _RULES


def constant_operands(call: Call | None) -> Iterator[Shape | None]:
    """Shapes of the constant operands of a call; None for an array in a form that does not show it."""
    pending: list[Any] = [] if call is None else [*call.args, *(call.kwargs.get(name) for name in ("x", "y", "x1", "x2"))]
    for one in pending:
        if isinstance(one, Mapping):
            yield None
        elif isinstance(one, tuple | list) and not any(isinstance(part, TensorRef) for part in one):
            yield _nesting(one)


def _nesting(value: Any) -> Shape | None:
    """The shape of numbers in lists, told by the first of each."""
    sizes: list[int | str | None] = []
    while isinstance(value, tuple | list) and len(sizes) < 16:
        sizes.append(len(value))
        value = value[0] if value else 0.0
    return tuple(sizes) if isinstance(value, int | float) else None


def _sliced(c: Config) -> Shape | None:
    """tf.keras' `x[…]`: per axis a number, a range, or None for a new axis."""
    parts = c.arguments.get("slice_spec")
    parts = [parts] if isinstance(parts, int | Mapping) else parts
    if c.input is None or not isinstance(parts, list | tuple):
        return None
    sizes: list[int | str | None] = []
    rest = list(c.input)
    for one in parts:
        if one is None:
            sizes.append(1)
        elif not rest:
            return None
        elif isinstance(one, int):
            rest.pop(0)
        elif isinstance(one, Mapping) and all(one.get(word) is None or isinstance(one[word], int) for word in ("start", "stop", "step")):
            size, bounds = rest.pop(0), [one.get(word) for word in ("start", "stop", "step")]
            if bounds[2] == 0:
                return None
            sizes.append(len(range(*slice(*bounds).indices(size))) if isinstance(size, int) and size >= 0 else None)
        else:
            return None
    return (*sizes, *rest)


def _reduced(c: Config) -> Shape | None:
    if c.input is None:
        return None
    axis = c.get("axis", c.arguments.get("axis"))
    keep = bool(c.get("keepdims", c.arguments.get("keepdims", False)))
    if axis is None:
        return (1,) * len(c.input) if keep else ()
    listed = axis if isinstance(axis, list | tuple) else [axis]
    if not all(isinstance(one, int) and -len(c.input) <= one < len(c.input) for one in listed):
        return None
    axes = {one % len(c.input) for one in listed}
    return tuple(1 if at in axes else size for at, size in enumerate(c.input) if keep or at not in axes)


def _expanded(c: Config) -> Shape | None:
    axis = c.get("axis", c.arguments.get("axis"))
    if c.input is None or not isinstance(axis, int):
        return None
    at = axis % (len(c.input) + 1)
    return (*c.input[:at], 1, *c.input[at:])


def _squeezed(c: Config) -> Shape | None:
    axis = c.get("axis", c.arguments.get("axis"))
    if c.input is None or not isinstance(axis, int) or not -len(c.input) <= axis < len(c.input):
        return None
    at = axis % len(c.input)
    return (*c.input[:at], *c.input[at + 1 :])


def _transposed(c: Config) -> Shape | None:
    axes = c.get("axes", c.arguments.get("perm", c.arguments.get("axes")))
    if c.input is None:
        return None
    if axes is None:
        return tuple(reversed(c.input))
    if not isinstance(axes, list | tuple) or not all(isinstance(one, int) for one in axes) or sorted(axes) != list(range(len(c.input))):
        return None
    return tuple(c.input[axis] for axis in axes)


def _reshaped(c: Config) -> Shape | None:
    target = c.get("newshape", c.arguments.get("shape", c.arguments.get("newshape")))
    if not isinstance(target, list | tuple) or not all(isinstance(one, int) for one in target) or c.input is None:
        return None
    return tuple(None if one == -1 else one for one in target)


def _concatenated(c: Config) -> Shape | None:
    axis = c.get("axis", c.arguments.get("axis"))
    known = [shape for shape in c.inputs if shape is not None]
    if not known or len(known) != len(c.inputs) or not isinstance(axis, int) or any(len(one) != len(known[0]) for one in known):
        return None
    if not -len(known[0]) <= axis < len(known[0]):
        return None
    at = axis % len(known[0])
    sizes = [shape[at] for shape in known]
    total = sum(size for size in sizes if isinstance(size, int)) if all(isinstance(size, int) for size in sizes) else None
    return (*known[0][:at], total, *known[0][at + 1 :])


def _matmul(c: Config) -> Shape | None:
    """Rows of the one, columns of the other, either turned if tf.keras says so; the dimensions before these are broadcast."""
    operands: Shapes = (*c.inputs, *c.keywords.values())
    if len(operands) == 1 and isinstance(c.arguments.get("b"), tuple | list):
        operands = (*operands, _nesting(c.arguments["b"]))
    if len(operands) != 2:
        return None
    left, right = _turned(c, operands[0], "a"), _turned(c, operands[1], "b")
    if left is None or right is None or min(len(left), len(right)) < 2:
        return None
    try:
        return (*broadcast([left[:-2], right[:-2]]), left[-2], right[-1])
    except BadConfigError:
        return None


def _turned(c: Config, shape: Shape | None, name: str) -> Shape | None:
    """An operand of a matrix product as the product sees it."""
    words = [c.arguments.get(f"{word}_{name}") or False for word in ("transpose", "adjoint")]
    if shape is None or len(shape) < 2 or not all(isinstance(one, bool) for one in words):
        return None
    return (*shape[:-2], shape[-1], shape[-2]) if any(words) else shape


def _shape_of(c: Config) -> Shapes:
    return (None if c.input is None else (len(c.input),),)


def _split(c: Config) -> Shapes:
    """tf.split: as many parts as the number says, or parts of the listed sizes."""
    parts, axis = c.arguments.get("num_or_size_splits"), c.arguments.get("axis", 0)
    if c.input is None or not isinstance(axis, int) or not -len(c.input) <= axis < len(c.input):
        return ()
    at, whole = axis % len(c.input), c.input[axis]
    if isinstance(parts, list | tuple) and len(parts) <= _MOST_PARTS:
        sizes = [size if isinstance(size, int) and size >= 0 else None for size in parts]
    elif isinstance(parts, int) and 0 < parts <= _MOST_PARTS:
        sizes = [whole // parts if isinstance(whole, int) else None] * parts
    else:
        return ()
    return tuple((*c.input[:at], size, *c.input[at + 1 :]) for size in sizes)


def _unstacked(c: Config) -> Shapes:
    axis = c.arguments.get("axis", 0)
    if c.input is None or not isinstance(axis, int) or not -len(c.input) <= axis < len(c.input):
        return ()
    at, whole = axis % len(c.input), c.input[axis]
    return ((*c.input[:at], *c.input[at + 1 :]),) * whole if isinstance(whole, int) and 0 < whole <= _MOST_PARTS else ()


def _stacked(c: Config) -> Shapes:
    axis = c.arguments.get("axis", 0)
    known = c.inputs[0] if c.inputs else None
    if known is None or any(one is None or len(one) != len(known) for one in c.inputs) or not isinstance(axis, int):
        return ()
    at = axis % (len(known) + 1)
    return ((*known[:at], len(c.inputs), *known[at:]),)


def _tiled(c: Config) -> Shapes:
    times = c.arguments.get("multiples")
    if c.input is None or not isinstance(times, list | tuple) or len(times) != len(c.input):
        return ()
    return (tuple(size * by if isinstance(size, int) and isinstance(by, int) else None for size, by in zip(c.input, times, strict=True)),)


def _one_hot(c: Config) -> Shapes:
    depth, axis = c.arguments.get("depth"), c.arguments.get("axis")
    axis = -1 if axis is None else axis
    if c.input is None or not isinstance(axis, int) or not -1 <= axis <= len(c.input):
        return ()
    at = len(c.input) if axis == -1 else axis
    return ((*c.input[:at], depth if isinstance(depth, int) else None, *c.input[at:]),)


_MOST_PARTS = 4096
_SEVERAL: dict[str, Callable[[Config], Shapes]] = {
    "shape": _shape_of,
    "split": _split,
    "unstack": _unstacked,
    "stack": _stacked,
    "tile": _tiled,
    "one_hot": _one_hot,
}
"""Rules of TensorFlow's operations that yield several tensors, or whose arguments are not those of Keras 3's."""
_RULES: dict[str, Callable[[Config], Shape | None]] = {
    **dict.fromkeys(
        ("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "mean", "sum", "max", "min", "prod"), _reduced
    ),
    **dict.fromkeys(("std", "var", "argmax", "argmin", "norm"), _reduced),
    "expand_dims": _expanded,
    "expanddims": _expanded,
    "squeeze": _squeezed,
    "transpose": _transposed,
    "reshape": _reshaped,
    "concat": _concatenated,
    "concatenate": _concatenated,
    "matmul": _matmul,
    "getitem": _sliced,
}
