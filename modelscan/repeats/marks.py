"""Marks: what stands in the names of a few copies in place of the numbers by which the names of all copies differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from modelscan.records import record
from modelscan.repeats.runs import NUMBERS

FIRST, SAMPLE, TWIN, LAST = 1, 2, 3, 4
"""Of the copies with marks: the first, the one that stands for all, the one that must be like it, the last."""
_HINT = "9090909090"
MARK = re.compile(_HINT + r"([1-4])([0-9]{5})(?![0-9])")
"""A copy and a variable. Digits, since digits stand there in the file's own names."""
_MOST = 100_000
"""Variables that a mark has room for."""
_LONGEST = 4096
"""Characters of a name or metadata value."""

Variable = tuple[str, ...]
"""The digits at one place of a name, by copy. The first and the last copy keep their names and have none."""


@record(frozen=True, slots=True)
class Marked:
    """Names with marks."""

    names: tuple[tuple[str, ...], ...]
    """By copy, in the order of the copy's names; nothing for the copy before the first one with marks."""
    variables: tuple[Variable, ...]


def copy_of(name: str) -> int | None:
    """The copy with marks that a name belongs to, None for any other name."""
    found = MARK.search(name)
    return None if found is None else int(found[1])


def free_of_marks(texts: Iterable[str]) -> bool:
    """Whether nothing that the file says looks like a mark."""
    return _HINT not in "\n".join(texts)


def marked(columns: Sequence[Sequence[str]]) -> Marked | None:
    """Marks in names, each given for all copies; None where these differ in more than numbers.

    Equal numbers get one mark, so that what belongs to one module by its name still does. Where a number of one copy is at once the
    next number of another place, modules reach over the borders of copies, and marks would cut them.
    """
    known = _Variables()
    found: tuple[list[str], ...] = tuple([] for _ in range(LAST + 1))
    for column in columns:
        split = _split(column[1:-1])
        if split is None:
            return None
        pieces: list[tuple[str, int | None]] = []
        around = ""
        for place, values in enumerate(split):
            if isinstance(values, str):
                pieces.append((values, None))
                around = around if place % 2 else values.replace("/", ".").strip(".")
            else:
                pieces.append(("", known.number(values, around)))
        for copy in range(FIRST, LAST + 1):
            found[copy].append("".join([text if number is None else f"{_HINT}{copy}{number:05}" for text, number in pieces]))
    if len(known.values) > _MOST or known.reach_over():
        return None
    return Marked(tuple([tuple(one) for one in found]), tuple([("", *one, "") for one in known.values]))


class _Variables:
    """The variables of names, each once, and the texts that they stand behind."""

    def __init__(self) -> None:
        self.values: dict[Variable, int] = {}
        self._around: dict[str, dict[int, Variable]] = {}

    def number(self, values: Variable, around: str) -> int:
        """The number of the variable with these values; it stands behind the text `around`."""
        number = self.values.setdefault(values, len(self.values))
        self._around.setdefault(around, {}).setdefault(number, values)
        return number

    def reach_over(self) -> bool:
        """Whether behind some text, what one variable is for a copy another one is for the copy before."""
        for numbers in self._around.values():
            if not {one[:-1] for one in numbers.values()}.isdisjoint([one[1:] for one in numbers.values()]):
                return True
        return False


def _split(column: Sequence[str]) -> list[str | Variable] | None:
    """Names taken apart into what they have in common, and the numbers in which they differ; None where they differ in more."""
    if len(column[0]) > _LONGEST:
        return None
    if column.count(column[0]) == len(column):
        return [column[0]]
    first, last = NUMBERS.split(column[0]), NUMBERS.split(column[-1])
    differing = [place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other]
    if len(first) == len(last) and len(differing) == 1 and differing[0] % 2:  # as nearly all: no need to take apart each of them
        place = differing[0]
        before, after = "".join(first[:place]), "".join(first[place + 1 :])
        begin, end = len(before), -len(after) or None
        numbers = tuple([name[begin:end] for name in column])
        digits = "".join(numbers)
        if digits.isascii() and digits.isdecimal() and all(numbers) and [before + number + after for number in numbers] == [*column]:
            return [*first[:place], numbers, *first[place + 1 :]]
    split = [NUMBERS.split(name) for name in column]
    if len(set(map(len, split))) > 1:
        return None
    found: list[str | Variable] = []
    for place, values in enumerate(zip(*split, strict=True)):
        same = values.count(values[0]) == len(values)
        if not same and not place % 2:
            return None
        found.append(values[0] if same else values)
    return found
