"""Small ONNX models for tests, built with the onnx package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from modelscan.formats import Artifact, ReadOptions
from modelscan.formats.onnx import read
from modelscan.limits import DEFAULT, Limits
from modelscan.model import Model
from modelscan.source import Bytes, Folder, Source

FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64


def info(name: str, *shape: int | str | None, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def floats(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape), name)


def ints(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto] = (),
    outputs: Sequence[onnx.ValueInfoProto] = (),
    tensors: Sequence[onnx.TensorProto] = (),
    opset: int = 17,
    domains: Sequence[str] = (),
    **more: object,
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(tensors))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="test", producer_version="1", **more)


def dense() -> onnx.ModelProto:
    """x (N, 4) · w (4, 3) + b (3,)."""
    return model(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="fc")],
        [info("x", "N", 4)],
        [info("y", "N", 3)],
        [floats("w", 4, 3), floats("b", 3)],
    )


def artifact(
    content: onnx.ModelProto | bytes | Source, folder: Path | str = ".", options: ReadOptions | None = None, name: str = "model.onnx"
) -> Artifact:
    source: Source
    if isinstance(content, onnx.ModelProto):
        source = Bytes(content.SerializeToString())
    elif isinstance(content, bytes):
        source = Bytes(content)
    else:
        source = content
    return Artifact(name, source, Folder(folder), source.read(0, min(4096, source.size)), options or ReadOptions())


def scan(
    content: onnx.ModelProto | bytes | Source, folder: Path | str = ".", options: ReadOptions | None = None, limits: Limits = DEFAULT
) -> Model:
    return read(artifact(content, folder, options), limits)


def kinds(found: Model) -> set[str]:
    """What was noticed, apart from what is only information."""
    return {one.kind for one in found.observations if one.kind != "unused-initializer"}
