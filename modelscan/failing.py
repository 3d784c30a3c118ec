"""What fails the gate: the one place that says so, for the exit status and for every report of it."""

from __future__ import annotations

from modelscan.ledger import FindingReport, ModelReport
from modelscan.model import Severity
from modelscan.settings import Thresholds


def fails(one: FindingReport, fail_on: Thresholds) -> bool:
    """Whether a finding fails the gate: it stands, and is at or above the threshold."""
    return one.suppressed is None and fail_on.fails(one.code, one.severity)


def failing(model: ModelReport, fail_on: Thresholds) -> int:
    """How many findings of a model fail the gate; an unreadable model that nobody accepted is one at least."""
    grave = sum(fails(one, fail_on) for one in model.findings)
    if grave or model.readable or fail_on.default is None:
        return grave
    accepted = any(one.suppressed is not None for one in model.findings)
    left = any(one.suppressed is None and one.severity != Severity.INFO for one in model.findings)
    return int(left or not accepted)
