"""DEP1xx: which releases of Keras can load a file, why the others cannot, and the error that their users will search for.

None of these is a defect of the file: the severity is `info`. Who demands a release in `require.runtimes` gets DEP19x findings.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.model import Finding, Severity
from modelscan.rules.base import Rule, Subject


class KerasOneSequential(Rule):
    """Keras 3 does not load a Sequential that is stored as a bare list.

    What it does:
        Looks at how the configuration of the outermost Sequential is written: Keras before 2.2.3 wrote the list of its layers and nothing
        around it.

    Why it matters:
        `keras.models.load_model` of Keras 3 fails with `pop expected at most 1 argument, got 2`, which says nothing about the cause.

    Example:
        A `.h5` of Keras 1.2 or 2.1.

    What to do:
        Load it with tf-keras (`TF_USE_LEGACY_KERAS=1`) and save it again, or put an object with `name` and `layers` around the list.

    References:
        https://github.com/keras-team/tf-keras
    """

    code = "DEP101"
    name = "keras-1-sequential"
    severity = Severity.INFO
    formats = ("keras",)
    help = "load it with tf-keras and save it again"


class LayerGone(Rule):
    """Keras 3 has no such layer.

    What it does:
        Looks for classes that Keras 3 removed: `TFOpLambda`, `LocallyConnected2D`, `CuDNNLSTM`, `ThresholdedReLU`, `RandomHeight`,
        those of Keras 1, and others.

    Why it matters:
        Loading fails with `Unknown layer: 'TFOpLambda'. Please ensure you are using a keras.utils.custom_object_scope …`.

    Example:
        A functional model of TensorFlow 2.10 in which a tensor was multiplied with a number: Keras 2 made a `TFOpLambda` of it.

    What to do:
        Load it with tf-keras, replace the layer, save again.

    References:
        https://github.com/keras-team/keras/issues/18467
    """

    code = "DEP102"
    name = "layer-gone"
    severity = Severity.INFO
    formats = ("keras",)
    help = "load it with tf-keras, replace the layer and save it again"


class KeywordGone(Rule):
    """Keras 3 refuses an argument that Keras 2 wrote for a layer.

    What it does:
        Looks for keys that Keras 3's constructors do not take: `time_major` of recurrent layers, `groups` of DepthwiseConv2D, the shapes of
        MultiHeadAttention, the `score_mode` of Attention.

    Why it matters:
        Loading fails with `Unrecognized keyword arguments passed to LSTM: {'time_major': False}`, or, where the layer is deserialised by
        name, with `Could not locate class 'LSTM'`.

    Example:
        Every `.h5` of TensorFlow 2 up to 2.15 that holds an LSTM.

    What to do:
        Load it with tf-keras and save it again, or remove the key from `model_config`.

    References:
        https://github.com/keras-team/keras/issues/20750; https://github.com/keras-team/keras/issues/19441
    """

    code = "DEP103"
    name = "keyword-gone"
    severity = Severity.INFO
    formats = ("keras",)
    help = "load it with tf-keras and save it again"


class InitializerKeywordGone(Rule):
    """Keras 3 refuses an argument of an initializer.

    What it does:
        Looks for initializers that were stored with a `dtype`, as TensorFlow 1.13 to 2.0 did.

    Why it matters:
        Loading fails with `GlorotUniform.__init__() got an unexpected keyword argument 'dtype'`, or with
        `… GlorotUniform could not be deserialized properly`.

    Example:
        A `.h5` that says `keras_version: 2.2.4-tf`.

    What to do:
        Load it with tf-keras and save it again, or remove the key from `model_config`.

    References:
        https://www.tensorflow.org/guide/keras/migrating
    """

    code = "DEP104"
    name = "initializer-keyword-gone"
    severity = Severity.INFO
    formats = ("keras",)
    help = "load it with tf-keras and save it again"


class KerasTwoArchive(Rule):
    """Keras 3 does not load a functional `.keras` file of Keras 2.

    What it does:
        Looks at who wrote the archive and whether its model is functional.

    Why it matters:
        Loading fails with `Could not deserialize class 'Functional' because its parent module keras.src.engine.functional cannot be
        imported.`

    Example:
        A `.keras` file of TensorFlow 2.12 to 2.15.

    What to do:
        Load it with tf-keras, save as `.h5` and load that, or save the weights alone.

    References:
        https://github.com/keras-team/keras/issues/19089
    """

    code = "DEP105"
    name = "keras-2-archive"
    severity = Severity.INFO
    formats = ("keras",)
    help = "load it with tf-keras and save it as .h5"


class NestedFunctional(Rule):
    """Keras 3 does not load a functional HDF5 model of Keras 2 that holds another model.

    What it does:
        Looks for models in a functional model that Keras 2 wrote as HDF5.

    Why it matters:
        Loading fails with `Invalid Functional model configuration. The graph of layers in the model has loops or disconnected nodes`;
        Keras 3.3 and 3.10 do not come back at all.

    Example:
        A classifier around `MobileNetV2(include_top=False)`, saved as `.h5` by TensorFlow 2.

    What to do:
        Load it with tf-keras and rebuild it in Keras 3 with the weights.

    References:
        https://github.com/keras-team/keras/issues/20002
    """

    code = "DEP106"
    name = "nested-functional"
    severity = Severity.INFO
    formats = ("keras",)
    help = "load it with tf-keras and rebuild it"


class LambdaRefused(Rule):
    """Keras 3 loads a Python lambda only with its safety switched off.

    What it does:
        Looks for Lambda layers whose function is stored as byte code.

    Why it matters:
        Loading fails with `Requested the deserialization of a Lambda layer whose function is a Python lambda`, and byte code of another
        Python version crashes even without the safety.

    Example:
        `Lambda(lambda x: x / 255)`.

    What to do:
        Replace it by a layer (`Rescaling`) or a registered function, and save again.

    References:
        https://keras.io/api/layers/core_layers/lambda/
    """

    code = "DEP107"
    name = "lambda-refused"
    severity = Severity.INFO
    formats = ("keras",)
    help = "replace the Lambda by a layer and save the model again"


class SlashInName(Rule):
    """Keras 3 refuses a layer name with a slash.

    What it does:
        Looks at the names of all layers.

    Why it matters:
        Loading fails with ``Argument `name` must be a string and cannot contain character `/`.``

    Example:
        A model of TensorFlow 1 with a layer `block1/conv`.

    What to do:
        Load it with tf-keras, rename the layers and save it again.

    References:
        https://github.com/keras-team/keras/blob/master/keras/src/layers/layer.py
    """

    code = "DEP108"
    name = "slash-in-name"
    severity = Severity.INFO
    formats = ("keras",)
    help = "rename the layer and save the model again"


class CompileRefused(Rule):
    """Keras 3 loads the file only with `compile=False`.

    What it does:
        Looks for losses and metrics that Keras 2 stored as `mse`, `mae` and the like.

    Why it matters:
        Loading fails with `Could not deserialize 'keras.metrics.mse' because it is not a KerasSaveable subclass` although the model itself
        is fine.

    Example:
        A regression model compiled with `loss="mse"` and saved as `.h5`.

    What to do:
        `keras.models.load_model(path, compile=False)`, then `compile` again.

    References:
        https://github.com/keras-team/keras/issues/19492
    """

    code = "DEP109"
    name = "compile-refused"
    severity = Severity.INFO
    formats = ("keras",)
    help = "load it with compile=False and compile it again"


class ArchiveExpected(Rule):
    """The file is called `.keras` and is HDF5.

    What it does:
        Looks at the suffix and the first bytes.

    Why it matters:
        Keras 3 goes by the suffix and fails with `File not found: … Please ensure the file is an accessible .keras zip file`, although the
        file is there.

    Example:
        `model.save("model.keras")` under TensorFlow 2.11 or older wrote HDF5.

    What to do:
        Rename it to `.h5`.

    References:
        https://github.com/keras-team/keras/issues/18278
    """

    code = "DEP110"
    name = "archive-expected"
    severity = Severity.INFO
    formats = ("keras",)
    help = "rename it to .h5"

    def check(self, subject: Subject) -> Iterator[Finding]:
        """From the name and what the file turned out to be."""
        if subject.model is not None and subject.model.format == "keras-h5" and subject.path.endswith(".keras"):
            error = "Please ensure the file is an accessible `.keras` zip file."
            yield self.finding(f"the file is HDF5; Keras 3 does not load it under this name: {error}")


class NamelessBfloat16(Rule):
    """The weights are bfloat16 in a layout that does not say so.

    What it does:
        Looks for bfloat16 weights where a file tells them as two opaque bytes each: in the HDF5 layout of every version, and in the
        archives of tf-keras. Keras 3 writes the type's name beside such weights in its archives.

    Why it matters:
        No version of Keras reads them back: loading fails with `No cast function available.`

    Example:
        A model of the policy `bfloat16`, saved as `.h5`.

    What to do:
        Save it as `.keras` with Keras 3, or convert it to float32 before it is saved.

    References:
        `keras/src/saving/saving_lib.py`, `H5Entry`.
    """

    code = "DEP111"
    name = "nameless-bfloat16"
    severity = Severity.INFO
    formats = ("keras",)
    help = "save it as .keras with Keras 3"
