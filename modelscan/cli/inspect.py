"""`modelscan inspect` and `modelscan explain`: one model's ledger, and how it comes about."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from modelscan.cli.common import Colour, dims_of, emit, inputs_of, refuse_no_model, style_of, usage_error, usage_errors
from modelscan.cli.gate import (
    AgainstOption,
    BaselineOption,
    BudgetOption,
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
    from modelscan.policy import Gate
    from modelscan.policy.choice import Choice
    from modelscan.showing import Showing

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


class ExplainFormat(StrEnum):
    """Views of a derivation."""

    TABLE = "table"
    JSON = "json"


def inspect(
    file: FileArgument,
    format: Annotated[InspectFormat, typer.Option("--format", "-f", help="How to write it.")] = InspectFormat.TABLE,
    depth: Annotated[int | None, typer.Option("--depth", min=0, help="Fold nested models and scopes below this depth.")] = None,
    weights: Annotated[bool, typer.Option("--weights", help="A row per weight below each layer.")] = False,
    macs: Annotated[bool, typer.Option("--macs", help="A column of multiply-accumulates for one sample.")] = False,
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
    from modelscan.policy.choice import Choice
    from modelscan.showing import Showing

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

    showing = Showing("inspect", style.columns, style.colour, style.unicode, format.value, depth, weights, macs)
    options = ReadOptions(architecture, dims_of(dim or ()), inputs_of(input or ()), values=gate.settings.values)
    _show(file, options, showing, gate, choice if gate.settings.self_contained else None)


def explain(
    file: FileArgument,
    layer: Annotated[str | None, typer.Argument(metavar="[LAYER]", help="Name or path of a layer; all with weights when left out.")] = None,
    format: Annotated[ExplainFormat, typer.Option("--format", "-f", help="How to write it.")] = ExplainFormat.TABLE,
    config: ConfigOption = None,
    dim: DimOption = None,
    input: InputOption = None,
    isolated: IsolatedOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """How a layer's count comes about: each weight as a product, the tensor that confirms it, the factored formula."""
    from modelscan.formats import ReadOptions
    from modelscan.policy.choice import Choice
    from modelscan.showing import Showing

    style = style_of(color)
    architecture, settings_file = split_configs(config)
    choice = Choice({}, settings_file, isolated)
    with usage_errors():
        settings = choice.settings()  # for the formulas of custom layers
    showing = Showing("explain", style.columns, style.colour, style.unicode, format.value, layer=layer)
    options = ReadOptions(architecture, dims_of(dim or ()), inputs_of(input or ()))
    _show(file, options, showing, None, choice if settings.self_contained else None)


def _show(path: str, options: ReadOptions, showing: Showing, gate: Gate | None, choice: Choice | None) -> NoReturn:
    """Read one file and show it, both in a child process with limits; exit with its status. Arguments as for `showing.show`."""
    from modelscan.showing import show

    refuse_no_model(path)
    if options.config is not None and not os.path.isfile(options.config):
        usage_error(f"{options.config}: no such file")
    shown = show(path, options, showing, gate, choice)
    if shown.error is not None:
        usage_error(shown.error)
    emit(shown.text)
    raise typer.Exit(shown.status)
