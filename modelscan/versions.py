"""Ranges of versions as people write them for packages: `>=1.15,<2`, `==1.17`, `~=3.1`, `!=3.4`, `1.2.*`."""

from __future__ import annotations

import re
from collections.abc import Callable

from modelscan.errors import ConfigError
from modelscan.records import record

Version = tuple[int, ...]
_CLAUSE = re.compile(r"(==|!=|>=|<=|~=|>|<|=)?\s*(\d{1,9}(?:\.\d{1,9}){0,5})(\.\*)?\s*")
_RELEASE = re.compile(r"\s*v?(\d{1,9}(?:\.\d{1,9}){0,5})")
_WIDTH = 6


def version(text: str) -> Version | None:
    """The numbers at the beginning of a version (`2.4.0-tf` is 2.4.0); None when there are none."""
    found = _RELEASE.match(text)
    return tuple(int(part) for part in found[1].split(".")) if found else None


def version_text(numbers: Version) -> str:
    """A version as people write it."""
    return ".".join(map(str, numbers))


@record(frozen=True, slots=True)
class _Clause:
    operator: str
    numbers: Version

    def allows(self, one: Version) -> bool:
        mine, given = _full(self.numbers), _full(one)
        same = given[: len(self.numbers)] == self.numbers
        # 1.17 stands for all of 1.17: `==1.17` allows 1.17.3, `>1.17` does not.
        answers: dict[str, Callable[[], bool]] = {
            "==": lambda: same,
            "!=": lambda: not same,
            ">=": lambda: given >= mine,
            "<=": lambda: given <= mine or same,
            ">": lambda: given > mine and not same,
            "<": lambda: given < mine,
            "~=": lambda: given >= mine and given[: len(self.numbers) - 1] == self.numbers[:-1],
        }
        return answers[self.operator]()


@record(frozen=True, slots=True)
class Versions:
    """A set of versions: those that every clause allows."""

    text: str
    clauses: tuple[_Clause, ...]

    @classmethod
    def parse(cls, text: str) -> Versions:
        """Of `>=1.15,<2`; a bare version is `==` it. Raises `ConfigError`."""
        clauses = []
        for part in text.split(","):
            found = _CLAUSE.fullmatch(part.strip())
            if found is None:
                raise ConfigError(f"{text!r} is no range of versions; write it like >=1.15,<2 or ==1.17")
            operator = "==" if found[1] in (None, "=") else found[1]
            numbers = tuple(int(one) for one in found[2].split("."))
            if found[3] and operator not in ("==", "!="):
                raise ConfigError(f"{text!r}: .* goes with == and != only")
            if operator == "~=" and len(numbers) == 1:
                raise ConfigError(f"{text!r}: ~= needs two numbers at least, such as ~=1.15")
            clauses.append(_Clause(operator, numbers))
        versions = cls(text.replace(" ", ""), tuple(clauses))
        if versions.lowest() is None:
            raise ConfigError(f"{text!r} allows no version at all")
        return versions

    def lowest(self) -> Version | None:
        """The first version of the set; None when there is none.

        A clause allows everything from a version on up to another; where such a run begins is one of its own numbers, what comes right
        after them, or 0.
        """
        after = ((*one.numbers[:-1], one.numbers[-1] + 1) for one in self.clauses)
        return min(filter(self.__contains__, ((0,), *(one.numbers for one in self.clauses), *after)), key=_full, default=None)

    def __contains__(self, one: Version) -> bool:
        return all(clause.allows(one) for clause in self.clauses)

    def __str__(self) -> str:
        return self.text


def _full(numbers: Version) -> Version:
    return (*numbers, *(0,) * (_WIDTH - len(numbers)))
