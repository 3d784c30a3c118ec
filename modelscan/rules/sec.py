"""SEC0xx: what is dangerous in a file of any format."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from modelscan.graph import Graph
from modelscan.model import Finding, Layer, Severity
from modelscan.rules.base import Rule, Subject
from modelscan.series import Repeat, parts_of

_DECEPTIVE = frozenset({"Cc", "Cf", "Zl", "Zp"})
_HARMLESS = frozenset("\t\n\r\u200c\u200d\ufeff\u00ad")
"""White space, joiners that scripts need, the byte-order mark and the soft hyphen."""
_SHOWN = 10


class DeceptiveName(Rule):
    """A name holds control, bidirectional or invisible characters.

    What it does:
        Looks at the names of layers, tensors, functions, inputs and outputs for characters that a terminal obeys or that no reader sees.

    Why it matters:
        They move the cursor, turn text around or make two names look alike: what a person reads in a log is not what is there.

    Example:
        A layer called `dense` with a zero-width space in the middle.

    What to do:
        Find out who named it so. modelscan writes such characters escaped in every output.

    References:
        CVE-2021-42574 (the same in source code), Unicode Technical Report 36.
    """

    code = "SEC001"
    name = "deceptive-name"
    severity = Severity.MEDIUM
    help = "find out who named it so"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """One finding per name, the first ten."""
        yield from super().check(subject)
        model = subject.model
        if model is None:
            return
        functions = model.graph.functions.values() if isinstance(model.graph, Graph) else ()
        named = {
            "layer": _paths(model.layers),
            "tensor": [tensor.name for tensor in model.tensors],
            "input": [one.name for one in model.inputs],
            "output": [one.name for one in model.outputs],
            "function": [one.name for one in functions],
        }
        found = [
            (what, name, one)
            for what, names in named.items()
            if _deceptive("".join(names))  # nearly all are of plain letters
            for name in dict.fromkeys(names)
            if (one := _deceptive(name))
        ]
        for what, name, character in found[:_SHOWN]:
            title = unicodedata.name(character, "") or f"control character {ord(character):#04x}"
            more = f"; {len(found) - _SHOWN} more names are like it" if len(found) > _SHOWN and (what, name, character) == found[0] else ""
            text = f"the {what} name {name!r} holds {title}{more}"
            yield self.finding(text, layer=name if what == "layer" else None, tensor=name if what == "tensor" else None)


def _paths(layers: Sequence[Layer]) -> list[str]:
    """The paths of layers; of copies only where one is suspicious, for they differ from their sample in digits."""
    paths = [layer.path for layer in parts_of(layers) if not isinstance(layer, Repeat)]
    return [layer.path for layer in layers] if _deceptive("".join(paths)) else paths


def _deceptive(name: str) -> str | None:
    """The first character that a reader would not see or a terminal would obey."""
    if name.isascii() and name.isprintable():
        return None
    return next((one for one in name if one not in _HARMLESS and unicodedata.category(one) in _DECEPTIVE), None)
