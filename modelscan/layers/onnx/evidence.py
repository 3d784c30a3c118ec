"""Witnesses: what says how large a dimension is, and which of several accounts to believe.

A quantity (the units of a layer) gathers statements from all over the file. A statement that was read off a stored tensor
never attests that tensor; where statements contradict one another, the better attested size stands and the tensors that
have another one are told so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from modelscan.formula import Dim, Symbol
from modelscan.layers.onnx.axes import FREE, OPAQUE, Axis
from modelscan.records import record

ATTRIBUTE, ACTIVATION, DECLARED, STORED, NEIGHBOUR = 1000, 100, 4, 3, 2
"""How much a statement weighs against contradicting ones: an attribute is what the operator does, an activation what it gets."""
_PLACE = itemgetter(1)
NAMED = 2
"""As many witnesses are named in the report."""
_ALIKE = 8
"""Statements in the same words that are looked through for one that was read off another tensor; there may be thousands."""


class Evidence(NamedTuple):
    """One statement about a size."""

    size: int
    text: str
    """`attribute kernel_shape`, `activation x`, `declared output y`, `bias length`, `input of`."""
    source: int = FREE
    """The stored value that it was read off, FREE, or OPAQUE."""
    weight: int = NEIGHBOUR
    subject: str = ""
    """What the text is about, where it is not part of it (`conv2`)."""
    others: tuple[int, ...] = ()
    """Further stored values that it was read off: a concatenation's width less the widths of its other parts."""

    @property
    def origins(self) -> frozenset[int]:
        """All stored values that it was read off; empty where it came from none."""
        return frozenset((self.source, *self.others)) - {FREE}

    @property
    def words(self) -> str:
        """The statement as a witness is reported."""
        return f"{self.text} {self.subject}" if self.subject else self.text


_evidence: Callable[[tuple[int, str, int, int, str, tuple[int, ...]]], Evidence] = partial(tuple.__new__, Evidence)
"""Makes one in a third of the time, of all of its fields."""
_Witness = tuple[str, int, tuple[int, ...], int]
"""A statement for the size that stands: its words, source and further sources, and its place among all."""


