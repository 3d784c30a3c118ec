"""`modelscan scan`: the gate over files and folders."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from modelscan.cli.common import Colour, emit, style_of, usage_errors
from modelscan.cli.gate import (
    AgainstOption,
    BaselineOption,
    BudgetOption,
    Choice,
    FailOnOption,
    IgnoreOption,
    IsolatedOption,
    SelectOption,
    SettingsFileOption,
    ShowOption,
    TargetOption,
    WriteBaselineOption,
    overrides_of,
)
from modelscan.cli.inspect import ColourOption, ValuesOption
from modelscan.formats import ReadOptions
from modelscan.ledger import Report

if TYPE_CHECKING:
    from modelscan.policy import Gate
    from modelscan.settings import Settings


class ScanFormat(StrEnum):
    """Views of a scan."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def scan(
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH...", help="Files, folders or glob patterns.")] = None,
    format: Annotated[ScanFormat, typer.Option("--format", "-f", help="How to write it.")] = ScanFormat.TABLE,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file instead of standard output.")
    ] = None,
    fail_on: FailOnOption = None,
    select: SelectOption = None,
    ignore: IgnoreOption = None,
    baseline: BaselineOption = None,
    write_baseline: WriteBaselineOption = None,
    against: AgainstOption = None,
    budget: BudgetOption = None,
    target: TargetOption = None,
    config: SettingsFileOption = None,
    isolated: IsolatedOption = False,
    show_settings: ShowOption = False,
    values: ValuesOption = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Child processes at once; one per processor by default.")] = None,
    color: ColourOption = Colour.AUTO,
) -> None:
    """Findings on many files. Exit status 0: nothing at or above --fail-on; 1: findings or an unreadable model; 2: wrong usage."""
    with usage_errors():
        overrides = overrides_of(
            select=select,
            ignore=ignore,
            fail_on=fail_on,
            baseline=baseline,
            against=against,
            budget=budget,
            target=target,
            values=values,
            jobs=jobs,
        )
        choice = Choice(overrides, config, isolated)
        if show_settings:
            emit(choice.shown())
            return
        gate = choice.gate(with_baseline=write_baseline is None)
    report = gate.apply(_scanned(paths or (), gate.settings))
    if write_baseline is not None:
        _keep(write_baseline, report, gate)
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
    raise typer.Exit(int(gate.failing(report) > 0))


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


def _scanned(paths: Iterable[str], settings: Settings) -> Report:
    """What the files say, before the policy."""
    from modelscan.cli.progress import progress_bar
    from modelscan.scan import scan as run

    with usage_errors(), progress_bar() as progress:
        return run(paths, options=ReadOptions(values=settings.values), jobs=settings.jobs, progress=progress)


def _keep(path: str, report: Report, gate: Gate) -> NoReturn:
    """Write the baseline; what is known from now on fails nothing."""
    from modelscan.policy import baseline

    with usage_errors():
        count = baseline.write(path, report.models, gate.settings.fail_on)
    typer.echo(f"modelscan: {count:,} finding{'s' if count != 1 else ''} written to {path}", err=True)
    raise typer.Exit
