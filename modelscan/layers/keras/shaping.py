"""Operations of Keras 3 that shape tensors by their arguments: what they yield, and arguments with which no graph can be made again.

Source: `compute_output_spec` in `keras/src/ops/{numpy,nn}.py`; what is refused here is refused by every version since 3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeGuard

from modelscan.layers.keras.registry import BadConfigError, Config
from modelscan.model import Shape


def shaped(c: Config, name: str) -> tuple[Shape | None] | None:
    """The shape that the operation of this name yields, unknown where its input is; None for one that is not of this kind."""
    rule = _RULES.get(name)
    if rule is None:
        return None
    return (rule(c, c.input) if c.input is not None else None,)


def _place(axis: Any, shape: Shape, name: str = "axis") -> int | None:
    """An axis counted from the front; None where it is no number."""
    if not isinstance(axis, int) or isinstance(axis, bool):
        return None
    if not -len(shape) <= axis < len(shape):
        raise BadConfigError(f"{name} is {axis}, and the input has {len(shape)} dimensions")
    return axis % len(shape)


def _whole(value: Any) -> TypeGuard[Sequence[int]]:
    return isinstance(value, list | tuple) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)


def _transposed(c: Config, shape: Shape) -> Shape | None:
    axes = c.values.get("axes")
    if axes is None:
        return tuple(reversed(shape))
    if not _whole(axes):
        return None
    if len(axes) != len(shape):
        raise BadConfigError(f"axes has {len(axes)} numbers, and the input has {len(shape)} dimensions")
    return tuple(shape[_place(one, shape, "one of axes") or 0] for one in axes)


def _swapped(c: Config, shape: Shape) -> Shape | None:
    one, other = (_place(c.values.get(name), shape, name) for name in ("axis1", "axis2"))
    if one is None or other is None:
        return None
    sizes = list(shape)
    sizes[one], sizes[other] = sizes[other], sizes[one]
    return tuple(sizes)


def _squeezed(c: Config, shape: Shape) -> Shape | None:
    axis = c.values.get("axis")
    if axis is None:
        return None  # what has one element is left out, and an unknown dimension may have one
    listed = [axis] if isinstance(axis, int) else axis
    if not _whole(listed):
        return None
    places = {_place(one, shape) for one in listed}
    for place in places:
        size = shape[place or 0]
        if isinstance(size, int) and size != 1:
            raise BadConfigError(f"axis is {axis}, and the input has {size} elements along it")
    return tuple(size for place, size in enumerate(shape) if place not in places)


def _broadcast(c: Config, shape: Shape) -> Shape | None:
    target = c.values.get("shape")
    if not _whole(target):
        return None
    for size, wanted in zip(reversed(shape), reversed(target), strict=False):
        if isinstance(size, int) and 1 not in (size, wanted) and size != wanted:
            raise BadConfigError(f"shape is {tuple(target)}, to which an input of {shape} cannot be broadcast")
    return tuple(target)


def _padded(c: Config, shape: Shape) -> Shape | None:
    widths = c.values.get("pad_width")
    if not isinstance(widths, list | tuple) or not all(_whole(one) and len(one) == 2 for one in widths):
        return None
    if len(widths) not in (1, len(shape)):
        raise BadConfigError(f"pad_width has {len(widths)} pairs, and the input has {len(shape)} dimensions")
    pairs = list(widths) * len(shape) if len(widths) == 1 else widths
    return tuple(size + sum(pair) if isinstance(size, int) else None for size, pair in zip(shape, pairs, strict=False))


def _repeated(c: Config, shape: Shape) -> Shape | None:
    times, axis = c.values.get("repeats"), c.values.get("axis")
    times = times[0] if _whole(times) and len(times) == 1 else times
    if not isinstance(times, int):
        return None
    if axis is None:
        known = [size for size in shape if isinstance(size, int)]
        return (prod(known) * times if len(known) == len(shape) else None,)
    place = _place(axis, shape)
    return tuple(size * times if at == place and isinstance(size, int) else size for at, size in enumerate(shape))


def _one_hot(c: Config, shape: Shape) -> Shape | None:
    classes, axis = c.values.get("num_classes"), c.values.get("axis", -1)
    if not isinstance(classes, int) or not isinstance(axis, int):
        return None
    if axis != -1 and not 0 <= axis < len(shape):
        raise BadConfigError(f"axis is {axis}, and the input has {len(shape)} dimensions")
    place = len(shape) if axis == -1 else axis
    return (*shape[:place], classes, *shape[place:])


_RULES: dict[str, Callable[[Config, Shape], Shape | None]] = {
    "Transpose": _transposed,
    "Swapaxes": _swapped,
    "Squeeze": _squeezed,
    "BroadcastTo": _broadcast,
    "Pad": _padded,
    "Repeat": _repeated,
    "OneHot": _one_hot,
}
