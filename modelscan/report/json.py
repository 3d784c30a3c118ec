"""The JSON report (schema 1): the plain data as it is, the same bytes for the same input."""

from __future__ import annotations

import json
from typing import IO, Any

from modelscan.ledger import Report


def write_json(report: Report, stream: IO[str]) -> None:
    """One indented document, keys in the order of the schema."""
    stream.write(dumps(report.to_dict()))
    stream.write("\n")


def dumps(data: Any) -> str:
    """Indented; characters that a terminal would obey are escaped by being non-ASCII."""
    return json.dumps(data, indent=2, ensure_ascii=True, allow_nan=False)
