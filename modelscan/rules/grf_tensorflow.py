"""GRF30x: the functions and operations of a TensorFlow graph."""

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
        Looks up every function that a reachable operation names.

    Why it matters:
        The call fails when it is reached.

    Example:
        A `PartitionedCall` of `f` in a library without `f`.

    What to do:
        Export the model again.

    References:
        None.
    """

    code = "GRF303"
    name = "undefined-function"
    severity = Severity.MEDIUM
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
