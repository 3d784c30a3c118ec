"""Markdown for pull requests and job summaries: one model's ledger, or a scan's findings."""

from __future__ import annotations

from collections.abc import Iterable

from modelscan.ledger import ModelReport, Report
from modelscan.model import Severity, Verdict
from modelscan.report.text import MARKS, escape, number, shapes, share, size


def ledger_markdown(report: ModelReport) -> str:
    """The ledger as a table."""
    lines = [f"### `{_code(report.path)}`", "", _summary(report), ""]
    if report.layers:
        lines += ["| Layer (type) | Output shape | Params | Share | Formula | |", "|---|---|---:|---:|---|---|"]
        for layer in report.layers:
            formula = f"{layer.formula} = {layer.formula_values}" if layer.formula else ""
            name = "&emsp;" * layer.depth + f"{_cell(layer.name)} ({_cell(layer.type)})"
            cells = (name, shapes(layer.output_shapes), number(layer.parameters), share(layer.parameters, report.parameters.total), formula)
            lines.append(f"| {' | '.join(_bar(one) for one in cells)} | {MARKS[Verdict(layer.verdict)]} |")
        lines.append("")
    lines += _findings([report])
    return "\n".join(lines).rstrip() + "\n"


def scan_markdown(report: Report) -> str:
    """A table of models, then the findings."""
    lines = ["## modelscan", "", "| Model | Format | Parameters | Bytes | Findings |", "|---|---|---:|---:|---|"]
    for model in report.models:
        counts = ", ".join(
            f"{sum(one.severity == s and one.suppressed is None for one in model.findings)} {s}"
            for s in Severity
            if any(one.severity == s and one.suppressed is None for one in model.findings)
        )
        total = number(model.parameters.total) if model.readable else "unreadable"
        lines.append(f"| `{_bar(_code(model.path))}` | {model.format or '?'} | {total} | {size(model.file_bytes)} | {counts or 'none'} |")
    lines += ["", *_findings(report.models), *report.notes]
    return "\n".join(lines).rstrip() + "\n"


def _summary(report: ModelReport) -> str:
    found = report.parameters
    parts = [f"**{number(found.total)}** parameters", size(report.weight_bytes)]
    if found.trainable is not None:
        parts += [f"trainable {number(found.trainable)}", f"non-trainable {number(found.non_trainable)}"]
    if found.stored:
        parts.append(f"{number(found.explained)} of {number(found.stored)} stored elements explained")
    return " · ".join(parts)


def _findings(models: Iterable[ModelReport]) -> list[str]:
    lines = []
    for model in models:
        for one in model.findings:
            if one.severity != Severity.INFO and one.suppressed is None:
                lines.append(f"- **{one.code} {one.severity}** `{_code(model.path)}`: {_cell(one.message)}")
                if one.help:
                    lines.append(f"  {_cell(one.help)}")
    return lines


def _cell(text: str) -> str:
    """Text in which nothing is markup."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~" else c for c in escape(text).replace("\n", " "))


def _code(text: str) -> str:
    return escape(text).replace("`", "ˋ")


def _bar(text: str) -> str:
    return text.replace("|", "\\|") if "\\|" not in text else text
