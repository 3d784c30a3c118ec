"""Shapes with their origin: each axis knows its size and which stored tensor it was read off, if any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

from modelscan.model import Shape

FREE = -1
"""Source of a size that comes from an input, an attribute or a declaration."""
OPAQUE = -2
"""Source of a size that general shape inference found: it may come from any weight."""


class Axis(NamedTuple):
    """One dimension of a value. A named tuple, as are the other things that exist once per axis: a large graph has millions."""

    size: int | str | None = None
    source: int = FREE
    """Number of the stored value whose shape tells the size, FREE or OPAQUE."""

    @property
    def static(self) -> int | None:
        """The size if it is a number."""
        return self.size if isinstance(self.size, int) else None


Axes = tuple[Axis, ...]
UNKNOWN = Axis(None, OPAQUE)
ONE = Axis(1)


def from_shape(shape: Shape, source: int = FREE) -> Axes:
    """Axes of one common source."""
    return tuple(Axis(size, source) for size in shape)


def to_shape(axes: Axes | None) -> Shape | None:
    """The plain shape."""
    return None if axes is None else tuple(axis.size for axis in axes)


def merged(mine: Axes | None, other: Axes | None) -> Axes | None:
    """Axes with sizes filled in from a second account of the same value; the first one's sizes stand."""
    if mine is None or other is None or len(mine) != len(other):
        return other if mine is None else mine
    for (size, _), (beside, _) in zip(mine, other, strict=True):
        if not isinstance(size, int) and (size is None or isinstance(beside, int)):
            break
    else:
        return mine
    return tuple([b if a.static is None and (b.static is not None or a.size is None) else a for a, b in zip(mine, other, strict=True)])


@lru_cache(maxsize=4096)
def told(stated: Shape | None, found: Shape | None) -> Axes | None:
    """The axes of a value that the file declares so and general inference found to be so; a model has few different ones."""
    free = None if stated is None else from_shape(stated)
    return merged(free, None if found is None else from_shape(found, OPAQUE))


def broadcast(shapes: Iterable[Axes | None]) -> Axes | None:
    """The shape of an elementwise operation; None when a rank is unknown."""
    known = [axes for axes in shapes if axes is not None]
    if not known or any(axes is None for axes in shapes):
        return None
    rank = max(len(axes) for axes in known)
    return tuple(_widest([axes[len(axes) - back] for axes in known if len(axes) >= back]) for back in range(rank, 0, -1))


def _widest(axes: Sequence[Axis]) -> Axis:
    """A static size above 1 decides; otherwise an unknown one leaves it open."""
    big = [axis for axis in axes if axis.static is not None and axis.static != 1]
    if big:
        return next((axis for axis in big if axis.source == FREE), big[0])
    open_ones = [axis for axis in axes if axis.static is None]
    return open_ones[0] if open_ones else axes[0]


def product(axes: Iterable[Axis]) -> Axis:
    """The size of several axes merged into one."""
    axes = tuple(axes)
    sizes = [axis.static for axis in axes]
    if any(size is None for size in sizes):
        return axes[0] if len(axes) == 1 else Axis(None, origin(axes))
    return Axis(prod(size for size in sizes if size is not None), origin(axes))


def origin(axes: Iterable[Axis]) -> int:
    """The common source of several axes: the only stored value among them, OPAQUE where there are several."""
    sources = {axis.source for axis in axes} - {FREE}
    return FREE if not sources else sources.pop() if len(sources) == 1 else OPAQUE


def added(axis: Axis, size: int) -> Axis:
    """An axis grown by a number of elements."""
    return Axis(None, axis.source) if axis.static is None else Axis(axis.static + size, axis.source)


def total(axes: Iterable[Axis]) -> int | None:
    """The product of the sizes, None if one is unknown."""
    return product((*axes, ONE)).static
