"""The command line: arguments, call, exit code. One module per command; nothing here computes."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli.common import interruptible
from modelscan.cli.diff import diff
from modelscan.cli.inspect import explain, inspect
from modelscan.cli.rules import rule, rules
from modelscan.cli.scan import scan
from modelscan.cli.verify import verify

app = typer.Typer(
    name="modelscan",
    help="Audits ONNX, Keras and TensorFlow model files without loading them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (inspect, explain, scan, diff, rules, rule, verify):
    app.command()(interruptible(_command))


def _version(value: bool) -> None:
    if value:
        from modelscan._version import __version__

        typer.echo(f"modelscan {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Audits ONNX, Keras and TensorFlow model files without loading them."""
