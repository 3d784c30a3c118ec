"""What a rule is, the registry that fills itself, and the engine that runs the rules over one model."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import ClassVar

from modelscan.accounting import Accounts
from modelscan.model import Finding, Model, Observation, Severity
from modelscan.records import record


@record(frozen=True, slots=True)
class Subject:
    """What a rule looks at: one file."""

    path: str
    observations: tuple[Observation, ...]
    """What readers and catalogues noticed, an unreadable file's reason included."""
    model: Model | None
    """None when the file is unreadable."""
    accounts: Accounts | None


class Rule:
    """Base of all rules. A subclass with a `code` registers itself.

    The usual rule reports the observations that carry its name; one that finds something out for itself overrides `check`.
    Its docstring has the headings *What it does*, *Why it matters*, *Example*, *What to do* and *References*.
    """

    code: ClassVar[str] = ""
    name: ClassVar[str] = ""
    severity: ClassVar[Severity]
    formats: ClassVar[tuple[str, ...]] = ("onnx", "keras", "savedmodel")
    help: ClassVar[str] = ""
    """One line: what to do."""

    registry: ClassVar[dict[str, type[Rule]]] = {}

    def __init_subclass__(cls) -> None:
        if cls.code:
            taken = Rule.registry.get(cls.code)
            if taken is not None or any(rule.name == cls.name for rule in Rule.registry.values()):
                raise TypeError(f"rule {cls.code} ({cls.name}) is defined twice")
            Rule.registry[cls.code] = cls

    def check(self, subject: Subject) -> Iterator[Finding]:
        """The findings of this rule on one file."""
        for seen in subject.observations:
            if seen.kind == self.name:
                yield self.noticed(seen)

    def noticed(self, seen: Observation) -> Finding:
        """The finding that an observation of this rule's name is."""
        return self.finding(
            seen.message, layer=seen.layer, tensor=seen.tensor, offset=seen.offset, where=seen.where, severity=seen.severity
        )

    def finding(
        self,
        message: str,
        *,
        layer: str | None = None,
        tensor: str | None = None,
        offset: int | None = None,
        where: str | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule."""
        return Finding(self.code, self.name, severity or self.severity, message, layer, tensor, offset, where, self.help or None)

    @classmethod
    def to_dict(cls) -> dict[str, str]:
        """What is told of the rule, ready for JSON."""
        text = cls.documentation()
        return {
            "code": cls.code,
            "name": cls.name,
            "severity": str(cls.severity),
            "summary": text.partition("\n")[0],
            "help": cls.help,
            "documentation": text,
        }

    @classmethod
    def documentation(cls) -> str:
        """The docstring, cleaned."""
        return inspect.cleandoc(cls.__doc__ or "")


@cache
def all_rules() -> tuple[Rule, ...]:
    """One instance of every rule, by code; imports the family modules of this package."""
    package = import_module("modelscan.rules")
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"modelscan.rules.{module.name}")
    return tuple(rule() for _, rule in sorted(Rule.registry.items()))


@cache
def _engine() -> tuple[dict[str, Rule], dict[Rule, None]]:
    """All rules by name, and those that look for themselves: a file has few observations, and the others wait for theirs."""
    return {rule.name: rule for rule in all_rules()}, dict.fromkeys(rule for rule in all_rules() if type(rule).check is not Rule.check)


def judge(subject: Subject) -> tuple[Finding, ...]:
    """All findings on one file, most severe first, then by code and place."""
    by_name, looking = _engine()
    found: list[Finding] = []
    for seen in subject.observations:
        rule = by_name.get(seen.kind)
        if rule is None:
            raise LookupError(f"no rule is called {seen.kind!r}")
        if rule not in looking:
            found.append(rule.noticed(seen))
    for rule in looking:
        found += rule.check(subject)
    return tuple(sorted(found, key=lambda f: (-f.severity.rank, f.code, f.layer or "", f.tensor or "", f.offset or 0, f.message)))
