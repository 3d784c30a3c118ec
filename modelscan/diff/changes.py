"""What a comparison of two models comes to: plain data, which every view of it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Self

from modelscan.ledger import SCHEMA_VERSION, Plain
from modelscan.records import record


@record(frozen=True, slots=True)
class Change(Plain):
    """One thing that is not the same in both."""

    scope: str
    """`model`, `input`, `output`, `layer` or `tensor` (one that belongs to no layer)."""
    name: str
    """The layer's path or the tensor's name: that of the second model, of the first where the second has none; empty for the model."""
    aspect: str
    """`added`, `removed`, `renamed`, `moved`, or what of it changed: `units`, `parameters`, `kernel shape`, `kernel values`."""
    before: Any = None
    after: Any = None
    type: str | None = None
    """The layer's type."""


@record(frozen=True, slots=True)
class Diff(Plain):
    """The differences of two models; `before` and `after` are their paths as given."""

    before: str
    after: str
    formats: tuple[str, str] = ("", "")
    totals: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Figures of both, changed or not: `parameters`, `weight_bytes`, `file_bytes`, `producer`, `layers`."""
    changes: tuple[Change, ...] = ()
    paired: int = 0
    """Layers that stand in both."""
    unchanged: int = 0
    """Of `paired`: those without any change."""
    equal_values: int | None = None
    """Layers whose weights hold the same values; None where the values were not read."""
    notes: tuple[str, ...] = ()
    """What was left out of the comparison, and why."""
    error: str | None = None
    """Why there is nothing to compare."""
    died: bool = False
    """Whether reading the files ended the process that read them."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.changes and self.error is None

    def of(self, scope: str) -> tuple[Change, ...]:
        """The changes of one scope."""
        return tuple(one for one in self.changes if one.scope == scope)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        plain["changes"] = tuple(Change.from_dict(one) for one in data["changes"])
        plain["totals"] = {key: tuple(value) for key, value in data["totals"].items()}
        return cls(**plain)

    def __str__(self) -> str:
        from modelscan.report.difference import difference_text
        from modelscan.report.text import Style

        return difference_text(self, Style(columns=110))

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"

    def to_json(self) -> dict[str, Any]:
        """The JSON document of `modelscan diff --format json`: the data with the version of its schema and of the tool."""
        from modelscan._version import __version__

        plain = self.to_dict()
        del plain["died"]
        return {"schema_version": SCHEMA_VERSION, "tool": {"name": "modelscan", "version": __version__}, "same": self.same} | plain
