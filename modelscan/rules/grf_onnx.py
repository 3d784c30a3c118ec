"""GRF2xx: ONNX graphs, whether they fit together."""

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


class MissingGraph(Rule):
    """The model has no graph.

    What it does:
        Reports ONNX files without the field `graph`.

    Why it matters:
        There is nothing to run or to check; an empty file parses as such a model.

    Example:
        A file cut off after its header.

    What to do:
        Get the complete model.

    References:
        onnx docs/IR.md, Models.
    """

    code = "GRF206"
    name = "missing-graph"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "get the complete model"


class MissingIrVersion(Rule):
    """The model does not say which version of the format it is.

    What it does:
        Reports models without `ir_version`.

    Why it matters:
        How the file is to be read is not defined; checkers and runtimes refuse it.

    Example:
        A model built by hand.

    What to do:
        Export the model again.

    References:
        onnx docs/IR.md, Models.
    """

    code = "GRF207"
    name = "missing-ir-version"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class MissingOpset(Rule):
    """The model does not say which version of its operators it means.

    What it does:
        Reports models without opset imports, and operators of a domain that is not imported (medium for custom
        domains).

    Why it matters:
        Operators change their meaning between versions: Softmax of opset 12 and 13 differ.

    Example:
        ai.onnx.ml operators and an import of ai.onnx only.

    What to do:
        Export the model again.

    References:
        onnx docs/IR.md, Operator Sets.
    """

    code = "GRF208"
    name = "missing-opset"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class OpsetNewer(Rule):
    """The model uses an operator set that the installed onnx package does not know yet.

    What it does:
        Compares the imported version of ai.onnx with the newest one known.

    Why it matters:
        Shapes and operators are judged by the older definitions.

    Example:
        opset 40.

    What to do:
        Update the onnx package.

    References:
        onnx docs/Versioning.md.
    """

    code = "GRF209"
    name = "opset-newer"
    severity = Severity.INFO
    formats = ("onnx",)
    help = "update the onnx package"


class UnknownOperator(Rule):
    """An operator is not part of the standard domain that it claims.

    What it does:
        Looks up each operator of ai.onnx, ai.onnx.ml and ai.onnx.training in the onnx package's registry at the
        imported version. Medium when the operator exists in another version, or when ONNX Runtime knows it.

    Why it matters:
        No runtime can be expected to run it; a look-alike of a standard name hides a custom one.

    Example:
        `Convv` in domain ai.onnx.

    What to do:
        Check the name and the opset import.

    References:
        onnx docs/Operators.md.
    """

    code = "GRF210"
    name = "unknown-operator"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "check the operator's name and the opset import"


class DeclaredTypeContradiction(Rule):
    """The declared type or shape of a value is not what the graph computes.

    What it does:
        Infers types and shapes from the inputs alone and compares them with those that the file declares.

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
    name = "declared-type-contradiction"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class RecursiveFunction(Rule):
    """A model-local function calls itself.

    What it does:
        Follows the calls between the functions of the model.

    Why it matters:
        The standard forbids it; readers that inline functions never end.

    Example:
        Function f with a node f.

    What to do:
        Do not load the file.

    References:
        onnx docs/IR.md, Functions.
    """

    code = "GRF212"
    name = "recursive-function"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "do not load the file"


class DuplicateFunction(Rule):
    """Two functions of the model have the same domain, name and overload.

    What it does:
        Reports the second and further ones.

    Why it matters:
        Readers differ in which one they take.

    Example:
        Two functions `local.Block`.

    What to do:
        Export the model again.

    References:
        onnx docs/IR.md, Functions.
    """

    code = "GRF213"
    name = "duplicate-function"
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
