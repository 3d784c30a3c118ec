"""What the commands share: the terminal's style, options that several have, usage errors."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from functools import wraps
from io import StringIO
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from modelscan.errors import ConfigError
from modelscan.limits import LARGEST_SIZE

if TYPE_CHECKING:
    from modelscan.model import Shape
    from modelscan.report.text import Style

USAGE = 2
INTERRUPTED = 130


class Colour(StrEnum):
    """When to write in colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def style_of(colour: Colour) -> Style:
    """The style of standard output: its width, its encoding, and whether it wants colours (https://no-color.org)."""
    from modelscan.report.text import Style

    terminal = sys.stdout.isatty()
    wanted = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    columns = shutil.get_terminal_size((100, 24)).columns if terminal or "COLUMNS" in os.environ else 120
    try:
        "✓×─≈".encode(sys.stdout.encoding or "ascii")
        unicode = True
    except (UnicodeEncodeError, LookupError):
        unicode = False
    return Style(max(40, columns), wanted if colour is Colour.AUTO else colour is Colour.ALWAYS, unicode)


def usage_error(text: str) -> NoReturn:
    """Say what is wrong with the call and exit 2. What it quotes (names on disk, a library's words) must not command the terminal."""
    from modelscan.report.text import escape

    typer.echo(f"modelscan: {escape(text)}", err=True)
    raise typer.Exit(USAGE)


def refuse_no_model(path: str) -> None:
    """Exit 2 for the path of one model where nothing is, or a folder that is none: the call is wrong, not a file."""
    from modelscan.discover import absent, is_saved_model, is_there

    if not is_there(path):
        usage_error(absent(path))
    if os.path.isdir(path) and not is_saved_model(path) and os.access(path, os.R_OK | os.X_OK):
        usage_error(f"{path} is a folder and no SavedModel; `modelscan scan` searches folders")


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turns configuration errors into usage errors."""
    try:
        yield
    except ConfigError as error:
        usage_error(str(error))


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """The command, whose interruption exits 130 whatever the command line library makes of it (older ones: 1, which says "findings")."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run


def emit(text: str) -> None:
    """A text on standard output; what its encoding cannot print is escaped.

    A reader that has seen enough (`| head`) ends the output, not the command: its exit status still tells what was found.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        if text and not text.endswith("\n"):
            sys.stdout.write("\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere()
    except OSError as error:
        _to_nowhere()  # nor may the interpreter try again when it ends
        usage_error(f"standard output: {error.strerror or error}")


@contextmanager
def emitted(arguments: Sequence[str]) -> Iterator[None]:
    """Help and version, which the command line library prints itself, go out as everything else does: by `emit`, at the end."""
    own = list(takewhile(lambda one: one != "--", arguments))
    if own and not {"-h", "--help", "--version"} & set(own):
        yield
        return
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        try:
            emit(printed.getvalue())
        except typer.Exit as ended:
            sys.exit(ended.exit_code)


def refuse_ambiguous(arguments: Sequence[str]) -> None:
    """Exit 2 for an option that is the name of a file here as well: a shell's `*` or a hook must not turn a file into an option."""
    for one in takewhile(lambda one: one != "--", arguments):
        if len(one) > 1 and one.startswith("-") and os.path.lexists(one):
            try:
                usage_error(f"{one} is an option and the name of a file here; write -- before paths, or ./{one} for the file")
            except typer.Exit as ended:
                sys.exit(ended.exit_code)


def _to_nowhere() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def dims_of(values: Iterable[str]) -> dict[str, int]:
    """`N=8` options as a mapping."""
    found = {}
    for value in values:
        name, equals, size = value.partition("=")
        if not equals or not name or not _is_size(size):
            usage_error(f"--dim {value}: write NAME=SIZE, such as batch=1; {LARGEST_SIZE:,} at most")
        if name in found:
            usage_error(f"--dim {value}: there are two sizes for {name}")
        found[name] = int(size)
    return found


def _is_size(text: str) -> bool:
    return text.isdecimal() and len(text) <= len(str(LARGEST_SIZE)) and int(text) <= LARGEST_SIZE


def inputs_of(values: Iterable[str]) -> dict[str, Shape]:
    """`x:1x3x224x224` options as a mapping; `?` leaves a dimension unknown."""
    found: dict[str, Shape] = {}
    for value in values:
        name, colon, sizes = value.rpartition(":")
        parts = sizes.split("x")
        if not colon or not name or not all(_is_size(part) or part == "?" for part in parts):
            usage_error(f"--input {value}: write NAME:SHAPE, such as x:1x3x224x224; each size {LARGEST_SIZE:,} at most")
        if name in found:
            usage_error(f"--input {value}: there are two shapes for {name}")
        found[name] = tuple(None if part == "?" else int(part) for part in parts)
    return found
