"""`modelscan rules` and `modelscan rule`: the catalogue, and one rule explained."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from modelscan.cli.common import emit, usage_error


class RuleFormat(StrEnum):
    """Views of the catalogue."""

    TABLE = "table"
    JSON = "json"


FormatOption = Annotated[RuleFormat, typer.Option("--format", "-f", help="How to write it.")]


def rules(
    family: Annotated[str | None, typer.Argument(metavar="[FAMILY]", help="A code or its beginning, such as SEC or PAR0.")] = None,
    format: FormatOption = RuleFormat.TABLE,
) -> None:
    """All rules: code, name, severity and what each is about."""
    from modelscan.rules import all_rules

    chosen = [one for one in all_rules() if one.code.startswith((family or "").upper())]
    if not chosen:
        usage_error(f"no rule's code begins with {family}")
    if format is RuleFormat.JSON:
        from modelscan.report.json import dumps

        emit(dumps([one.to_dict() for one in chosen]))
        return
    wide = max(len(one.name) for one in chosen)
    for one in chosen:
        emit(f"{one.code}  {one.severity:<8}  {one.name:<{wide}}  {one.documentation().splitlines()[0]}")


def rule(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A rule's code or name.")], format: FormatOption = RuleFormat.TABLE
) -> None:
    """One rule: what it does, why it matters, an example, what to do."""
    from modelscan.rules import all_rules

    for one in all_rules():
        if code.upper() == one.code or code.lower() == one.name:
            if format is RuleFormat.JSON:
                from modelscan.report.json import dumps

                emit(dumps(one.to_dict()))
            else:
                emit(f"{one.code} · {one.name} · {one.severity}\n\n{one.documentation()}")
            return
    usage_error(f"there is no rule {code}; `modelscan rules` lists them")
