"""`modelscan scan`: the gate over files and folders."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from modelscan.cli.common import Colour, emit, style_of, usage_errors
from modelscan.cli.inspect import ColourOption, ValuesOption
from modelscan.formats import ReadOptions
from modelscan.ledger import Report
from modelscan.model import Severity


class ScanFormat(StrEnum):
    """Views of a scan."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def scan(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, folders or glob patterns.")],
    format: Annotated[ScanFormat, typer.Option("--format", "-f", help="How to write it.")] = ScanFormat.TABLE,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file instead of standard output.")
    ] = None,
    fail_on: Annotated[Severity, typer.Option("--fail-on", help="Exit 1 on findings of this severity or above.")] = Severity.HIGH,
    values: ValuesOption = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Child processes at once; one per processor by default.")] = None,
    color: ColourOption = Colour.AUTO,
) -> None:
    """Findings on many files. Exit status 0: nothing at or above --fail-on; 1: findings or an unreadable model; 2: wrong usage."""
    from modelscan.cli.progress import progress_bar
    from modelscan.scan import scan as run

    with usage_errors(), progress_bar() as progress:
        report = run(paths, options=ReadOptions(values=values), jobs=jobs, progress=progress)
    text = _written(report, format, color)
    if output is None:
        emit(text)
    else:
        try:
            with open(output, "w", encoding="utf-8", newline="\n") as file:
                file.write(text if text.endswith("\n") else f"{text}\n")
        except OSError as error:
            typer.echo(f"modelscan: {output}: {error.strerror}", err=True)
            raise typer.Exit(2) from error
    raise typer.Exit(failed(report, fail_on))


def _written(report: Report, format: ScanFormat, color: Colour) -> str:
    match format:
        case ScanFormat.JSON:
            from modelscan.report.json import dumps

            return dumps(report.to_dict())
        case ScanFormat.MARKDOWN:
            from modelscan.report.markdown import scan_markdown

            return scan_markdown(report)
        case _:
            from modelscan.report.findings import scan_text

            return scan_text(report, style_of(color))


def failed(report: Report, fail_on: Severity) -> int:
    """1 when a finding at or above the threshold stands, or a model could not be read."""
    standing = (one for model in report.models for one in model.findings if one.suppressed is None)
    grave = any(Severity(one.severity).rank >= fail_on.rank for one in standing)
    return int(grave or any(not one.readable for one in report.models))
