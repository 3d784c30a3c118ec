"""`modelscan verify`: the framework's own figures beside ours."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from modelscan.cli.common import USAGE, emit, usage_error


class VerifyFormat(StrEnum):
    """Views of a verification."""

    TABLE = "table"
    JSON = "json"


def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A model file, a SavedModel folder or a checkpoint index.")],
    format: Annotated[VerifyFormat, typer.Option("--format", "-f", help="How to write it.")] = VerifyFormat.TABLE,
    seconds: Annotated[int, typer.Option("--timeout", min=1, help="Seconds that the framework may take.")] = 300,
    allow_unsafe: Annotated[bool, typer.Option("--allow-unsafe", help="Load it although a SEC finding says not to.")] = False,
) -> None:
    """Load the file with its real framework, in a child process, and compare every count and shape with ours."""
    from modelscan.report.json import dumps
    from modelscan.report.verification import verification_text
    from modelscan.verify import verify as compare

    if not os.path.lexists(file):
        usage_error(f"{file}: no such file or folder")
    found = compare(file, seconds=seconds, allow_unsafe=allow_unsafe)
    emit(dumps(found.to_dict()) if format is VerifyFormat.JSON else verification_text(found))
    if found.usage:
        raise typer.Exit(USAGE)
    raise typer.Exit(int(bool(found.differences) or found.error is not None))
