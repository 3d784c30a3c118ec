"""POL0xx: the user's own demands, raised by `policy` when a model does not meet them. Without a demand none of these exists."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class OverBudget(Rule):
    """The model costs more than its budget.

    What it does:
        Compares parameters, bytes of the weights and of the file, multiply-accumulates, layers and elements per type with
        `[budget]`.

    Why it matters:
        Memory, latency and the size of a download are promises that somebody made; a model that breaks them is found before
        it ships.

    Example:
        `parameters = "1M"` and a model of 19,082,000.

    What to do:
        Make the model smaller, or raise the budget in the configuration, where a reviewer sees it.

    References:
        docs/policy.md, budget.
    """

    code = "POL001"
    name = "over-budget"
    severity = Severity.HIGH
    help = "make the model smaller or raise the budget"


class BudgetUntold(Rule):
    """A budgeted figure cannot be told.

    What it does:
        Reports a budget for something that the file does not determine, such as multiply-accumulates over a dimension of
        unknown size.

    Why it matters:
        A budget that nobody checked is not kept; 0 would be a lie.

    Example:
        `macs = "1G"` and a convolution over an image of unknown size.

    What to do:
        Give the dimension (`inspect --dim height=224`), fix it in the model, or take that budget out for this model.

    References:
        docs/policy.md, budget.
    """

    code = "POL002"
    name = "budget-untold"
    severity = Severity.HIGH
    help = "fix the unknown dimension, or take that budget out for this model"


class FormatNotAllowed(Rule):
    """The model is of a format that the policy does not allow.

    What it does:
        Compares the format with `require.formats`.

    Why it matters:
        What deploys the model knows one format; another one arrives there as a failure.

    Example:
        `formats = ["onnx"]` and a `.h5`.

    What to do:
        Export the model to an allowed format, or allow this one.

    References:
        docs/policy.md, require.
    """

    code = "POL003"
    name = "format-not-allowed"
    severity = Severity.HIGH
    help = "export the model to an allowed format"


class VersionNotAllowed(Rule):
    """An operator set or the IR version is outside the demanded range.

    What it does:
        Compares each imported operator set with `require.opset` and the IR version with `require.ir-version`.

    Why it matters:
        Converters, compilers and devices each know a range of versions, and fail late outside of it.

    Example:
        `opset = ">=13,<=17"` and a model of operator set 21.

    What to do:
        Export with the demanded operator set, or convert with `onnx.version_converter`.

    References:
        docs/policy.md, require.
    """

    code = "POL004"
    name = "version-not-allowed"
    severity = Severity.HIGH
    formats = ("onnx",)
    help = "export with a version of the demanded range"


class DtypeNotAllowed(Rule):
    """Weights are stored in an element type that the policy does not allow.

    What it does:
        Compares the types of all stored weights with `require.dtypes`.

    Why it matters:
        A float64 or float16 tensor that slipped in costs memory, speed or accuracy, or has no kernel on the device.

    Example:
        `dtypes = ["float32"]` and a model with one float64 weight.

    What to do:
        Convert the weights, or allow the type.

    References:
        docs/policy.md, require.
    """

    code = "POL005"
    name = "dtype-not-allowed"
    severity = Severity.HIGH
    help = "convert the weights to an allowed type"


class OperatorNotAllowed(Rule):
    """The model uses an operator or layer type that the policy does not allow.

    What it does:
        Compares each operator (ONNX, TensorFlow) or layer type (Keras) with the patterns of `require.operators`.

    Why it matters:
        Devices and reviewed pipelines run a known set of operators; anything else fails there or was never reviewed.

    Example:
        `operators = ["Conv", "Relu"]` and a model with a Softmax.

    What to do:
        Replace the operator in the model, or add it to the list.

    References:
        docs/policy.md, require.
    """

    code = "POL006"
    name = "operator-not-allowed"
    severity = Severity.HIGH
    help = "replace the operator or allow it"


class SignatureDiffers(Rule):
    """An input or output is not as demanded.

    What it does:
        Compares names, element types and shapes, dynamic dimensions included, with `require.inputs` and `require.outputs`.

    Why it matters:
        Whoever calls the model feeds these names and shapes.

    Example:
        `shape = ["?", 3, 224, 224]` and an input (1, 3, 224, 224): no batch.

    What to do:
        Export the model with the demanded signature.

    References:
        docs/policy.md, signature.
    """

    code = "POL007"
    name = "signature-differs"
    severity = Severity.HIGH
    help = "export the model with the demanded signature"


class LowCoverage(Rule):
    """Too little of what is stored is explained.

    What it does:
        Compares the share of stored elements in layers with verdict `match` or `inferred` with `require.explained`, with
        verdict `match` alone with `require.independent`.

    Why it matters:
        Weights that no formula explains were checked against nothing.

    Example:
        `explained = 99` and a model with a custom layer that holds a fifth of the weights.

    What to do:
        Give the formula of the custom layer, or lower the demand for this model.

    References:
        docs/policy.md, verdict coverage.
    """

    code = "POL008"
    name = "low-coverage"
    severity = Severity.HIGH
    help = "give the formula of the unexplained layers, or lower the demand"


class BreaksCallers(Rule):
    """The model cannot take the place of the one in production.

    What it does:
        Compares inputs and outputs with those of the model of `--against`: every feed that the old one took must be taken,
        every output that it gave must be given, with type, rank and dimensions.

    Why it matters:
        The callers were written for the old model; they fail at the moment of the switch.

    Example:
        An input `image` that is now called `pixels`, a dynamic batch that is now 1, an output that is gone.

    What to do:
        Export with the signature of the model in production, or change its callers first.

    References:
        docs/policy.md, against.
    """

    code = "POL009"
    name = "breaks-callers"
    severity = Severity.HIGH
    help = "keep the signature of the model in production"


class SuppressionExpired(Rule):
    """A suppression that would apply has expired.

    What it does:
        Reports findings that an entry of `[[suppressions]]` would suppress if its `expires` had not passed; the finding
        itself stands again.

    Why it matters:
        An exception was granted until a day, and the day is over.

    Example:
        `expires = 2024-06-30`, scanned in July.

    What to do:
        Mend what was suppressed, or decide anew and write the new date.

    References:
        docs/policy.md, suppressions.
    """

    code = "POL010"
    name = "suppression-expired"
    severity = Severity.MEDIUM
    help = "mend what was suppressed, or decide anew"
