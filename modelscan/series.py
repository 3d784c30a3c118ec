"""Sequences that are written out when somebody looks at their items one by one.

A large model is the same block thousands of times over. Its layers, their accounts and the lines of the report on them are then the same
for each copy, but for names and stored tensors: sums multiply, a table sets other names. Only a view that shows everything, such as the
JSON report, needs the copies one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from modelscan.records import record

if TYPE_CHECKING:
    from modelscan.model import Layer, StoredTensor

T = TypeVar("T")


class Made(Sequence[T]):
    """A tuple that is made when it is first looked at; in everything else it is that tuple."""

    __slots__ = ("_found", "_make")

    def __init__(self, make: Callable[[], tuple[T, ...]]) -> None:
        self._make: Callable[[], tuple[T, ...]] | None = make
        self._found: tuple[T, ...] = ()

    def _all(self) -> tuple[T, ...]:
        if self._make is not None:
            self._found, self._make = self._make(), None
        return self._found

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[T, ...]: ...

    def __getitem__(self, place: int | slice) -> T | tuple[T, ...]:
        return self._all()[place]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == (other._all() if isinstance(other, Made) else other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def __reduce__(self) -> tuple[type, tuple[tuple[T, ...]]]:
        return tuple, (self._all(),)


class Columns(Protocol):
    """What differs between the copies of a block: one column for each layer, or each claim of it, one entry for each copy."""

    def names(self, place: int) -> Sequence[str]:
        """The names of the layer at this place of the block."""

    def tensors(self, place: int) -> Sequence[Sequence[StoredTensor]]:
        """The tensors that the layer at this place of the block claims; a column for each claim."""


@record(frozen=True, slots=True)
class Repeat(Generic[T]):
    """Copies of a block of items, the same as a sample in all but names and stored tensors.

    In a series they follow a block that is like the sample, which itself follows the sample. No other item has to do with the tensors
    that a copy has for itself, but for the items of the copy behind it.
    """

    sample: tuple[T, ...]
    count: int
    make: Callable[[T, int, int], T]
    """An item of a copy out of the sample's, told by its place in the block and by the copy, from 0."""
    columns: Columns

    def item(self, place: int, copy: int) -> T:
        """One item of one copy."""
        return self.make(self.sample[place], place, copy)

    def items(self) -> Iterator[T]:
        """The items of all copies, one copy behind the other."""
        places = range(len(self.sample))
        return (self.item(place, copy) for copy in range(self.count) for place in places)


class Series(Made[T]):
    """Items, and repeats of some that stand before them."""

    __slots__ = ("parts",)

    def __init__(self, parts: Iterable[T | Repeat[T]]) -> None:
        self.parts = held = tuple(parts)
        super().__init__(lambda: tuple(_written_out(held)))

    def __len__(self) -> int:
        return sum(len(part.sample) * part.count if isinstance(part, Repeat) else 1 for part in self.parts)


def series(parts: Sequence[T | Repeat[T]]) -> Sequence[T]:
    """A tuple where nothing repeats."""
    items = tuple([part for part in parts if not isinstance(part, Repeat)])
    return items if len(items) == len(parts) else Series(parts)


def parts_of(items: Sequence[T]) -> Sequence[T | Repeat[T]]:
    """What a sequence is made of."""
    return items.parts if isinstance(items, Series) else items


def _written_out(parts: Iterable[T | Repeat[T]]) -> Iterator[T]:
    for part in parts:
        if isinstance(part, Repeat):
            yield from part.items()
        else:
            yield part


def claimed(layers: Sequence[Layer]) -> Iterator[StoredTensor]:
    """The tensors that layers claim."""
    part: Any
    for part in parts_of(layers):
        if isinstance(part, Repeat):
            for place in range(len(part.sample)):
                for column in part.columns.tensors(place):
                    yield from column
        else:
            for claim in part.claims:
                yield claim.tensor
