"""What all text views share: escaping, widths, numbers with separators and units, colours."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from modelscan.ledger import LayerReport
from modelscan.model import Severity, Verdict
from modelscan.records import record

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_COMMAND = re.compile(r"^((?:[ \t]|\x1b\[[0-9;]*m)*)::", re.MULTILINE)
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

MARKS = {
    Verdict.MATCH: "✓",
    Verdict.INFERRED: "≈",
    Verdict.MISMATCH: "✗",
    Verdict.MISSING: "✗",
    Verdict.EXTRA: "✗",
    Verdict.UNKNOWN: "?",
    Verdict.EMPTY: " ",
}
_ASCII = str.maketrans({"✓": "+", "≈": "~", "✗": "x", "×": "*", "─": "-", "→": ">", "·": "-", "…": "~", "│": "|", "⌈": "[", "⌉": "]"})


def escape(text: str) -> str:
    """A name from a file, made harmless.

    Control, formatting and bidirectional characters are written as escapes; so is `##[`, which is a command to the runner of GitHub
    Actions wherever it stands in a line of output.
    """
    if "##[" in text:
        text = text.replace("##[", "#\\u{23}[")
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"\\u{{{ord(c):x}}}" if unicodedata.category(c) in _ESCAPED else c for c in text)


def escaped(texts: Sequence[str]) -> Sequence[str]:
    """The same of many names, which are looked at together: nearly always there is nothing to escape."""
    whole = "".join(texts)
    return texts if whole.isascii() and whole.isprintable() and "##[" not in whole else [escape(text) for text in texts]


def plain_path(path: str) -> str:
    """A path as other programs know it: with `/`, without `./` before it."""
    return posixpath.normpath(path.replace(os.sep, "/"))


def width(text: str) -> int:
    """Columns that a terminal needs for the text."""
    return len(text) if text.isascii() else _wide(text)


def width_of_all(texts: Sequence[str]) -> int:
    """Columns that the longest of them needs."""
    return max(map(len, texts)) if "".join(texts).isascii() else max(map(width, texts))


@lru_cache(maxsize=4096)
def _wide(text: str) -> int:
    """The same, character by character; the formulas of a table are few, and each is measured several times."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def visible(text: str) -> int:
    """Columns of a text that may hold colours."""
    return width(re.sub("\x1b\\[[0-9;]*m", "", text))


def pad(text: str, columns: int, right: bool = False) -> str:
    """The text filled up with spaces."""
    space = " " * max(0, columns - width(text))
    return space + text if right else text + space


def shorten(text: str, columns: int) -> str:
    """The text cut in the middle, where names differ least."""
    if width(text) <= columns or columns < 4:
        return text
    head = (columns - 1 + 1) // 2
    tail = columns - 1 - head
    return f"{_cut(text, head)}…{_cut(text[::-1], tail)[::-1]}"


def _cut(text: str, columns: int) -> str:
    used, kept = 0, []
    for c in text:
        used += width(c)
        if used > columns:
            break
        kept.append(c)
    return "".join(kept)


def number(value: int | None) -> str:
    """With thousands separators; `?` where unknown."""
    return "?" if value is None else f"{value:,}"


def parameters(value: int | None) -> str:
    """How many parameters: `19,082 parameters`, `1 parameter`."""
    return f"{number(value)} parameter{'' if value == 1 else 's'}"


def size(value: int | None) -> str:
    """Bytes with a binary unit, three digits: `74.5 KiB`."""
    if value is None:
        return "?"
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{value:,} B" if not unit else f"{amount:.{2 if amount < 10 else 1 if amount < 100 else 0}f} {_UNITS[unit]}"


def share(part: int | None, whole: int | None) -> str:
    """Per cent of the whole, one decimal; nothing for no part."""
    if not part or not whole:
        return ""
    return f"{100 * part / whole:.1f} %"


def shape(value: Sequence[int | str | None] | None) -> str:
    """As Keras writes it: `(None, 128)`; `?` where nothing is known of it."""
    if value is None:
        return "?"
    parts = ["None" if one is None else str(one) if isinstance(one, int) else escape(one) for one in value]
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def shapes(values: Iterable[Sequence[int | str | None]]) -> str:
    """One shape, or several separated by commas; `?` for none."""
    return ", ".join(shape(one) for one in values) or "?"


def outputs(layer: LayerReport) -> str:
    """What a layer yields; nothing for a container that only groups layers."""
    return _outputs(layer.output_shapes) if layer.output_shapes or not layer.container else ""


@lru_cache(maxsize=4096)
def _outputs(known: tuple[tuple[int | str | None, ...], ...]) -> str:
    """As `shapes`; the layers of a model have few different ones."""
    return shapes(known)


def formula(layer: LayerReport) -> str:
    """Symbols and numbers, once where they are the same; nothing where no formula is known."""
    if layer.formula is None:
        return ""
    return f"{layer.formula} = {layer.formula_values}" if layer.formula_values != layer.formula else layer.formula


def tied(layer: LayerReport) -> str:
    """How much of a layer's count is another layer's, already counted there."""
    return f" (tied: {number(layer.tied)} counted above)" if layer.tied else ""


_COLOURS = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    Severity.CRITICAL: "1;31",
    Severity.HIGH: "31",
    Severity.MEDIUM: "33",
    Severity.LOW: "36",
    Severity.INFO: "2",
}
_VERDICT_COLOURS = {"✓": "green", "≈": "cyan", "✗": "red", "?": "yellow"}


@record(frozen=True, slots=True)
class Style:
    """How a view is written: in colour or not, in Unicode or ASCII, to how many columns."""

    columns: int = 100
    colour: bool = False
    unicode: bool = True

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, if this style has colours."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.colour and text.strip() else text

    def mark(self, verdict: str) -> str:
        """A verdict's mark, coloured."""
        mark = MARKS[Verdict(verdict)]
        return self.paint(mark, _VERDICT_COLOURS[mark]) if mark in _VERDICT_COLOURS else mark

    def finish(self, text: str) -> str:
        """The whole text as the stream can take it; no line of it begins like a command to a CI runner (`::add-mask::…`)."""
        text = _COMMAND.sub(r"\1\\u{3a}:", text) if "::" in text else text
        return text if self.unicode else text.translate(_ASCII)
