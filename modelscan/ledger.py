"""The report as plain data: what `scan` produces and every output format is a view of.

Field names are those of the JSON report (schema 1, `report/schema.json`); additions only. The objects hold nothing but
strings, numbers and containers, so that they travel between processes as JSON and back without loss.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields, replace
from functools import partial
from math import isfinite
from typing import Any, Self

from modelscan.model import Finding, Severity, Shape
from modelscan.records import record
from modelscan.series import Made

SCHEMA_VERSION = "1.0"


class Plain:
    """To and from JSON-ready dictionaries, for the flat dataclasses below."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: dictionaries, lists, strings, numbers, booleans and None."""
        return {name: _to_json(getattr(self, name)) for name in _names(type(self))}

    def packed(self) -> bytes:
        """To travel between processes: the JSON of `to_dict`, the objects taken apart by the encoder; NaN and the infinities stay."""
        return json.dumps(self, default=_fields).encode()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; unknown keys are ignored."""
        return cls(**{name: read(data[name]) for name, read in _readers(cls) if name in data})


def _fields(value: Any) -> dict[str, Any] | list[Any]:
    """What the JSON encoder is told of an object that it does not know."""
    if isinstance(value, Made):
        return list(value)
    if not isinstance(value, Plain):
        raise TypeError(f"{type(value).__name__} is no plain data")
    return {name: getattr(value, name) for name in _names(type(value))}


def _readers(of: type) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """By field of a class, what makes it from its JSON: objects where the class has them, tuples instead of lists."""
    found = _READERS.get(of)
    if found is None:
        inner = {name: kind for (owner, name), kind in _INNER.items() if owner is of}
        found = _READERS[of] = tuple((name, partial(_objects, inner[name]) if name in inner else _from_json) for name in _names(of))
    return found


def _objects(of: type[Plain], value: Any) -> Any:
    return of.from_dict(value) if isinstance(value, Mapping) else tuple([of.from_dict(one) for one in value])


def _names(of: type) -> tuple[str, ...]:
    names = _NAMES.get(of)
    if names is None:
        names = _NAMES[of] = tuple(one.name for one in fields(of))  # the subclasses are dataclasses
    return names


_NAMES: dict[type, tuple[str, ...]] = {}
_READERS: dict[type, tuple[tuple[str, Callable[[Any], Any]], ...]] = {}
_ATOMS = frozenset({str, int, bool, type(None)})


def _to_json(value: Any) -> Any:
    if type(value) in _ATOMS:
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None  # JSON has no word for NaN and the infinities, which a file may hold anywhere
    if isinstance(value, Plain):
        return value.to_dict()
    if isinstance(value, tuple | list | Made):
        return [_to_json(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _to_json(one) for key, one in value.items()}
    return value


def _from_json(value: Any) -> Any:
    return tuple([_from_json(one) for one in value]) if type(value) is list else value


@record(frozen=True, slots=True)
class TensorReport(Plain):
    """An input or output of the model."""

    name: str
    dtype: str | None
    shape: Shape | None


@record(frozen=True, slots=True)
class WeightReport(Plain):
    """One weight: what it should be, what is stored, whether that agrees."""

    role: str | None
    name: str | None
    """Of the stored tensor; None when none is stored."""
    symbols: tuple[str, ...] | None
    """The dimensions' names; None where no formula is known."""
    shape: Shape | None
    """Expected."""
    dtype: str | None
    """Expected; None when any will do."""
    stored_shape: tuple[int, ...] | None
    stored_dtype: str | None
    nbytes: int | None
    file: str | None
    offset: int | None
    trainable: bool | None
    verdict: str
    problem: str | None = None
    elements: int | None = None
    """Expected elements; stored ones where no formula is known."""
    formula: str | None = None
    """Product of the named dimensions: `inputs × units`."""
    formula_values: str | None = None
    witnesses: Mapping[str, str | None] = field(default_factory=dict)
    """By symbol: what attests it; None for one that was read off the stored weights."""
    tied: bool = False
    copy: bool = False
    counted: bool = True
    statistics: Mapping[str, float | int | None] | None = None
    """Of the values, where they were read: elements, nans, infinities, zeros, subnormals, minimum, maximum, mean, deviation."""


@record(frozen=True, slots=True)
class LayerReport(Plain):
    """One layer's line of the ledger."""

    name: str
    path: str
    type: str
    depth: int
    inbound: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    parameters: int | None
    trainable: int | None
    non_trainable: int | None
    macs: int | None
    formula: str | None
    formula_values: str | None
    verdict: str
    weights: Sequence[WeightReport]
    container: bool = False
    tied: int = 0
    logical: int | None = None
    nbytes: int = 0
    note: str | None = None


