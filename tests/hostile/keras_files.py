"""Keras files that run code, reach outside, or do not add up."""

from __future__ import annotations

import base64
import json
import marshal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.hostile.exhibit import (
    BAD,
    DENSE_WEIGHTS,
    Exhibit,
    arrays,
    bad,
    dense,
    input_layer,
    keras_zip,
    layer,
    legacy_config,
    legacy_h5,
    sequential,
    weights_h5,
)


def python_lambda(name: str = "evil") -> dict[str, Any]:
    """A Lambda layer that carries byte code, as Keras 3 writes it. The code is never run: it is only compiled here."""
    code = compile("lambda x: __import__('os').system('id') or x", "<museum>", "eval").co_consts[0]
    encoded = base64.b64encode(marshal.dumps(code)).decode()
    function = {"class_name": "__lambda__", "config": {"code": encoded, "defaults": None, "closure": None}}
    return layer("Lambda", name, function=function, arguments={}, output_shape=None, mask=None, dtype="float32")


def legacy_lambda(name: str = "evil") -> dict[str, Any]:
    """The same as Keras 2 wrote it."""
    code = compile("lambda x: __import__('os').system('id') or x", "<museum>", "eval").co_consts[0]
    encoded = base64.b64encode(marshal.dumps(code)).decode() + "\n"
    return layer(
        "Lambda",
        name,
        function=[encoded, None, None],
        function_type="lambda",
        module="__main__",
        output_shape=None,
        output_shape_type="raw",
    )


def with_layers(*layers: dict[str, Any], **top: Any) -> dict[str, Any]:
    """A Sequential of an input, a Dense and these."""
    return sequential(input_layer(4), dense("dense", 3, 4), *layers, **top)


