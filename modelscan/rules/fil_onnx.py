"""FIL2xx: ONNX files, their stored tensors and attributes."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class PayloadTooShort(Rule):
    """A tensor's payload is shorter than its dimensions and element type ask for, or not there at all.

    What it does:
        Compares the length of raw data and of typed fields with dims × element type; types of 4 and 2 bits are packed.

    Why it matters:
        A runtime refuses the file, or reads what follows as weights.

    Example:
        A float32 tensor of (64, 128) with 32,764 bytes of raw data.

    What to do:
        Export the model again, or fetch it again.

    References:
        onnx/onnx.proto, TensorProto.
    """

    code = "FIL201"
    name = "payload-too-short"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export or fetch the model again"


class PayloadTooLong(Rule):
    """A tensor's payload is longer than its dimensions and element type ask for.

    What it does:
        Compares the length of raw data and of typed fields with dims × element type; types of 4 and 2 bits are packed.

    Why it matters:
        The dimensions were edited, or bytes travel with the model that no one uses. Some readers refuse it, others do
        not look.

    Example:
        A float32 tensor of (64, 127) with 32,768 bytes of raw data.

    What to do:
        Find out which of the two is right; export the model again.

    References:
        onnx/onnx.proto, TensorProto.
    """

    code = "FIL202"
    name = "payload-too-long"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "find out whether the dimensions or the bytes are right"


class PayloadField(Rule):
    """A tensor's payload stands in the wrong field, or in two.

    What it does:
        Reports raw data beside a typed field, two typed fields, a typed field that does not belong to the element type,
        and strings stored as raw bytes. int32_data is right for bool and for all types of 16 bits and less.

    Why it matters:
        Readers differ in which field they take: what is reviewed need not be what runs.

    Example:
        raw_data and float_data, both of full length.

    What to do:
        Export the model again.

    References:
        onnx/onnx.proto, TensorProto.
    """

    code = "FIL203"
    name = "payload-field"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class UnknownDataType(Rule):
    """A tensor's element type is undefined or unknown.

    What it does:
        Reports data_type 0 and numbers that the ONNX standard does not define.

    Why it matters:
        The size of the payload cannot be checked, and no runtime can use it.

    Example:
        data_type 77.

    What to do:
        Export the model again; if the type is a newer one, update modelscan.

    References:
        onnx/onnx.proto, TensorProto.
    """

    code = "FIL204"
    name = "unknown-data-type"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class InvalidDims(Rule):
    """A stored tensor has negative dimensions, or more elements than any memory.

    What it does:
        Reports dims below zero and products beyond 2^62. In declared types a negative size is an old way to say unknown
        and no finding.

    Why it matters:
        Such products overflow or pass naive size checks, and a small buffer is taken for a large tensor.

    Example:
        dims [-4, -4] with 16 elements; dims [2^32, 2^32].

    What to do:
        Do not load the file before you know who wrote it.

    References:
        CWE-190.
    """

    code = "FIL205"
    name = "invalid-dims"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "distrust the file"


class SparseTensorBroken(Rule):
    """A sparse tensor's values, indices and dimensions do not fit together.

    What it does:
        Checks that values are one-dimensional, that each has an index of type int64, and that there are not more than
        the dense tensor has.

    Why it matters:
        Expanding it writes outside of the dense tensor.

    Example:
        Three values, two indices.

    What to do:
        Export the model again.

    References:
        onnx/onnx.proto, SparseTensorProto.
    """

    code = "FIL206"
    name = "sparse-tensor-broken"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class TensorSegmented(Rule):
    """A tensor is declared to be a segment of a larger one.

    What it does:
        Reports tensors with the field `segment`, which the standard reserves and no reader supports.

    Why it matters:
        Readers ignore it or refuse the file.

    Example:
        segment { begin: 0 end: 512 }

    What to do:
        Export the model again without segments.

    References:
        onnx/onnx.proto, TensorProto.
    """

    code = "FIL207"
    name = "tensor-segmented"
    severity = Severity.MEDIUM
    formats = ("onnx",)
    help = "export the model again"


class InitializerWithoutName(Rule):
    """A stored tensor of the graph has no name.

    What it does:
        Reports initializers without a name. Nothing can refer to them.

    Why it matters:
        The checker refuses the file; millions of such tensors are a known bomb.

    Example:
        An empty initializer.

    What to do:
        Export the model again.

    References:
        onnx docs/IR.md, Graphs.
    """

    code = "FIL208"
    name = "initializer-without-name"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class DuplicateInitializer(Rule):
    """Two stored tensors of one graph have the same name.

    What it does:
        Reports the second and further initializers of a name within one graph.

    Why it matters:
        Readers differ in which one they take: what is reviewed need not be what runs.

    Example:
        Two initializers `fc.weight` with different values.

    What to do:
        Export the model again.

    References:
        onnx docs/IR.md, Names Within a Graph.
    """

    code = "FIL209"
    name = "duplicate-initializer"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export the model again"


class ProtobufOver2Gib(Rule):
    """The file is larger than a protobuf message can be.

    What it does:
        Reports files of 2 GiB and more. Larger models keep their weights in external data.

    Why it matters:
        No runtime can parse it.

    Example:
        A model of 3 GB saved in one file.

    What to do:
        Save it with external data.

    References:
        https://protobuf.dev/programming-guides/proto-limits/
    """

    code = "FIL210"
    name = "protobuf-over-2-gib"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "save it with external data"
