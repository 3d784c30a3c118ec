"""PAR2xx: weights of ONNX operators against the operators' attributes."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class OperatorContradiction(Rule):
    """An operator's attributes cannot be right for what it is given.

    What it does:
        Reports attributes that contradict each other or the operands: a `group` that does not divide the channels or the
        filters, axes beyond the input's rank, an order of axes that is none, strides or pads for another number of axes,
        indices beyond a table, a reshape to another number of elements, activations whose sizes cannot be combined, head
        counts that do not divide a width; and every node that the onnx package's shape inference refuses in its strict
        mode although all of its operands are known.

    Why it matters:
        No run-time can execute the operator. The attribute was edited, or the weights belong to another model.

    Example:
        A Conv with `group` 3 over 64 channels.

    What to do:
        Export the model again from its source, or find out who changed the file.

    References:
        The operator's definition: https://onnx.ai/onnx/operators/
    """

    code = "PAR201"
    name = "operator-contradiction"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again from its source"
