"""GRF2xx: versions, operators and functions of ONNX models."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


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


class UnknownOpset(Rule):
    """The model uses an operator set that the installed onnx package does not know yet.

    What it does:
        Compares the imported version of ai.onnx, and the file's `ir_version`, with the newest ones known.

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
    name = "unknown-opset"
    severity = Severity.LOW
    formats = ("onnx",)
    help = "update the onnx package"


class UnknownOperator(Rule):
    """An operator is not part of the domain that it claims.

    What it does:
        Looks up each operator of ai.onnx, ai.onnx.ml and ai.onnx.training in the onnx package's registry at the
        imported version, those of com.microsoft among ONNX Runtime's; and tells of the standard's operators in a domain
        that is not imported. Medium when the operator exists in another version, or when the version is newer than the
        installed onnx package, which then cannot tell. Low for operators withdrawn from the standard that ONNX Runtime
        still runs (`Scale`, `Crop`, in models before opset 10), info for `SimplifiedLayerNormalization`, which it runs
        in all and writes itself.

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


class OperatorSignature(Rule):
    """A node is no possible call of its operator.

    What it does:
        Compares the numbers of inputs and outputs and the attributes of each node of a standard domain with the
        operator's schema: operands that are left out although the operator needs them, attributes that it does not have,
        of another type, with a value that is none of the possible ones, or missing although required; the bodies of If,
        Loop and Scan with the number of values that the node passes and takes; calls of model-local functions with what
        these have. Names that begin with two underscores are for internal use and silent.

    Why it matters:
        Runtimes refuse the model; a reader that ignores what it does not know computes something else.

    Example:
        Conv with an attribute `paddings`.

    What to do:
        Export the model again.

    References:
        onnx docs/Operators.md.
    """

    code = "GRF217"
    name = "operator-signature"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class TypeMismatch(Rule):
    """A node takes a value of a type that its operator does not take.

    What it does:
        Compares the known element types of the inputs of each node of a standard domain with the type constraints in
        the operator's schema.

    Why it matters:
        Runtimes refuse the model, or reinterpret bytes: an edited data_type of the same width passes every check of
        sizes.

    Example:
        Conv of float32 activations with int32 weights.

    What to do:
        Export the model again.

    References:
        onnx docs/Operators.md.
    """

    code = "GRF218"
    name = "type-mismatch"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"
