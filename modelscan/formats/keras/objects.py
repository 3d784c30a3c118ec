"""What a Keras configuration asks a loader to do besides building layers: code to run, modules to import, files to read.

Every object of a document that names a class is looked at, wherever it stands: in wrappers, nested models, functional graphs, the
training configuration. Source: `keras/src/saving/serialization_lib.py`, `keras/src/layers/core/lambda_layer.py`.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from modelscan.formats.bytecode import mentioned
from modelscan.model import Observation, Severity

_FAMILY = frozenset({"keras", "keras_hub", "keras_cv", "keras_nlp", "tf_keras"})
"""Top-level packages whose objects Keras' own files name (`_retrieve_class_or_fn` imports from these alone)."""
_SERIALISABLE = frozenset(
    "activations constraints distillation dtype_policies initializers layers losses metrics mixed_precision models ops optimizers "
    "quantizers random regularizers".split()
)
"""Modules of Keras' public interface that hold what a model is made of; `keras.src` mirrors them."""
_SERIALISABLE_CLASSES = frozenset({"FeatureSpace", "Cross", "Feature", "Function"})
"""Such classes of other modules (`keras.utils.FeatureSpace`)."""
_NO_MODEL_PART = frozenset(
    "clone_model deserialize get load_model load_weights model_from_config model_from_json model_from_yaml save_model save_weights "
    "serialize get_custom_objects register_keras_serializable get_file".split()
)
"""Functions that stand in the modules above and yet are no part of a model."""
_WITHOUT_MODULE = frozenset({"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__", "__tuple__", "TensorShape"})
_TENSOR_LIBRARIES = frozenset(
    "K tf keras backend np numpy jnp math nn ops layers activations tensorflow compat v1 int float len range list tuple abs min max sum "
    "zip enumerate reversed bool str isinstance".split()
)
"""Global names of honest tensor expressions. They make a Lambda less suspicious, never harmless."""
_CELL_WRAPPERS = ("tensorflow.python.keras.layers.rnn_cell_wrapper_v2", ("DeviceWrapper", "DropoutWrapper", "ResidualWrapper"))
"""Classes that `tf.nn.RNNCell…Wrapper` are, which Keras 2 takes from TensorFlow: module and names."""
_SHOWN = 12


_HOLDERS = (dict, list, tuple)
"""What a parsed document is made of: plain types, so that a look at a large one costs little."""


def note_objects(document: Any, where: str, seen: list[Observation]) -> None:
    """Observations on everything in a configuration that a loader would run, import or read.

    Args:
        document: the parsed configuration (`config.json`, `model_config`, `training_config`, metadata of a SavedModel).
        where: what the document is called, for the place of each observation.
        seen: gains the observations; one per kind and message.
    """
    told: set[tuple[str, str]] = set()
    for place, layer, entry in _entries(document):
        for one in _judge(entry, f"{where} > {place}" if place else where, layer):
            if (one.kind, one.message) not in told:
                told.add((one.kind, one.message))
                seen.append(one)


def _entries(document: Any) -> Iterator[tuple[str, str | None, Mapping[str, Any]]]:
    """Every object that names a class, with its place and the path of the layer it belongs to. In document order, without recursion."""
    pending: list[tuple[Any, str, tuple[str, ...], int]] = [(document, "", (), 0)] if isinstance(document, _HOLDERS) else []
    while pending:
        value, place, names, models = pending.pop()
        children: list[tuple[Any, str, tuple[str, ...], int]]
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str):
                config = value.get("config")
                name = config.get("name") if isinstance(config, dict) else None
                listed = isinstance(config, dict) and isinstance(config.get("layers"), list)
                if isinstance(name, str) and (models or not listed) and _is_layer_place(place):
                    names = (*names, name)
                yield place, "/".join(names) or None, value
                models += listed
            before = f"{place}." if place else ""
            children = [(one, f"{before}{key}", names, models) for key, one in value.items() if one and isinstance(one, _HOLDERS)]
        else:
            children = [(one, f"{place}[{index}]", names, models) for index, one in enumerate(value) if one and isinstance(one, _HOLDERS)]
        pending.extend(reversed(children))


