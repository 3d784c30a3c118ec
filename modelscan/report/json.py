"""The JSON report (schema 1): the plain data as it is, the same bytes for the same input."""

from __future__ import annotations

import json
import re
from typing import Any

from modelscan.ledger import ModelReport, Report

_ESCAPE = re.compile(r"\\\\|\\ud([89ab][0-9a-f]{2})(\\ud[c-f][0-9a-f]{2})?|\\ud[c-f][0-9a-f]{2}")


def dumps(data: Any) -> str:
    """Indented; characters that a terminal would obey are escaped by being non-ASCII."""
    return harmless(json.dumps(data, indent=2, ensure_ascii=True, allow_nan=False))


class JsonDocument:
    """The document of `dumps(report.to_dict())`, model by model: what waits for the end is text, a sixth of the size of the objects."""

    def __init__(self) -> None:
        self._models: list[str] = []

    def model(self, report: ModelReport) -> None:
        """One finished model."""
        self._models.append(dumps(report.to_dict()).replace("\n", "\n    "))

    def text(self, report: Report) -> str:
        """The whole document; of the report's models only the findings are looked at, for the sums."""
        if not self._models:
            return dumps(report.to_dict())
        head = dumps(report.to_dict() | {"models": []}).removesuffix("[]\n}")
        models = ",\n    ".join(self._models)
        return f"{head}[\n    {models}\n  ]\n}}"


def harmless(text: str) -> str:
    r"""JSON text that every parser takes and no log obeys.

    Bytes of a path that are no UTF-8 come as lone surrogates, which JSON can write and many parsers refuse: they become the text
    `\udc80`. `##[` in a line of output is a command to the runner of GitHub Actions; escaped, it means the same and commands nothing.
    """
    if "\\ud" in text:
        text = _ESCAPE.sub(lambda found: f"\\{found[0]}" if found[0][1] == "u" and found[2] is None else found[0], text)
    return text.replace("##[", "#\\u0023[") if "##[" in text else text
