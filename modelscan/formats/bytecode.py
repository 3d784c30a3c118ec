"""What a marshalled Python code object names and mentions, told from its bytes: nothing is unmarshalled into a live object.

Source: `Python/marshal.c` of CPython 2.7 to 3.13. The fields before a code object's constants changed with the versions, and the
stream does not say which one wrote it, so the layouts are tried until one accounts for every byte.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from modelscan.records import record

_REF = 0x80
_DEPTH = 100
_ITEMS = 200_000

_LAYOUTS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (5, ("code", "consts", "names", "locals", "kinds", "file", "name", "qualname", "#line", "lines", "exceptions")),  # 3.11 to 3.13
    (6, ("code", "consts", "names", "locals", "free", "cell", "file", "name", "#line", "lines")),  # 3.8 to 3.10
    (5, ("code", "consts", "names", "locals", "free", "cell", "file", "name", "#line", "lines")),  # 3.0 to 3.7
    (4, ("code", "consts", "names", "locals", "free", "cell", "file", "name", "#line", "lines")),  # 2.7
)
"""32-bit numbers before the objects, then the objects; `#` marks a number."""


class _NotThisLayout(Exception):  # noqa: N818 - raised to try the next layout, never shown
    """The bytes do not fit the layout that is being tried."""


@dataclass
class Mentioned:
    """What a code object and those inside it refer to, each once, in the order of their appearance."""

    names: dict[str, None] = field(default_factory=dict)
    """Globals, attributes and modules."""
    texts: dict[str, None] = field(default_factory=dict)
    """Text among the constants."""


@record(frozen=True, slots=True)
class _Code:
    fields: dict[str, Any]


def mentioned(text: str) -> Mentioned | None:
    """Names and texts of the code in `text`, as Keras writes it: base64, or the raw bytes as characters (Keras 1). None if it is none."""
    for data in _candidates(text):
        for layout in _LAYOUTS:
            reader = _Reader(data, *layout)
            try:
                value = reader.value(0)
            except (_NotThisLayout, UnicodeDecodeError):
                continue
            if isinstance(value, _Code) and reader.at == len(data):
                found = Mentioned()
                _collect(value, found)
                return found
    return None


def _candidates(text: str) -> Iterator[bytes]:
    try:
        yield base64.b64decode("".join(text.split()).encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        yield text.encode("raw_unicode_escape")


def _collect(value: Any, found: Mentioned) -> None:
    """Walks without recursion: constants hold further code objects."""
    pending = [value]
    while pending:
        one = pending.pop(0)
        if isinstance(one, _Code):
            for name in one.fields.get("names") or ():
                if isinstance(name, str):
                    found.names[name] = None
            pending.append(one.fields.get("consts"))
        elif isinstance(one, tuple):
            pending.extend(one)
        elif isinstance(one, str) and one:
            found.texts[one] = None


class _Reader:
    """One pass over the stream under one layout; plain values stay plain, code becomes `_Code`."""

    def __init__(self, data: bytes, numbers: int, fields: tuple[str, ...]) -> None:
        self.data = data
        self.numbers = numbers
        self.fields = fields
        self.at = 0
        self.left = _ITEMS
        self.refs: list[Any] = []
        self.interned: list[str] = []

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.data):
            raise _NotThisLayout
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, size: int = 4, signed: bool = True) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def value(self, depth: int) -> Any:
        """The next object."""
        self.left -= 1
        if depth > _DEPTH or self.left < 0:
            raise _NotThisLayout
        byte = self.take(1)[0]
        place = None
        if byte & _REF:
            place = len(self.refs)
            self.refs.append(None)
        found = self._of(chr(byte & ~_REF), depth)
        if place is not None:
            self.refs[place] = found
        return found

    def _of(self, kind: str, depth: int) -> Any:
        match kind:
            case "N" | "T" | "F" | "." | "S" | "0":
                return None
            case "i" | "f" | "g" | "I" | "x" | "y" | "l":
                return self._numeric(kind)
            case "s" | "t" | "u" | "a" | "A" | "z" | "Z":
                return self._text(kind)
            case "R":
                return self._at(self.interned, self.number())
            case "r":
                return self._at(self.refs, self.number())
            case "(" | ")" | "[" | "<" | ">":
                count = self.number(1, signed=False) if kind == ")" else self.number()
                return self._items(count, depth)
            case "{":
                return self._dictionary(depth)
            case "c":
                return self._code(depth)
        raise _NotThisLayout

    def _numeric(self, kind: str) -> None:
        if kind == "l":
            self.take(2 * abs(self.number()))
        elif kind in "fx":  # a float as text, a complex as two
            for _ in range(1 if kind == "f" else 2):
                self.take(self.number(1, signed=False))
        else:
            self.take({"i": 4, "g": 8, "I": 8, "y": 16}[kind])

    def _text(self, kind: str) -> str | None:
        data = self.take(self.number(1, signed=False) if kind in "zZ" else self.number())
        if kind == "s":  # bytes: code and line tables; in Python 2 any text
            try:
                return data.decode("ascii") if self.numbers == 4 else None
            except UnicodeDecodeError:
                return None
        text = data.decode("utf-8", "surrogatepass" if kind in "ut" else "replace")
        if kind == "t" and self.numbers == 4:
            self.interned.append(text)
        return text

    @staticmethod
    def _at(values: list[Any], index: int) -> Any:
        if not 0 <= index < len(values):
            raise _NotThisLayout
        return values[index]

    def _items(self, count: int, depth: int) -> tuple[Any, ...]:
        if not 0 <= count <= len(self.data) - self.at:
            raise _NotThisLayout
        return tuple(self.value(depth + 1) for _ in range(count))

    def _dictionary(self, depth: int) -> tuple[Any, ...]:
        found = []
        while self.at < len(self.data) and self.data[self.at] != ord("0"):
            found.append(self.value(depth + 1))
        self.take(1)
        return tuple(found)

    def _code(self, depth: int) -> _Code:
        self.take(4 * self.numbers)
        found: dict[str, Any] = {}
        for name in self.fields:
            found[name] = self.number() if name.startswith("#") else self.value(depth + 1)
        if not isinstance(found["consts"], tuple) or not isinstance(found["names"], tuple) or not isinstance(found["name"], str):
            raise _NotThisLayout
        return _Code(found)
