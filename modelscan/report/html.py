"""The ledger of one model as an HTML table, for notebooks."""

from __future__ import annotations

from html import escape as quoted

from modelscan.ledger import ModelReport
from modelscan.model import Verdict
from modelscan.report.text import MARKS, escape, formula, number, outputs, parameters, share, size, tied


def as_html(report: ModelReport) -> str:
    """A self-contained fragment without scripts or styles from elsewhere."""
    head = f"<b>{_text(report.path)}</b> · {_text(report.format or 'unreadable')} · {parameters(report.parameters.total)}"
    rows = []
    for layer in report.layers:
        name = "&emsp;" * layer.depth + f"{_text(layer.name)} <i>({_text(layer.type)})</i>"
        cells = [
            f"<td style='text-align:left'>{name}</td>",
            f"<td style='text-align:left'>{_text(outputs(layer))}</td>",
            f"<td>{number(layer.parameters)}</td>",
            f"<td>{share(layer.parameters, report.parameters.total)}</td>",
            f"<td style='text-align:left'>{_text(f'{formula(layer)}{tied(layer)}')}</td>",
            f"<td title='{_text(layer.verdict)}'>{MARKS[Verdict(layer.verdict)]}</td>",
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    titles = "".join(f"<th>{title}</th>" for title in ("Layer (type)", "Output shape", "Params", "Share", "Formula", ""))
    findings = "".join(f"<li>{_text(f'{one.code} {one.severity}: {one.message}')}</li>" for one in report.findings)
    return (
        f"<div><p>{head} · {size(report.weight_bytes)}</p>"
        f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"{f'<ul>{findings}</ul>' if findings else ''}</div>"
    )


def _text(text: str) -> str:
    return quoted(escape(text), quote=True)
