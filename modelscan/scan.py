"""Discover, read, account, judge: from paths to a `Report`. Prints nothing."""

from __future__ import annotations

from dataclasses import replace

from modelscan import accounting, formats, layers, rules
from modelscan.assemble import assemble, unreadable
from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact, ReadOptions
from modelscan.ledger import ModelReport
from modelscan.limits import DEFAULT, Limits
from modelscan.model import Model, Observation


def read(artifact: Artifact, limits: Limits = DEFAULT) -> Model:
    """The model of an artifact with everything derived that its catalogue knows; raises `UnreadableFile`."""
    model = formats.identify(artifact).read(artifact, limits)
    return layers.derive(model, limits)


def examine(path: str, options: ReadOptions | None = None, limits: Limits = DEFAULT) -> ModelReport:
    """One file or model folder, in this process: its ledger and findings. Never raises for what the file holds."""
    size: int | None = None
    try:
        artifact = formats.open_artifact(path, options)
        size = artifact.source.size if artifact.source is not None else None
        model = read(artifact, limits)
    except UnreadableFile as error:
        seen = Observation(error.kind, str(error), offset=error.offset, where=" > ".join(error.where) or None)
        return unreadable(path, size, rules.judge(rules.Subject(path, (seen,), None, None)))
    accounts = accounting.reconcile(model)
    findings = rules.judge(rules.Subject(path, model.observations, model, accounts))
    return assemble(path, size, replace(model, graph=None), accounts, findings)
