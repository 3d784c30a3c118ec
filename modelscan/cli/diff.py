"""`modelscan diff`: what changed between two models."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from modelscan.cli.common import Colour, dims_of, emit, inputs_of, refuse_no_model, style_of, usage_errors
from modelscan.cli.gate import IsolatedOption, SettingsFileOption
from modelscan.cli.inspect import ColourOption, DimOption, InputOption, ValuesOption


class DiffFormat(StrEnum):
    """Views of a comparison."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A model file, a SavedModel folder or a checkpoint index.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The other one; the formats may differ.")],
    format: Annotated[DiffFormat, typer.Option("--format", "-f", help="How to write it.")] = DiffFormat.TABLE,
    values: ValuesOption = False,
    dim: DimOption = None,
    input: InputOption = None,
    config: SettingsFileOption = None,
    isolated: IsolatedOption = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """What changed between two models: layers, hyperparameters, shapes, counts, types, signature; with --values the weights, too.

    Exit status 0: no difference; 1: a difference, or one of them cannot be read; 2: wrong usage.
    """
    from modelscan.diff import diff_isolated
    from modelscan.formats import ReadOptions
    from modelscan.policy.choice import Choice

    for path in (before, after):
        refuse_no_model(path)
    with usage_errors():
        Choice({}, config, isolated).settings()  # for the formulas of custom layers
        found = diff_isolated(before, after, ReadOptions(dims=dims_of(dim or ()), inputs=inputs_of(input or ()), values=values))
    if format is DiffFormat.JSON:
        from modelscan.report.json import dumps

        emit(dumps(found.to_json()))
    elif format is DiffFormat.MARKDOWN:
        from modelscan.report.difference import difference_markdown

        emit(difference_markdown(found))
    else:
        from modelscan.report.difference import difference_text

        emit(difference_text(found, style_of(color)))
    raise typer.Exit(int(not found.same))
