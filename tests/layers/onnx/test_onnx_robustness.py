"""Graphs that no exporter would write: attributes of any type, operands left out, operators swapped. Nothing may raise."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from modelscan import accounting, layers
from modelscan.errors import UnreadableFile
from modelscan.formats import onnx as reader
from modelscan.formats import open_artifact
from modelscan.limits import DEFAULT
from tests.corpus import corpus, expected
from tests.layers.onnx.onnx_graphs import derived, info, model, node

VALUES = (None, "x", b"y", -1, 0, 1, 3, 10**18, -(10**18), 1.5, float("nan"), (), (0,), (-1,), (10**12,) * 3, (1.5, "a"), (5, 1, 1, 5))
NAMES = (
    *("axis", "axes", "perm", "group", "kernel_shape", "strides", "pads", "dilations", "hidden_size", "equation", "broadcast", "keepdims"),
    *("transB", "num_heads", "qkv_hidden_sizes", "K", "N", "bits", "block_size", "start", "end", "blocksize", "split", "shape", "layout"),
)
OPERATORS = (
    *("Conv", "MatMul", "Gemm", "LSTM", "Reshape", "Slice", "Concat", "Split", "Gather", "Add", "Mul", "Softmax", "Transpose", "Squeeze"),
    *("Loop", "If", "Scan", "Einsum", "BatchNormalization", "Expand", "Tile", "Where", "Shape", "PRelu", "Pad", "Attention", "ReduceMean"),
    *("DequantizeLinear", "QLinearConv", "MatMulNBits", "QMoE", "EmbedLayerNormalization", "GatherBlockQuantized", "LinearClassifier"),
)


def disturbed(node, rng):
    kind = rng.randrange(5)
    if kind < 2:
        names = [*node.attributes, rng.choice(NAMES)]
        return replace(node, attributes={**node.attributes, rng.choice(names): rng.choice(VALUES)})
    if kind == 2:
        return replace(node, inputs=tuple(rng.sample(node.inputs, rng.randint(0, len(node.inputs)))))
    if kind == 3:
        return replace(node, outputs=node.outputs[:-1])
    return replace(node, op=rng.choice(OPERATORS), domain=rng.choice(("", "", "com.microsoft", "ai.onnx.ml")))


def broken(graph, rng):
    nodes = list(graph.nodes)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(nodes))
        nodes[place] = disturbed(nodes[place], rng)
    stored = dict(graph.initializers)
    if stored and rng.random() < 0.5:
        name = rng.choice(list(stored))
        shape = stored[name].shape
        stored[name] = replace(stored[name], shape=rng.choice([(), (0,), shape[::-1], (*shape, 1), shape[1:], (2,) * 6, (10**15, 10**15)]))
    return replace(graph, nodes=tuple(nodes), initializers=stored)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_raises(seed):
    rng = random.Random(seed)
    rows = [row for row in expected("onnx") if row["load"] == "ok"]
    for row in rng.sample(rows, 60):
        try:
            model = reader.read(open_artifact(str(corpus("onnx", row["path"]))), DEFAULT)
        except UnreadableFile:
            continue
        for _ in range(12 if model.graph.nodes else 0):
            accounting.reconcile(layers.derive(replace(model, graph=broken(model.graph, rng)), DEFAULT))


def test_an_operand_may_have_more_axes_than_its_sum_is_declared_with(tmp_path):
    """The other operand is unknown, and with it what the axes of the sum stand for."""
    nodes = [node("Unheard", ["x"], ["u"], domain="custom"), node("Add", ["u", "x"], ["y"])]
    assert derived(model(nodes, [info("x", [1, 1, 1, 4])], [info("y", [1, None])], domains=("custom",)), tmp_path).graph.nodes
