"""WGT0xx: the values of the weights; these rules speak only when values were read (`--values`)."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class NanValues(Rule):
    """A weight holds NaN.

    What it does:
        Counts the elements of each stored weight that are not a number. In constants and optimizer state it is a note.

    Why it matters:
        One NaN in a kernel makes every output of the layer NaN. Training diverged, or the bytes were damaged.

    Example:
        A checkpoint saved after the loss became `nan`.

    What to do:
        Go back to an earlier checkpoint.

    References:
        IEEE 754-2019, section 6.2.
    """

    code = "WGT001"
    name = "nan-values"
    severity = Severity.HIGH
    help = "go back to a checkpoint from before training diverged"


class InfiniteValues(Rule):
    """A weight holds an infinity.

    What it does:
        Counts the elements of each stored weight that are infinite. In constants, such as attention masks, it is a note.

    Why it matters:
        Infinities turn into NaN at the first subtraction; a conversion to half precision overflowed, or training diverged.

    Example:
        A float32 model cast to float16 with weights beyond 65,504.

    What to do:
        Convert to bfloat16 or scale the layer; go back to an earlier checkpoint.

    References:
        IEEE 754-2019, section 6.1.
    """

    code = "WGT002"
    name = "infinite-values"
    severity = Severity.HIGH
    help = "check the conversion to a narrower type, or go back to an earlier checkpoint"


class AllZeroWeights(Rule):
    """A weight of two or more dimensions is zero throughout.

    What it does:
        Reports kernels and tables without a single element that is not zero. Biases start at zero and are left alone.

    Why it matters:
        The layer passes nothing on. It was pruned away, never trained, or its bytes were lost.

    Example:
        A sparse file (holes read as zeros) after an interrupted copy.

    What to do:
        If it is not meant, fetch the file again or look at the training.

    References:
        None.
    """

    code = "WGT003"
    name = "all-zero-weights"
    severity = Severity.INFO
    help = "if it is not meant, fetch the file again or look at the training"


class ConstantWeights(Rule):
    """A weight of two or more dimensions has one value throughout.

    What it does:
        Reports kernels and tables whose elements are all the same number.

    Why it matters:
        All units of the layer compute the same: it was never trained, or initialised by mistake with a constant.

    Example:
        `Dense(64, kernel_initializer="ones")`.

    What to do:
        If it is not meant, look at the initialisation.

    References:
        None.
    """

    code = "WGT004"
    name = "constant-weights"
    severity = Severity.INFO
    help = "if it is not meant, look at the initialisation"


class SubnormalValues(Rule):
    """A weight holds subnormal numbers.

    What it does:
        Counts elements whose magnitude is below the smallest normal number of their type.

    Why it matters:
        Many processors compute with them a hundred times slower, and runtimes that flush them to zero give other results.

    Example:
        Weights that decay drove towards zero.

    What to do:
        Round them to zero before deployment.

    References:
        IEEE 754-2019, section 3.4.
    """

    code = "WGT005"
    name = "subnormal-values"
    severity = Severity.INFO
    help = "round them to zero before deployment"


class ExtremeValues(Rule):
    """A weight holds magnitudes beyond what training leaves behind.

    What it does:
        Reports weights with an element of 1e10 or more.

    Why it matters:
        Flipped exponent bits look like this, and so does training about to diverge. Half precision cannot hold it.

    Example:
        One bit of damage in an exponent: 0.05 becomes 1.7e37.

    What to do:
        Compare with the source file; look at the training.

    References:
        None.
    """

    code = "WGT006"
    name = "extreme-values"
    severity = Severity.INFO
    help = "compare the file with its source"


class EqualTensors(Rule):
    """Two stored tensors hold the same bytes under two names.

    What it does:
        Compares tensors of the same shape, type and statistics by checksum.

    Why it matters:
        The file could share them and be smaller; two layers that should differ may be a copy by mistake.

    Example:
        Input and output embeddings of a language model, tied in training and stored twice.

    What to do:
        Share the tensor if it is meant; otherwise look at how the model was built.

    References:
        None.
    """

    code = "WGT007"
    name = "equal-tensors"
    severity = Severity.INFO
    help = "share the tensor if the copy is meant"
