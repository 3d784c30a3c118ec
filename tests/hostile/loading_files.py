"""Legal Keras files that one of the two current generations of Keras does not load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py

from tests.hostile.exhibit import arrays, dense, keras_zip, layer, legacy_config, legacy_h5, noted

INPUT = {"class_name": "InputLayer", "name": "input", "config": {"name": "input", "batch_input_shape": [None, 4], "dtype": "float32"}}


def first_dense(**config: Any) -> dict[str, Any]:
    one = dense("dense", 3, 4, **config)
    one["config"]["batch_input_shape"] = [None, 4]
    return one


def written_by(version: str) -> Any:
    """Edits the stated version."""

    def edit(file: h5py.File) -> None:
        file.attrs["keras_version"] = file["model_weights"].attrs["keras_version"] = version

    return edit


@noted("keras-1-sequential")
def keras_sequential_as_list(folder: Path) -> Path:
    config = legacy_config(first_dense())
    config["config"] = config["config"]["layers"]
    return legacy_h5(folder / "model.h5", config, edit=written_by("2.1.3"))


@noted("layer-gone")
def keras_thresholded_relu(folder: Path) -> Path:
    groups = {"dense": dict(zip(("dense/kernel:0", "dense/bias:0"), arrays((4, 3), (3,)), strict=True)), "relu": {}}
    return legacy_h5(folder / "model.h5", legacy_config(first_dense(), layer("ThresholdedReLU", "relu", theta=1.0)), groups)


@noted("keyword-gone")
def keras_time_major(folder: Path) -> Path:
    lstm = layer("LSTM", "lstm", units=2, time_major=False, batch_input_shape=[None, 5, 3])
    kernel, recurrent, bias = arrays((3, 8), (2, 8), (8,))
    weights = {"lstm/lstm_cell/kernel:0": kernel, "lstm/lstm_cell/recurrent_kernel:0": recurrent, "lstm/lstm_cell/bias:0": bias}
    return legacy_h5(folder / "model.h5", legacy_config(lstm), {"lstm": weights})


@noted("initializer-keyword-gone")
def keras_initializer_dtype(folder: Path) -> Path:
    initializer = {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}}
    return legacy_h5(folder / "model.h5", legacy_config(first_dense(kernel_initializer=initializer)), edit=written_by("2.2.4-tf"))


def functional(inner: dict[str, Any]) -> dict[str, Any]:
    """A functional model of an input and one more layer, as Keras 2 wrote it."""
    one = {**inner, "name": inner["config"]["name"], "inbound_nodes": [[["input", 0, 0, {}]]]}
    ends = {"input_layers": [["input", 0, 0]], "output_layers": [[one["name"], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "model", "layers": [{**INPUT, "inbound_nodes": []}, one], **ends}}


@noted("keras-2-archive")
def keras_2_functional_archive(folder: Path) -> Path:
    metadata = json.dumps({"keras_version": "2.13.1", "date_saved": "2024-01-01@00:00:00"})
    return keras_zip(folder / "model.keras", functional(first_dense()), metadata=metadata)


@noted("nested-functional")
def keras_nested_functional(folder: Path) -> Path:
    inner = legacy_config(first_dense())
    inner["config"]["name"] = "inner"
    kernel, bias = arrays((4, 3), (3,))
    return legacy_h5(folder / "model.h5", functional(inner), {"input": {}, "inner": {"dense/kernel:0": kernel, "dense/bias:0": bias}})


@noted("slash-in-name")
def keras_slash_in_name(folder: Path) -> Path:
    one = first_dense()
    one["config"]["name"] = "block/dense"
    kernel, bias = arrays((4, 3), (3,))
    return legacy_h5(folder / "model.h5", legacy_config(one), {"block/dense": {"block/dense/kernel:0": kernel, "block/dense/bias:0": bias}})


@noted("compile-refused")
def keras_compiled_with_mse(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        file.attrs["training_config"] = json.dumps(
            {"loss": "mse", "metrics": ["mae"], "optimizer_config": {"class_name": "Adam", "config": {}}}
        )

    return legacy_h5(folder / "model.h5", edit=edit)


@noted("archive-expected")
def keras_hdf5_by_another_name(folder: Path) -> Path:
    return legacy_h5(folder / "model.keras")


@noted("nameless-bfloat16")
def keras_bfloat16_as_opaque_bytes(folder: Path) -> Path:
    kernel, bias = (array.astype("f4").view("u4").__rshift__(16).astype("u2").view("V2") for array in arrays((4, 3), (3,)))
    groups = {"dense": {"dense/kernel:0": kernel, "dense/bias:0": bias}}
    return legacy_h5(folder / "model.h5", legacy_config(first_dense(dtype="bfloat16")), groups)
