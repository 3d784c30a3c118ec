"""Discover, examine each file in a child process, collect: from paths to a `Report`. Prints nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module

from modelscan.discover import Discovery, absent, discover
from modelscan.errors import ConfigError
from modelscan.formats import ReadOptions
from modelscan.ledger import ModelReport, Report
from modelscan.limits import DEFAULT, Limits
from modelscan.records import record
from modelscan.worker import Pool, can_isolate, isolation_note

_WORTH_IMPORTING = 4
_PATHS_SHOWN = 5
READERS = {
    (".onnx",): ("modelscan.formats.onnx.reader", "modelscan.layers.onnx"),
    (".keras", ".h5", ".hdf5"): ("modelscan.formats.keras.archive", "modelscan.formats.keras.hdf5", "modelscan.layers.keras"),
}
"""Modules by suffix; a file that is something else costs its worker an import, nothing more."""
Progress = Callable[[int, int, str], None]


@record(frozen=True, slots=True)
class Running:
    """A scan under way."""

    models: Iterator[ModelReport]
    """In a stable order, each as soon as it and all before it are finished; nothing is kept of those that were taken."""
    targets: tuple[str, ...]
    """The paths of the models, in that order."""
    skipped: int
    """Files of searched folders that are no models."""
    notes: tuple[str, ...]


def scan(
    paths: Iterable[str],
    *,
    options: ReadOptions | None = None,
    limits: Limits = DEFAULT,
    jobs: int | None = None,
    isolate: bool = True,
    progress: Progress | None = None,
    excluded: Callable[[str], bool] | None = None,
) -> Report:
    """The report on files, folders and patterns.

    Args:
        paths: what to look at; a named path is always reported.
        options: what the user adds to what the files say.
        limits: bounds on each file.
        jobs: child processes at once; one per processor when None.
        isolate: whether to read in child processes at all.
        progress: called with the number done, the number of all, and the path.
        excluded: whether the search of folders and patterns passes a path over.

    Raises:
        ConfigError: a path does not exist, or there is nothing to scan.
    """
    running = begin(paths, options=options, limits=limits, jobs=jobs, isolate=isolate, progress=progress, excluded=excluded)
    return Report(tuple(running.models), skipped=running.skipped, notes=running.notes)


def begin(
    paths: Iterable[str],
    *,
    options: ReadOptions | None = None,
    limits: Limits = DEFAULT,
    jobs: int | None = None,
    isolate: bool = True,
    progress: Progress | None = None,
    brief: bool = False,
    excluded: Callable[[str], bool] | None = None,
) -> Running:
    """The same, model by model; `brief` for the findings and sums alone. Raises `ConfigError` at once, before any model is read."""
    found = discover(paths, limits, excluded)
    _complain(found)

    def models() -> Iterator[ModelReport]:
        for done, report in enumerate(examine_all(found.targets, options or ReadOptions(), limits, jobs, isolate, brief), start=1):
            if progress is not None:
                progress(done, len(found.targets), report.path)
            yield report

    return Running(models(), tuple(found.targets), found.skipped, tuple(_notes(found, isolate)))


def examine_all(
    targets: list[str],
    options: ReadOptions,
    limits: Limits = DEFAULT,
    jobs: int | None = None,
    isolate: bool = True,
    brief: bool = False,
) -> Iterator[ModelReport]:
    """The reports in the order of the targets."""
    work = partial(examined, brief=brief)
    if isolate and can_isolate():
        _import_readers(targets)
        reports = Pool(ModelReport, work, not_survived, options, limits, jobs or os.cpu_count() or 1).run(targets)
        for path, report in zip(targets, reports, strict=True):
            yield second_try(path, report, options, limits, brief) if _died(report) and options.inference else report
    else:
        for path in targets:
            yield work(path, options, limits)


def _import_readers(targets: list[str]) -> None:
    """What every worker will need is imported once, before they are forked; a single file's worker imports what it needs itself."""
    if len(targets) < _WORTH_IMPORTING:
        return
    import_module("modelscan.examine")
    for suffixes, modules in READERS.items():
        if any(path.lower().endswith(suffixes) for path in targets):
            for module in modules:
                import_module(module)


def _died(report: ModelReport) -> bool:
    return not report.readable and any(one.name in ("reader-crash", "reader-timeout", "reader-memory") for one in report.findings)


def second_try(path: str, report: ModelReport, options: ReadOptions, limits: Limits = DEFAULT, brief: bool = False) -> ModelReport:
    """A second try that keeps native inference away from a file that its worker did not survive; the finding stays."""
    work = partial(examined, brief=brief)
    second = next(Pool(ModelReport, work, not_survived, replace(options, inference=False), limits, 1).run([path]))
    return replace(second, findings=(*report.findings, *second.findings)) if second.readable else report


def examined(path: str, options: ReadOptions | None, limits: Limits = DEFAULT, *, brief: bool = False) -> ModelReport:
    """The report on one file, read by this process."""
    from modelscan.examine import examine

    return examine(path, options, limits, brief=brief)


def not_survived(path: str, kind: str, reason: str) -> ModelReport:
    """The report on a file that its reader did not survive."""
    from modelscan import rules
    from modelscan.assemble import unreadable
    from modelscan.model import Observation

    try:
        size: int | None = os.stat(path).st_size
    except OSError:
        size = None
    return unreadable(path, size, rules.judge(rules.Subject(path, (Observation(kind, reason),), None, None)))


def _notes(found: Discovery, isolate: bool) -> Iterator[str]:
    """What the reader of the report must know about the scan itself."""
    yield from _left_out(found)
    note = isolation_note() if isolate else None
    if note:
        yield note


def _left_out(found: Discovery) -> Iterator[str]:
    """What of the named paths was not looked at."""
    if found.excluded:
        which = f"{found.excluded:,} files or folders are" if found.excluded > 1 else "a file or folder is"
        yield f"{which} excluded by the settings; what is there was not read"
    if found.outside:
        which = f"{found.outside:,} links lead" if found.outside > 1 else "a link leads"
        yield f"{which} out of the searched folders; what is there was not read"
    if found.barren and found.targets:
        yield f"nothing to scan in {_first(found.barren)}"
    if found.unclear:
        more = f" (and {len(found.unclear) - 1:,} more)" if len(found.unclear) > 1 else ""
        yield f"{found.unclear[0]}; models were looked for by what the files hold{more}"


def _first(paths: list[str]) -> str:
    """The first few of many paths."""
    shown = ", ".join(paths[:_PATHS_SHOWN])
    return shown if len(paths) <= _PATHS_SHOWN else f"{shown} and {len(paths) - _PATHS_SHOWN:,} more"


def _complain(found: Discovery) -> None:
    if found.missing:
        raise ConfigError(absent(found.missing[0]) if len(found.missing) == 1 else f"{_first(list(found.missing))}: no such file or folder")
    if not found.targets:
        why = f"nothing to scan: none of {found.skipped:,} files is a model" if found.skipped else "nothing to scan"
        raise ConfigError("; ".join((why, *_left_out(found))))
