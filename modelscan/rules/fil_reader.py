"""FIL03x: what happened to the process that read a file, and what stands beside it."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class ReaderCrash(Rule):
    """Reading the file ended the process that read it.

    What it does:
        Reports a child process that was ended by a signal or by a fault while it had this file.

    Why it matters:
        A native library (HDF5, protobuf) does not survive the file; neither will the service that loads it.

    Example:
        A file that makes a parser write past a buffer.

    What to do:
        Do not load the file; report it to the authors of the library.

    References:
        CWE-119.
    """

    code = "FIL030"
    name = "reader-crash"
    severity = Severity.HIGH
    help = "do not load the file; report it to the authors of the library"


class ReaderTimeout(Rule):
    """Reading the file took too long.

    What it does:
        Reports a file whose reading was stopped at the limit on time.

    Why it matters:
        A file made to keep a reader busy stops the pipeline that waits for it.

    Example:
        A graph whose size doubles at each level.

    What to do:
        Distrust the file. If it is honest and large, scan it from Python with a larger limit:
        `modelscan.scan(path, limits=modelscan.limits.Limits(worker_seconds=600))`. The command has no option for it.

    References:
        CWE-400.
    """

    code = "FIL031"
    name = "reader-timeout"
    severity = Severity.HIGH
    help = "distrust the file; if it is honest and large, scan it from Python with a larger limit (`limits=`)"


class ReaderMemory(Rule):
    """Reading the file needed too much memory.

    What it does:
        Reports a file whose reading was stopped at the limit on memory.

    Why it matters:
        A file made to exhaust memory takes the machine down with the reader.

    Example:
        Millions of empty tensors in a few megabytes.

    What to do:
        Distrust the file. If it is honest and large, scan it from Python with a larger limit:
        `modelscan.scan(path, limits=modelscan.limits.Limits(worker_memory=16 << 30))`. The command has no option for it.

    References:
        CWE-789.
    """

    code = "FIL032"
    name = "reader-memory"
    severity = Severity.HIGH
    help = "distrust the file; if it is honest and large, scan it from Python with a larger limit (`limits=`)"


class MlflowSignature(Rule):
    """The signature in MLflow's `MLmodel` does not fit the model.

    What it does:
        Compares the tensors that the signature declares with the inputs and outputs of the model's file: how many, their names, their
        shapes.

    Why it matters:
        The server checks requests against the signature: it refuses what the model takes, or hands it what it cannot take.

    Example:
        A signature of `(-1, 28, 28)` for a model that takes `(None, 784)`.

    What to do:
        Log the model again with `infer_signature` on its own inputs and outputs.

    References:
        MLflow: model signatures.
    """

    code = "FIL040"
    name = "mlflow-signature"
    severity = Severity.HIGH
    help = "log the model again with its own signature"
