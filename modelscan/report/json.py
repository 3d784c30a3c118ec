"""The JSON report (schema 1): the plain data as it is, the same bytes for the same input."""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii as quoted
from math import isfinite
from typing import Any

from modelscan.ledger import ModelReport, Report

_ESCAPE = re.compile(r"\\\\|\\ud([89ab][0-9a-f]{2})(\\ud[c-f][0-9a-f]{2})?|\\ud[c-f][0-9a-f]{2}")


def dumps(data: Any) -> str:
    """Indented; characters that a terminal would obey are escaped by being non-ASCII."""
    return harmless(_indented(data, "\n"))


def _indented(value: Any, line: str) -> str:
    """As `json.dumps(value, indent=2, allow_nan=False)` writes it, which takes three times as long; `line` begins a line at this depth."""
    kind = type(value)
    if kind is str:
        return quoted(value)
    if value is None or value is True or value is False:
        return "null" if value is None else "true" if value else "false"
    if kind is int:
        return str(value)
    inner = f"{line}  "
    if kind is dict:
        written = [f"{quoted(name)}: {_indented(one, inner)}" for name, one in value.items()]
        return f"{{{inner}{f',{inner}'.join(written)}{line}}}" if written else "{}"
    if kind is list or kind is tuple:
        written = [_indented(one, inner) for one in value]
        return f"[{inner}{f',{inner}'.join(written)}{line}]" if written else "[]"
    return _rare(value, line)


def _rare(value: Any, line: str) -> str:
    """Numbers with a fraction, and what is a number, text or container by inheritance."""
    if isinstance(value, float) and isfinite(value):
        return float.__repr__(value)
    plain: Any
    for plain in (str, int, dict, list, tuple):
        if isinstance(value, plain):
            return _indented(plain(value), line)
    raise ValueError(f"JSON has no word for {value!r}")


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
