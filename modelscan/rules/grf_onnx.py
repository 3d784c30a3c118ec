"""GRF2xx: ONNX graphs, whether their values and nodes fit together."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class DuplicateValue(Rule):
    """A value is defined more than once in one graph.

    What it does:
        Reports names that several nodes or inputs define within one scope. Shadowing a name of an outer graph is legal
        and silent.

    Why it matters:
        The graph is not in static single assignment form: its meaning depends on the reader.

    Example:
        Two nodes with the output `y`.

    What to do:
        Export the model again.

    References:
        onnx docs/IR.md, Names Within a Graph.
    """

    code = "GRF201"
    name = "duplicate-value"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class UndefinedInput(Rule):
    """A node uses a value that nothing defines.

    What it does:
        Looks for each input in the graph, its initializers and the graphs around it.

    Why it matters:
        The model cannot run: a node or an initializer was removed.

    Example:
        Conv with an input `w` and no initializer `w`.

    What to do:
        Get the complete model.

    References:
        onnx docs/IR.md, Graphs.
    """

    code = "GRF202"
    name = "undefined-input"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "get the complete model"


class GraphCycle(Rule):
    """Nodes wait for one another in a circle.

    What it does:
        Sorts the nodes by their inputs and reports those that are left.

    Why it matters:
        The graph cannot be executed; readers that follow it without a bound never end.

    Example:
        Add(a, c) → b, Relu(b) → c.

    What to do:
        Export the model again.

    References:
        onnx docs/IR.md, Graphs.
    """

    code = "GRF203"
    name = "graph-cycle"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class UnsortedNodes(Rule):
    """Nodes stand in the file in an order in which they cannot run.

    What it does:
        Reports graphs where a node comes before one that it needs, and that can be sorted.

    Why it matters:
        The standard asks for topological order; ONNX Runtime sorts for itself, other readers refuse the file.

    Example:
        Relu(b) → c before Add(a, a) → b.

    What to do:
        Sort the nodes when you save the model.

    References:
        onnx docs/IR.md, Graphs.
    """

    code = "GRF204"
    name = "unsorted-nodes"
    severity = Severity.LOW
    formats = ("onnx",)
    help = "sort the nodes when saving"


class UndefinedOutput(Rule):
    """An output of the model is computed by nothing.

    What it does:
        Looks for each graph output among the values that nodes, inputs and initializers define.

    Why it matters:
        The model cannot run: a node was removed or renamed.

    Example:
        Output `probabilities`, last node output `probs`.

    What to do:
        Get the complete model.

    References:
        onnx docs/IR.md, Graphs.
    """

    code = "GRF205"
    name = "undefined-output"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "get the complete model"


class DeclaredShape(Rule):
    """The declared type or shape of a value is not what the graph computes.

    What it does:
        Infers types and shapes from the inputs alone and compares them with those that the file declares; and what is
        declared of initializers with how they are stored.

    Why it matters:
        Whoever allocates by the declaration allocates wrongly; the graph or the declaration was edited.

    Example:
        Output declared (1, 1000), computed (1, 10).

    What to do:
        Export the model again.

    References:
        onnx docs/ShapeInference.md.
    """

    code = "GRF211"
    name = "declared-shape"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class UnusedInitializer(Rule):
    """A stored tensor is used by nothing.

    What it does:
        Reports initializers that no node and no output refers to, in any scope.

    Why it matters:
        It is carried along and never used.

    Example:
        `num_batches_tracked` of a BatchNorm.

    What to do:
        Nothing; a simplifier removes it.

    References:
        None.
    """

    code = "GRF214"
    name = "unused-initializer"
    severity = Severity.INFO
    formats = ("onnx",)
    help = "a simplifier removes it"


class AttributeContradiction(Rule):
    """An attribute's declared type and its value disagree.

    What it does:
        Reports attributes whose value stands in another field than their type names, or in two fields.

    Why it matters:
        Readers differ in which one they take.

    Example:
        type INT and a value in `f`.

    What to do:
        Export the model again.

    References:
        onnx/onnx.proto, AttributeProto.
    """

    code = "GRF215"
    name = "attribute-contradiction"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class DuplicateAttribute(Rule):
    """A node has the same attribute twice.

    What it does:
        Reports names that occur more than once among the attributes of a node.

    Why it matters:
        Readers differ in which one they take.

    Example:
        Two attributes `axis`, 0 and 1.

    What to do:
        Export the model again.

    References:
        onnx docs/IR.md, Attributes.
    """

    code = "GRF216"
    name = "duplicate-attribute"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"
