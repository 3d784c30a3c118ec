"""Legal files with unusual content: none of them may raise a finding above `info`."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.exhibit import (
    CLEAN,
    DENSE_WEIGHTS,
    Exhibit,
    arrays,
    clean,
    dense,
    input_layer,
    keras_zip,
    layer,
    legacy_config,
    legacy_h5,
    sequential,
    weights_h5,
    write,
)
from tests.hostile.onnx_files import F, array, conv_model, gemm_model, if_model, model_of, outside

# --- Keras ------------------------------------------------------------------------------------------------------------------------


def keras(name: str, config: Callable[[], Any], groups: dict[str, Any] | None = None, **more: Any) -> None:
    """Registers a configuration with its weights."""
    weights = DENSE_WEIGHTS if groups is None else groups
    CLEAN.append(Exhibit(name, None, lambda folder: keras_zip(folder / "model.keras", config(), weights_h5(weights), **more)))


ACTIVATION = {"module": "keras", "class_name": "Activation"}
keras("plain_dense", lambda: sequential(input_layer(4), dense("dense", 3, 4)))
keras("deflated", lambda: sequential(input_layer(4), dense("dense", 3, 4)), compression=zipfile.ZIP_DEFLATED)
keras("name_with_spaces", lambda: sequential(input_layer(4), dense("my dense layer", 3, 4)))
keras("name_in_chinese", lambda: sequential(input_layer(4), dense("全连接层", 3, 4)))
keras("name_in_arabic", lambda: sequential(input_layer(4), dense("طبقة", 3, 4)))
keras("name_with_emoji", lambda: sequential(input_layer(4), dense("dense_🚀", 3, 4)))
keras("name_with_quotes_and_markup", lambda: sequential(input_layer(4), dense("<b>\"dense\"</b> & 'more' | x", 3, 4)))
keras("name_like_a_path", lambda: sequential(input_layer(4), dense("etc.passwd", 3, 4)))
keras("name_like_a_module", lambda: sequential(input_layer(4), dense("os.system", 3, 4)))
keras("name_that_says_lambda", lambda: sequential(input_layer(4), dense("lambda", 3, 4)))
keras("bias_off", lambda: sequential(input_layer(4), dense("dense", 3, 4, use_bias=False)), {"layers/dense": arrays((4, 3))})
keras("one_unit", lambda: sequential(input_layer(1), dense("dense", 1, 1)), {"layers/dense": arrays((1, 1), (1,))})
keras(
    "frozen", lambda: sequential(input_layer(4), dense("dense", 3, 4) | {"config": dense("dense", 3, 4)["config"] | {"trainable": False}})
)
keras("without_weights", lambda: sequential(input_layer(4), layer("ReLU", "relu"), layer("Flatten", "flatten")), {})
keras("vocabulary_inline", lambda: sequential(input_layer(1), layer("StringLookup", "lookup", vocabulary=["a", "b", "/etc/passwd"])), {})
keras("rescaling", lambda: sequential(input_layer(8, 8, 3), layer("Rescaling", "scale", scale=1 / 255, offset=0.0)), {})
keras("unknown_config_keys", lambda: sequential(input_layer(4), dense("dense", 3, 4, future_option={"a": [1, None]})))
keras(
    "http_in_metadata",
    lambda: sequential(input_layer(4), dense("dense", 3, 4)),
    metadata=json.dumps({"keras_version": "3.9.2", "home": "https://example.org"}),
)
keras("assets_folder", lambda: sequential(input_layer(4), dense("dense", 3, 4)), extra=[("assets/labels.txt", "cat\ndog\n")])
keras(
    "with_optimizer",
    lambda: sequential(input_layer(4), dense("dense", 3, 4)),
    DENSE_WEIGHTS | {"optimizer": (np.int64(7), np.float32(1e-3), *arrays((4, 3), (3,)))},
)
keras(
    "with_metrics",
    lambda: sequential(input_layer(4), dense("dense", 3, 4)),
    DENSE_WEIGHTS | {"metrics/mean": (np.float32(1), np.float32(2))},
)
keras(
    "compiled",
    lambda: sequential(input_layer(4), dense("dense", 3, 4), compile_config={"optimizer": "adam", "loss": "mse", "metrics": ["accuracy"]}),
)
keras(
    "custom_layer_of_the_project",
    lambda: sequential(input_layer(4), dense("dense", 3, 4), layer("Dropout", "d", rate=0.5, seed=None, noise_shape=None)),
)


@clean
def nested_model_twice(folder: Path) -> Path:
    inner = sequential(input_layer(4), dense("dense", 4, 4))
    config = sequential(
        input_layer(4), inner | {"config": inner["config"] | {"name": "a"}}, inner | {"config": inner["config"] | {"name": "b"}}
    )
    groups = {"layers/sequential/layers/dense": arrays((4, 4), (4,)), "layers/sequential_1/layers/dense": arrays((4, 4), (4,))}
    return keras_zip(folder / "model.keras", config, weights_h5(groups))


@clean
def many_layers_of_one_class(folder: Path) -> Path:
    config = sequential(input_layer(4), *(dense(f"z{i}", 4, 4) for i in range(30)))
    groups = {f"layers/dense{f'_{i}' if i else ''}": arrays((4, 4), (4,)) for i in range(30)}
    return keras_zip(folder / "model.keras", config, weights_h5(groups))


@clean
def chunked_and_compressed_weights(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"].create_dataset("0", data=arrays((4, 3))[0], chunks=(2, 3), compression="gzip")

    return keras_zip(folder / "model.keras", weights=weights_h5(DENSE_WEIGHTS, edit))


@clean
def bfloat16_weights(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        for index, values in enumerate(arrays((4, 3), (3,))):
            del file[f"layers/dense/vars/{index}"]
            data = values.astype(ml_dtypes.bfloat16).view("V2")
            file["layers/dense/vars"].create_dataset(str(index), data=data).attrs["dtype"] = "bfloat16"

    config = sequential(input_layer(4), dense("dense", 3, 4, dtype="bfloat16"))
    return keras_zip(folder / "model.keras", config, weights_h5(DENSE_WEIGHTS, edit))


@clean
def npz_weights(folder: Path) -> Path:
    import io

    buffer = io.BytesIO()
    np.savez(buffer, **{"layers/dense/vars/0": arrays((4, 3))[0], "layers/dense/vars/1": arrays((3,))[0]})
    return keras_zip(folder / "model.keras", without=("model.weights.h5",), extra=[("model.weights.npz", buffer.getvalue())])


@clean
def legacy(folder: Path) -> Path:
    return legacy_h5(folder / "model.h5")


@clean
def legacy_called_keras(folder: Path) -> Path:
    return legacy_h5(folder / "model.keras")


@clean
def legacy_with_optimizer(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        group = file.create_group("optimizer_weights")
        group.attrs["weight_names"] = [b"Adam/iter:0"]
        group.create_dataset("Adam/iter:0", data=np.int64(4))

    return legacy_h5(folder / "model.h5", edit=edit)


@clean
def legacy_with_user_block(folder: Path) -> Path:
    with h5py.File(folder / "model.h5", "w", userblock_size=512) as file:
        plain = legacy_h5(folder / "plain.h5")
        with h5py.File(plain) as source:
            for key, value in source.attrs.items():
                file.attrs[key] = value
            source.copy("model_weights", file)
    return folder / "model.h5"


@clean
def legacy_without_batch_shape(folder: Path) -> Path:
    return legacy_h5(folder / "model.h5", legacy_config(dense("dense", 3, 4)))


@clean
def weights_only(folder: Path) -> Path:
    return write(folder / "model.weights.h5", weights_h5(DENSE_WEIGHTS))


# --- ONNX -------------------------------------------------------------------------------------------------------------------------


def onnx_file(name: str, build: Callable[[], onnx.ModelProto]) -> None:
    """Registers a model."""
    CLEAN.append(Exhibit(name, None, lambda folder: write(folder / "model.onnx", build().SerializeToString())))


def changed(base: Callable[[], onnx.ModelProto], *edits: Callable[[onnx.ModelProto], Any]) -> Callable[[], onnx.ModelProto]:
    """A model with edits."""

    def build() -> onnx.ModelProto:
        model = base()
        for edit in edits:
            edit(model)
        return model

    return build


def node_model(
    nodes: list[onnx.NodeProto], initializers: dict[str, np.ndarray], x: list[Any], y: list[Any], opset: int = 17, kind: int = F
) -> onnx.ModelProto:
    """x → nodes → y."""
    return model_of(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", kind, x)],
            [helper.make_tensor_value_info("y", kind, y)],
            [numpy_helper.from_array(value, key) for key, value in initializers.items()],
        ),
        opset,
    )


def node(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    """A node from space-separated names; `-` is an omitted input."""
    return helper.make_node(op, ["" if one == "-" else one for one in inputs.split()], outputs.split(), **attributes)


def typed(model: onnx.ModelProto) -> None:
    """Moves the payload of the first initializer into its typed field."""
    tensor = model.graph.initializer[0]
    values = numpy_helper.to_array(tensor).ravel().tolist()
    tensor.ClearField("raw_data")
    tensor.float_data.extend(values)


onnx_file("gemm", gemm_model)
onnx_file("conv", conv_model)
onnx_file("typed_payload", changed(gemm_model, typed))
onnx_file("initializer_is_an_input", changed(gemm_model, lambda m: m.graph.input.append(helper.make_tensor_value_info("W", F, [4, 3]))))
onnx_file(
    "doc_string", changed(gemm_model, lambda m: setattr(m, "doc_string", "Trained on data. import os; os.system is mentioned here only."))
)
onnx_file("metadata", changed(gemm_model, lambda m: m.metadata_props.add(key="author", value="A. Person")))
onnx_file("dead_initializer", changed(gemm_model, lambda m: m.graph.initializer.append(numpy_helper.from_array(array(2, 2), "unused"))))
onnx_file("empty_branches", if_model)
onnx_file("constant_in_a_branch", lambda: if_model(node("Constant", "", "k", value=numpy_helper.from_array(array(2), "k"))))
onnx_file("shadowed_name", lambda: if_model(node("Constant", "", "inner", value_float=1.0)))
onnx_file("scalar_initializer", lambda: node_model([node("Mul", "x s")], {"s": np.float32(0.5).reshape(())}, ["N", 4], ["N", 4]))
onnx_file(
    "zero_sized_initializer",
    lambda: node_model(
        [node("Resize", "x roi s", mode="nearest")],
        {"roi": np.zeros(0, np.float32), "s": np.ones(4, np.float32)},
        [1, 1, 4, 4],
        [1, 1, 4, 4],
    ),
)
onnx_file(
    "broadcast_bias",
    lambda: node_model([node("MatMul", "x W", "h"), node("Add", "h B")], {"W": array(4, 3), "B": array(1, 1, 3)}, [2, 5, 4], [2, 5, 3]),
)
onnx_file("gemm_scalar_bias", lambda: node_model([node("Gemm", "x W B")], {"W": array(4, 3), "B": array(1)}, ["N", 4], ["N", 3]))
onnx_file("gemm_transposed", lambda: node_model([node("Gemm", "x W B", transB=1)], {"W": array(3, 4), "B": array(3)}, ["N", 4], ["N", 3]))
onnx_file("unused_optional_inputs", lambda: node_model([node("Clip", "x - m")], {"m": np.float32(6).reshape(())}, [2], [2]))
onnx_file(
    "negative_infinity_mask",
    lambda: node_model([node("Add", "x m")], {"m": np.where(np.tri(4, dtype=bool), 0, -np.inf).astype(np.float32)}, [1, 4, 4], [1, 4, 4]),
)
onnx_file(
    "symbolic_everywhere", lambda: node_model([node("Relu", "x")], {}, ["batch", "seq_len", "hidden"], ["batch", "seq_len", "hidden"])
)
onnx_file("rank_unknown", lambda: node_model([node("Relu", "x")], {}, None, None))  # type: ignore[arg-type]
onnx_file("long_name", changed(gemm_model, lambda m: setattr(m.graph, "name", "g" * 5000)))
onnx_file("old_opset", lambda: node_model([node("Gemm", "x W B", broadcast=1)], {"W": array(4, 3), "B": array(3)}, [2, 4], [2, 3], opset=6))


def node_model_of_ids() -> onnx.ModelProto:
    """Token ids through a table."""
    graph = helper.make_graph(
        [node("Gather", "table x")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info("y", F, ["N", 8])],
        [numpy_helper.from_array(array(100, 8), "table")],
    )
    return model_of(graph)


onnx_file("embedding", node_model_of_ids)
for _name, _type in (("float16", TensorProto.FLOAT16), ("bfloat16", TensorProto.BFLOAT16), ("double", TensorProto.DOUBLE)):

    def _cast(kind: int = _type) -> onnx.ModelProto:
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        tensors = [
            helper.make_tensor(name, kind, shape, array(*shape).astype(dtype).tobytes(), raw=True)
            for name, shape in (("W", (4, 3)), ("B", (3,)))
        ]
        graph = helper.make_graph(
            [node("Gemm", "x W B")],
            "g",
            [helper.make_tensor_value_info("x", kind, ["N", 4])],
            [helper.make_tensor_value_info("y", kind, ["N", 3])],
            tensors,
        )
        return model_of(graph)

    onnx_file(f"weights_of_{_name}", _cast)


@clean
def external_data(folder: Path) -> Path:
    model = gemm_model()
    write(folder / "weights.bin", model.graph.initializer[0].raw_data)
    outside("weights.bin", offset=0, length=48)(model)
    return write(folder / "model.onnx", model.SerializeToString())


@clean
def external_data_without_length(folder: Path) -> Path:
    model = gemm_model()
    write(folder / "weights.bin", model.graph.initializer[0].raw_data)
    outside("weights.bin")(model)
    return write(folder / "model.onnx", model.SerializeToString())


@clean
def external_data_in_a_subfolder_with_padding(folder: Path) -> Path:
    model = gemm_model()
    (folder / "data").mkdir()
    write(folder / "data" / "weights.bin", bytes(4096) + model.graph.initializer[0].raw_data + bytes(100))
    outside("data/weights.bin", offset=4096, length=48, checksum="0" * 40)(model)
    return write(folder / "model.onnx", model.SerializeToString())


@clean
def local_function(folder: Path) -> Path:
    model = gemm_model()
    function = helper.make_function("local", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], [helper.make_opsetid("", 17)])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node[0].output[0] = "h"
    model.graph.node.append(helper.make_node("Twice", ["h"], ["y"], domain="local"))
    return write(folder / "model.onnx", model.SerializeToString())


@clean
def known_vendor_domain(folder: Path) -> Path:
    model = gemm_model()
    model.graph.node[0].output[0] = "h"
    model.graph.node.append(helper.make_node("FastGelu", ["h"], ["y"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return write(folder / "model.onnx", model.SerializeToString())


@clean
def another_suffix(folder: Path) -> Path:
    return write(folder / "model.bin", gemm_model().SerializeToString())
