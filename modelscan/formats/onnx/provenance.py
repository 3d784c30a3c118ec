"""What `torch.onnx` says of the values that it computed at export: whether a parameter of the program is in them.

Beside each such value stands what it was folded from, all the way back, and beside the graph what every name was in the program. What
no parameter is in (masks, ones that stand for a weight which is not there, initial states) was not learned, whatever takes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from modelscan.errors import UnreadableFile
from modelscan.formats.onnx.context import Extent, Reading
from modelscan.wire import LENGTH

FOLDED = "pkg.onnxscript.optimizer.folded_from"
"""The key beside a value, with the names of all that went into it."""
CONSTANT = "FOLDED"
"""The kind of a value that no parameter is in, beside those of `torch.export` (`InputKind`)."""
_SIGNATURE = "pkg.torch.export.ExportedProgram.graph_signature"
_SIGNATURE_BYTES = 16 << 20
"""Of a longer one nothing is concluded."""
_TARGET = re.compile(r": (\w+) target='([^']*)'")
_NAME = re.compile(r"'([^']*)'")
_PARAMETER = "PARAMETER"


def constants(reading: Reading, metadata: list[Extent], folded: Mapping[str, str]) -> dict[str, str]:
    """The kind of those values that were folded from no parameter.

    Args:
        reading: the file.
        metadata: where the entries of the graph's metadata lie.
        folded: what stands beside values under `FOLDED`, by name.
    """
    kinds = _program(reading, metadata)
    return {name: CONSTANT for name, text in folded.items() if kinds and text.endswith("]") and _without(_NAME.findall(text), kinds)}


def _without(names: Iterable[str], kinds: Mapping[str, str]) -> bool:
    """Whether none of these is a parameter; a name with dots is one of the program's, and nothing is known of it if that is not listed."""
    return all(kinds.get(name, _PARAMETER if "." in name else CONSTANT) != _PARAMETER for name in names)


def _program(reading: Reading, metadata: list[Extent]) -> dict[str, str]:
    """What each name of the program was, by the graph's signature; a name that is listed twice is a parameter if it is one once."""
    found: dict[str, str] = {}
    for kind, name in _TARGET.findall(_signature(reading, metadata)):
        if found.get(name) != _PARAMETER:
            found[name] = kind
    return found


def _signature(reading: Reading, metadata: list[Extent]) -> str:
    try:
        for start, end in metadata:
            key = ""
            for number, kind, at, size in reading.wire.fields(start, end):
                if kind == LENGTH and number == 1:
                    key = reading.wire.text(at, min(size, len(_SIGNATURE) + 1))
                elif kind == LENGTH and number == 2 and key == _SIGNATURE and size <= _SIGNATURE_BYTES:
                    return reading.wire.read(at, size).decode("utf-8", "replace")
    except UnreadableFile:  # the metadata's own reader tells of it
        pass
    return ""
