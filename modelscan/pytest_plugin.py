"""The pytest plugin: the fixture `modelscan`, and `assert_model` with a message that says what differs and why.

def test_the_model_that_ships(modelscan):
    modelscan.assert_model("model.keras", parameters=19_082, layers=["SimpleRNN", "Dense"], inputs=[(None, 5, 10)])
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from modelscan.ledger import LayerReport, ModelReport, Report, TensorReport
    from modelscan.model import Shape
    from modelscan.policy import Gate

Path = str | os.PathLike[str]
Signature = Sequence["Shape"] | Mapping[str, "Shape"]
_SHOWN_LINES = 60
"""Lines of the ledger below a failure."""


@dataclass
class ModelScan:
    """What the fixture gives: models are read once a session, as long as their files do not change."""

    _read: dict[tuple[Any, ...], ModelReport] = field(default_factory=dict, repr=False)

    def inspect(self, path: Path, **options: Any) -> ModelReport:
        """The ledger of one model, as `modelscan.inspect` gives it."""
        import modelscan

        __tracebackhide__ = True  # a failure belongs to the test's own line
        name = os.fspath(path)
        try:
            state = os.stat(name)
        except OSError as error:
            raise AssertionError(f"{name}: {error.strerror}") from None
        if options or os.path.isdir(name):
            return modelscan.inspect(name, **options)
        key = (os.path.realpath(name), name, state.st_size, state.st_mtime_ns)
        if key not in self._read:
            self._read[key] = modelscan.inspect(name)
        return self._read[key]

    def scan(self, *paths: Path, **options: Any) -> Report:
        """The report on files and folders, as `modelscan.scan` gives it."""
        import modelscan

        return modelscan.scan(paths, **options)

    def assert_model(  # noqa: PLR0913 - each argument is one thing to expect
        self,
        path: Path,
        *,
        parameters: int | None = None,
        trainable: int | None = None,
        layers: int | Sequence[str] | Mapping[str, int | str] | None = None,
        inputs: Signature | None = None,
        outputs: Signature | None = None,
        replaces: Path | None = None,
        findings_below: str = "high",
        no_findings: bool = False,
        explained: bool = False,
        policy: bool | Path = False,
        **options: Any,
    ) -> ModelReport:
        """Fail with everything that is not as expected, and the ledger below it; the ledger is returned.

        Args:
            path: the model file or folder.
            parameters: how many it has.
            trainable: how many of them are trainable.
            layers: how many layers it has (containers apart), or their types in order, or for some of them, by name or path, the
                parameters or the type.
            inputs: shapes in order or by name; None is any size, a text a dynamic dimension of that name.
            outputs: the same.
            replaces: a model whose callers must be able to use this one instead.
            findings_below: no finding of this severity or above is accepted.
            no_findings: no finding above `info` is accepted.
            explained: every stored element must be explained by a layer's formula.
            policy: the settings to judge by: the nearest file (True), or this one.
            options: as for `modelscan.inspect`: config, dims, values, limits.
        """
        __tracebackhide__ = True
        for name, count in (("parameters", parameters), ("trainable", trainable)):
            if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
                raise TypeError(f"{name}: expected a whole number such as 19_082, not {count!r}")
        if isinstance(layers, str | bytes | bool):
            raise TypeError(f"layers: expected a number, a list of types such as ['Dense'], or a mapping by name, not {layers!r}")
        gate = _gate(policy) if policy else None
        if gate is not None:
            if gate.settings.layers or gate.settings.plugins:
                self._read.clear()  # what was read before these formulas were known
            if gate.settings.values:
                options.setdefault("values", True)
        report = self.inspect(path, **options)
        wrong = list(_unreadable(report))
        if report.readable:
            wrong += _counts(report, parameters, trainable, explained)
            wrong += _layers(report, layers)
            wrong += _tensors("input", report.inputs, inputs)
            wrong += _tensors("output", report.outputs, outputs)
            wrong += [] if replaces is None else _replacement(report, self.inspect(replaces))
            wrong += _policy(report, gate) if gate is not None else _findings(report, "low" if no_findings else findings_below)
        if wrong:
            ledger = str(report).splitlines()
            shown = ledger[:_SHOWN_LINES] + ([f"… {len(ledger) - _SHOWN_LINES} more lines"] if len(ledger) > _SHOWN_LINES else [])
            pytest.fail("\n".join([f"{report.path} is not as expected:", *(f"  - {one}" for one in wrong), "", *shown]), pytrace=False)
        return report


@pytest.fixture(scope="session")
def modelscan() -> ModelScan:
    """Audits model files without loading them: `modelscan.assert_model(path, parameters=…)`, `.inspect(path)`, `.scan(folder)`."""
    return ModelScan()


def assert_model(path: Path, **expected: Any) -> ModelReport:
    """`ModelScan.assert_model` for a test that does not use the fixture."""
    __tracebackhide__ = True
    return ModelScan().assert_model(path, **expected)


def _unreadable(report: ModelReport) -> Iterator[str]:
    if not report.readable:
        yield "it cannot be read: " + "; ".join(f"{one.code} {one.message}" for one in report.findings)


def _counts(report: ModelReport, parameters: int | None, trainable: int | None, explained: bool) -> Iterator[str]:
    found = report.parameters
    for name, wanted, there in (("parameters", parameters, found.total), ("trainable parameters", trainable, found.trainable)):
        if wanted is not None and wanted != there:
            by = f", {there - wanted:+,}" if there is not None else ""
            yield f"{name}: expected {wanted:,}, found {'unknown' if there is None else f'{there:,}'}{by}"
    if explained and found.explained != found.stored:
        yield f"{found.explained:,} of {found.stored:,} stored elements are explained by a formula"


def _layers(report: ModelReport, wanted: int | Sequence[str] | Mapping[str, int | str] | None) -> Iterator[str]:
    own = [one for one in report.layers if not one.container]
    if isinstance(wanted, Mapping):
        for name, expected in wanted.items():
            yield from _layer(report, name, expected)
    elif isinstance(wanted, int):
        if wanted != len(own):
            yield f"layers: expected {wanted:,}, found {len(own):,}"
    elif wanted is not None:
        types = [one.type for one in own]
        if list(wanted) != types:
            at = next((i for i, pair in enumerate(zip(wanted, types, strict=False)) if pair[0] != pair[1]), min(len(wanted), len(types)))
            expected_type, found_type = (str(side[at]) if at < len(side) else "no more" for side in (wanted, types))
            yield f"layers: number {at + 1} should be {expected_type}, it is {found_type} (found {', '.join(types)})"


def _layer(report: ModelReport, name: str, expected: int | str) -> Iterator[str]:
    try:
        one = report.layer(name)
    except KeyError:
        from difflib import get_close_matches

        near = get_close_matches(name, [layer.path for layer in report.layers], n=3)
        count = sum(layer.name == name for layer in report.layers)
        why = f"{count} layers have this name; give its path" if count else "there is none"
        meant = f"; did you mean {', '.join(near)}?" if near and not count else ""
        yield f"layer {name}: {why}{meant}"
        return
    if isinstance(expected, str) and expected != one.type:
        yield f"layer {name}: expected a {expected}, found a {one.type}"
    if isinstance(expected, int) and expected != one.parameters:
        yield f"layer {name}: expected {expected:,} parameters, found {_derived(one)}"


def _derived(one: LayerReport) -> str:
    """The count with its reason."""
    count = "unknown" if one.parameters is None else f"{one.parameters:,}"
    return f"{count} = {one.formula} = {one.formula_values}" if one.formula else count


def _tensors(kind: str, found: Sequence[TensorReport], wanted: Signature | None) -> Iterator[str]:
    if wanted is None:
        return
    if isinstance(wanted, Mapping):
        by_name = {one.name: one for one in found}
        for name, shape in wanted.items():
            if name not in by_name:
                yield f"{kind} {name}: there is none; found {', '.join(by_name) or 'none at all'}"
            elif not _fits(by_name[name].shape, tuple(shape)):
                yield f"{kind} {name}: expected {_text(tuple(shape))}, found {_text(by_name[name].shape)}"
        return
    if len(wanted) != len(found):
        yield f"{kind}s: expected {len(wanted)}, found {len(found)} ({', '.join(one.name for one in found)})"
        return
    for one, shape in zip(found, wanted, strict=True):
        if not _fits(one.shape, tuple(shape)):
            yield f"{kind} {one.name}: expected {_text(tuple(shape))}, found {_text(one.shape)}"


def _fits(found: Shape | None, wanted: Shape) -> bool:
    return (
        found is not None
        and len(found) == len(wanted)
        and all(want is None or have == want for have, want in zip(found, wanted, strict=True))
    )


def _text(shape: Shape | None) -> str:
    from modelscan.report.text import shape as text

    return text(shape)


def _replacement(new: ModelReport, old: ModelReport) -> Iterator[str]:
    from modelscan.policy.signature import replacement_differences

    yield from _unreadable(old)
    if old.readable:
        yield from (f"cannot replace {old.path}: {one.message}" for one in replacement_differences(new, old))


def _findings(report: ModelReport, below: str) -> Iterator[str]:
    from modelscan.model import Severity

    least = Severity(below).rank
    for one in report.findings:
        if Severity(one.severity).rank >= least:
            yield f"{one.code} {one.severity}: {one.message}{f' → {one.help}' if one.help else ''}"


def _gate(policy: Path | bool) -> Gate:
    """The gate of the nearest settings file, or of the one that is named; with it custom layers are known."""
    from modelscan import config
    from modelscan.policy import Gate

    return Gate(config.load(config=None if isinstance(policy, bool) else os.fspath(policy)))


def _policy(report: ModelReport, gate: Gate) -> Iterator[str]:
    """What fails the gate of the settings."""
    for one in gate.judge(report).findings:
        if one.suppressed is None and gate.settings.fail_on.fails(one.code, one.severity):
            yield f"{one.code} {one.severity}: {one.message}{f' → {one.help}' if one.help else ''}"
