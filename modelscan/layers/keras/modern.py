"""Class names and arguments of earlier versions in the words of Keras 3: the one place that knows what they were called.

Source: `keras/legacy/interfaces.py` of Keras 2.0 to 2.2, which converted the arguments of Keras 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.layers.keras.registry import KERAS_CLASSES

_RENAMED_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "AtrousConv1D": "Conv1D",
    "AtrousConv2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
}

_RENAMED_ARGUMENTS = {
    "output_dim": "units",
    "nb_filter": "filters",
    "subsample": "strides",
    "subsample_length": "strides",
    "border_mode": "padding",
    "bias": "use_bias",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "stride": "strides",
    "length": "size",
    "p": "rate",
    "filter_length": "kernel_size",
    "inner_init": "recurrent_initializer",
}

_ORDERINGS = {"th": "channels_first", "tf": "channels_last"}


def modern_class(name: str) -> str:
    """The name that the catalogue knows a class by; package prefixes (`pkg>Name`) are dropped."""
    plain = name.rsplit(">", 1)[-1]
    return _RENAMED_CLASSES.get(plain, plain)


def is_namesake(class_name: str, module: object, values: Mapping[str, Any]) -> bool:
    """Whether a class only has the name of one of Keras': it is of another package, or lacks what Keras' own always writes."""
    package, _, plain = class_name.rpartition(">")
    if plain not in KERAS_CLASSES:
        return False  # one that a user has taught
    if package not in _KERAS_PACKAGES or (isinstance(module, str) and module.split(".", 1)[0] not in _KERAS_MODULES):
        return True
    return plain in _SIGNS and _SIGNS[plain] not in values


_KERAS_PACKAGES = ("", "Addons", "keras", "keras.layers")
"""TensorFlow Addons' layers are those of Keras where they have their names."""
_KERAS_MODULES = ("keras", "tf_keras", "tensorflow", "tensorflow_addons", "builtins")
_SIGNS = {"Attention": "use_scale", "AdditiveAttention": "use_scale", "MultiHeadAttention": "key_dim", "LayerNormalization": "epsilon"}
"""Names that people gave to layers of their own before Keras had such ones, with an argument that Keras' own always has."""


def modern_config(class_name: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration in today's words; what is already there is never overwritten."""
    if not any(name in values for name in (*_RENAMED_ARGUMENTS, "nb_row", "kernel_dim1", "dim_ordering", "size1", "dim1")):
        return values
    found = dict(values)
    for old, new in _RENAMED_ARGUMENTS.items():
        if old in found and not (
            old == "output_dim" and class_name in ("Embedding", "MaxoutDense", "RandomFourierFeatures", "ReversibleEmbedding")
        ):
            found.setdefault(new, found[old])
    if "nb_row" in found and "nb_col" in found:
        found.setdefault("kernel_size", [found["nb_row"], found["nb_col"]])
    if "kernel_dim1" in found:
        found.setdefault("kernel_size", [found.get(f"kernel_dim{axis}") for axis in (1, 2, 3)])
    if "dim_ordering" in found:
        found.setdefault("data_format", _ORDERINGS.get(str(found["dim_ordering"]), "channels_last"))
    if isinstance(found.get("use_bias"), int):
        found["use_bias"] = bool(found["use_bias"])
    return found


def declared_input(values: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """The input shape that a first layer of any version carries: `batch_shape`, `batch_input_shape`, `input_shape`, `input_dim`."""
    for name in ("batch_shape", "batch_input_shape"):
        shape = values.get(name)
        if isinstance(shape, list | tuple):
            return tuple(size if isinstance(size, int) else None for size in shape)
    shape = values.get("input_shape")
    if isinstance(shape, list | tuple):
        return (None, *(size if isinstance(size, int) else None for size in shape))
    size = values.get("input_dim")
    if isinstance(size, int) and "output_dim" not in values and "input_length" in values:
        length = values.get("input_length")
        return (None, length if isinstance(length, int) else None, size)
    return (None, size) if isinstance(size, int) and "output_dim" not in values else None


def variable_dtype(values: Mapping[str, Any]) -> str | None:
    """The element type of a layer's weights by its dtype or policy; None where the file does not tell.

    Mixed policies compute in half precision and keep their variables in float32 (`keras/src/dtype_policies`).
    """
    value = values.get("dtype", values.get("dtype_policy"))
    if isinstance(value, Mapping):
        config = value.get("config")
        value = config.get("name", config.get("source_name")) if isinstance(config, Mapping) else None
    if not isinstance(value, str):
        return None
    if value.startswith("mixed_"):
        return "float32"
    if "_from_" in value:  # a quantised policy such as `int8_from_mixed_bfloat16`: what is not quantised
        return variable_dtype({"dtype": value.split("_from_", 1)[1]})
    return value if value in ("float16", "float32", "float64", "bfloat16") else None
