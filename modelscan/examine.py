"""One file, in this process: read, derive, reconcile, judge, and put together as plain data. Prints nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from modelscan import accounting, formats, layers, mlflow, rules
from modelscan.assemble import assemble, unreadable
from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact, ReadOptions
from modelscan.ledger import ModelReport
from modelscan.limits import DEFAULT, Limits
from modelscan.model import Model, Observation


def read(artifact: Artifact, limits: Limits = DEFAULT) -> Model:
    """The model of an artifact with everything derived that its catalogue knows; raises `UnreadableFile`."""
    return layers.derive(formats.identify(artifact).read(artifact, limits), limits)


def examine(path: str, options: ReadOptions | None = None, limits: Limits = DEFAULT, *, brief: bool = False) -> ModelReport:
    """The ledger and findings of one file or model folder, or the findings and sums alone. Never raises for what the file holds."""
    with collector_paused():
        return _examined(path, options, limits, brief)


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection meanwhile: a large model makes millions of small objects that all stay, and no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _examined(path: str, options: ReadOptions | None, limits: Limits, brief: bool) -> ModelReport:
    size: int | None = None
    try:
        artifact = formats.open_artifact(path, options)
        size = artifact.source.size if artifact.source is not None else None
        found = formats.identify(artifact)
        model = layers.derive(found.read(artifact, limits), limits)
        model = replace(model, observations=(*model.observations, *mlflow.check(path, model)))
    except UnreadableFile as error:
        seen = Observation(error.kind, str(error), offset=error.offset, where=" > ".join(error.where) or None)
        return unreadable(path, size, rules.judge(rules.Subject(path, (seen,), None, None)))
    accounts = accounting.reconcile(model)
    observations, statistics = model.observations, None
    if artifact.options.values:
        from modelscan.valuecheck import check_values

        values = check_values(model, accounts, lambda tensor: found.blocks(artifact, tensor, limits))
        observations, statistics = (*observations, *values.observations), values.statistics
    findings = rules.judge(rules.Subject(path, observations, model, accounts))
    return assemble(path, size, model, accounts, findings, statistics, brief)