@record(frozen=True, slots=True)
class Parameters(Plain):
    """The totals; see DESIGN and `model.Totals` for what each counts."""

    total: int | None = None
    trainable: int | None = None
    non_trainable: int | None = None
    optimizer: int = 0
    stored: int = 0
    constants: int = 0
    explained: int = 0
    independent: int = 0
    by_dtype: Mapping[str, int] = field(default_factory=dict)
    logical: int | None = None


@record(frozen=True, slots=True)
class FindingReport(Plain):
    """A finding as it is reported."""

    code: str
    name: str
    severity: str
    message: str
    layer: str | None = None
    tensor: str | None = None
    offset: int | None = None
    help: str | None = None
    where: str | None = None
    suppressed: str | None = None
    """The reason given by the policy that suppressed it; a suppressed finding fails no gate."""

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """The plain form of a finding."""
        return cls(**{one.name: getattr(finding, one.name) for one in fields(Finding)} | {"severity": str(finding.severity)})


@record(frozen=True, slots=True)
class ModelReport(Plain):
    """Everything about one model file."""

    path: str
    format: str | None
    readable: bool
    file_bytes: int | None
    producer: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    model_type: str | None = None
    inputs: tuple[TensorReport, ...] = ()
    outputs: tuple[TensorReport, ...] = ()
    parameters: Parameters = field(default_factory=Parameters)
    weight_bytes: int = 0
    macs: int | None = None
    layers: Sequence[LayerReport] = ()
    findings: tuple[FindingReport, ...] = ()
    unclaimed: tuple[WeightReport, ...] = ()
    """Stored weights that no layer claims."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Plain facts about the file that policy and views use (opset imports, operators)."""

    def brief(self) -> ModelReport:
        """What all views of a scan but JSON need: the findings and the sums, without layers, signature and facts."""
        if not (self.layers or self.unclaimed or self.inputs or self.outputs or self.facts):
            return self
        return replace(self, layers=(), unclaimed=(), inputs=(), outputs=(), facts={})

    def layer(self, name: str) -> LayerReport:
        """The layer of this path, or else of this name; raises `KeyError` when there is none or the name is ambiguous."""
        found = [one for one in self.layers if one.path == name] or [one for one in self.layers if one.name == name]
        if len(found) != 1:
            raise KeyError(f"{len(found)} layers are called {name!r}")
        return found[0]

    def __str__(self) -> str:
        from modelscan.report.table import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from modelscan.report.html import as_html

        return as_html(self)


@record(frozen=True, slots=True)
class Report(Plain):
    """Everything about the scanned files."""

    models: tuple[ModelReport, ...] = ()
    skipped: int = 0
    """Files of searched folders that are no models."""
    notes: tuple[str, ...] = ()
    """What the reader of the report must know about the scan itself (a limit that the platform cannot set)."""
    policy: Mapping[str, Any] | None = None
    """What the user's policy did: findings that fail, were ignored, suppressed or known; None where none was applied."""

    @property
    def failing(self) -> int | None:
        """Findings that fail the policy, as `policy` has them; None where none was applied."""
        return None if self.policy is None else int(self.policy["failing"])

    def count(self, severity: Severity) -> int:
        """Findings of exactly this severity that no policy suppressed."""
        return sum(one.severity == severity and one.suppressed is None for model in self.models for one in model.findings)

    def to_dict(self) -> dict[str, Any]:
        """The JSON report of schema 1."""
        from modelscan._version import __version__

        return {
            "schema_version": SCHEMA_VERSION,
            "tool": {"name": "modelscan", "version": __version__},
            "summary": {
                "models": len(self.models),
                "unreadable": sum(not one.readable for one in self.models),
                "skipped": self.skipped,
                "findings": {str(severity): self.count(severity) for severity in Severity},
            },
            "notes": list(self.notes),
            **({} if self.policy is None else {"policy": _to_json(self.policy)}),
            "models": [one.to_dict() for one in self.models],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        models = tuple(ModelReport.from_dict(one) for one in data["models"])
        return cls(models, skipped=data["summary"].get("skipped", 0), notes=tuple(data.get("notes", ())), policy=data.get("policy"))

    def __str__(self) -> str:
        return "\n\n".join(str(one) for one in self.models)

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self.models)


_INNER: dict[tuple[type, str], type[Plain]] = {
    (LayerReport, "weights"): WeightReport,
    (ModelReport, "parameters"): Parameters,
    (ModelReport, "inputs"): TensorReport,
    (ModelReport, "outputs"): TensorReport,
    (ModelReport, "layers"): LayerReport,
    (ModelReport, "findings"): FindingReport,
    (ModelReport, "unclaimed"): WeightReport,
}
"""Fields that hold objects, and which."""
