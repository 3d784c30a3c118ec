"""The user's settings as frozen data: what the gate demands and what it lets pass. `config` finds them, `policy` applies them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import date
from typing import Any

from modelscan.model import Severity
from modelscan.records import record
from modelscan.versions import Versions

FAMILIES = ("FIL", "GRF", "PAR", "SEC", "WGT", "DEP", "POL")
Wanted = tuple[int | str, ...]
"""A demanded shape: a size, `*` for any dimension, `?` for a dynamic one, another word for a dynamic one of that name."""


@record(frozen=True, slots=True)
class Thresholds:
    """From which severity on a finding fails the gate; None is never."""

    default: Severity | None = Severity.HIGH
    families: Mapping[str, Severity | None] = field(default_factory=dict)

    def of(self, code: str) -> Severity | None:
        """The threshold for a rule's code."""
        return self.families.get(code[:3], self.default)

    def fails(self, code: str, severity: str) -> bool:
        """Whether a finding of this code and severity fails the gate."""
        least = self.of(code)
        return least is not None and Severity(severity).rank >= least.rank


@record(frozen=True, slots=True)
class Suppression:
    """A finding that somebody looked at and accepts."""

    rule: str
    """Code, beginning of one, or name."""
    reason: str
    path: str = "**"
    layer: str | None = None
    """Pattern over the finding's layer; None also lets findings without one pass."""
    expires: date | None = None
    """The last day on which it holds."""


@record(frozen=True, slots=True)
class Budget:
    """What a model may cost at most."""

    parameters: int | None = None
    bytes: int | None = None
    """Of all stored weights, external files included."""
    file_bytes: int | None = None
    """Of the model file itself."""
    macs: int | None = None
    layers: int | None = None
    dtypes: Mapping[str, int] = field(default_factory=dict)
    """Elements by element type."""


@record(frozen=True, slots=True)
class WantedTensor:
    """An input or output that the model must have."""

    name: str
    dtype: str | None = None
    shape: Wanted | None = None


@record(frozen=True, slots=True)
class Target:
    """A runtime in which the model must run: in every release of the range."""

    runtime: str
    versions: Versions

    def __str__(self) -> str:
        return f"{self.runtime}{self.versions}"


@record(frozen=True, slots=True)
class Requirements:
    """What a model must be."""

    formats: tuple[str, ...] = ()
    opsets: Mapping[str, Versions] = field(default_factory=dict)
    """By domain; the standard one is `ai.onnx`."""
    ir_version: Versions | None = None
    dtypes: tuple[str, ...] = ()
    """The only element types that stored weights may have."""
    operators: tuple[str, ...] = ()
    """The only operators or layer types, as patterns: `Conv`, `com.microsoft.*`."""
    runtimes: tuple[Target, ...] = ()
    dynamic_batch: bool | None = None
    """True: the first dimension of every input must be dynamic; False: it must be fixed."""
    explained: float | None = None
    """Percentage of the stored elements that formulas must explain."""
    independent: float | None = None
    """Percentage of the stored elements that must be explained without reading a dimension off the weights."""
    inputs: tuple[WantedTensor, ...] | None = None
    outputs: tuple[WantedTensor, ...] | None = None


@record(frozen=True, slots=True)
class Demands:
    """Budget and requirements of the models that a pattern names."""

    path: str = "**"
    budget: Budget = Budget()
    require: Requirements = Requirements()
    against: str | None = None
    """The model in production, whose callers this one must serve."""


@record(frozen=True, slots=True)
class Settings:
    """Everything that the user decides."""

    fail_on: Thresholds = Thresholds()
    select: tuple[str, ...] = ()
    """Codes, beginnings of codes or names of the rules that count; all when empty."""
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    """Patterns of files and folders that a search passes over."""
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    suppressions: tuple[Suppression, ...] = ()
    demands: tuple[Demands, ...] = ()
    """All whose pattern fits a model hold for it."""
    baseline: str | None = None
    values: bool = False
    jobs: int | None = None
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Formulas of custom layers by class name, as the file has them (`modelscan.extend` reads them)."""
    plugins: tuple[str, ...] = ()
    """Modules of the user's own that bring formulas; imported only because the configuration names them."""
    root: str = "."
    """The folder that patterns and the configuration's paths count from."""
    source: str | None = None
    """The configuration file, None without one."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where each key that is not the default comes from: a file, a variable or an option."""

    @property
    def self_contained(self) -> bool:
        """Whether nothing has to be imported or read for them: no plugin, no baseline, no model in production."""
        return not (self.plugins or self.baseline or any(one.against for one in self.demands))


def selector_fits(selector: str, code: str, name: str) -> bool:
    """Whether a selector (a code, the beginning of one, or a name) means the rule."""
    return selector == name or code.startswith(selector)


def most_specific(selectors: Iterable[str], code: str, name: str) -> int:
    """How closely any of the selectors names the rule: letters of the code, a name like the whole code; 0 when none does."""
    return max((len(code) if one == name else len(one) for one in selectors if selector_fits(one, code, name)), default=0)
