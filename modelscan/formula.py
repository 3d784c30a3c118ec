"""Named dimensions, sums of products, the common factor pulled out, and how they are written.

A weight's shape is a tuple of `Dim`; its element count is their product; a layer's count is the sum over its weights.
From the three shapes of a SimpleRNN, `(inputs, units)`, `(units, units)` and `(units,)`, `Formula.of` derives
`units × (inputs + units + 1)` by itself: nobody writes a count twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd, prod
from typing import Self

from modelscan.records import record

TIMES = " × "


@record(frozen=True, slots=True)
class Symbol:
    """A named quantity, such as `units`.

    Two symbols are the same quantity when name and value agree; the witness does not take part.
    """

    name: str
    """How it is written: the field's term (`units`, `kernel_height`, `inputs/groups`)."""
    value: int | None
    """None while nothing tells it; accounting may then solve it from the stored tensors."""
    witness: str | None = None
    """What attests the value, other than the tensor under test (`configuration: units`, `activation x`). None: nothing does."""

    @property
    def key(self) -> tuple[str, int | None]:
        """Identity of the quantity."""
        return (self.name, self.value)


@record(frozen=True, slots=True)
class Dim:
    """One dimension of a weight: a constant times named symbols (`4 × units`, `channels × depth_multiplier`, `1`)."""

    symbols: tuple[Symbol, ...] = ()
    coefficient: int = 1

    @property
    def value(self) -> int | None:
        """The number of elements along this dimension, None if a symbol is unknown."""
        total = self.coefficient
        for symbol in self.symbols:
            if symbol.value is None:
                return None
            total *= symbol.value
        return total

    def __str__(self) -> str:
        if len(self.symbols) == self.coefficient == 1:
            return self.symbols[0].name
        names = [symbol.name for symbol in self.symbols]
        if self.coefficient != 1 or not names:
            names.insert(0, str(self.coefficient))
        return TIMES.join(names)

    def __mul__(self, other: Dim | int) -> Dim:
        if isinstance(other, int):
            return Dim(self.symbols, self.coefficient * other)
        return Dim(self.symbols + other.symbols, self.coefficient * other.coefficient)

    __rmul__ = __mul__

    def solve(self, size: int) -> tuple[str, int] | None:
        """The name and value of the single unknown symbol if this dimension is to measure `size`; None if that has no solution."""
        unknown = [symbol for symbol in self.symbols if symbol.value is None]
        if not unknown or any(symbol.name != unknown[0].name for symbol in unknown) or len(unknown) != 1:
            return None
        known = prod((symbol.value for symbol in self.symbols if symbol.value is not None), start=self.coefficient)
        if known <= 0 or size % known:
            return None
        return unknown[0].name, size // known

    def bind(self, values: Mapping[str, int]) -> Dim:
        """The same dimension with unknown symbols replaced where `values` has their name."""
        if all(symbol.value is not None or symbol.name not in values for symbol in self.symbols):
            return self
        return replace(
            self, symbols=tuple(replace(s, value=values[s.name]) if s.value is None and s.name in values else s for s in self.symbols)
        )


def dim(name: str, value: int | None, witness: str | None = None) -> Dim:
    """A dimension that is one named symbol."""
    return Dim((Symbol(name, value, witness),))


def const(value: int) -> Dim:
    """A dimension fixed by the layer's definition, such as the 2 of a GRU's two biases or a broadcast 1."""
    return Dim((), value)


def elements(dims: Iterable[Dim]) -> int | None:
    """The elements of a tensor of these dimensions, None where one is unknown."""
    total = 1
    for one in dims:
        total *= one.coefficient
        for symbol in one.symbols:
            if symbol.value is None:
                return None
            total *= symbol.value
    return total


