"""Markdown for pull requests and job summaries: one model's ledger, or a scan's findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from modelscan.failing import failing
from modelscan.ledger import FindingReport, ModelReport, Report
from modelscan.model import Severity, Verdict
from modelscan.report.findings import DEFAULT_GATE, gravity, let_pass, place_of
from modelscan.report.text import MARKS, escape, formula, number, outputs, share, shorten, size, tied
from modelscan.settings import Thresholds

_ROWS = 200
_FINDINGS = 400
_OF_A_MODEL = 50
"""Most models in the table, findings altogether, findings of one model that are written out."""
_PATH, _MESSAGE = 200, 800
"""Longest path and message; the middle of a longer one is left out."""
_ENTITIES = {c: f"&#{ord(c)};" for c in "&<>\"'`*_~\\[]#|!:@"}


def ledger_markdown(report: ModelReport) -> str:
    """The ledger as a table."""
    lines = [f"### `{_code(report.path)}`", "", _summary(report), ""]
    if report.layers:
        lines += ["| Layer (type) | Output shape | Params | Share | Formula | |", "|---|---|---:|---:|---|---|"]
        for layer in report.layers:
            name = "&emsp;" * layer.depth + f"{_cell(layer.name)} ({_cell(layer.type)})"
            part = share(layer.parameters, report.parameters.total)
            cells = (outputs(layer), number(layer.parameters), part, f"{formula(layer)}{tied(layer)}")
            lines.append(f"| {name} | {' | '.join(map(_bar, cells))} | {MARKS[Verdict(layer.verdict)]} |")
        lines.append("")
    told: set[str] = set()
    for one in report.findings[:_FINDINGS]:
        lines += _finding(one, told)
    if len(report.findings) > _FINDINGS:
        lines.append(f"- … and {number(len(report.findings) - _FINDINGS)} more; the JSON report has all")
    return "\n".join(lines).rstrip() + "\n"


def scan_markdown(report: Report, fail_on: Thresholds = DEFAULT_GATE) -> str:
    """A verdict, a table of models (those with findings first), the findings of each, folded where they fail nothing.

    Bounded: a job summary may have 1 MiB, a comment 65,536 characters; what is left out is counted.
    """
    stopping = sum(failing(model, fail_on) for model in report.models)
    many = f"{number(len(report.models))} model{'' if len(report.models) == 1 else 's'}"
    unreadable = sum(not model.readable for model in report.models)
    counts = _counted(report.count(severity) for severity in Severity)
    sums = [many, *([f"{number(unreadable)} unreadable"] if unreadable else []), *([counts] if counts else [])]
    accepted = let_pass(report)
    sums += [f"{number(accepted)} suppressed"] if accepted else [] if counts else ["no findings"]
    if stopping:
        sums.append(f"**{number(stopping)} fail{'s' if stopping == 1 else ''} the gate**")
    lines = [f"## {'❌' if stopping else '✅'} modelscan", "", " · ".join(sums), ""]
    ordered = sorted(report.models, key=lambda model: -gravity(model, fail_on))
    if ordered:
        lines += ["| | Model | Format | Parameters | Size | Findings |", "|---|---|---|---:|---:|---|"]
        lines += [_row(model, fail_on) for model in ordered[:_ROWS]]
        lines += [f"| | {number(len(ordered) - _ROWS)} more, without graver findings | | | | |"] if len(ordered) > _ROWS else []
        lines.append("")
    left = _FINDINGS
    for model in ordered:
        shown = [one for one in model.findings if one.severity != Severity.INFO and one.suppressed is None]
        if shown and left > 0:
            lines += _section(model, shown[: min(left, _OF_A_MODEL)], len(shown), fail_on)
            left -= min(len(shown), _OF_A_MODEL)
    if left <= 0:
        lines += [f"Only {number(_FINDINGS)} findings are shown; the JSON report has all.", ""]
    suppressed = sum(one.suppressed is not None for model in report.models for one in model.findings)
    notes = [*report.notes, *([f"{number(suppressed)} suppressed by the policy"] if suppressed else [])]
    lines += [f"> {_cell(note)}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


def _counted(counts: Iterable[int]) -> str:
    return ", ".join(f"{number(count)} {severity}" for severity, count in zip(Severity, counts, strict=True) if count)


def _row(model: ModelReport, fail_on: Thresholds) -> str:
    standing = [one for one in model.findings if one.suppressed is None]
    told = not model.readable or any(one.severity != Severity.INFO for one in standing)
    mark = "❌" if failing(model, fail_on) else "⚠️" if told else "✅"
    counts = _counted(sum(one.severity == severity for one in standing) for severity in Severity)
    total = number(model.parameters.total) if model.readable else "unreadable"
    cells = (mark, f"`{_bar(_code(shorten(model.path, _PATH)))}`", model.format or "?", total, size(model.file_bytes), counts or "none")
    return f"| {' | '.join(cells)} |"


def _section(model: ModelReport, shown: list[FindingReport], count: int, fail_on: Thresholds) -> list[str]:
    """The findings of one model: open when one of them fails the gate; what to do is said once a rule."""
    many = f"{number(count)} finding{'' if count == 1 else 's'}"
    is_open = " open" if failing(model, fail_on) else ""
    lines = [f"<details{is_open}><summary><code>{_html(shorten(model.path, _PATH))}</code>: {many}</summary>", ""]
    told: set[str] = set()
    for one in shown:
        lines += _finding(one, told)
    if count > len(shown):
        lines.append(f"- … and {number(count - len(shown))} more")
    return [*lines, "", "</details>", ""]


def _summary(report: ModelReport) -> str:
    if not report.readable:
        return "**unreadable**" + (f" · {size(report.file_bytes)}" if report.file_bytes is not None else "")
    found = report.parameters
    parts = [f"**{number(found.total)}** parameter{'' if found.total == 1 else 's'}", size(report.weight_bytes)]
    if found.trainable is not None:
        parts += [f"trainable {number(found.trainable)}", f"non-trainable {number(found.non_trainable)}"]
    if found.stored:
        parts.append(f"{number(found.explained)} of {number(found.stored)} stored elements explained")
    return " · ".join(parts)


def _finding(one: FindingReport, told: set[str]) -> Iterator[str]:
    """A finding with its place; why it may pass, or what to do, which is said once a rule."""
    said = shorten(one.message, _MESSAGE) + shorten(place_of(one), _PATH)
    yield f"- **{one.code}** {one.severity}: {_cell(said)}"
    if one.suppressed is not None:
        yield f"  <br>suppressed: {_cell(one.suppressed)}"
    elif one.help and one.code not in told:
        yield f"  <br>→ {_cell(one.help)}"
        told.add(one.code)


def _html(text: str) -> str:
    """Text between tags, in which nothing is a tag or markup."""
    return "".join(_ENTITIES.get(c, c) for c in escape(text))


def _cell(text: str) -> str:
    """Text in which nothing is markup."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~" else c for c in escape(text).replace("\n", " "))


def _code(text: str) -> str:
    return escape(text).replace("`", "ˋ")


def _bar(text: str) -> str:
    """A cell of a table that holds no markup: only the bar has a meaning in it."""
    return text.replace("|", "\\|")
