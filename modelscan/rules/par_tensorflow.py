"""PAR30x: the variables of a program against the entries of its checkpoint."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class VariableWithoutEntry(Rule):
    """A variable of the program has no value in the checkpoint.

    What it does:
        Follows every variable of the object graph, or of the saver's list, to its entry.

    Why it matters:
        The model cannot be restored, or runs with a value nobody trained.

    Example:
        `dense/kernel` is in the program and not in `variables.index`.

    What to do:
        Export the model again.

    References:
        tensorflow/core/protobuf/saved_object_graph.proto
    """

    code = "PAR301"
    name = "variable-without-entry"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "export the model again"


class EntryWithoutVariable(Rule):
    """A value in the checkpoint belongs to no variable of the program.

    What it does:
        Looks for weights in the index that nothing in the program refers to.

    Why it matters:
        It is dead weight, or the program is not the one that the checkpoint was saved with.

    Example:
        An entry `layer-7/kernel` beside a program of six layers.

    What to do:
        Export the model again.

    References:
        None.
    """

    code = "PAR302"
    name = "entry-without-variable"
    severity = Severity.LOW
    formats = ("savedmodel",)
    help = "export the model again"


class VariableShape(Rule):
    """A variable's stored value has another shape than the program gives it.

    What it does:
        Compares the shape in the program with that of the entry.

    Why it matters:
        The program and the checkpoint are not of the same model: it cannot be restored.

    Example:
        A variable `(128, 10)`, stored as `(10, 128)`.

    What to do:
        Copy both from one export.

    References:
        None.
    """

    code = "PAR303"
    name = "variable-shape"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "copy program and checkpoint from one export"


class VariableType(Rule):
    """A variable's stored value has another element type than the program gives it.

    What it does:
        Compares the type in the program with that of the entry.

    Why it matters:
        The model cannot be restored.

    Example:
        A float32 variable, stored as float64.

    What to do:
        Copy both from one export.

    References:
        None.
    """

    code = "PAR304"
    name = "variable-type"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "copy program and checkpoint from one export"
