"""Findings as annotations of GitHub Actions: `::error file=…,title=…::…`, one line each, the gravest first.

Source: docs.github.com, "Workflow commands for GitHub Actions"; the escapes are those of `@actions/core`.
"""

from __future__ import annotations

from collections.abc import Callable

from modelscan.ledger import FindingReport, Report
from modelscan.model import Severity
from modelscan.report.findings import grave, place_of
from modelscan.report.text import escape, plain_path, shorten

_LONGEST = 2000
"""Longest message or place: the runner cuts an annotation off at its end, where the remedy stands."""


def github_annotations(report: Report, fails: Callable[[FindingReport], bool] = grave) -> str:
    """What fails the gate is an error, the rest above `info` a warning, `info` a notice; what is suppressed is left out.

    The runner shows ten of each kind for a step: the gravest come first, whichever file they are about.
    """
    lines = []
    for model in report.models:
        for one in model.findings:
            if one.suppressed is None:
                kind = "error" if fails(one) else "notice" if one.severity == Severity.INFO else "warning"
                lines.append((-Severity(one.severity).rank, _line(kind, model.path, one)))
    lines.sort(key=lambda pair: pair[0])
    return "".join(f"{line}\n" for _, line in lines)


def _line(kind: str, path: str, one: FindingReport) -> str:
    said = shorten(escape(one.message), _LONGEST) + shorten(place_of(one), _LONGEST)
    told = f"{said}\n{one.help}" if one.help else said
    return f"::{kind} file={_property(escape(plain_path(path)))},title={_property(f'{one.code} {one.name}')}::{_data(told)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
