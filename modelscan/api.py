"""The library's functions: `inspect` for one model, `scan` for many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from modelscan.errors import ConfigError
from modelscan.examine import examine
from modelscan.formats import ReadOptions
from modelscan.ledger import ModelReport, Report
from modelscan.limits import DEFAULT, LARGEST_SIZE, Limits
from modelscan.model import Shape
from modelscan.settings import Settings


def inspect(
    path: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    dims: Mapping[str, int] | None = None,
    inputs: Mapping[str, Shape] | None = None,
    values: bool = False,
    limits: Limits = DEFAULT,
) -> ModelReport:
    """The ledger of one model file or folder, read in this process.

    Args:
        path: an ONNX, Keras or HDF5 file, a SavedModel folder, a checkpoint index or a frozen graph.
        config: an architecture JSON to read a weights-only file with.
        dims: values for symbolic dimensions, by name.
        inputs: whole input shapes, by input name.
        values: read the weights themselves, too.
        limits: bounds on what is read.

    Returns:
        The report. A file that cannot be read gives one with `readable=False` and the finding that says why.

    Raises:
        ConfigError: `config`, `dims` or `inputs` are none, or say nothing of this model.
    """
    sizes = [*(dims or {}).items(), *((name, size) for name, shape in (inputs or {}).items() for size in shape if isinstance(size, int))]
    for name, size in sizes:
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= LARGEST_SIZE:
            raise ConfigError(f"{name}: {size!r} is no size of a dimension; a whole number from 0 to {LARGEST_SIZE:,}")
    options = ReadOptions(None if config is None else os.fspath(config), dict(dims or {}), dict(inputs or {}), values=values)
    return examine(os.fspath(path), options, limits)


def scan(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    values: bool = False,
    jobs: int | None = None,
    isolate: bool = True,
    settings: Settings | None = None,
    limits: Limits = DEFAULT,
) -> Report:
    """The report on files, folders and glob patterns.

    Args:
        paths: what to look at, one path or several; folders are searched.
        values: read the weights themselves, too.
        jobs: child processes at once; one per processor when None.
        isolate: read each file in a child process with limits. Switch it off in a program with threads of its own.
        settings: the policy to apply, such as `modelscan.config.load()`; none when left out. `report.failing` is then
            the number of findings that fail it. The formulas of its custom layers stay known to this process.
        limits: bounds on each file.

    Raises:
        ConfigError: a path does not exist, there is nothing to scan, or the settings cannot be used.
    """
    from modelscan.scan import scan as run

    named = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs: {jobs} is none; one child process at least, or None for one per processor")
    gate = None
    if settings is not None:
        from modelscan.policy import Gate

        gate = Gate(settings)
        values, jobs = values or settings.values, jobs or settings.jobs
    options = ReadOptions(values=values)
    excluded = gate.excludes if gate is not None and gate.settings.exclude else None
    report = run([os.fspath(path) for path in named], options=options, limits=limits, jobs=jobs, isolate=isolate, excluded=excluded)
    return report if gate is None else gate.apply(report)
