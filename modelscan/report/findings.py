"""Findings as text: grouped by severity, each with its place and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

from modelscan.failing import failing
from modelscan.ledger import FindingReport, ModelReport, Report
from modelscan.model import Severity
from modelscan.report.text import Style, escape, number, parameters, shorten, width
from modelscan.settings import Thresholds

_MOST = 50
"""Findings of one rule that are written out; the rest is counted."""
_QUIET = 50
"""Models without findings that are listed; the rest is counted."""
_LONGEST = 2000
"""Longest message or place; a name in a file may have 64 KiB, and its ends tell more than its middle."""


DEFAULT_GATE = Thresholds()
"""What fails where nobody set another threshold: `high` and above."""


def gravity(model: ModelReport, fail_on: Thresholds = DEFAULT_GATE) -> int:
    """The rank of the gravest finding that stands, of an unreadable model that fails for want of any `high`; -1 where nothing is told."""
    least = Severity.HIGH.rank if not model.readable and failing(model, fail_on) else -1
    return max((Severity(one.severity).rank for one in model.findings if one.suppressed is None), default=least)


def finding_lines(findings: Iterable[FindingReport], style: Style, indent: str = "  ") -> Iterator[str]:
    """One paragraph per finding; more than `_MOST` of one rule are summed up."""
    seen: dict[str, int] = {}
    for one in findings:
        seen[one.code] = seen.get(one.code, 0) + 1
        if seen[one.code] > _MOST:
            continue
        head = f"{one.code} {one.severity}"
        room = max(30, style.columns - len(indent) - len(head) - 2)
        text, place = shorten(escape(one.message), _LONGEST), shorten(place_of(one), _LONGEST)
        lines = wrap(text, room, break_on_hyphens=False) or [""]
        if width(lines[-1] + place) <= room:
            lines[-1] += style.paint(place, "dim")
        else:
            lines += [style.paint(line, "dim") for line in wrap(place[2:-1], room, break_on_hyphens=False)]
        yield f"{indent}{style.paint(head, Severity(one.severity))}  {lines[0]}"
        for line in lines[1:]:
            yield f"{indent}{' ' * len(head)}  {line}"
        if one.suppressed is not None:
            yield f"{indent}{' ' * len(head)}  suppressed: {escape(one.suppressed)}"
        elif one.help and seen[one.code] == 1:
            yield f"{indent}{' ' * len(head)}  {style.paint('→ ' + one.help, 'dim')}"
    for code, count in seen.items():
        if count > _MOST:
            yield f"{indent}{code}: {number(count - _MOST)} more"


def place_of(one: FindingReport) -> str:
    """Where it is, in brackets, as far as the message does not say it; nothing when it does."""
    place = ", ".join(f"{name} {escape(str(value))}" for name, value in _place(one))
    return f" ({place})" if place else ""


def _place(one: FindingReport) -> Iterator[tuple[str, object]]:
    """What the message does not say already."""
    if one.layer and one.layer not in one.message:
        yield "layer", one.layer
    if one.tensor and one.tensor not in one.message:
        yield "tensor", one.tensor
    if one.where and one.where not in one.message:
        yield "at", one.where
    if one.offset is not None and f"{one.offset:,}" not in one.message:
        yield "byte", number(one.offset)


def let_pass(report: Report) -> int:
    """Findings that the policy or the baseline lets pass."""
    return sum(one.suppressed is not None for model in report.models for one in model.findings)


def scan_text(report: Report, style: Style, fail_on: Thresholds = DEFAULT_GATE) -> str:
    """The result of a scan: a line per file, the gravest first, its findings below it, the sums at the end."""
    lines: list[str] = []
    ordered = sorted(report.models, key=lambda model: -gravity(model, fail_on))
    quiet = sum(gravity(model, fail_on) <= 0 for model in ordered)
    for model in ordered[: len(ordered) - max(0, quiet - _QUIET)]:
        shown = [one for one in model.findings if one.severity != Severity.INFO or one.suppressed is not None]
        if lines and (shown or lines[-1].startswith("    ")):
            lines.append("")
        lines.append(_head(model, style, fail_on))
        lines.extend(finding_lines(shown, style, "    "))
    if quiet > _QUIET:
        lines.append(f"{style.paint('✓', 'green')} {number(quiet - _QUIET)} more models without findings above info")
    counts = ", ".join(
        style.paint(f"{number(report.count(severity))} {severity}", severity) for severity in Severity if report.count(severity)
    )
    unreadable = sum(not one.readable for one in report.models)
    sums = [f"{number(len(report.models))} model{'s' if len(report.models) != 1 else ''}"]
    sums += [f"{number(unreadable)} unreadable"] if unreadable else []
    sums += [f"{number(report.skipped)} other file{'s' if report.skipped != 1 else ''}"] if report.skipped else []
    stopping = sum(failing(model, fail_on) for model in report.models)
    stopped = f"{number(stopping)} fail{'s' if stopping == 1 else ''} the gate"
    verdict = f" · {style.paint(stopped, 'bold')}" if stopping else ""
    accepted = let_pass(report)
    counts = " · ".join(one for one in (counts, f"{number(accepted)} suppressed" if accepted else "") if one)
    mark = style.paint("✗", "red") if stopping else style.paint("✓", "green")
    lines += ["", f"{mark} {' · '.join(sums)} · {counts or style.paint('no findings', 'green')}{verdict}", *map(escape, report.notes)]
    return style.finish("\n".join(lines))


def _head(model: ModelReport, style: Style, fail_on: Thresholds) -> str:
    """A model's line: whether it passes, its path, what it is, how large, how many notes that are not written out."""
    standing = [one for one in model.findings if one.suppressed is None]
    told = not model.readable or any(one.severity != Severity.INFO for one in standing)
    mark = style.paint("✗", "red") if failing(model, fail_on) else style.paint("!", "yellow") if told else style.paint("✓", "green")
    notes = sum(one.severity == Severity.INFO for one in standing)
    parts = [model.format] if model.format else []
    parts.append(parameters(model.parameters.total) if model.readable else "unreadable")
    parts += [f"{notes} note{'s' if notes != 1 else ''}"] if notes else []
    return f"{mark} {style.paint(escape(model.path), 'bold')}{style.paint(' · ' + ' · '.join(parts), 'dim')}"
