"""GRF30x and GRF31x: TensorFlow graphs, whether their functions, nodes and values fit together."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class RecursiveCall(Rule):
    """A function of the library calls itself.

    What it does:
        Follows the calls from function to function.

    Why it matters:
        No TensorFlow writes such a library: whoever follows its calls without a bound never ends.

    Example:
        `f` calls `g`, which calls `f`.

    What to do:
        Distrust the file.

    References:
        CWE-674
    """

    code = "GRF301"
    name = "recursive-call"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "distrust the file"


class LibraryDuplicate(Rule):
    """Two functions of the library have one name.

    What it does:
        Compares the names of the functions.

    Why it matters:
        Which of the two is called is left to the runtime: what was looked at may not be what runs.

    Example:
        Two definitions of `__inference_call_12`.

    What to do:
        Distrust the file.

    References:
        None.
    """

    code = "GRF302"
    name = "library-duplicate"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "distrust the file"


class UndefinedFunction(Rule):
    """The graph calls a function that the library does not have.

    What it does:
        Looks up every function that a reachable operation or the object graph names. What an attribute names that is no part of the
        operation's definition (`_…`) is medium.

    Why it matters:
        TensorFlow does not load the model, or fails when it comes to the call.

    Example:
        A `PartitionedCall` of `f` in a library without `f`.

    What to do:
        Export the model again.

    References:
        None.
    """

    code = "GRF303"
    name = "undefined-function"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "export the model again"


class CustomOp(Rule):
    """The graph has operations that plain TensorFlow does not know.

    What it does:
        Compares the operations that can be reached with those of TensorFlow's own registry.

    Why it matters:
        The model needs a library of native code to be loaded beside it.

    Example:
        `SimpleMLInferenceOpWithHandle` of TensorFlow Decision Forests.

    What to do:
        Load the library that the model's author names, from where you trust it.

    References:
        https://www.tensorflow.org/guide/create_op
    """

    code = "GRF304"
    name = "custom-op"
    severity = Severity.INFO
    formats = ("savedmodel",)
    help = "load the library that brings the operation"


class UndefinedValue(Rule):
    """A node takes a value that nothing in its graph makes.

    What it does:
        Looks up every input, control dependency and result, in the graph and in all functions: the node that makes it, and the output of
        that node.

    Why it matters:
        TensorFlow refuses the graph.

    Example:
        A `MatMul` takes `dense/kernel`, and there is no such node; a function gives back `Relu:activations:1`.

    What to do:
        Export the model again; if nodes were removed, do it with the tool that made it.

    References:
        None.
    """

    code = "GRF305"
    name = "undefined-value"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "export the model again"


class DuplicateNode(Rule):
    """Two nodes of one graph have the same name.

    What it does:
        Compares the names of the nodes of the graph, and of each function with its arguments.

    Why it matters:
        TensorFlow refuses the graph, and which of the two others mean is anybody's guess.

    Example:
        Two nodes `dense/MatMul`.

    What to do:
        Export the model again.

    References:
        None.
    """

    code = "GRF306"
    name = "duplicate-node"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "export the model again"


class NodeCycle(Rule):
    """Nodes wait for one another in a circle.

    What it does:
        Follows inputs and control dependencies. The way back of a TensorFlow 1 loop, from `NextIteration` to `Merge`, is none.

    Why it matters:
        TensorFlow refuses the graph: none of these nodes can ever run.

    Example:
        `a` takes the output of `b`, which takes that of `a`.

    What to do:
        Export the model again.

    References:
        None.
    """

    code = "GRF307"
    name = "node-cycle"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "export the model again"


class NodeDefinition(Rule):
    """A node does not fit its operation: an attribute or an input is missing, or there is one too many.

    What it does:
        Holds number of inputs and attributes against TensorFlow's own registry, for functions against their signature. Operations that
        it does not know are left alone, and so are additional attributes in files of a later TensorFlow.

    Why it matters:
        TensorFlow refuses the graph.

    Example:
        A `MatMul` without the attribute `T`; a `Relu` of two values.

    What to do:
        Export the model again.

    References:
        https://www.tensorflow.org/guide/create_op
    """

    code = "GRF308"
    name = "node-definition"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "export the model again"


class OperandShapes(Rule):
    """The operands of an operation cannot have the shapes that they have.

    What it does:
        Follows the shapes of variables, constants and inputs to products, convolutions and sums, and compares the dimensions that have
        to be equal. What is not known fits everything.

    Why it matters:
        TensorFlow refuses the graph, or fails whenever it runs.

    Example:
        A `MatMul` of (None, 6) and (8, 4).

    What to do:
        Export the model again.

    References:
        None.
    """

    code = "GRF309"
    name = "operand-shapes"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "export the model again"


class ConstantPayload(Rule):
    """A constant does not have the bytes that its shape and type take.

    What it does:
        Measures the tensor of every `Const`; one with fewer elements in a list than its shape has repeats the last one and is whole.

    Why it matters:
        TensorFlow does not read the constant.

    Example:
        28 bytes for (4, 2) float32.

    What to do:
        Get the file anew: it was cut or edited.

    References:
        https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/tensor.proto
    """

    code = "GRF310"
    name = "constant-payload"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "get the file anew"


class SignatureTensor(Rule):
    """A signature names a tensor that the graph does not have as it says.

    What it does:
        Looks up the inputs and outputs of every signature, and compares type and shape of an input with the placeholder's.

    Why it matters:
        Whoever calls the model by this signature is refused; TensorFlow Serving does not load it.

    Example:
        The input `x` is `serving_default_x:0`, and there is no such node.

    What to do:
        Export the model again.

    References:
        None.
    """

    code = "GRF311"
    name = "signature-tensor"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "export the model again"


class UndefinedObject(Rule):
    """The object graph refers to an object that it does not have, or binds too few or too many of them to a function.

    What it does:
        Looks up the children and slots of every object, and compares the inputs of each function with what its callers give and what is
        bound to it.

    Why it matters:
        TensorFlow does not load the model, or cannot call the function.

    Example:
        The child `kernel` is object 99,999 of 12.

    What to do:
        Export the model again.

    References:
        None.
    """

    code = "GRF312"
    name = "undefined-object"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "export the model again"