def _is_layer_place(place: str) -> bool:
    """Whether an entry of this place in a document is a layer or model rather than an initializer or dtype policy of one."""
    return not place or place.endswith(("]", ".layer", ".cell", ".forward_layer", ".backward_layer", "config"))


def _judge(entry: Mapping[str, Any], where: str, layer: str | None) -> Iterator[Observation]:
    name = entry["class_name"]
    config = entry.get("config")
    settings: Mapping[str, Any] = config if isinstance(config, Mapping) else {}
    if name == "__lambda__":
        yield from _code(settings.get("code", settings.get("value")), "a serialised lambda", where, layer)
    elif name == "__bytes__":
        text = "the configuration carries raw bytes, which only a pickled torch module needs"
        yield Observation("bytes-in-config", text, layer=layer, where=where)
    elif name == "Lambda":
        yield from _lambda(settings, where, layer)
    elif name == "TorchModuleWrapper":
        text = f"{layer or name} holds a torch module, which is a pickle: loading it runs whatever code its author put in"
        yield Observation("torch-module-wrapper", text, layer=layer, where=where)
    elif name == "TFSMLayer":
        text = f"{layer or name} loads another SavedModel, {_quoted(settings.get('filepath'))}, which is not part of this file"
        yield Observation("tfsm-layer", text, layer=layer, where=where)
    elif isinstance(settings.get("vocabulary"), str):
        text = f"{name} {layer or ''} reads its vocabulary from {_quoted(settings['vocabulary'])} when the model is loaded"
        yield Observation("vocabulary-path", text, layer=layer, where=where)
    yield from _origin(entry, name, config, where, layer)


def _lambda(settings: Mapping[str, Any], where: str, layer: str | None) -> Iterator[Observation]:
    """The code of a Lambda layer as Keras 1 and 2 write it; Keras 3's is a `__lambda__` entry of its own."""
    for key, title in (("function", "Lambda"), ("output_shape", "Lambda's output shape"), ("mask", "Lambda's mask")):
        value = settings.get(key)
        if isinstance(value, Mapping) and value.get("class_name") == "__tuple__":
            value = value.get("items")
        dumped = isinstance(value, list | tuple) and len(value) == 3 and isinstance(value[0], str)
        kind = settings.get(f"{key}_type")
        if isinstance(value, list | tuple) and dumped and (key == "function" or kind == "lambda"):
            yield from _code(value[0], f"{title} {layer or ''}".rstrip(), where, layer)
        elif isinstance(value, str) and (kind == "lambda" or not value.replace(".", "_").replace(">", "_").isidentifier()):
            yield from _code(value, f"{title} {layer or ''}".rstrip(), where, layer)
        elif isinstance(value, str) and key == "function":
            text = f"{title} {layer or ''} calls the function {value}, which must be supplied to load the model"
            yield Observation("custom-object", text, layer=layer, where=where)


def _code(code: Any, title: str, where: str, layer: str | None) -> Iterator[Observation]:
    """A code object: what it calls, told from its bytes."""
    found = mentioned(code) if isinstance(code, str) else None
    severity = None
    if found is None:
        text = f"{title} carries {_quoted(code)}, which is no Python byte code of a known layout"
    else:
        names = [name for name in found.names if name not in _TENSOR_LIBRARIES]
        texts = [_quoted(one) for one in found.texts if not one.startswith("<")]
        says = f"it names {_some(list(found.names))}" if found.names else "it names nothing outside of itself"
        mentions = f" and mentions {_some(texts)}" if texts else ""
        text = f"{title} carries Python byte code that runs when the model is loaded or called: {says}{mentions}"
        modules = [one for one in found.names if one in _TENSOR_LIBRARIES]
        severity = Severity.HIGH if not _suspicious(names, list(found.texts), bool(modules)) else None
    yield Observation("lambda-code", text, layer=layer, where=where, severity=severity)


def _suspicious(names: list[str], texts: list[str], has_library: bool) -> bool:
    """Whether code reaches for more than tensor arithmetic: builtins, modules of the standard library, names with underscores around."""
    reaches = any(name.startswith("__") or name in _DANGEROUS for name in (*names, *texts))
    return reaches or bool(names and not has_library)


