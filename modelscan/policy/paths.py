"""Patterns over paths: `models/*.onnx`, `legacy/`, `**/old/*.h5`, `*.keras`."""

from __future__ import annotations

import os
import re
from functools import lru_cache

from modelscan.ledger import ModelReport


def place(path: str, root: str) -> str:
    """A model's path as patterns see it: from the configuration's folder, with `/`; as given when it lies elsewhere."""
    try:
        inner = os.path.relpath(path, root)
    except ValueError:  # another drive
        inner = path
    return (path if inner == os.pardir or inner.startswith(os.pardir + os.sep) else inner).replace(os.sep, "/")


def fits(pattern: str, model: ModelReport, root: str) -> bool:
    """Whether a pattern names the model: without `/` its file name, with a `/` at the end everything below that folder."""
    where = place(model.path, root)
    pattern = pattern.removeprefix("./")
    if pattern.endswith("/"):
        pattern += "**"
    if "/" not in pattern and pattern != "**":
        where = where.rpartition("/")[2]
    return _expression(pattern).fullmatch(where) is not None


def names(pattern: str, path: str, root: str) -> bool:
    """Whether a pattern names this file or folder itself; one without `/` by its name, wherever it lies."""
    where = place(path, root)
    pattern = pattern.removeprefix("./")
    if "/" not in pattern and pattern != "**":
        where = where.rpartition("/")[2]
    return _expression(pattern.rstrip("/")).fullmatch(where) is not None


def word_fits(pattern: str, word: str) -> bool:
    """Whether a pattern (`*`, `?`, `[…]`) names a layer, an operator or a type; `*` crosses every separator."""
    return _expression(pattern, True).fullmatch(word) is not None


@lru_cache(maxsize=1024)
def _expression(pattern: str, across: bool = False) -> re.Pattern[str]:
    """`*` within a part of the path, `**` over parts; `across`: `*` over everything."""
    parts: list[str] = []
    index = 0
    while index < len(pattern):
        if pattern.startswith("**/", index):
            parts.append("(?:.*/)?")
            index += 3
        elif pattern.startswith("**", index):
            parts.append(".*")
            index += 2
        elif pattern[index] == "*":
            parts.append(".*" if across else "[^/]*")
            index += 1
        elif pattern[index] == "?":
            parts.append("." if across else "[^/]")
            index += 1
        elif pattern[index] == "[" and (end := pattern.find("]", index + 2)) > 0:
            inner = pattern[index + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[{'^' + inner[1:] if inner[0] in '!^' else inner}]")
            index = end + 1
        else:
            parts.append(re.escape(pattern[index]))
            index += 1
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:  # a range such as [z-a] is no range: the pattern means itself
        return re.compile(re.escape(pattern))
