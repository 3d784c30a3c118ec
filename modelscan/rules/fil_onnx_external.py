"""FIL2xx: tensors of ONNX files whose payload lies in another file."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class ExternalDataMissing(Rule):
    """A tensor lies in another file that is not there.

    What it does:
        Looks for each location of external data beside the model, and reports tensors without a location. The file is
        measured, not read.

    Why it matters:
        The model cannot be loaded.

    Example:
        `model.onnx` copied without `model.onnx.data`.

    What to do:
        Copy all files of the model.

    References:
        onnx docs/ExternalData.md.
    """

    code = "FIL220"
    name = "external-data-missing"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "copy all files of the model"


class ExternalDataRange(Rule):
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

    code = "FIL221"
    name = "external-data-range"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "compare the file with its source"


class ExternalDataLength(Rule):
    """A tensor's length in an external file is not what its dimensions and element type ask for.

    What it does:
        Compares the declared length, or the rest of the file where none is declared, with dims × element type.

    Why it matters:
        Readers refuse the tensor, or read bytes of its neighbours.

    Example:
        length 1,020 for 256 float32 elements.

    What to do:
        Find out which of the two is right; export the model again.

    References:
        onnx docs/ExternalData.md.
    """

    code = "FIL222"
    name = "external-data-length"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "find out whether the dimensions or the length are right"


class ExternalDataOverlap(Rule):
    """Two tensors overlap in an external file, or lie in the model file itself.

    What it does:
        Reports ranges that overlap without being the same range: the same one twice is a shared weight. And external data whose
        location is the model file, whose bytes are its structure.

    Why it matters:
        One of the two offsets is wrong, or one tensor was made to show through another.

    Example:
        Bytes 0 to 4,096 and 4,000 to 8,096.

    What to do:
        Export the model again.

    References:
        onnx docs/ExternalData.md.
    """

    code = "FIL223"
    name = "external-data-overlap"
    severity = Severity.MEDIUM
    formats = ("onnx",)
    help = "export the model again"


class ExternalDataKey(Rule):
    """External data carries a key that the format does not have.

    What it does:
        Reports keys other than location, offset, length, checksum, basepath and ONNX Runtime's prepacked ones, and keys
        given twice. High for names that begin with an underscore.

    Why it matters:
        Old versions of the onnx package set every key as an attribute of an object.

    Example:
        A key `__class__`.

    What to do:
        Do not load it with an onnx package older than 1.21.

    References:
        CVE-2026-34445.
    """

    code = "FIL224"
    name = "external-data-key"
    severity = Severity.MEDIUM
    formats = ("onnx",)
    help = "update the onnx package before loading it"


class ExternalDataGap(Rule):
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

    code = "FIL225"
    name = "external-data-gap"
    severity = Severity.INFO
    formats = ("onnx",)
    help = "check whether another model uses them"


class ExternalDataHardLink(Rule):
    """A file of external data has several names on its disk.

    What it does:
        Reports files of external data with more than one hard link.

    Why it matters:
        A hard link passes every check of paths: the bytes may be those of a file elsewhere, and whoever writes there changes the model.
        The onnx package refuses to load such a model since 1.21; ONNX Runtime loads it.

    Example:
        `ln ~/.ssh/id_ed25519 weights.bin`

    What to do:
        Copy the file (`cp`, not `cp -l`) if it was linked to save space.

    References:
        onnx 1.21: "multiple hard links, indicating a potential hardlink attack".
    """

    code = "FIL226"
    name = "external-data-hard-link"
    severity = Severity.MEDIUM
    formats = ("onnx",)
    help = "replace the link by a copy"
