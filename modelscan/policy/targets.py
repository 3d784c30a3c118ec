"""A model against the runtimes in which it must run: every release of the demanded range has to load it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelscan.ledger import ModelReport
from modelscan.model import Observation
from modelscan.settings import Target
from modelscan.targets import keras, onnxruntime
from modelscan.versions import Version, version, version_text

_MOST = 100
"""Findings of one rule on one file; the rest is counted."""


def target_problems(model: ModelReport, target: Target) -> Iterator[Observation]:
    """Why the model does not run in some release of the target; nothing for a target of another format."""
    if target.runtime == "keras":
        if model.format in ("keras", "keras-h5"):
            yield from _keras(model, target)
    elif model.format == "onnx":
        yield from _onnxruntime(model, target)


def _keras(model: ModelReport, target: Target) -> Iterator[Observation]:
    writer = version(model.producer.get("version", ""))
    if writer is None:
        return
    for problem, releases, severity in keras.problems(model.format or "", model.model_type, writer, target.versions):
        told = f"written by Keras {model.producer['version']}; {_releases('Keras', releases)} {problem}"
        yield Observation("keras-target", told, where=f"target {target}", severity=severity)


def _onnxruntime(model: ModelReport, target: Target) -> Iterator[Observation]:
    releases = onnxruntime.releases_in(target.versions)
    where = f"target {target}"
    opsets: Any = model.facts.get("opsets") or {}
    wanted = [(domain or onnxruntime.STANDARD, number) for domain, number in opsets.items() if isinstance(number, int)]
    for domain, number in wanted:
        if domain in (onnxruntime.STANDARD, "ai.onnx.ml"):
            newest = f"operator set {number} of {domain}"
            yield from _too_new(releases, domain, number, newest, "opset-too-new", where)
    ir_version = model.facts.get("ir_version")
    if isinstance(ir_version, int):
        yield from _too_new(releases, "ir", ir_version, f"IR version {ir_version}", "ir-version-too-new", where)
    for dtype in sorted(_types(model)):
        since = onnxruntime.since_format(dtype)
        if since > (ir_version if isinstance(ir_version, int) else 0):
            yield from _too_new(releases, "ir", since, f"element type {dtype} (since IR version {since})", "dtype-too-new", where)
    if target.runtime == "onnxruntime":
        yield from _kernels(model, opsets, where)


def _types(model: ModelReport) -> set[str]:
    return {*model.parameters.by_dtype, *(one.dtype for one in (*model.inputs, *model.outputs) if one.dtype)}


def _too_new(releases: Iterable[Version], column: str, number: int, words: str, kind: str, where: str) -> Iterator[Observation]:
    failing, untold = onnxruntime.beyond(releases, column, number)
    if failing:
        oldest = failing[0]
        first = onnxruntime.first_release(column, number)
        since = f"the first to load it is {version_text(first)}" if first is not None else "no known release loads it"
        told = f"{words}; ONNX Runtime {version_text(oldest)} loads up to {onnxruntime.limit(oldest, column).possible}, {since}"
        yield Observation(kind, told, where=where)
    if untold:
        sure = onnxruntime.limit(untold[0], column).sure
        many = _releases("ONNX Runtime", untold)
        yield Observation("target-untold", f"{words}: whether {many} loads it is not known; up to {sure} it surely does", where=where)


def _kernels(model: ModelReport, opsets: Mapping[str, Any], where: str) -> Iterator[Observation]:
    counted: Any = model.facts.get("operators") or {}
    told = 0
    for key in sorted(counted):
        domain, name = onnxruntime.split(key)
        number = opsets.get(domain)
        problem = onnxruntime.problem(domain, name, number if isinstance(number, int) else 1)
        if problem:
            told += 1
            if told <= _MOST:
                yield Observation("operator-not-in-target", f"{key} is {problem}", where=where)
    if told > _MOST:
        yield Observation("operator-not-in-target", f"{told - _MOST:,} more operators cannot be run either", where=where)


def _releases(name: str, releases: Iterable[Version]) -> str:
    """`ONNX Runtime 1.15`, or the first and the last of several."""
    found = list(releases)
    first, last = version_text(found[0]), version_text(found[-1])
    return f"{name} {first}" if len(found) == 1 else f"{name} {first} to {last}"
