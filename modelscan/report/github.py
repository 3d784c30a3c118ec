"""Findings as annotations of GitHub Actions: `::error file=…,title=…::…`, one line each, the gravest first.

Source: docs.github.com, "Workflow commands for GitHub Actions"; the escapes are those of `@actions/core`.
"""

from __future__ import annotations

from modelscan.failing import failing, fails
from modelscan.ledger import FindingReport, ModelReport, Report
from modelscan.model import Severity
from modelscan.report.findings import DEFAULT_GATE, place_of
from modelscan.report.text import escape, plain_path, shorten
from modelscan.settings import Thresholds

_LONGEST = 2000
"""Longest message or place: the runner cuts an annotation off at its end, where the remedy stands."""


def github_annotations(report: Report, fail_on: Thresholds = DEFAULT_GATE) -> str:
    """What fails the gate is an error, the rest above `info` a warning, `info` a notice; what is suppressed is left out.

    The runner shows ten of each kind for a step: the gravest come first, whichever file they are about. An unreadable model that fails
    although none of its findings does has an error of its own.
    """
    lines = []
    for model in report.models:
        standing = [one for one in model.findings if one.suppressed is None]
        for one in standing:
            kind = "error" if fails(one, fail_on) else "notice" if one.severity == Severity.INFO else "warning"
            lines.append((-Severity(one.severity).rank, _about(kind, model, one)))
        if failing(model, fail_on) and not any(fails(one, fail_on) for one in standing):
            lines.append((-Severity.HIGH.rank, _line("error", model, "unreadable", "the model cannot be read")))
    lines.sort(key=lambda pair: pair[0])
    return "".join(f"{line}\n" for _, line in lines)


def _about(kind: str, model: ModelReport, one: FindingReport) -> str:
    said = shorten(escape(one.message), _LONGEST) + shorten(place_of(one), _LONGEST)
    return _line(kind, model, f"{one.code} {one.name}", f"{said}\n{one.help}" if one.help else said)


def _line(kind: str, model: ModelReport, title: str, told: str) -> str:
    return f"::{kind} file={_property(escape(plain_path(model.path)))},title={_property(title)}::{_data(told)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
