"""SEC30x: what a TensorFlow graph does beside computing."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class PythonOp(Rule):
    """The graph calls Python code.

    What it does:
        Looks for `PyFunc`, `EagerPyFunc` and `PyFuncStateless` where a signature, a function of the model or its initialisation
        reaches them.

    Why it matters:
        They call whatever is registered under their token in the process that serves the model.

    Example:
        A preprocessing step written with `tf.py_function`.

    What to do:
        Ask for an export without them.

    References:
        https://github.com/tensorflow/tensorflow/security/policy
    """

    code = "SEC301"
    name = "python-op"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "ask for an export without Python operations"


class FileReadOp(Rule):
    """The graph reads a file that is not part of the model.

    What it does:
        Looks for operations such as `ReadFile`, `MatchingFiles` and `TextLineDataset` where a signature, a function of the model or
        its initialisation reaches them, and tells the path where it is a constant. Vocabularies from the model's assets, and the
        model's own saver, are none of these.

    Why it matters:
        Whoever calls the model gets the content of a file of the server.

    Example:
        `ReadFile` of `/etc/passwd`, returned as an output.

    What to do:
        Do not serve the model before you know why it reads files.

    References:
        https://github.com/tensorflow/tensorflow/security/policy
    """

    code = "SEC302"
    name = "file-read-op"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "find out why the model reads files"


class FileWriteOp(Rule):
    """The graph writes a file.

    What it does:
        Looks for operations such as `WriteFile`, `SaveV2`, summary writers and `PrintV2` to a file where a signature, a function of
        the model or its initialisation reaches them, and tells the path where it is a constant. The model's own saver is none of
        these.

    Why it matters:
        A model that writes files can overwrite the programs and keys of the machine that serves it.

    Example:
        `WriteFile` to `~/.ssh/authorized_keys` during initialisation.

    What to do:
        Do not load the model.

    References:
        https://github.com/tensorflow/tensorflow/security/policy
    """

    code = "SEC303"
    name = "file-write-op"
    severity = Severity.CRITICAL
    formats = ("savedmodel",)
    help = "do not load the model"


class NetworkOp(Rule):
    """The graph talks to another machine.

    What it does:
        Looks for operations that open connections, such as `DataServiceDataset`, `RemoteCall` and debug operations that send tensors,
        where a signature, a function of the model or its initialisation reaches them, and tells the address where it is a constant.

    Why it matters:
        What the model is given can leave the machine.

    Example:
        `DebugIdentity` with `grpc://` among its addresses.

    What to do:
        Do not serve the model before you know where it sends what.

    References:
        https://github.com/tensorflow/tensorflow/security/policy
    """

    code = "SEC304"
    name = "network-op"
    severity = Severity.HIGH
    formats = ("savedmodel",)
    help = "find out where the model sends what"
