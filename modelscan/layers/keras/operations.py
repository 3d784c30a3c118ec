"""Operations between tensors that a functional graph holds beside its layers: Keras 3's `ops`, tf.keras' TFOpLambda.

Only shapes are derived here; what no rule knows is left to what the file declares of the tensors (Keras 3), or unknown.
"""

from __future__ import annotations

from collections.abc import Callable

from modelscan.layers.keras.merging import broadcast
from modelscan.layers.keras.registry import BadConfigError, Config, Derived
from modelscan.model import Shape

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
        known = [shape for shape in c.inputs if shape is not None]
        if len(known) != len(c.inputs) or not known:
            return Derived((), (None,), 0)
        try:
            return Derived((), (broadcast(known),), 0)
        except BadConfigError:
            return Derived((), (None,), 0)
    rule = _RULES.get(plain)
    return Derived((), (rule(c) if rule is not None else None,), 0)


def _reduced(c: Config) -> Shape | None:
    if c.input is None:
        return None
    axis = c.get("axis", c.arguments.get("axis"))
    keep = bool(c.get("keepdims", c.arguments.get("keepdims", False)))
    if axis is None:
        return (1,) * len(c.input) if keep else ()
    axes = {one % len(c.input) for one in (axis if isinstance(axis, list | tuple) else [axis]) if isinstance(one, int)}
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
    if not isinstance(axes, list | tuple) or sorted(axes) != list(range(len(c.input))):
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
    at = axis % len(known[0])
    sizes = [shape[at] for shape in known]
    total = sum(size for size in sizes if isinstance(size, int)) if all(isinstance(size, int) for size in sizes) else None
    return (*known[0][:at], total, *known[0][at + 1 :])


def _matmul(c: Config) -> Shape | None:
    if len(c.inputs) != 2 or c.inputs[0] is None or c.inputs[1] is None or min(len(c.inputs[0]), len(c.inputs[1])) < 2:
        return None
    left, right = c.inputs
    assert left is not None  # noqa: S101 - checked above
    assert right is not None  # noqa: S101 - checked above
    return (*left[:-1], right[-1]) if len(left) >= len(right) else (*right[:-2], left[-2], right[-1])


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
}
