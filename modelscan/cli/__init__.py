"""The command line: arguments, call, exit code. One module per command, imported when the command is called; nothing here computes."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer
from typer.core import TyperGroup

from modelscan.cli.common import interruptible, usage_error

_HELP = {"help_option_names": ["-h", "--help"]}
COMMANDS = {
    "inspect": "modelscan.cli.inspect",
    "explain": "modelscan.cli.inspect",
    "scan": "modelscan.cli.scan",
    "diff": "modelscan.cli.diff",
    "rules": "modelscan.cli.rules",
    "rule": "modelscan.cli.rules",
    "verify": "modelscan.cli.verify",
}
"""Commands in the order of the help, with the module that holds the function of that name."""


class _Commands(TyperGroup):
    """The commands, of which only those asked for are imported and taken apart: options of six others cost more than a small model."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # typer's own Context, under its public name
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> object:  # type: ignore[override]
        """The command of this name, None when there is none."""
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            function: Callable[..., None] = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
            one = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=_HELP)
            one.command(cmd_name)(interruptible(function))
            self.commands[cmd_name] = typer.main.get_command(one)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> object:  # type: ignore[override]
        """The command that the first argument names; where it names none, what may have been meant."""
        if not ctx.resilient_parsing and not args[0].startswith("-") and args[0] not in COMMANDS:
            usage_error(f"there is no command {args[0]!r}{_meant(args[0])}")
        return super().resolve_command(ctx, args)


def _meant(word: str) -> str:
    """What somebody may have wanted who gave this in place of a command: another spelling, or a file to look at."""
    from modelscan.tables import suggestion

    if word == "help":
        return "; `modelscan --help` lists them"
    if os.path.lexists(word):
        return f"; `modelscan {'scan' if os.path.isdir(word) else 'inspect'} {word}` looks at it"
    return suggestion(word, COMMANDS) or f"; the commands are {', '.join(COMMANDS)}"


app = typer.Typer(
    name="modelscan",
    cls=_Commands,
    help="Audits ONNX, Keras and TensorFlow model files without loading them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_HELP,
)


def _version(value: object) -> None:
    if value is True:  # what another pairing of typer and click hands over for "not given" must never end a scan with 0
        from modelscan._version import __version__

        typer.echo(f"modelscan {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Audits ONNX, Keras and TensorFlow model files without loading them."""
