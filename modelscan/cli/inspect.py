"""`modelscan inspect` and `modelscan explain`: one model's ledger, and how it comes about."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from modelscan.cli.common import USAGE, Colour, dims_of, emit, inputs_of, style_of, usage_error, usage_errors
from modelscan.cli.gate import (
    AgainstOption,
    BaselineOption,
    BudgetOption,
    Choice,
    FailOnOption,
    IgnoreOption,
    IsolatedOption,
    SelectOption,
    ShowOption,
    TargetOption,
    overrides_of,
    split_configs,
)

if TYPE_CHECKING:
    from modelscan.formats import ReadOptions
    from modelscan.ledger import ModelReport, Report
    from modelscan.report.text import Style
    from modelscan.scan import View as Viewed

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="A model file, or a SavedModel folder.")]
ConfigOption = Annotated[
    list[str] | None,
    typer.Option("--config", metavar="FILE", help="The architecture (JSON) of a weights-only Keras file; a .toml: the settings."),
]
DimOption = Annotated[list[str] | None, typer.Option("--dim", metavar="NAME=SIZE", help="Value of a symbolic dimension; repeatable.")]
InputOption = Annotated[
    list[str] | None, typer.Option("--input", metavar="NAME:SHAPE", help="Shape of an input, such as x:1x3x224x224; repeatable.")
]
ValuesOption = Annotated[bool, typer.Option("--values", help="Read the weights themselves, too: NaN, Inf, zeros, duplicates.")]
ColourOption = Annotated[Colour, typer.Option("--color", help="Colours: on a terminal, always or never.")]


class InspectFormat(StrEnum):
    """Views of one model."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def inspect(
    file: FileArgument,
    format: Annotated[InspectFormat, typer.Option("--format", "-f", help="How to write it.")] = InspectFormat.TABLE,
    depth: Annotated[int | None, typer.Option("--depth", min=0, help="Fold nested models and scopes below this depth.")] = None,
    weights: Annotated[bool, typer.Option("--weights", help="A row per weight below each layer.")] = False,
    config: ConfigOption = None,
    dim: DimOption = None,
    input: InputOption = None,
    values: ValuesOption = False,
    fail_on: FailOnOption = None,
    select: SelectOption = None,
    ignore: IgnoreOption = None,
    baseline: BaselineOption = None,
    against: AgainstOption = None,
    budget: BudgetOption = None,
    target: TargetOption = None,
    isolated: IsolatedOption = False,
    show_settings: ShowOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """The ledger of one model: layers, shapes, parameters by formula, each proved against the stored bytes."""
    from modelscan.formats import ReadOptions
    from modelscan.ledger import Report
    from modelscan.scan import View as Viewed

    style = style_of(color)
    architecture, settings_file = split_configs(config)
    with usage_errors():
        overrides = overrides_of(
            select=select, ignore=ignore, fail_on=fail_on, baseline=baseline, against=against, budget=budget, target=target, values=values
        )
        choice = Choice(overrides, settings_file, isolated)
        if show_settings:
            emit(choice.shown())
            return
        gate = choice.gate()

    def show(report: ModelReport) -> Viewed:
        judged = gate.apply(Report((report,)))
        return Viewed(_written(judged, format, style, depth, weights), int(gate.failing(judged) > 0))

    _show(file, ReadOptions(architecture, dims_of(dim or ()), inputs_of(input or ()), values=gate.settings.values), show)


def _written(report: Report, format: InspectFormat, style: Style, depth: int | None, weights: bool) -> str:
    if format is InspectFormat.JSON:
        from modelscan.report.json import dumps

        return dumps(report.to_dict())
    if format is InspectFormat.MARKDOWN:
        from modelscan.report.markdown import ledger_markdown

        return ledger_markdown(report.models[0])
    from modelscan.report.table import View, render

    return "\n".join([render(report.models[0], style, View(depth, weights)), *report.notes])


def explain(
    file: FileArgument,
    layer: Annotated[str | None, typer.Argument(metavar="[LAYER]", help="Name or path of a layer; all with weights when left out.")] = None,
    config: ConfigOption = None,
    dim: DimOption = None,
    input: InputOption = None,
    isolated: IsolatedOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """How a layer's count comes about: each weight as a product, the tensor that confirms it, the factored formula."""
    from modelscan.formats import ReadOptions
    from modelscan.scan import View as Viewed

    style = style_of(color)
    architecture, settings_file = split_configs(config)
    with usage_errors():
        Choice({}, settings_file, isolated).settings()  # for the formulas of custom layers

    def show(report: ModelReport) -> Viewed:
        from modelscan.report.explain import explain as derivation
        from modelscan.report.table import render

        if not report.readable:
            return Viewed(render(report, style), 1)
        chosen = None
        if layer is not None:
            chosen = [one for one in report.layers if one.path == layer] or [one for one in report.layers if one.name == layer]
            if not chosen:
                return Viewed("", USAGE, f"{file} has no layer {layer!r}{_similar(report, layer)}")
        return Viewed(derivation(report, style, chosen), _status(report))

    _show(file, ReadOptions(architecture, dims_of(dim or ()), inputs_of(input or ())), show)


def _show(path: str, options: ReadOptions, show: Callable[[ModelReport], Viewed]) -> NoReturn:
    """Read one file and show it, both in a child process with limits; exit with its status."""
    from modelscan.discover import is_saved_model
    from modelscan.scan import view

    if not os.path.lexists(path):
        usage_error(f"{path}: no such file or folder")
    if os.path.isdir(path) and not is_saved_model(path):
        usage_error(f"{path} is a folder and no SavedModel; `modelscan scan` searches folders")
    if options.config is not None and not os.path.isfile(options.config):
        usage_error(f"{options.config}: no such file")
    shown = view(path, options, show)
    if shown.error is not None:
        usage_error(shown.error)
    emit(shown.text)
    raise typer.Exit(shown.status)


def _status(report: ModelReport) -> int:
    """1 for an unreadable model or a finding of high or above."""
    from modelscan.model import Severity

    grave = any(Severity(one.severity).rank >= Severity.HIGH.rank for one in report.findings)
    return int(grave or not report.readable)


def _similar(report: ModelReport, name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [one.path for one in report.layers] + [one.name for one in report.layers], n=3)
    return f"; did you mean {', '.join(dict.fromkeys(near))}?" if near else ""
