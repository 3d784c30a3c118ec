"""DEP19x and DEP2xx: whether a model runs where the user says that it will, raised by `policy` for the targets of `require.runtimes`."""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.model import Finding, Severity
from modelscan.rules.base import Rule, Subject
from modelscan.targets.onnxruntime import FIRST_GUARANTEED_OPSET


class OpsetTooNew(Rule):
    """A demanded ONNX Runtime does not load the model's operator set.

    What it does:
        Compares each operator set that the model imports with the newest one that every release of `require.runtimes` loads.

    Why it matters:
        ONNX Runtime refuses a model whose operator set is newer than its own: `Opset 21 is under development and support for
        this is limited`.

    Example:
        Operator set 21 and `onnxruntime==1.17`, which loads up to 20.

    What to do:
        Export with an older operator set, or deploy a newer ONNX Runtime.

    References:
        https://onnxruntime.ai/docs/reference/compatibility.html
    """

    code = "DEP201"
    name = "opset-too-new"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export with an older operator set, or deploy a newer ONNX Runtime"


class IrTooNew(Rule):
    """A demanded ONNX Runtime does not load the model's version of the file format.

    What it does:
        Compares the IR version with the newest one that every release of `require.runtimes` loads.

    Why it matters:
        ONNX Runtime refuses the file: `Unsupported model IR version: 10, max supported IR version: 9`. The onnx package
        writes its own newest version unless told otherwise.

    Example:
        IR version 10 and `onnxruntime>=1.15`.

    What to do:
        Set `model.ir_version` before saving; the operator set need not change.

    References:
        https://onnxruntime.ai/docs/reference/compatibility.html; https://github.com/microsoft/onnxruntime/issues/20559
    """

    code = "DEP202"
    name = "ir-version-too-new"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "set model.ir_version to an older one before saving"


class NoKernel(Rule):
    """A demanded ONNX Runtime cannot run an operator.

    What it does:
        Looks every operator up among those of ONNX Runtime's CPU provider. A runtime written `onnxruntime-gpu` is spared the
        search: its kernels are others.

    Why it matters:
        The session is not created: `Could not find an implementation`, or the operator's domain is not known.

    Example:
        A `MaxRoiPool` of operator set 22, or an operator of a custom domain.

    What to do:
        Export with another operator set, replace the operator, or deploy the library of custom operators and suppress the
        finding with that reason.

    References:
        https://github.com/microsoft/onnxruntime/blob/main/docs/OperatorKernels.md
    """

    code = "DEP203"
    name = "operator-not-in-target"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "replace the operator, or export with another operator set"


class DtypeTooNew(Rule):
    """A demanded ONNX Runtime is older than an element type of the model.

    What it does:
        Compares the types of stored weights, inputs and outputs with the version of the format that brought them.

    Why it matters:
        A runtime that is older than the type cannot read the tensor.

    Example:
        int4 weights (IR version 10) and `onnxruntime==1.15`.

    What to do:
        Deploy a newer ONNX Runtime, or quantise to an older type.

    References:
        https://onnx.ai/onnx/repo-docs/IR.html
    """

    code = "DEP204"
    name = "dtype-too-new"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "deploy a newer ONNX Runtime, or quantise to an older type"


class TargetUntold(Rule):
    """Whether a demanded release loads the model is not known.

    What it does:
        Reports versions between what a release is known to load and what a later release is known to load.

    Why it matters:
        The facts about releases are a table, and this release is in a gap of it: neither yes nor no would be honest.

    Example:
        Operator set 25 and `onnxruntime==1.24`.

    What to do:
        Try the model in that release, then suppress the finding with that reason.

    References:
        https://onnxruntime.ai/docs/reference/compatibility.html
    """

    code = "DEP205"
    name = "target-untold"
    severity = Severity.MEDIUM
    formats = ("onnx",)
    help = "try the model in that release"


class OpsetBelowGuarantee(Rule):
    """The operator set is older than any that ONNX Runtime guarantees.

    What it does:
        Reports models of an operator set below 7.

    Why it matters:
        ONNX Runtime loads such a model with a warning and runs it only where an old kernel happens to exist.

    Example:
        Operator set 6.

    What to do:
        Convert with `onnx.version_converter` to 7 or later.

    References:
        https://onnxruntime.ai/docs/reference/compatibility.html
    """

    code = "DEP206"
    name = "opset-below-guarantee"
    severity = Severity.INFO
    formats = ("onnx",)
    help = "convert to operator set 7 or later"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """From the operator set that the model imports; nobody needs to have asked."""
        opset = subject.model.facts.get("opsets", {}).get("") if subject.model is not None and subject.model.format == "onnx" else None
        if isinstance(opset, int) and 0 < opset < FIRST_GUARANTEED_OPSET:
            yield self.finding(f"operator set {opset}; ONNX Runtime guarantees {FIRST_GUARANTEED_OPSET} and later")


class BatchDimension(Rule):
    """The first dimension of an input is not as demanded.

    What it does:
        With `require.dynamic-batch = true` reports inputs whose first dimension is fixed, with `false` those where it is
        dynamic.

    Why it matters:
        A server that batches requests needs it dynamic; a compiler for a device needs it fixed.

    Example:
        An input (1, 3, 224, 224) where batches are to be formed.

    What to do:
        Export with the dimension dynamic (or fixed).

    References:
        docs/policy.md, require.
    """

    code = "DEP207"
    name = "batch-dimension"
    severity = Severity.HIGH
    help = "export with the first dimension as demanded"


class KerasTarget(Rule):
    """A demanded Keras does not load the file.

    What it does:
        Compares the version that wrote the file with those of `require.runtimes`.

    Why it matters:
        Keras 2 does not read files of Keras 3, Keras 3 reads only some of Keras 2, and an older Keras 3 refuses keys that a
        newer one writes.

    Example:
        A file of Keras 3.15 and `keras<3`.

    What to do:
        Save with the deployed version, or deploy the version that saved.

    References:
        https://github.com/tensorflow/tensorflow/issues/66381; https://github.com/keras-team/keras/issues/19089
    """

    code = "DEP190"
    name = "keras-target"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "save with the deployed version of Keras"
