"""The report line by line: a model as soon as it is finished, the sums at the end; nothing is kept meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from modelscan.ledger import ModelReport, Report
from modelscan.model import Severity
from modelscan.report.json import harmless


class JsonLines:
    """Writes a line of JSON per model, then one with everything else that the JSON report has."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """`write` gets whole lines."""
        self._write = write
        self._models = self._unreadable = 0
        self._findings = {str(severity): 0 for severity in Severity}

    def model(self, report: ModelReport) -> None:
        """One model's line."""
        self._models += 1
        self._unreadable += not report.readable
        for one in report.findings:
            if one.suppressed is None:
                self._findings[one.severity] += 1
        self._line({"record": "model", **report.to_dict()})

    def end(self, report: Report) -> None:
        """The last line: the report without its models, with the sums over those that were written."""
        rest = {key: value for key, value in report.to_dict().items() if key != "models"}
        rest["summary"] |= {"models": self._models, "unreadable": self._unreadable, "findings": self._findings}
        self._line({"record": "summary", **rest})

    def _line(self, data: dict[str, Any]) -> None:
        self._write(harmless(json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))) + "\n")
