"""SARIF 2.1.0 (OASIS, https://docs.oasis-open.org/sarif/sarif/v2.1.0/): findings for code scanning and editors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from modelscan._version import __version__
from modelscan.fingerprint import fingerprints
from modelscan.ledger import FindingReport, ModelReport, Report
from modelscan.model import Severity
from modelscan.report.json import dumps
from modelscan.report.text import escape, plain_path

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
_SECURITY = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "3.0", Severity.INFO: "0.5"}
"""`security-severity` of code scanning: above 9.0 critical, from 7.0 high, from 4.0 medium, below low."""


def sarif(report: Report) -> str:
    """One run: the rules that were hit with their documentation, the models as artifacts, a result per finding."""
    from modelscan.rules import all_rules

    hit = {one.code: one.name for model in report.models for one in model.findings}
    known = {rule.code: rule for rule in all_rules()}
    index = {code: at for at, code in enumerate(sorted(hit))}
    rules = [
        _rule(code, hit[code], known[code].severity, known[code].documentation()) if code in known else {"id": code, "name": hit[code]}
        for code in index
    ]
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "modelscan", "semanticVersion": _semantic(__version__), "version": __version__, "rules": rules}},
        "invocations": [{"executionSuccessful": True, **_notes(report)}],
        "columnKind": "unicodeCodePoints",
        "artifacts": [_artifact(model) for model in report.models],
        "results": [result for at, model in enumerate(report.models) for result in _results(at, model, index)],
    }
    return dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}) + "\n"


def _semantic(version: str) -> str:
    """The first three numbers: a semantic version even where a release is called `0.1.0.dev1`."""
    return ".".join(version.split("+")[0].split(".")[:3])


def _notes(report: Report) -> dict[str, Any]:
    if not report.notes:
        return {}
    return {"toolExecutionNotifications": [{"level": "note", "message": _message(note)} for note in report.notes]}


def _rule(code: str, name: str, severity: Severity, documentation: str) -> dict[str, Any]:
    """A rule's descriptor; its help is the docstring that `modelscan rule CODE` prints."""
    summary, _, rest = documentation.partition("\n")
    first = next((line.strip() for line in rest.splitlines() if line.startswith(" ")), summary)
    lines = [f"**{line[:-1]}**  " if line and line[0] != " " and line.endswith(":") else line.strip() for line in rest.strip().splitlines()]
    properties: dict[str, Any] = {"tags": [code[:3]]}
    if code.startswith("SEC"):
        properties = {"tags": [code[:3], "security"], "security-severity": _SECURITY[severity]}
    return {
        "id": code,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": summary},
        "fullDescription": {"text": first},
        "help": {"text": documentation, "markdown": "\n".join([summary, "", *lines])},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": properties,
    }


def _artifact(model: ModelReport) -> dict[str, Any]:
    length = {} if model.file_bytes is None else {"length": model.file_bytes}
    return {"location": _location(model.path), "roles": ["analysisTarget"], **length}


def _location(path: str) -> dict[str, str]:
    """The path as a URI; relative ones are seen from the root of the sources."""
    plain = plain_path(path)
    try:
        data = os.fsencode(plain)
    except UnicodeEncodeError:  # half a character, which no path on disk has
        data = plain.encode("utf-8", "backslashreplace")
    uri = quote(data, safe="/!$&'()*+,;=@~-._")
    return {"uri": f"file://{uri}"} if plain.startswith("/") else {"uri": uri, "uriBaseId": "%SRCROOT%"}


def _results(at: int, model: ModelReport, index: Mapping[str, int]) -> list[dict[str, Any]]:
    place = plain_path(model.path)
    marks = fingerprints(place, model.findings)
    return [_result(at, model, one, index[one.code], mark) for one, mark in zip(model.findings, marks, strict=True)]


def _result(at: int, model: ModelReport, one: FindingReport, rule: int, mark: str) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {**_location(model.path), "index": at}}
    if one.offset is not None and one.offset >= 0:
        physical["region"] = {"byteOffset": one.offset}
    location: dict[str, Any] = {"physicalLocation": physical}
    logical = [_logical(name, kind) for name, kind in ((one.layer, "layer"), (one.tensor, "tensor"), (one.where, "member")) if name]
    if logical:
        location["logicalLocations"] = logical
    result: dict[str, Any] = {
        "ruleId": one.code,
        "ruleIndex": rule,
        "level": _LEVELS[Severity(one.severity)],
        "message": _message(f"{one.message}. {one.help[0].upper()}{one.help[1:]}." if one.help else one.message),
        "locations": [location],
        "partialFingerprints": {"modelscanFinding/v1": mark},
        "properties": {"severity": one.severity},
    }
    if one.suppressed is not None:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": escape(one.suppressed)}]
    return result


def _logical(name: str, kind: str) -> dict[str, str]:
    full = escape(name)
    return {"name": full.rpartition("/")[2] or full, "fullyQualifiedName": full, "kind": kind}


def _message(text: str) -> dict[str, str]:
    """A message's text: nothing that a file says becomes a link (SARIF 3.11.6)."""
    text = escape(text)
    return {"text": text.replace("[", "\\[").replace("]", "\\]") if "](" in text else text}
