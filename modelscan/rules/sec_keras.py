"""SEC1xx: what a Keras file makes its loader run, import or read."""

from __future__ import annotations

from modelscan.model import Severity
from modelscan.rules.base import Rule


class LambdaCode(Rule):
    """The configuration carries Python byte code.

    What it does:
        Finds code objects in Lambda layers and serialised lambdas at any depth (wrappers, nested models, functional graphs, losses and
        metrics of the training configuration) and says which names they refer to, told from their bytes; nothing is unmarshalled.

    Why it matters:
        The code runs in the process that loads or calls the model. Safe mode of Keras refuses it in `.keras` files, older versions run it,
        and so does loading an HDF5 file.

    Example:
        A Lambda layer whose byte code names `os` and `system`.

    What to do:
        Do not load the file. Replace the Lambda by a layer class that is registered in your own code.

    References:
        CVE-2024-3660, CVE-2025-9905, CVE-2026-12481.
    """

    code = "SEC101"
    name = "lambda-code"
    severity = Severity.CRITICAL
    formats = ("keras", "savedmodel")
    help = "do not load the file; replace the Lambda by a registered layer class"


class ForeignModule(Rule):
    """The configuration names an object outside of Keras.

    What it does:
        Reports `module` and `class_name` of objects that are neither of Keras and its companions nor registered by the author. Critical for
        Python's own modules, medium for a class that Keras would write in the same way if its author had not registered it.

    Why it matters:
        Keras before 3.9 imports any module that the file names and calls what it finds there.

    Example:
        `{"module": "os", "class_name": "system", …}` in the place of a layer.

    What to do:
        Do not load the file with an old Keras. If the class is yours, register it with `keras.saving.register_keras_serializable`.

    References:
        CVE-2025-1550.
    """

    code = "SEC102"
    name = "foreign-module"
    severity = Severity.HIGH
    formats = ("keras", "savedmodel")
    help = "do not load the file; if the class is yours, register it"


class KerasApiObject(Rule):
    """The configuration names a function of Keras that is no part of a model.

    What it does:
        Reports objects in Keras' namespace that are no layer, loss, metric, initializer or other part of models: downloads, loaders,
        switches.

    Why it matters:
        A loader calls what the file names: that fetches a file, loads a second model, or turns safe mode off.

    Example:
        `{"module": "keras.utils", "class_name": "get_file", …}` as an activation.

    What to do:
        Do not load the file.

    References:
        CVE-2025-8747, CVE-2025-9906, CVE-2025-12060.
    """

    code = "SEC103"
    name = "keras-api-object"
    severity = Severity.CRITICAL
    formats = ("keras", "savedmodel")
    help = "do not load the file"


class VocabularyPath(Rule):
    """A lookup layer reads its vocabulary from a path or URL.

    What it does:
        Reports a `vocabulary` that is text instead of a list of words.

    Why it matters:
        The loader opens that path, on the machine that loads, or fetches that URL: files leak into the model, requests leave the network.

    Example:
        A StringLookup with `"vocabulary": "/etc/passwd"`.

    What to do:
        Save the model with the words themselves in it.

    References:
        CVE-2025-12058, CVE-2026-1462.
    """

    code = "SEC104"
    name = "vocabulary-path"
    severity = Severity.HIGH
    formats = ("keras", "savedmodel")
    help = "save the model with the vocabulary in it"


class TfsmLayer(Rule):
    """A layer loads a SavedModel from another place.

    What it does:
        Reports TFSMLayer with the path that it names.

    Why it matters:
        What is there is not part of this file, was not scanned, and may run any operator.

    Example:
        A TFSMLayer with `"filepath": "/srv/other_model"`.

    What to do:
        Scan the SavedModel that it names as well, and deliver both together.

    References:
        CVE-2026-1462.
    """

    code = "SEC105"
    name = "tfsm-layer"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "scan the SavedModel that it names, too"


class TorchModuleWrapper(Rule):
    """A layer holds a torch module, which is a pickle.

    What it does:
        Reports TorchModuleWrapper.

    Why it matters:
        Keras hands its bytes to `torch.load`, which runs whatever code is in them.

    Example:
        A TorchModuleWrapper whose `module` is an archive with a `data.pkl`.

    What to do:
        Do not load the file. Rebuild the model from Keras layers.

    References:
        CVE-2025-49655.
    """

    code = "SEC106"
    name = "torch-module-wrapper"
    severity = Severity.CRITICAL
    formats = ("keras",)
    help = "do not load the file; rebuild it from Keras layers"


class BytesInConfig(Rule):
    """The configuration carries raw bytes.

    What it does:
        Reports `__bytes__` entries.

    Why it matters:
        Only a pickled torch module needs them; whoever takes the value may unpickle it.

    Example:
        `{"class_name": "__bytes__", "config": {"value": "gASV…"}}`

    What to do:
        Find out what they are for before you load the file.

    References:
        CVE-2025-49655.
    """

    code = "SEC107"
    name = "bytes-in-config"
    severity = Severity.HIGH
    formats = ("keras",)
    help = "find out what they are for before you load the file"


class CustomObject(Rule):
    """Loading the model needs a class or function of its author.

    What it does:
        Reports registered classes and named functions that Keras does not bring along.

    Why it matters:
        The model cannot be loaded without that code, and what it does is not in the file.

    Example:
        `"registered_name": "my_package>Attention"`

    What to do:
        Deliver the code together with the model, and declare its weights in `modelscan.toml`.

    References:
        `keras.saving.register_keras_serializable`.
    """

    code = "SEC108"
    name = "custom-object"
    severity = Severity.INFO
    formats = ("keras", "savedmodel")
    help = "deliver the code together with the model"