_DANGEROUS = (frozenset(dir(builtins)) - _TENSOR_LIBRARIES - {"pow", "round", "slice", "all", "any", "map", "filter", "print"}) | frozenset(
    name for name in sys.stdlib_module_names if name not in _TENSOR_LIBRARIES
)


def _origin(entry: Mapping[str, Any], name: str, config: Any, where: str, layer: str | None) -> Iterator[Observation]:
    """Where the loader would look for the class or function."""
    module = entry.get("module")
    if not isinstance(module, str) or not module or name in _WITHOUT_MODULE or (name.startswith("__") and name != "__typespec__"):
        return
    target = entry.get("spec_name") if name == "__typespec__" else config if name == "function" and isinstance(config, str) else name
    target = target if isinstance(target, str) else name
    package = module.split(".", 1)[0]
    if package in _FAMILY:
        if package in ("keras", "tf_keras") and not _is_part_of_models(module, target, name == "function"):
            text = f"{module}.{target} is no layer, loss or other part of a model; naming it makes the loader call it"
            yield Observation("keras-api-object", text, layer=layer, where=where)
        return
    if name == "__typespec__" and package == "tensorflow" and target.endswith("Spec"):
        return
    if module == _CELL_WRAPPERS[0] and name in _CELL_WRAPPERS[1]:
        return
    yield from _outside(entry, module, target, where, layer)


def _outside(entry: Mapping[str, Any], module: str, target: str, where: str, layer: str | None) -> Iterator[Observation]:
    """An object that is not Keras' own: the author's, or a gadget."""
    package = module.split(".", 1)[0]
    registered = entry.get("registered_name")
    if entry["class_name"] == "function" and package == "builtins" and not hasattr(builtins, target):
        if target.islower() and target.isidentifier():
            return  # how Keras names its own functions: losses, metrics, activations; and the author's, which only a loader tells apart
        if ">" in target or target.isidentifier():  # `package>name` is how Keras 3 writes a registered function; its own have no capitals
            text = f"{target} is the author's own function; it must be supplied to load the model"
            yield Observation("custom-object", text, layer=layer, where=where)
            return
        package = ""
    if package in sys.stdlib_module_names and package != "__main__":
        text = f"{module}.{target} is part of Python itself, not of Keras; naming it makes the loader import and call it"
        yield Observation("foreign-module", text, layer=layer, where=where, severity=Severity.CRITICAL)
    elif package == "__main__" or (isinstance(registered, str) and registered.rpartition(">")[0]):  # under any name that the author chose
        text = f"{target} of {module} is the author's own class; it must be supplied to load the model"
        yield Observation("custom-object", text, layer=layer, where=where)
    else:
        milder = Severity.MEDIUM if registered == target else None  # what Keras itself writes for a class that was not registered
        text = f"{module}.{target} is not Keras' own; an older Keras imports the module {module} to find it"
        yield Observation("foreign-module", text, layer=layer, where=where, severity=milder)


@lru_cache(maxsize=256)
def _is_part_of_models(module: str, name: str, function: bool) -> bool:
    """Whether an object of Keras' namespace is one that models are made of."""
    if name in _SERIALISABLE_CLASSES:
        return True
    parts = module.split(".")[1:]
    if parts[:1] == ["src"]:
        parts = parts[1:]
    if parts[:2] == ["api", "_v2"]:
        parts = parts[3:]
    if name in _NO_MODEL_PART:
        return False
    home = parts[0] if parts else ""
    if home in ("", "engine", "applications") or (home == "utils" and parts == ["utils", "generic_utils"]):
        return name[:1].isupper() and not function
    return home in _SERIALISABLE


def _quoted(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else type(value).__name__
    return text if len(text) <= 80 else f"{text[:76]}…{text[-1]}"


def _some(values: list[str]) -> str:
    shown = ", ".join(value[:60] for value in values[:_SHOWN])
    return f"{shown} and {len(values) - _SHOWN} more" if len(values) > _SHOWN else shown