@dataclass(slots=True)
class Quantity:
    """A named size with everything that is said of it."""

    name: str
    evidence: list[Evidence] = field(default_factory=list)
    _settled: tuple[int, int | None, list[_Witness], list[_Witness]] = (0, None, [], [])  # replaced, never changed
    """How many statements there were when the rest was found: the size with the most weight behind it, its witnesses, and those that
    matter to a few tensors."""

    def add(self, *statements: Evidence | None) -> Quantity:
        """Notes statements; None is ignored."""
        self.evidence.extend(one for one in statements if one is not None)
        return self

    def attribute(self, name: str, size: object) -> Quantity:
        """Notes a size that an attribute states."""
        if isinstance(size, int):
            self.evidence.append(Evidence(size, "attribute", FREE, ATTRIBUTE, name))
        return self

    def activation(self, axis: Axis | None, name: str, divisor: int = 1) -> Quantity:
        """Notes the size of an activation's axis; one that was read off the stored tensor itself will not count for it."""
        size = axis.static if axis is not None else None
        if axis is not None and size is not None and divisor > 0 and size % divisor == 0:
            source = FREE if axis.source == OPAQUE else axis.source
            self.evidence.append(Evidence(size // divisor, "activation", source, ACTIVATION, name))
        return self

    def stored(self, size: int | None, text: str, source: int) -> Quantity:
        """Notes what a stored tensor's own shape says."""
        if size is not None and size >= 0:
            self.evidence.append(_evidence((size, text, source, STORED, "", ())))
        return self

    def settled(self) -> int | None:
        """The size with the most weight behind it; each statement counts once."""
        evidence = self.evidence
        if not evidence:
            return None
        size = evidence[0].size
        for one in evidence:
            if one.size != size:
                break
        else:
            return size
        votes: dict[int, int] = {}
        for one in dict.fromkeys(self.evidence):
            votes[one.size] = votes.get(one.size, 0) + one.weight
        return max(votes, key=lambda size: votes[size])

    def symbol(self, tensors: tuple[int, ...]) -> Symbol:
        """The symbol as it stands in the spec of stored tensors, which are no witnesses for themselves."""
        count, size, witnesses, few = self._settled
        if count != len(self.evidence):
            count, size, witnesses, few = self._settled = (len(self.evidence), *self._weighed())
        told: list[tuple[str, int]] = []
        """Words and places of the witnesses, heaviest first."""
        for words, source, others, place in few if len(tensors) < _ALIKE else witnesses:
            if source in tensors or (others and not set(others).isdisjoint(tensors)):
                continue
            if source != OPAQUE and (not told or words not in [known for known, _ in told]):
                if len(told) == NAMED:  # only the heaviest are named then, in this order
                    return Symbol(self.name, size, ", ".join([known for known, _ in told]))
                told.append((words, place))
        if len(told) == 1:
            return Symbol(self.name, size, told[0][0])
        if not told:
            by_self = any(source in tensors or not set(others).isdisjoint(tensors) for _, source, others, _ in witnesses)
            return Symbol(self.name, size if by_self else None, None)
        return Symbol(self.name, size, ", ".join([words for words, _ in sorted(told, key=_PLACE)]))

    def _weighed(self) -> tuple[int | None, list[_Witness], list[_Witness]]:
        """The size that stands; the statements for it, heaviest first, as they came where they weigh the same; the rest of `_settled`."""
        evidence = self.evidence
        sizes = {one[0] for one in evidence}
        size = evidence[0].size if len(sizes) == 1 else self.settled()
        weights: list[int] = []
        witnesses: list[_Witness] = []
        for place, (stated, text, source, weight, subject, others) in enumerate(evidence):
            if stated == size:
                witnesses.append((f"{text} {subject}" if subject else text, source, others, place))
                weights.append(weight)
        if len(weights) > 1 and weights != sorted(weights, reverse=True):
            witnesses.sort(key=lambda one: -evidence[one[3]].weight)
        return size, witnesses, witnesses if len(witnesses) <= _ALIKE else _few(witnesses)


def _few(witnesses: list[_Witness]) -> list[_Witness]:
    """Of statements in the same words, as many as leave one to fewer than `_ALIKE` tensors, which are no witnesses for themselves."""
    seen: Counter[str] = Counter()
    kept: dict[tuple[str, int, tuple[int, ...]], _Witness] = {}
    for one in witnesses:
        key = one[:3]
        if key not in kept and seen[one[0]] < _ALIKE:
            seen[one[0]] += 1
            kept[key] = one
    return [*kept.values()]


@record(frozen=True, slots=True)
class Extent:
    """One dimension of a weight: a coefficient times quantities."""

    quantities: tuple[Quantity, ...] = ()
    coefficient: int = 1

    def dim(self, tensors: tuple[int, ...]) -> Dim:
        """The dimension for the spec of stored tensors."""
        quantities = self.quantities
        if len(quantities) == 1:
            return Dim((quantities[0].symbol(tensors),), self.coefficient)
        return Dim(tuple([one.symbol(tensors) for one in quantities]), self.coefficient)

    @property
    def size(self) -> int | None:
        """The settled size."""
        size = self.coefficient
        for one in self.quantities:
            settled = one.settled()
            if settled is None:
                return None
            size *= settled
        return size


_ONE = Extent()


def extent(*factors: Quantity | int) -> Extent:
    """A dimension that is the product of quantities and constants."""
    if len(factors) == 1:
        only = factors[0]
        return Extent((only,)) if isinstance(only, Quantity) else Extent((), only) if only != 1 else _ONE
    coefficient, quantities = 1, []
    for one in factors:
        if isinstance(one, int):
            coefficient *= one
        else:
            quantities.append(one)
    return Extent(tuple(quantities), coefficient)
