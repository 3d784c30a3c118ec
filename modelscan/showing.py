"""One file examined and shown, both by one child process: a ledger of 50,000 weights need not travel to be drawn.

That process may be forked before the command line is taken apart (`fork_ahead`): it imports what reads the file while its parent imports
what understands the arguments. What to do then reaches it as plain data, as it does a process that is forked late.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from modelscan.errors import ConfigError
from modelscan.formats import ReadOptions
from modelscan.ledger import ModelReport, Plain, Report
from modelscan.limits import DEFAULT, Limits
from modelscan.model import Severity
from modelscan.records import record
from modelscan.scan import READERS, examined, not_survived, second_try
from modelscan.worker import Pool, can_isolate

if TYPE_CHECKING:
    from modelscan.policy import Gate
    from modelscan.policy.choice import Choice

COMMANDS = ("inspect", "explain")
"""What is done with one file here, under the names that the command line has for it."""
_MODULES = ("modelscan.examine", "modelscan.policy.choice", "modelscan.config", "modelscan.report.table")
_USAGE = 2


@record(frozen=True, slots=True)
class Shown(Plain):
    """What is shown of one file."""

    text: str
    status: int
    """Exit status."""
    error: str | None = None
    """What was wrong with the call, seen when the file was read."""


@record(frozen=True, slots=True)
class Showing(Plain):
    """How a file is to be shown."""

    command: str
    """One of `COMMANDS`."""
    columns: int
    colour: bool
    unicode: bool
    format: str = "table"
    """`table`, `json` or, of a ledger, `markdown`."""
    depth: int | None = None
    weights: bool = False
    macs: bool = False
    layer: str | None = None
    """The one that is to be explained; all with weights when None."""

    def of(self, report: ModelReport, gate: Gate | None) -> Shown:
        """The view of a report; a ledger is judged by the gate first."""
        if gate is None:
            return self._derivation(report)
        judged = gate.apply(Report((report,)), one_of_many=True)
        return Shown(self._ledger(judged), int(gate.failing(judged) > 0))

    def _ledger(self, report: Report) -> str:
        if self.format == "json":
            from modelscan.report.json import dumps

            return dumps(report.to_dict())
        if self.format == "markdown":
            from modelscan.report.markdown import ledger_markdown

            return ledger_markdown(report.models[0])
        from modelscan.report.table import View, render
        from modelscan.report.text import Style, escape

        style = Style(self.columns, self.colour, self.unicode)
        return "\n".join([render(report.models[0], style, View(self.depth, self.weights, self.macs)), *map(escape, report.notes)])

    def _derivation(self, report: ModelReport) -> Shown:
        from modelscan.report.explain import derivations, explain
        from modelscan.report.text import Style

        if not report.readable:
            return Shown(self._ledger(Report((report,))), 1)
        chosen = None
        if self.layer is not None:
            chosen = [one for one in report.layers if one.path == self.layer] or [one for one in report.layers if one.name == self.layer]
            if not chosen:
                return Shown("", _USAGE, f"{report.path} has no layer {self.layer!r}{_similar(report, self.layer)}")
        grave = any(Severity(one.severity).rank >= Severity.HIGH.rank for one in report.findings)
        if self.format == "json":
            return Shown(self._ledger(Report((derivations(report, chosen),))), int(grave))
        return Shown(explain(report, Style(self.columns, self.colour, self.unicode), chosen), int(grave))


def _similar(report: ModelReport, name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [one.path for one in report.layers] + [one.name for one in report.layers], n=3)
    return f"; did you mean {', '.join(dict.fromkeys(near))}?" if near else ""


def show(path: str, options: ReadOptions, showing: Showing, gate: Gate | None, choice: Choice | None) -> Shown:
    """One file, examined and shown.

    Args:
        path: the file or model folder.
        options: what the user adds to what it says.
        showing: how to show it.
        gate: what judges it, None where nothing is judged (`explain`).
        choice: the settings as the command line gave them, None where only this process has what they name.
    """
    if not can_isolate():
        return _shown(path, options, DEFAULT, showing, gate)
    died: list[ModelReport] = []

    def failed(_: str, kind: str, reason: str) -> Shown:
        died.append(not_survived(path, kind, reason))
        return showing.of(died[0], gate)

    def work(path: str, options: ReadOptions | None, limits: Limits) -> Shown:
        return _shown(path, options, limits, showing, gate)

    ahead = _taken()
    if ahead is not None and choice is not None:
        ahead.failed = failed
        shown = next(ahead.run([_task(path, options, showing, choice)]))
    else:
        if ahead is not None:
            ahead.dismiss()
        shown = next(Pool(Shown, work, failed, options, DEFAULT, 1).run([path]))
    return showing.of(second_try(path, died[0], options), gate) if died and options.inference else shown


def _shown(path: str, options: ReadOptions | None, limits: Limits, showing: Showing, gate: Gate | None) -> Shown:
    from modelscan.examine import collector_paused

    try:
        with collector_paused():  # what was read is still there when its view is drawn, and no garbage yet
            return showing.of(examined(path, options, limits), gate)
    except ConfigError as error:  # an option does not fit the file
        return Shown("", _USAGE, str(error))


def fork_ahead(arguments: Sequence[str]) -> None:
    """Fork the process that will read a file, if the command line looks as if it named one; it imports the readers until it is told more.

    With one processor there is nothing to gain. If the process is not needed after all, it ends with this one, or before.
    """
    modules = _readers_of(arguments)
    if not modules or _processors() < 2 or not can_isolate():
        return
    pool = Pool(Shown, _work, lambda task, kind, reason: Shown("", _USAGE, reason), ReadOptions(), DEFAULT, 1)
    pool.hire(partial(_import, (*modules, *_MODULES)))
    atexit.register(pool.dismiss)
    _AHEAD.append(pool)


_AHEAD: list[Pool[Shown]] = []
"""With the process that was forked ahead, while there is one that waits."""


def _taken() -> Pool[Shown] | None:
    return _AHEAD.pop() if _AHEAD else None


def _readers_of(arguments: Sequence[str]) -> tuple[str, ...]:
    """The modules that read what the arguments seem to name; a guess, which costs time only when it is wrong."""
    if not arguments or arguments[0] not in COMMANDS:
        return ()
    names = [argument.lower() for argument in arguments[1:]]
    return next((modules for name in names for suffixes, modules in READERS.items() if name.endswith(suffixes)), ())


def _processors() -> int:
    """Those that this process may use, where the platform tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _import(modules: Iterable[str]) -> None:
    with suppress(ImportError, MemoryError):  # told when a file needs what cannot be imported
        for module in modules:
            import_module(module)
        from modelscan.rules import all_rules

        all_rules()


def _task(path: str, options: ReadOptions, showing: Showing, choice: Choice) -> str:
    """What the process that was forked ahead has to know, as JSON."""
    settings = {"overrides": dict(choice.overrides), "file": choice.file, "isolated": choice.isolated}
    return json.dumps({"path": path, "options": options.to_dict(), "showing": showing.to_dict(), "choice": settings})


def _work(task: str, _: ReadOptions | None, limits: Limits) -> Shown:
    """The other side of `_task`."""
    from modelscan.policy.choice import Choice

    told = json.loads(task)
    showing, choice = Showing.from_dict(told["showing"]), Choice(**told["choice"])
    gate = choice.gate() if showing.command == "inspect" else None
    if gate is None:
        choice.settings()  # for the formulas of custom layers
    return _shown(told["path"], ReadOptions.from_dict(told["options"]), limits, showing, gate)