@record(frozen=True, slots=True)
class Term:
    """A constant times a multiset of symbols."""

    coefficient: int
    symbols: tuple[Symbol, ...]

    @classmethod
    def product(cls, dims: Iterable[Dim]) -> Self:
        """The element count of a tensor of these dimensions."""
        coefficient = 1
        symbols: list[Symbol] = []
        for one in dims:
            coefficient *= one.coefficient
            symbols.extend(one.symbols)
        return cls(coefficient, tuple(symbols))

    @property
    def value(self) -> int | None:
        """The number, None if a symbol is unknown."""
        return Dim(self.symbols, self.coefficient).value

    def divided(self, coefficient: int, common: Counter[tuple[str, int | None]]) -> Term:
        """This term without the factor `coefficient × common`."""
        left = Counter(common)
        kept = []
        for symbol in self.symbols:
            if left[symbol.key] > 0:
                left[symbol.key] -= 1
            else:
                kept.append(symbol)
        return Term(self.coefficient // coefficient, tuple(kept))


_Quantities = tuple[tuple[tuple[int, tuple[tuple[str, int | None], ...]], ...], ...]
_FORMULAS: dict[_Quantities, Formula] = {}
_MOST_FORMULAS = 4096


@dataclass(frozen=True)
class Formula:
    """A factored sum of products: `factor × (terms[0] + terms[1] + …)`. Equal layers share one; its texts are written once."""

    factor: Term
    terms: tuple[Term, ...]

    @classmethod
    def of(cls, shapes: Iterable[Sequence[Dim]]) -> Formula:
        """The element count of tensors of these shapes, like terms added up and the common factor pulled out."""
        shapes = tuple(shapes)
        key = tuple([tuple([(one.coefficient, tuple([(s.name, s.value) for s in one.symbols])) for one in shape]) for shape in shapes])
        known = _FORMULAS.get(key)
        if known is None:
            if len(_FORMULAS) >= _MOST_FORMULAS:
                _FORMULAS.clear()
            known = _FORMULAS[key] = cls.sum(Term.product(shape) for shape in shapes)
        return known

    @classmethod
    def sum(cls, terms: Iterable[Term]) -> Self:
        """A factored sum of arbitrary terms."""
        merged: dict[frozenset[tuple[tuple[str, int | None], int]], Term] = {}
        for term in terms:
            key = frozenset(Counter(symbol.key for symbol in term.symbols).items())
            seen = merged.get(key)
            merged[key] = Term(seen.coefficient + term.coefficient, seen.symbols) if seen else term
        parts = tuple(term for term in merged.values() if term.coefficient)
        if not parts:
            return cls(Term(1, ()), ())
        common = Counter(symbol.key for symbol in parts[0].symbols)
        divisor = 0
        for part in parts:
            common &= Counter(symbol.key for symbol in part.symbols)
            divisor = gcd(divisor, part.coefficient)
        if len(parts) == 1:
            return cls(Term(1, ()), parts)
        left = Counter(common)
        factor = []
        for symbol in parts[0].symbols:
            if left[symbol.key] > 0:
                left[symbol.key] -= 1
                factor.append(symbol)
        return cls(Term(divisor, tuple(factor)), tuple(part.divided(divisor, common) for part in parts))

    @cached_property
    def value(self) -> int | None:
        """The number, None if a symbol is unknown; 0 for the empty sum."""
        total = 0
        for term in self.terms:
            value = term.value
            if value is None:
                return None
            total += value
        factor = self.factor.value
        return None if factor is None else factor * total

    def __str__(self) -> str:
        return self.symbolic

    @cached_property
    def symbolic(self) -> str:
        """The formula with names: `units × (inputs + units + 1)`."""
        return self._write(self._names())

    @cached_property
    def numeric(self) -> str:
        """The formula with numbers in the same places: `128 × (10 + 128 + 1)`; `?` for an unknown one."""
        keys = {symbol.key for symbol in self._symbols()}
        return self._write({key: "?" if key[1] is None else f"{key[1]:,}" for key in keys})

    def _symbols(self) -> list[Symbol]:
        return [*self.factor.symbols, *(symbol for term in self.terms for symbol in term.symbols)]

    def _names(self) -> dict[tuple[str, int | None], str]:
        """A distinct text for each quantity: one name with two values gets subscripts."""
        values: dict[str, list[int | None]] = {}
        for symbol in self._symbols():
            seen = values.setdefault(symbol.name, [])
            if symbol.value not in seen:
                seen.append(symbol.value)
        return {
            (name, value): name if len(seen) == 1 else name + _subscript(index)
            for name, seen in values.items()
            for index, value in enumerate(seen, start=1)
        }

    def _write(self, text: Mapping[tuple[str, int | None], str]) -> str:
        if not self.terms:
            return "0"
        factor = _product(self.factor, text)
        inner = " + ".join(_product(term, text) or "1" for term in self.terms)
        if not factor:
            return inner
        return f"{factor}{TIMES}({inner})" if len(self.terms) > 1 else f"{factor}{TIMES}{inner}"


def _product(term: Term, text: Mapping[tuple[str, int | None], str]) -> str:
    factors = [text[symbol.key] for symbol in term.symbols]
    if term.coefficient != 1:
        factors.insert(0, f"{term.coefficient:,}")
    return TIMES.join(factors)


def _subscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
