"""FIL2xx: tensors of ONNX files whose payload lies in another file."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class ExternalMissing(Rule):
    """A file that holds a model's weights is not there, or is empty.

    What it does:
        Looks for each location of external data beside the model; the file is measured, not read.

    Why it matters:
        The model cannot be loaded.

    Example:
        `model.onnx` copied without `model.onnx.data`.

    What to do:
        Copy all files of the model.

    References:
        onnx docs/ExternalData.md.
    """

    code = "FIL211"
    name = "external-missing"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "copy all files of the model"


class ExternalRange(Rule):
    """A tensor's range in an external file is no range of that file.

    What it does:
        Reports offsets and lengths that are no numbers, negative, or lead past the end of the file.

    Why it matters:
        Old loaders seek and read unchecked; a cut file loads with wrong weights or not at all.

    Example:
        offset 4,096 and length 1,024 in a file of 4,608 bytes.

    What to do:
        Fetch the file again and compare its size with the source.

    References:
        onnx docs/ExternalData.md. CVE-2026-34447.
    """

    code = "FIL212"
    name = "external-range"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "compare the file with its source"


class ExternalOverlap(Rule):
    """Two tensors overlap in an external file.

    What it does:
        Reports ranges that overlap without being the same range: the same one twice is a shared weight.

    Why it matters:
        One of the two offsets is wrong, or one tensor was made to show through another.

    Example:
        Bytes 0 to 4,096 and 4,000 to 8,096.

    What to do:
        Export the model again.

    References:
        onnx docs/ExternalData.md.
    """

    code = "FIL213"
    name = "external-overlap"
    severity = Severity.MEDIUM
    formats = ("onnx",)
    help = "export the model again"


class ExternalUnknownKey(Rule):
    """External data carries a key that the format does not have.

    What it does:
        Reports keys other than location, offset, length, checksum, basepath and ONNX Runtime's prepacked ones, and keys
        given twice.

    Why it matters:
        Old versions of the onnx package set every key as an attribute of an object.

    Example:
        external_data { key: `__class__` }

    What to do:
        Do not load it with an onnx package older than 1.21.

    References:
        CVE-2026-34445.
    """

    code = "FIL214"
    name = "external-unknown-key"
    severity = Severity.MEDIUM
    formats = ("onnx",)
    help = "update the onnx package before loading it"


class ExternalNoLocation(Rule):
    """A tensor lies in another file, and which one is not said.

    What it does:
        Reports external tensors without a location.

    Why it matters:
        Its weights cannot be found.

    Example:
        data_location EXTERNAL and no external_data.

    What to do:
        Export the model again.

    References:
        onnx docs/ExternalData.md.
    """

    code = "FIL215"
    name = "external-no-location"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class ExternalNoLength(Rule):
    """An external tensor has no length, and more bytes follow than it needs.

    What it does:
        Reports tensors whose range reaches to the end of a file by default while the dimensions ask for less.

    Why it matters:
        Readers that take the default read the following tensors, too.

    Example:
        Two tensors in one file, the first without length.

    What to do:
        Export the model again.

    References:
        onnx docs/ExternalData.md.
    """

    code = "FIL216"
    name = "external-no-length"
    severity = Severity.MEDIUM
    formats = ("onnx",)
    help = "export the model again"


class ExternalGap(Rule):
    """A file of external data holds bytes that belong to no tensor.

    What it does:
        Counts the bytes between tensors and behind the last one, where they are more than any alignment.

    Why it matters:
        They are carried along and never used; data can hide there.

    Example:
        A data file that two models share.

    What to do:
        Nothing, if another model uses them.

    References:
        onnx docs/ExternalData.md.
    """

    code = "FIL217"
    name = "external-gap"
    severity = Severity.INFO
    formats = ("onnx",)
    help = "check whether another model uses them"
