"""FIL02x: files built of protobuf messages (ONNX, TensorFlow)."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class MalformedProtobuf(Rule):
    """The protobuf structure contradicts itself.

    What it does:
        Reports a field whose length, tag or group does not fit into the message around it, with its byte offset.

    Why it matters:
        Parsers differ in what they make of such a file: one refuses it, another reads on in the wrong place.

    Example:
        A tensor of 40 bytes inside a graph of 30.

    What to do:
        Fetch the file again and compare its checksum with the source.

    References:
        https://protobuf.dev/programming-guides/encoding/
    """

    code = "FIL020"
    name = "malformed-protobuf"
    severity = Severity.HIGH
    help = "fetch the file again and compare its checksum with the source"
