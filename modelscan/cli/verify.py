"""`modelscan verify`: the framework's own figures beside ours."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from modelscan.cli.common import USAGE, Colour, emit, refuse_no_model, style_of, usage_error
from modelscan.cli.inspect import ColourOption


class VerifyFormat(StrEnum):
    """Views of a verification."""

    TABLE = "table"
    JSON = "json"


def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A model file, a SavedModel folder or a checkpoint index.")],
    format: Annotated[VerifyFormat, typer.Option("--format", "-f", help="How to write it.")] = VerifyFormat.TABLE,
    seconds: Annotated[int, typer.Option("--timeout", min=1, help="Seconds that the framework may take.")] = 300,
    memory: Annotated[int, typer.Option("--memory", min=1, help="GiB of memory that the framework may take.")] = 16,
    allow_unsafe: Annotated[bool, typer.Option("--allow-unsafe", help="Load it although a SEC finding says not to.")] = False,
    color: ColourOption = Colour.AUTO,
) -> None:
    """Load the file with its real framework, in a child process, and compare every count and shape with ours.

    Exit status 0: all agree; 1: a difference, or the framework does not load the file; 2: wrong usage, or the framework is not installed.
    """
    from modelscan.limits import GIB
    from modelscan.verify import Oracle
    from modelscan.verify import verify as compare

    refuse_no_model(file)
    with Oracle(seconds=seconds, memory=memory * GIB) as oracle:
        found = compare(file, oracle=oracle, allow_unsafe=allow_unsafe)
    if format is VerifyFormat.JSON:
        from modelscan.report.json import dumps

        emit(dumps(found.to_dict()))
    elif found.usage:
        usage_error(found.error or "")
    else:
        from modelscan.report.verification import verification_text

        emit(verification_text(found, style_of(color)))
    if found.usage:
        raise typer.Exit(USAGE)
    raise typer.Exit(int(bool(found.differences) or found.error is not None))