def keras(name: str, rule: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Registers a configuration, with the weights of its one Dense layer."""

    def register(config: Callable[[], Any]) -> Callable[[], Any]:
        BAD.append(Exhibit(name, rule, lambda folder: keras_zip(folder / "model.keras", config())))
        return config

    return register


# --- code ----------------------------------------------------------------------------------------------------------------------

keras("lambda_in_sequential", "lambda-code")(lambda: with_layers(python_lambda()))
keras("lambda_in_time_distributed", "lambda-code")(lambda: with_layers(layer("TimeDistributed", "td", layer=python_lambda())))
keras("lambda_in_nested_model", "lambda-code")(lambda: with_layers(sequential(input_layer(3), python_lambda())))
keras("lambda_in_nested_wrapper", "lambda-code")(
    lambda: with_layers(
        sequential(input_layer(3), layer("TimeDistributed", "td", layer=layer("TimeDistributed", "in", layer=python_lambda())))
    )
)
keras("lambda_as_activation", "lambda-code")(
    lambda: sequential(input_layer(4), dense("dense", 3, 4, activation=python_lambda()["config"]["function"]))
)
keras("lambda_in_compile_config", "lambda-code")(
    lambda: with_layers(compile_config={"optimizer": "adam", "loss": python_lambda()["config"]["function"]})
)
keras("lambda_in_metrics", "lambda-code")(
    lambda: with_layers(compile_config={"optimizer": "adam", "loss": "mse", "metrics": [[python_lambda()["config"]["function"]]]})
)
keras("lambda_that_claims_an_old_writer", "lambda-code")(lambda: with_layers(python_lambda(), keras_version="1.0.0"))


@keras("lambda_in_functional", "lambda-code")
def _functional() -> dict[str, Any]:
    def tensor(of: str) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "dtype": "float32", "keras_history": [of, 0, 0]}}

    first = input_layer(4) | {"name": "input_layer", "inbound_nodes": []}
    second = python_lambda() | {"name": "evil", "inbound_nodes": [{"args": [tensor("input_layer")], "kwargs": {}}]}
    config = {
        "name": "f",
        "trainable": True,
        "layers": [first, second],
        "input_layers": [["input_layer", 0, 0]],
        "output_layers": [["evil", 0, 0]],
    }
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config, "registered_name": "Functional"}


@bad("lambda-code")
def lambda_in_h5(folder: Path) -> Path:
    return legacy_h5(folder / "model.h5", legacy_config(input_layer(4), dense("dense", 3, 4), legacy_lambda()))


@bad("lambda-code")
def lambda_in_weights_file_of_an_archive_config(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", with_layers(legacy_lambda()))


for _name, _module, _class in (
    ("os_system", "os", "system"),
    ("builtins_eval", "builtins", "eval"),
    ("subprocess", "subprocess", "Popen"),
    ("custom_package", "attacker.package", "Layer"),
    ("keras_lookalike", "keras_evil.layers", "Dense"),
    ("keras_submodule_of_another", "evil.keras.layers", "Dense"),
):
    keras(f"foreign_module_{_name}", "foreign-module")(lambda m=_module, c=_class: with_layers(layer(c, "x", module=m)))

for _module, _class in (
    ("keras.utils", "get_file"),
    ("keras.models", "load_model"),
    ("keras.config", "enable_unsafe_deserialization"),
    ("keras.src.backend.common.global_state", "set_global_attribute"),
    ("keras.saving", "register_keras_serializable"),
):
    keras(f"api_{_class}", "keras-api-object")(
        lambda m=_module, c=_class: with_layers(layer("Activation", "a", activation={"module": m, "class_name": c, "config": {}}))
    )

keras("module_in_loss", "foreign-module")(
    lambda: with_layers(compile_config={"loss": {"module": "os", "class_name": "system", "config": {"command": "id"}}})
)
keras("module_in_initializer", "foreign-module")(
    lambda: sequential(
        input_layer(4), dense("dense", 3, 4, kernel_initializer={"module": "shutil", "class_name": "rmtree", "config": {"path": "/"}})
    )
)

# --- outside files --------------------------------------------------------------------------------------------------------------

for _class in ("StringLookup", "IntegerLookup", "TextVectorization"):
    for _kind, _place in (("path", "/etc/passwd"), ("url", "https://example.org/vocabulary.txt"), ("share", "\\\\host\\share\\v.txt")):
        keras(f"vocabulary_{_class}_{_kind}", "vocabulary-path")(
            lambda c=_class, p=_place: sequential(input_layer(1), layer(c, "lookup", vocabulary=p, output_mode="int"), dense("dense", 3, 4))
        )

keras("tfsm_layer", "tfsm-layer")(lambda: with_layers(layer("TFSMLayer", "outside", filepath="/srv/other_model", call_endpoint="serve")))
keras("torch_module", "torch-module-wrapper")(
    lambda: with_layers(
        layer(
            "TorchModuleWrapper", "torch", module={"class_name": "__bytes__", "config": {"value": base64.b64encode(b"PK\x03\x04").decode()}}
        )
    )
)
keras("bytes_in_config", "bytes-in-config")(
    lambda: sequential(input_layer(4), dense("dense", 3, 4, extra={"class_name": "__bytes__", "config": {"value": "gASVAA=="}}))
)

# --- the account ----------------------------------------------------------------------------------------------------------------

keras("units_edited", "weight-mismatch")(lambda: sequential(input_layer(4), dense("dense", 5, 4)))
keras("inputs_edited", "weight-mismatch")(lambda: sequential(input_layer(6), dense("dense", 3, 6)))
keras("bias_switched_off", "weight-extra")(lambda: sequential(input_layer(4), dense("dense", 3, 4, use_bias=False)))
keras("layer_taken_out", "tensor-unclaimed")(lambda: sequential(input_layer(4)))
keras("layer_put_in", "weight-missing")(lambda: sequential(input_layer(4), dense("dense", 3, 4), dense("more", 2, 3)))
keras("class_changed", "tensor-unclaimed")(lambda: sequential(input_layer(4), layer("LSTM", "dense", units=3, use_bias=True)))


def _weights(name: str, groups: dict[str, tuple[np.ndarray, ...]], rule: str, edit: Callable[[h5py.File], None] | None = None) -> None:
    BAD.append(Exhibit(name, rule, lambda folder: keras_zip(folder / "model.keras", weights=weights_h5(groups, edit))))


_kernel, _bias = arrays((4, 3), (3,))
_weights("kernel_transposed", {"layers/dense": (_kernel.T.copy(), _bias)}, "weight-mismatch")
_weights("kernel_flattened", {"layers/dense": (_kernel.ravel(), _bias)}, "weight-mismatch")
_weights("kernel_grown", {"layers/dense": arrays((5, 3), (3,))}, "weight-mismatch")
_weights("kernel_halved", {"layers/dense": (_kernel.astype("float16"), _bias)}, "weight-mismatch")
_weights("kernel_of_integers", {"layers/dense": (_kernel.astype("int32"), _bias)}, "weight-mismatch")
_weights("bias_dropped", {"layers/dense": (_kernel,)}, "weight-missing")
_weights("weights_swapped", {"layers/dense": (_bias, _kernel)}, "weight-mismatch")
_weights("extra_weight", {"layers/dense": (_kernel, _bias, _bias)}, "weight-extra")
_weights("extra_group", DENSE_WEIGHTS | {"layers/hidden": (_kernel,)}, "tensor-unclaimed")
_weights("no_groups", {}, "weight-missing")


@bad("group-name-mismatch")
def groups_of_two_layers_swapped(folder: Path) -> Path:
    config = sequential(input_layer(4), dense("first", 4, 4), dense("second", 4, 4))

    def edit(file: h5py.File) -> None:
        file["layers/dense/vars"].attrs["name"], file["layers/dense_1/vars"].attrs["name"] = "second", "first"

    weights = weights_h5({"layers/dense": arrays((4, 4), (4,)), "layers/dense_1": arrays((4, 4), (4,))}, edit)
    return keras_zip(folder / "model.keras", config, weights)


@bad("weight-missing")
def legacy_layer_renamed(folder: Path) -> Path:
    first = dense("renamed", 3, 4)
    first["config"]["batch_input_shape"] = [None, 4]
    return legacy_h5(folder / "model.h5", legacy_config(first))


@bad("weight-missing")
def legacy_dataset_gone(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["model_weights/dense/dense/kernel:0"]

    return legacy_h5(folder / "model.h5", edit=edit)


@bad("missing-weights")
def legacy_weights_group_gone(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["model_weights"]

    return legacy_h5(folder / "model.h5", edit=edit)


@bad("malformed-config")
def graph_names_a_layer_that_is_not_there(folder: Path) -> Path:
    tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "dtype": "float32", "keras_history": ["gone", 0, 0]}}
    first = input_layer(4) | {"name": "input_layer", "inbound_nodes": []}
    second = dense("dense", 3, 4) | {"name": "dense", "inbound_nodes": [{"args": [tensor], "kwargs": {}}]}
    config = {"name": "f", "layers": [first, second], "input_layers": [["input_layer", 0, 0]], "output_layers": [["dense", 0, 0]]}
    text = json.dumps(
        {"module": "keras.src.models.functional", "class_name": "Functional", "config": config, "registered_name": "Functional"}
    )
    return keras_zip(folder / "model.keras", text)


@bad("graph-cycle")
def graph_with_a_cycle(folder: Path) -> Path:
    def call(of: str) -> list[dict[str, Any]]:
        tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "dtype": "float32", "keras_history": [of, 0, 0]}}
        return [{"args": [tensor], "kwargs": {}}]

    first = input_layer(3) | {"name": "input_layer", "inbound_nodes": []}
    one = dense("one", 3, 3) | {"name": "one", "inbound_nodes": call("two")}
    two = dense("two", 3, 3) | {"name": "two", "inbound_nodes": call("one")}
    config = {"name": "f", "layers": [first, one, two], "input_layers": [["input_layer", 0, 0]], "output_layers": [["two", 0, 0]]}
    model = {"module": "keras.src.models.functional", "class_name": "Functional", "config": config, "registered_name": "Functional"}
    weights = weights_h5({"layers/dense": arrays((3, 3), (3,)), "layers/dense_1": arrays((3, 3), (3,))})
    return keras_zip(folder / "model.keras", model, weights)


for _name, _text in (("control", "evil\x1b[2Jname"), ("bidirectional", "abc\u202egnp.exe"), ("zero_width", "den\u200bse")):
    keras(f"name_with_{_name}_characters", "deceptive-name")(lambda t=_text: sequential(input_layer(4), dense(t, 3, 4)))
