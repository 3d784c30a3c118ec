"""A progress bar on standard error, and only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from modelscan.scan import Progress


@contextmanager
def progress_bar(wanted: bool = True) -> Iterator[Progress | None]:
    """A function to report progress with; None where nobody would see it."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from modelscan.report.text import escape, shorten

    with Bar(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, path: bar.update(task, completed=done, total=total, description=shorten(escape(path), 60))
