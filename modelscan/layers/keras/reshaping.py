"""Layers that move, repeat, cut or pad elements."""

from __future__ import annotations

from math import prod

from modelscan.layers.keras.convolution import assembled, spatial
from modelscan.layers.keras.registry import BadConfigError, Config, Derived, layer, product_of
from modelscan.model import Shape


def reshaped(shape: Shape | None, target: object) -> Shape | None:
    """Batch and `target`, one -1 in it filled in from what the input holds."""
    if not isinstance(target, list | tuple) or not all(isinstance(one, int) for one in target):
        raise BadConfigError(f"target_shape is {target!r}")
    batch = shape[0] if shape else None
    total = product_of(shape[1:]) if shape is not None else None
    known = prod(one for one in target if one != -1)
    if -1 not in target:
        if total is not None and total != known:
            raise BadConfigError(f"{total} elements cannot be reshaped to {tuple(target)}")
        return (batch, *target)
    if total is None or not known:
        return (batch, *(None if one == -1 else one for one in target))
    if total % known:
        raise BadConfigError(f"{total} elements cannot be reshaped to {tuple(target)}")
    return (batch, *(total // known if one == -1 else one for one in target))


@layer("Flatten")
def flatten(c: Config) -> Derived:
    """All dimensions but the batch in one."""
    return Derived((), ((c.input[0], product_of(c.input[1:])) if c.input is not None else None,), 0)


@layer("Reshape")
def reshape(c: Config) -> Derived:
    """The target shape behind the batch."""
    return Derived((), (reshaped(c.input, c.get("target_shape")),), 0)


@layer("Permute")
def permute(c: Config) -> Derived:
    """Axes in another order, counted from 1."""
    dims = c.axes("dims")
    if c.input is None:
        return Derived((), (None,), 0)
    if sorted(dims) != list(range(1, len(c.input))):
        raise BadConfigError(f"dims is {dims!r} for an input with {len(c.input)} dimensions")
    return Derived((), ((c.input[0], *(c.input[axis] for axis in dims)),), 0)


@layer("RepeatVector")
def repeat_vector(c: Config) -> Derived:
    """The vector n times."""
    c.rank(2)
    return Derived((), ((c.input[0], c.integer("n"), c.input[1]) if c.input is not None else None,), 0)


def _amounts(c: Config, name: str, rank: int, default: int) -> list[tuple[int, int]]:
    """Two numbers, before and after, per dimension: from one number, one per dimension, or pairs."""
    value = c.get(name, default)
    if isinstance(value, int):
        return [(value, value)] * rank
    if isinstance(value, list | tuple) and rank == 1 and len(value) == 2 and all(isinstance(one, int) for one in value):
        return [(value[0], value[1])]
    pairs = []
    for one in value if isinstance(value, list | tuple) else ():
        if isinstance(one, int):
            pairs.append((one, one))
        elif isinstance(one, list | tuple) and len(one) == 2 and all(isinstance(side, int) for side in one):
            pairs.append((one[0], one[1]))
    if len(pairs) != rank:
        raise BadConfigError(f"{name} is {value!r}")
    return pairs


def _shifted(c: Config, rank: int, name: str, sign: int) -> Derived:
    c.rank(rank + 2)
    if c.input is None:
        return Derived((), (None,), 0)
    sizes = spatial(c.input, c.channels_first)
    amounts = _amounts(c, name, rank, 1)
    out = tuple(max(0, n + sign * (a + b)) if isinstance(n, int) else None for n, (a, b) in zip(sizes, amounts, strict=True))
    channels = c.input[1] if c.channels_first else c.input[-1]
    return Derived((), (assembled(c.input, out, channels, c.channels_first),), 0)


def _upsampled(c: Config, rank: int) -> Derived:
    c.rank(rank + 2)
    if c.input is None:
        return Derived((), (None,), 0)
    sizes = spatial(c.input, c.channels_first)
    factors = c.integers("size", rank, 2, least=1)
    out = tuple(n * factor if isinstance(n, int) else None for n, factor in zip(sizes, factors, strict=True))
    channels = c.input[1] if c.channels_first else c.input[-1]
    return Derived((), (assembled(c.input, out, channels, c.channels_first),), 0)


for _rank in (1, 2, 3):
    layer(f"ZeroPadding{_rank}D")(lambda c, rank=_rank: _shifted(c, rank, "padding", 1))  # type: ignore[misc]
    layer(f"Cropping{_rank}D")(lambda c, rank=_rank: _shifted(c, rank, "cropping", -1))  # type: ignore[misc]
    layer(f"UpSampling{_rank}D")(lambda c, rank=_rank: _upsampled(c, rank))  # type: ignore[misc]
