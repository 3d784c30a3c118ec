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


def possible(axes: Axes) -> Axes:
    """The axes with sizes below 0 left open: what a stated target comes to that no runtime makes."""
    return tuple([Axis(None, axis.source) if isinstance(axis.size, int) and axis.size < 0 else axis for axis in axes])


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


def broadcast(shapes: Sequence[Axes | None]) -> Axes | None:
    """The shape of an elementwise operation; None when a rank is unknown."""
    if not shapes or None in shapes:
        return None
    whole, *others = [axes for axes in shapes if axes is not None]
    for axes in others:
        lead = len(whole) - len(axes)
        front = whole[:lead] if lead > 0 else axes[:-lead]
        whole = (*front, *map(_wider, whole[max(lead, 0) :], axes[max(-lead, 0) :]))
    return whole


def around_each(shapes: Sequence[Axes | None]) -> list[Axes | None]:
    """For each operand of an elementwise operation, the shape that the others make together; not in the square of their number."""
    if len(shapes) == 2:
        return [shapes[1], shapes[0]]
    before: list[Axes | None] = [()]
    behind: list[Axes | None] = [()]
    for one, other in zip(shapes[:-1], shapes[:0:-1], strict=True):
        before.append(broadcast((before[-1], one)))
        behind.append(broadcast((other, behind[-1])))
    return [broadcast(sides) for sides in zip(before, reversed(behind), strict=True)]


def _wider(one: Axis, other: Axis) -> Axis:
    """A static size other than 1 decides, one that no weight tells before others; otherwise an unknown one leaves it open."""
    size, source = one
    beside, origin = other
    if isinstance(size, int) and size != 1:
        preferred = source != FREE and origin == FREE and isinstance(beside, int) and beside != 1
        return other if preferred else one
    if isinstance(beside, int):
        return other if beside != 1 else one
    return other if isinstance(size, int) else one


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
