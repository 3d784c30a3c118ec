"""FIL0xx: what a file is, and whether it can be read at all."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class UnreadableFile(Rule):
    """The operating system does not give the file.

    What it does:
        Reports a path that does not exist or may not be read.

    Why it matters:
        What was not read was not checked. A gate that passes over it passes everything.

    Example:
        A path in a pipeline's configuration that the build no longer produces.

    What to do:
        Correct the path or the permissions.

    References:
        None.
    """

    code = "FIL001"
    name = "unreadable-file"
    severity = Severity.HIGH
    help = "correct the path or its permissions"


class NotARegularFile(Rule):
    """The path is a FIFO, a device, a socket or a folder that is no model.

    What it does:
        Reports paths that are no regular files. They are not opened: reading a FIFO would block for ever.

    Why it matters:
        A scanner that hangs stops the pipeline that waits for it.

    Example:
        `mkfifo model.onnx`

    What to do:
        Remove it from the scanned folder.

    References:
        `man 7 fifo`.
    """

    code = "FIL002"
    name = "not-a-regular-file"
    severity = Severity.HIGH
    help = "name a regular file"


class TruncatedFile(Rule):
    """The file ends before its own structure says that it does.

    What it does:
        Reports a length or offset in the file that points past its end.

    Why it matters:
        A cut download loads with wrong weights or not at all.

    Example:
        An ONNX file whose last tensor declares 4,096 bytes of which 1,000 are there.

    What to do:
        Fetch the file again and compare its size and checksum with the source.

    References:
        None.
    """

    code = "FIL003"
    name = "truncated-file"
    severity = Severity.HIGH
    help = "fetch the file again and compare its size with the source"


class PathEscape(Rule):
    """A path inside the model leads out of the model's folder.

    What it does:
        Reports locations that are absolute, climb with `..`, carry a drive letter or resolve through a link to a place outside.

    Why it matters:
        A loader that follows it reads (or overwrites) any file of the machine.

    Example:
        External data of an ONNX tensor at `../../etc/passwd`.

    What to do:
        Do not load the file. Ask its author for one whose parts lie beside it.

    References:
        CVE-2022-25882, CVE-2024-27318.
    """

    code = "FIL004"
    name = "path-escape"
    severity = Severity.CRITICAL
    help = "do not load the file"


class LimitExceeded(Rule):
    """Reading stopped at a limit before its cost was paid.

    What it does:
        Reports counts, sizes or nesting beyond the bounds in `modelscan.limits`.

    Why it matters:
        Files are made to exhaust a reader's memory or time; a loader without such bounds falls to them.

    Example:
        A `config.json` of 40 KiB that inflates to 4 GiB.

    What to do:
        Distrust the file. If it is honest and this large, read it from Python with a larger limit of the name that the message has:
        `modelscan.scan(path, limits=modelscan.limits.Limits(archive_members=200_000))`. The command has no option for it.

    References:
        CWE-409, CWE-674, CWE-770.
    """

    code = "FIL005"
    name = "limit-exceeded"
    severity = Severity.HIGH
    help = "distrust the file; if it is honest and this large, scan it from Python with a larger limit (`limits=`)"


class UnknownFormat(Rule):
    """The content is of no format that modelscan reads.

    What it does:
        Reports a file named on the command line, or one with a model's suffix, whose content is none of the formats.

    Why it matters:
        It was not checked. Calling a skipped file clean would be the worst answer of all.

    Example:
        A PyTorch checkpoint renamed to `model.h5`.

    What to do:
        Check what the file is; leave it out of the scan if it is no model.

    References:
        None.
    """

    code = "FIL006"
    name = "unknown-format"
    severity = Severity.HIGH
    help = "check what the file is"
