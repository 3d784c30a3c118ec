"""FIL03x: what happened to the process that read a file."""

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
        Distrust the file, or raise the limit if it is honest and large.

    References:
        CWE-400.
    """

    code = "FIL031"
    name = "reader-timeout"
    severity = Severity.HIGH
    help = "distrust the file, or raise the limit if it is honest and large"


class ReaderMemory(Rule):
    """Reading the file needed too much memory.

    What it does:
        Reports a file whose reading was stopped at the limit on memory.

    Why it matters:
        A file made to exhaust memory takes the machine down with the reader.

    Example:
        Millions of empty tensors in a few megabytes.

    What to do:
        Distrust the file, or raise the limit if it is honest and large.

    References:
        CWE-789.
    """

    code = "FIL032"
    name = "reader-memory"
    severity = Severity.HIGH
    help = "distrust the file, or raise the limit if it is honest and large"
