"""JSON documents from untrusted files, read within bounds; what is odd about them is noted."""

from __future__ import annotations

import json
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.limits import Limits
from modelscan.model import Observation

_NESTED = (dict, list)


def parse_json(data: bytes | str, where: str, limits: Limits, seen: list[Observation]) -> Any:
    """The document's value. Duplicate keys are noted (the last one counts, as in Python's own loader).

    Raises:
        LimitExceeded: the text is longer or nested deeper than the limits allow.
        UnreadableFile: `malformed-json`, with the offset where parsing failed.
    """
    if len(data) > limits.json_bytes:
        raise LimitExceeded("json_bytes", len(data), limits.json_bytes, where=(where,))
    duplicates: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            names = [name for name, _ in items]
            duplicates.extend(sorted({name for name in names if names.count(name) > 1}))
        return found

    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=pairs)
    except UnicodeDecodeError as error:
        raise UnreadableFile("malformed-json", f"not UTF-8: {error.reason}", offset=error.start, where=(where,)) from error
    except json.JSONDecodeError as error:
        raise UnreadableFile("malformed-json", f"not JSON: {error.msg}", offset=error.pos, where=(where,)) from error
    except RecursionError as error:
        raise LimitExceeded("json_depth", 1000, limits.json_depth, where=(where,)) from error
    except ValueError as error:  # Python refuses integers of thousands of digits
        raise UnreadableFile("malformed-json", str(error), where=(where,)) from error
    depth = 0 if _surely_flat(text, limits.json_depth) else _depth(value, limits.json_depth)
    if depth > limits.json_depth:
        raise LimitExceeded("json_depth", depth, limits.json_depth, where=(where,))
    if duplicates:
        text = f"the key {duplicates[0]!r} stands twice in one object of {where}; loaders differ in which one they take"
        seen.append(Observation("duplicate-json-key", text, where=where))
    return value


def _surely_flat(text: str, limit: int) -> bool:
    """Whether nesting surely keeps to the limit, at a tenth of what counting it in a large document costs.

    Brackets are taken away from the inside out, two levels at most at a time. One inside a string has an odd number of quotes before it,
    so that it does not pass for one outside: quotes are taken away in pairs that touch, and one is left.
    """
    marks = text.encode("utf-8", "replace").translate(None, _NO_MARKS).replace(b'""', b"")
    if b'"' in marks or b"\\" in marks:
        return False
    for _ in range(limit // 2):
        if not marks:
            return True
        marks = marks.replace(b"{}", b"").replace(b"[]", b"")
    return not marks


_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"\\'))


def _depth(value: Any, limit: int) -> int:
    """Nesting of lists and objects, counted no further than one past `limit`."""
    level, depth = [value] if isinstance(value, _NESTED) else [], 0
    while level and depth <= limit:
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend([child for child in one.values() if isinstance(child, _NESTED)])
            else:
                inner.extend([child for child in one if isinstance(child, _NESTED)])
        level, depth = inner, depth + 1
    return depth
