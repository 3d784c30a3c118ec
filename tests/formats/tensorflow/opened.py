"""Reading a path as the package does, and what was noticed on the way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from modelscan import formats
from modelscan.examine import examine
from modelscan.formats import ReadOptions
from modelscan.limits import DEFAULT, Limits
from modelscan.model import Model


def read(path: Path, limits: Limits = DEFAULT) -> Model:
    """The model at a path, by whatever format it is."""
    artifact = formats.open_artifact(str(path))
    return formats.identify(artifact).read(artifact, limits)


def kinds(path: Path, limits: Limits = DEFAULT) -> Counter[str]:
    """The observations on a path, by kind."""
    return Counter(one.kind for one in read(path, limits).observations)


OWN = ("FIL", "GRF", "SEC", "PAR3")
"""Codes that are the reader's: what layers make of the variables is another matter."""


def findings(path: Path, values: bool = False) -> list[str]:
    """Names of the findings above info that are the reader's, an unreadable model's reason included."""
    report = examine(str(path), ReadOptions(values=values))
    return [one.name for one in report.findings if one.severity != "info" and one.code.startswith(OWN)]
