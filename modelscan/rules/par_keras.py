"""PAR1xx: whether Keras' configuration and weights belong together."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class GroupNameMismatch(Rule):
    """A group of weights carries another layer's name.

    What it does:
        Compares the name that Keras 3.6 and later write beside each layer's weights with the layer that the order of
        the file gives them to.

    Why it matters:
        Two layers of one class were swapped: shapes agree, the model computes something else.

    Example:
        The weights of `dense_a` in the group of `dense_b`.

    What to do:
        Save the model again from its source.

    References:
        `keras/src/saving/saving_lib.py`.
    """

    code = "PAR100"
    name = "group-name-mismatch"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save the model again from its source"


class DeclaredShapeMismatch(Rule):
    """A layer yields another shape than the file declares for its output.

    What it does:
        Propagates shapes through the graph and compares them with the tensor shapes that Keras 3 writes.

    Why it matters:
        A hyperparameter or a declared shape was edited.

    Example:
        A Dense layer of 64 units whose consumer declares 32 features.

    What to do:
        Save the model again from its source.

    References:
        None.
    """

    code = "PAR101"
    name = "declared-shape-mismatch"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save the model again from its source"
