"""One file verified: our ledger, the framework's answer, the two side by side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelscan import formats
from modelscan.errors import UnreadableFile
from modelscan.formats import ReadOptions
from modelscan.ledger import ModelReport, Plain, TensorReport
from modelscan.limits import DEFAULT, Limits
from modelscan.model import Severity
from modelscan.records import record
from modelscan.scan import examine_all
from modelscan.verify.compare import Comparison, Verification, compare_layers, compare_tensors
from modelscan.verify.process import Oracle
from modelscan.worker import Pool, can_isolate

ORACLES = {
    "keras": "keras",
    "keras-h5": "keras",
    "savedmodel": "checkpoint",
    "checkpoint": "checkpoint",
    "graphdef": "graphdef",
    "onnx": "onnx",
}
"""Which question the framework is asked, by our name of the format."""
INSTALL = "pip install 'modelscan-audit[verify]'"


def verify(path: str, *, oracle: Oracle | None = None, allow_unsafe: bool = False) -> Verification:
    """Load `path` with its framework in a child process and compare.

    Args:
        path: the model file or folder.
        oracle: the child process to ask, with its limits; one with the usual limits, for this file alone, when None.
        allow_unsafe: load the file although modelscan has a safety finding of high or above on it.

    Returns:
        The comparisons. A file that either side cannot read gives one with `error` set.
    """
    report = next(examine_all([path], ReadOptions(), jobs=1))
    kind = _question(report) if report.readable else None
    if kind is None:
        why = "; ".join(one.message for one in report.findings) if not report.readable else f"no framework loads {report.format} by itself"
        return Verification(path, error=why)
    unsafe = [one for one in report.findings if one.code.startswith("SEC") and Severity(one.severity).rank >= Severity.HIGH.rank]
    if unsafe and not allow_unsafe:
        return Verification(path, error=f"not loaded, it is unsafe: {unsafe[0].code} {unsafe[0].message} (--allow-unsafe loads it)")
    if oracle is not None:
        return _compared(path, kind, report, oracle)
    with Oracle() as own:
        return _compared(path, kind, report, own)


def _question(report: ModelReport) -> str | None:
    kind = ORACLES.get(report.format or "")
    return "keras-legacy" if kind == "keras" and report.producer.get("version", "")[:2] in ("1.", "2.") else kind


def _compared(path: str, kind: str, report: ModelReport, oracle: Oracle) -> Verification:
    answer = oracle.ask(kind, path)
    if "missing" in answer:
        return Verification(path, error=f"the package {answer['missing']} is not installed; {INSTALL}", usage=True)
    framework, version = answer.get("framework", "none"), answer.get("version", "")
    checks, note = answer.get("checks", {}), answer.get("note")
    if answer.get("error"):
        return Verification(path, framework, version, checks=checks, error=answer["error"], note=note)
    return Verification(path, framework, version, tuple(_comparisons(path, kind, report, answer)), checks, note=note)


def _comparisons(path: str, kind: str, report: ModelReport, answer: dict[str, Any]) -> Iterable[Comparison]:
    if kind.startswith("keras"):
        return compare_layers(report, answer)
    stored = _stored(path)
    if stored.error is not None:
        return [Comparison(path, "readable", stored.error, "yes")]
    return compare_tensors(report, stored.tensors, answer, complete=kind == "checkpoint")


@record(frozen=True, slots=True)
class _Stored(Plain):
    """Everything stored in a file, optimizer state and constants included, which a ledger does not list."""

    tensors: tuple[TensorReport, ...] = ()
    error: str | None = None

    @classmethod
    def from_dict(cls, data: Any) -> _Stored:
        return cls(tuple(TensorReport.from_dict(one) for one in data["tensors"]), data["error"])


def _stored(path: str) -> _Stored:
    """Read in a child process of its own, like everything that an untrusted file can upset."""
    if not can_isolate():
        return _read(path, None, DEFAULT)
    return next(Pool(_Stored, _read, _failed, ReadOptions(), DEFAULT, 1).run([path]))


def _read(path: str, options: ReadOptions | None, limits: Limits) -> _Stored:
    try:
        artifact = formats.open_artifact(path, options)
        model = formats.identify(artifact).read(artifact, limits)
    except UnreadableFile as error:
        return _Stored(error=str(error))
    return _Stored(tuple(TensorReport(one.name, one.dtype, one.shape) for one in model.tensors))


def _failed(path: str, kind: str, reason: str) -> _Stored:
    return _Stored(error=f"{kind}: {reason}")
