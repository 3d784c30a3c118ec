"""Files whose weights hold odd values: told when the values are read (`--values`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import numpy_helper

from tests.hostile.exhibit import DENSE_WEIGHTS, bad, clean, keras_zip, noted, weights_h5, write
from tests.hostile.onnx_files import array, gemm_model


def gemm_with(folder: Path, *weights: np.ndarray) -> Path:
    """The usual model with other weights."""
    model = gemm_model()
    for tensor, values in zip(model.graph.initializer, weights, strict=False):
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    return write(folder / "model.onnx", model.SerializeToString())


def changed(value: float) -> np.ndarray:
    """The usual kernel with another value in one place."""
    values = array(4, 3).copy()
    values[2, 1] = value
    return values


@bad("nan-values")
def nan_in_a_kernel(folder: Path) -> Path:
    return gemm_with(folder, changed(np.nan))


@bad("nan-values")
def nan_in_a_keras_bias(folder: Path) -> Path:
    kernel, bias = DENSE_WEIGHTS["layers/dense"]
    return keras_zip(folder / "model.keras", weights=weights_h5({"layers/dense": (kernel, bias * np.nan)}))


@bad("infinite-values")
def infinity_in_a_kernel(folder: Path) -> Path:
    return gemm_with(folder, changed(-np.inf))


@noted("all-zero-weights")
def kernel_of_zeros(folder: Path) -> Path:
    return gemm_with(folder, np.zeros((4, 3)))


@noted("constant-weights")
def kernel_of_one_value(folder: Path) -> Path:
    return gemm_with(folder, np.full((4, 3), 0.5))


@noted("subnormal-values")
def subnormal_numbers(folder: Path) -> Path:
    return gemm_with(folder, changed(1e-40))


@noted("extreme-values")
def extreme_numbers(folder: Path) -> Path:
    return gemm_with(folder, changed(3e30))


@noted("equal-tensors")
def equal_kernels(folder: Path) -> Path:
    from onnx import helper

    from tests.hostile.onnx_files import F, model_of

    values = np.random.default_rng(7).normal(size=(40, 40)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "A"], ["h"]), helper.make_node("MatMul", ["h", "B"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", F, ["N", 40])],
        [helper.make_tensor_value_info("y", F, ["N", 40])],
        [numpy_helper.from_array(values, name) for name in "AB"],
    )
    return write(folder / "model.onnx", model_of(graph).SerializeToString())


@clean
def ordinary_values(folder: Path) -> Path:
    return gemm_with(folder, np.random.default_rng(7).normal(size=(4, 3)), np.zeros(3))
