"""`modelscan scan`: the gate over files and folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from modelscan.cli.common import Colour, emit, usage_error, usage_errors
from modelscan.cli.gate import (
    AgainstOption,
    BaselineOption,
    BudgetOption,
    ExcludeOption,
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
from modelscan.cli.output import Outputs, ScanFormat, outputs_of, progress_wanted, refuse_overwriting

if TYPE_CHECKING:
    from modelscan.ledger import ModelReport, Report
    from modelscan.policy import Gate

OutputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--output", "-o", metavar="[FORMAT:]FILE", help="Write it to a file, in the format of its suffix; - is standard output; repeatable."
    ),
]


def scan(
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH...", help="Files, folders or glob patterns.")] = None,
    format: Annotated[ScanFormat | None, typer.Option("--format", "-f", help="How to write it; a table by default.")] = None,
    output: OutputOption = None,
    fail_on: FailOnOption = None,
    select: SelectOption = None,
    ignore: IgnoreOption = None,
    exclude: ExcludeOption = None,
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
    from modelscan.policy.choice import Choice

    with usage_errors():
        overrides = overrides_of(
            select=select,
            ignore=ignore,
            exclude=exclude,
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
            _no_report("--show-settings", output, format)
            emit(choice.shown())
            return
        if write_baseline is not None:
            _no_report("--write-baseline", output, format)
        wanted = outputs_of(output or (), format)
        gate = choice.gate(with_baseline=write_baseline is None)
    outputs = Outputs(wanted if write_baseline is None else (), gate.settings.fail_on, color)
    with usage_errors(), outputs.opened():
        judged, whole, failing = _judged(paths or (), gate, outputs, write_baseline)
        if write_baseline is not None:
            _keep(write_baseline, judged, gate)
        outputs.end(replace(whole, policy={**(whole.policy or {}), "failing": failing}))
    raise typer.Exit(int(failing > 0))


def _no_report(option: str, output: list[str] | None, format: ScanFormat | None) -> None:
    """Two things are asked for of which only one would be done."""
    if output or format is not None:
        usage_error(f"{option} writes no report; leave out {'-o' if output else '--format'}, or run the scan once more with it")


def _judged(paths: Iterable[str], gate: Gate, outputs: Outputs, write_baseline: str | None) -> tuple[list[ModelReport], Report, int]:
    """Read, judge and write model by model.

    The models without their layers if a baseline is made of them, everything else about the scan, and how many findings fail.
    """
    from modelscan.cli.progress import progress_bar
    from modelscan.formats import ReadOptions
    from modelscan.ledger import Report
    from modelscan.scan import begin

    kept: list[ModelReport] = []
    failing = 0
    settings = gate.settings
    with progress_bar(progress_wanted(outputs)) as progress:
        brief = outputs.brief and not settings.demands
        options = ReadOptions(values=settings.values)
        excluded = gate.excludes if settings.exclude else None
        running = begin(paths, options=options, jobs=settings.jobs, progress=progress, brief=brief, excluded=excluded)
        refuse_overwriting(outputs.paths, "-o", _read_from(gate, running.targets, baseline=True))
        if write_baseline is not None:
            refuse_overwriting([write_baseline], "--write-baseline", _read_from(gate, running.targets, baseline=False))
        for model in running.models:
            judged = gate.judge(model)
            failing += gate.failing(Report((judged,)))
            outputs.model(judged)
            if write_baseline is not None:
                kept.append(judged.brief())
    return kept, gate.finish(Report(skipped=running.skipped, notes=running.notes)), failing


def _read_from(gate: Gate, targets: Iterable[str], *, baseline: bool) -> Iterator[str]:
    """What the scan reads, and nothing may be written over."""
    settings = gate.settings
    yield from targets
    yield from filter(None, (settings.source, *(one.against for one in settings.demands), settings.baseline if baseline else None))


def _keep(path: str, models: Iterable[ModelReport], gate: Gate) -> NoReturn:
    """Write the baseline; what is known from now on fails nothing."""
    from modelscan.policy import baseline

    with usage_errors():
        count = baseline.write(path, models, gate.settings.fail_on)
    typer.echo(f"modelscan: {count:,} finding{'s' if count != 1 else ''} written to {path}", err=True)
    raise typer.Exit
