"""The options of the user's policy, shared by the commands that judge models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from modelscan.cli.common import usage_error
from modelscan.errors import ConfigError

SettingsFileOption = Annotated[str | None, typer.Option("--config", metavar="FILE", help="Settings file instead of the nearest one.")]
IsolatedOption = Annotated[bool, typer.Option("--isolated", help="Read no settings file.")]
ShowOption = Annotated[bool, typer.Option("--show-settings", help="Print the settings that hold, each with its origin, and exit.")]
SelectOption = Annotated[
    list[str] | None, typer.Option("--select", metavar="RULES", help="Only these rules: codes, beginnings of codes, names; repeatable.")
]
IgnoreOption = Annotated[list[str] | None, typer.Option("--ignore", metavar="RULES", help="Not these rules; repeatable.")]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="Pass over these files and folders when searching; repeatable."),
]
FailOnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on", metavar="SEVERITY", help="Exit 1 from this severity on (default high); never; SEC=low for a family; repeatable."
    ),
]
BaselineOption = Annotated[
    str | None, typer.Option("--baseline", metavar="FILE", help="Findings in this file are known: counted, not failed on.")
]
WriteBaselineOption = Annotated[
    str | None, typer.Option("--write-baseline", metavar="FILE", help="Write today's findings as a baseline; exit 0.")
]
AgainstOption = Annotated[
    str | None, typer.Option("--against", metavar="MODEL", help="The model in production, whose callers must not break.")
]
BudgetOption = Annotated[
    list[str] | None, typer.Option("--budget", metavar="KEY=N", help="parameters, bytes, file-bytes, macs or layers at most; repeatable.")
]
TargetOption = Annotated[
    list[str] | None, typer.Option("--target", metavar="RUNTIME", help="Must run there, such as onnxruntime>=1.17; repeatable.")
]


def overrides_of(
    *,
    select: Iterable[str] | None = None,
    ignore: Iterable[str] | None = None,
    exclude: Iterable[str] | None = None,
    fail_on: Iterable[str] | None = None,
    baseline: str | None = None,
    against: str | None = None,
    budget: Iterable[str] | None = None,
    target: Iterable[str] | None = None,
    values: bool = False,
    jobs: int | None = None,
) -> dict[str, Any]:
    """The options as the settings file would have them; what was not given is left out. Raises `ConfigError`."""
    from modelscan import config

    given: dict[str, Any] = {
        "select": _words(select),
        "ignore": _words(ignore),
        "exclude": list(exclude) if exclude else None,
        "fail-on": config.thresholds_of(_words(fail_on) or [], "--fail-on") or None,
        "baseline": baseline,
        "against": against,
        "budget": _budget(budget or ()) or None,
        "require": {"runtimes": list(target)} if target else None,
        "values": values or None,
        "jobs": jobs,
    }
    return {key: value for key, value in given.items() if value is not None}


def _words(values: Iterable[str] | None) -> list[str] | None:
    """`--select A,B --select C` as one list."""
    found = [one.strip() for value in values or () for one in value.split(",") if one.strip()]
    return found or None


def _budget(values: Iterable[str]) -> dict[str, str]:
    found = {}
    for value in values:
        key, equals, amount = value.partition("=")
        if not equals or not amount.strip():
            raise ConfigError(f"--budget {value}: write KEY=N, such as parameters=25M")
        if key.strip() in found:
            raise ConfigError(f"--budget {value}: there are two budgets for {key.strip()}")
        found[key.strip()] = amount.strip()
    return found


def split_configs(values: Iterable[str] | None) -> tuple[str | None, str | None]:
    """The architecture and the settings file among the values of `--config`: settings are TOML."""
    settings = [one for one in values or () if one.lower().endswith(".toml")]
    others = [one for one in values or () if one not in settings]
    if len(settings) > 1 or len(others) > 1:
        usage_error("--config: one architecture and one settings file (.toml) at most")
    return next(iter(others), None), next(iter(settings), None)
