"""A baseline: the findings that were known when it was written. What is in it is counted, not failed on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from modelscan.errors import ConfigError
from modelscan.fingerprint import fingerprints
from modelscan.ledger import ModelReport
from modelscan.limits import MIB
from modelscan.model import Severity
from modelscan.policy.paths import place
from modelscan.records import record
from modelscan.settings import Thresholds
from modelscan.tables import Table

_SCHEMA = "modelscan-baseline-1"
_MOST_BYTES = 256 * MIB


@record(frozen=True, slots=True)
class Baseline:
    """Fingerprints by path; paths count from the folder of the baseline file."""

    path: str
    known: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Codes by fingerprint."""

    def of(self, model: ModelReport) -> Mapping[str, str]:
        """What is known of one model."""
        return self.known.get(self.place(model), {})

    def place(self, model: ModelReport) -> str:
        """The model's path as the baseline has it."""
        return place(model.path, folder(self.path))


def folder(path: str) -> str:
    """The folder that a baseline's paths count from."""
    return os.path.dirname(path) or "."


def read(path: str) -> Baseline:
    """The baseline at `path`; raises `ConfigError`."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ConfigError(f"{path}: larger than {_MOST_BYTES // MIB} MiB")
        document: Any = json.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; `modelscan scan --write-baseline` writes one") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: no valid JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        raise ConfigError(f"{path}: no baseline of modelscan")
    known: dict[str, dict[str, str]] = {}
    for entry in Table(document, path).tables("findings") or ():
        known.setdefault(entry.required("path"), {})[entry.required("fingerprint")] = entry.required("code")
    return Baseline(path, known)


def entries(path: str, models: Iterable[ModelReport], thresholds: Thresholds) -> list[dict[str, str]]:
    """What a baseline at `path` is to hold: every standing finding above `info`, and those notes that would fail the gate."""
    found = []
    for model in models:
        where = place(model.path, folder(path))
        for mark, one in zip(fingerprints(where, model.findings), model.findings, strict=True):
            if one.suppressed is None and (one.severity != Severity.INFO or thresholds.fails(one.code, one.severity)):
                found.append({"path": where, "fingerprint": mark, "code": one.code, "message": one.message})
    return sorted(found, key=lambda one: (one["path"], one["code"], one["message"], one["fingerprint"]))


def write(path: str, models: Iterable[ModelReport], thresholds: Thresholds) -> int:
    """Write the baseline of these models and say how many findings it holds; raises `ConfigError`."""
    found = entries(path, models, thresholds)
    try:
        with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(json.dumps({"schema": _SCHEMA, "findings": found}, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    return len(found)
