"""What changed between two models, also across formats: layers, hyperparameters, shapes, counts, types, signature, values."""

from __future__ import annotations

import os
from dataclasses import replace

from modelscan.diff.changes import Change, Diff
from modelscan.diff.compare import compare
from modelscan.diff.sides import open_side
from modelscan.errors import ConfigError, UnreadableFile, UnusedOptionError
from modelscan.formats import ReadOptions
from modelscan.limits import DEFAULT, Limits
from modelscan.worker import Pool, can_isolate

__all__ = ["Change", "Diff", "diff", "diff_isolated"]


def diff(
    before: str | os.PathLike[str], after: str | os.PathLike[str], options: ReadOptions | None = None, limits: Limits = DEFAULT
) -> Diff:
    """The differences of two model files, read in this process; with `options.values` of their weights, too.

    A file of which nothing can be told makes a `Diff` with `error`. Raises `ConfigError` when the options fit neither of them.
    """
    before, after = os.fspath(before), os.fspath(after)
    options = options or ReadOptions()
    sides = []
    unused = []
    for path in (before, after):
        try:
            try:
                sides.append(open_side(path, options, limits))
            except UnusedOptionError as error:  # the other model may have it
                unused.append(error)
                sides.append(open_side(path, options.without(error.names), limits))
        except UnreadableFile as error:
            told = str(error)
            return Diff(before, after, error=told if told.startswith(f"{path}: ") else f"{path}: {told}")
    for one in unused[1:]:
        if unused[0].names & one.names:
            raise UnusedOptionError(unused[0].names & one.names, "neither of the two models has it")
    return compare(sides[0], sides[1])


def diff_isolated(before: str, after: str, options: ReadOptions | None = None, limits: Limits = DEFAULT) -> Diff:
    """As `diff`, in a child process with limits where the platform has them; raises `ConfigError` when it did not survive."""
    options = options or ReadOptions()
    if not can_isolate():
        return diff(before, after, options, limits)
    found = _in_child(before, after, options, limits)
    if found.error is not None and found.died and options.inference:
        found = _in_child(before, after, replace(options, inference=False), limits)
    if found.died:
        raise ConfigError(found.error or "the process that read the files died")
    return found


def _in_child(before: str, after: str, options: ReadOptions, limits: Limits) -> Diff:
    def work(path: str, options: ReadOptions | None, limits: Limits) -> Diff:
        try:
            return diff(path, after, options, limits)
        except ConfigError as error:
            return Diff(path, after, error=str(error), died=True)

    def failed(path: str, kind: str, reason: str) -> Diff:
        return Diff(path, after, error=f"{kind}: {reason}", died=True)

    return next(Pool(Diff, work, failed, options, limits, 1).run([before]))
