"""Ours against the framework's: asks the child process, lines the two answers up, lists every difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelscan import examine, formats
from modelscan.errors import UnreadableFile
from modelscan.ledger import ModelReport
from modelscan.limits import DEFAULT, GIB
from modelscan.model import Severity

ORACLES = {
    "keras": "keras",
    "keras-h5": "keras",
    "savedmodel": "checkpoint",
    "checkpoint": "checkpoint",
    "graphdef": "graphdef",
    "onnx": "onnx",
}
INSTALL = 'pip install "modelscan-audit[verify]"'


@dataclass(frozen=True, slots=True)
class Comparison:
    """One thing that both sides have a figure for."""

    what: str
    """`total`, a layer's path, a tensor's name."""
    aspect: str
    """`parameters`, `output shape`, `shape`, `dtype`, `stored`."""
    ours: Any
    theirs: Any

    @property
    def agree(self) -> bool:
        """Whether the two are the same."""
        return bool(self.ours == self.theirs)


@dataclass(frozen=True, slots=True)
class Verification:
    """What the framework said, and where it differs from modelscan."""

    path: str
    framework: str
    version: str
    comparisons: tuple[Comparison, ...] = ()
    checks: Mapping[str, str] | None = None
    """The framework's own checks: name to `ok` or its complaint. A complaint is no difference: it counts nothing."""
    error: str | None = None
    """Why nothing could be compared: the framework's refusal, a time-out, a missing package."""
    note: str | None = None
    usage: bool = False
    """True when the error lies with the call or the installation, not with the file."""

    @property
    def differences(self) -> tuple[Comparison, ...]:
        """The comparisons that do not agree."""
        return tuple(one for one in self.comparisons if not one.agree)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "path": self.path,
            "framework": self.framework,
            "version": self.version,
            "error": self.error,
            "note": self.note,
            "checks": dict(self.checks or {}),
            "compared": len(self.comparisons),
            "differences": len(self.differences),
            "comparisons": [
                {"what": one.what, "aspect": one.aspect, "ours": one.ours, "theirs": one.theirs, "agree": one.agree}
                for one in self.comparisons
            ],
        }


def verify(path: str, *, seconds: int = 300, memory: int = 16 * GIB, allow_unsafe: bool = False) -> Verification:
    """Load `path` with its framework in a child process and compare.

    Args:
        path: the model file or folder.
        seconds: time that the framework may take.
        memory: bytes of data that it may allocate.
        allow_unsafe: load the file although modelscan has a safety finding of high or above on it.

    Returns:
        The comparisons. A file that either side cannot read gives one with `error` set.
    """
    report = examine.examine(path)
    kind = ORACLES.get(report.format or "")
    if kind is None:
        why = "; ".join(one.message for one in report.findings) if not report.readable else f"no framework loads {report.format} alone"
        return Verification(path, "none", "", error=why)
    unsafe = [one for one in report.findings if one.code.startswith("SEC") and Severity(one.severity).rank >= Severity.HIGH.rank]
    if unsafe and not allow_unsafe:
        return Verification(path, "none", "", error=f"not loaded, it is unsafe: {unsafe[0].code} {unsafe[0].message}")
    answer = _ask(kind, path, seconds, memory)
    if "missing" in answer:
        text = f"the package {answer['missing']} is not installed; {INSTALL}"
        return Verification(path, "none", "", error=text, usage=True)
    framework, version = answer.get("framework", kind), answer.get("version", "")
    if answer.get("error"):
        return Verification(path, framework, version, error=answer["error"], checks=answer.get("checks"))
    compared = _keras(report, answer) if kind == "keras" else _tensors(path, kind, answer)
    return Verification(path, framework, version, tuple(compared), answer.get("checks"), note=answer.get("note"))


def _ask(kind: str, path: str, seconds: int, memory: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "modelscan.verify.oracle", kind, path, str(seconds), str(memory)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, env=environment, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired:
        return {"error": f"the framework did not answer within {seconds} s"}
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        return {"error": f"the framework ended with status {done.returncode}: {last[0]}"}
    return answer if isinstance(answer, dict) else {"error": "the framework's answer is no object"}


def _keras(report: ModelReport, answer: Mapping[str, Any]) -> Iterable[Comparison]:
    for name, theirs in answer["totals"].items():
        yield Comparison(name, "parameters", getattr(report.parameters, name), theirs)
    ours = {one.path: one for one in report.layers}
    for layer in answer["layers"]:
        path = layer["path"]
        mine = ours.get(path)
        if mine is None:
            # A model within a wrapper is one layer to us; its inner layers are compared as its sum.
            if not any(path.startswith(f"{one}/") and not ours[one].container for one in ours):
                yield Comparison(path, "layer", None, layer["type"])
            continue
        if layer["parameters"] is not None:
            yield Comparison(path, "parameters", mine.parameters, layer["parameters"])
        if layer["output_shapes"] is not None:
            yield Comparison(path, "output shape", [list(one) for one in mine.output_shapes], layer["output_shapes"])


def _tensors(path: str, kind: str, answer: Mapping[str, Any]) -> Iterable[Comparison]:
    """Stored tensor by stored tensor, under the names that the framework uses."""
    try:
        artifact = formats.open_artifact(path)
        model = formats.identify(artifact).read(artifact, DEFAULT)
    except UnreadableFile as error:
        yield Comparison(path, "readable", str(error), "yes")
        return
    ours = {tensor.name: tensor for tensor in model.tensors}
    for tensor in answer["tensors"]:
        name = tensor["name"]
        mine = ours.get(name)
        if mine is None:
            yield Comparison(name, "stored", None, tensor["shape"])
            continue
        yield Comparison(name, "shape", list(mine.shape), tensor["shape"])
        yield Comparison(name, "dtype", mine.dtype, tensor["dtype"])
    if kind == "checkpoint":
        known = {tensor["name"] for tensor in answer["tensors"]}
        for name in sorted(set(ours) - known):
            yield Comparison(name, "stored", list(ours[name].shape), None)
    for side in ("inputs", "outputs"):
        if side in answer:
            yield Comparison(side, "names", [one.name for one in getattr(model, side)], [one["name"] for one in answer[side]])
