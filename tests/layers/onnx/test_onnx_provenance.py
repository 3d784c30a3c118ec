"""What `torch.onnx` says that stored values were to the program: parameters, buffers, what it computed of these."""

from __future__ import annotations

import pytest
from onnx import TensorProto

from tests.layers.onnx.onnx_graphs import accounts, derived, info, model, node, weight

X = info("x", ["N", 4, 8])
Y = info("y", ["N", 4, 8])


def of_kinds(proto, /, **kinds):
    """The model with the kinds of `torch.export` beside its tensors."""
    sizes = {one.name: list(one.dims) for one in proto.graph.initializer}
    for name, kind in kinds.items():
        proto.graph.value_info.append(info(name, sizes[name]))
        proto.graph.value_info[-1].metadata_props.add(key="pkg.torch.export.graph_signature.InputSpec.kind", value=kind)
    return proto


def test_buffers_are_no_weights_wherever_they_are_multiplied(tmp_path):
    """A filter bank is the kernel of a product, and nobody trains it; a quantised kernel is kept as a buffer and is a weight."""
    nodes = [node("MatMul", ["x", "bank"], ["a"]), node("MatMul", ["a", "w"], ["b"]), node("Cast", ["q"], ["c"], to=1)]
    nodes += [node("Mul", ["c", "s"], ["k"]), node("MatMul", ["b", "k"], ["y"])]
    tensors = [weight("bank", 8, 6), weight("w", 6, 8), weight("q", 8, 8, dtype=TensorProto.INT8), weight("s", 8)]
    proto = of_kinds(model(nodes, [X], [Y], tensors), bank="BUFFER", w="PARAMETER", q="BUFFER", s="PARAMETER")
    found, result = accounts(proto, tmp_path)
    assert [one.parameters for one in found.values()] == [0, 48, 72]
    assert result.totals.total == 120
    kinds = {one.name: one.kind.value for one in derived(proto, tmp_path).tensors}
    assert kinds == {"bank": "constant", "w": "weight", "q": "weight", "s": "weight"}


def test_the_vectors_of_spectral_normalisation_are_buffers(tmp_path):
    """They belong to the kernel's norm; by the exporter's word they are no parameters. Without a word, a factor is one."""
    nodes = [
        node("Mul", ["u", "v"], ["uv"]),
        node("ReduceSum", ["uv"], ["norm"]),
        node("Div", ["w", "norm"], ["k"]),
        node("MatMul", ["x", "k"], ["y"]),
    ]
    proto = model(nodes, [X], [Y], [weight("w", 8, 8), weight("u", 8), weight("v", 8)])
    assert accounts(proto, tmp_path)[1].totals.total == 80
    assert accounts(of_kinds(proto, w="PARAMETER", u="BUFFER", v="BUFFER"), tmp_path)[1].totals.total == 64


@pytest.mark.parametrize(("kind", "counted"), [("PARAMETER", 2), ("BUFFER", 0), (None, 0)])
def test_a_single_number_is_a_weight_when_the_exporter_says_so(tmp_path, kind, counted):
    """A temperature, and the gain of a normalised kernel; any other single number is an epsilon or an exponent."""
    nodes = [
        node("Mul", ["w", "gain"], ["k"]),
        node("MatMul", ["x", "k"], ["a"]),
        node("Exp", ["t"], ["e"]),
        node("Mul", ["a", "e"], ["y"]),
    ]
    proto = model(nodes, [X], [Y], [weight("w", 8, 8), weight("gain"), weight("t", 1)])
    proto = of_kinds(proto, w="PARAMETER", **({} if kind is None else {"gain": kind, "t": kind}))
    assert accounts(proto, tmp_path)[1].totals.total == 64 + counted


SIGNATURE = """
# inputs
p_w: PARAMETER target='w'
p_e: PARAMETER target='inner.e'
b_m: BUFFER target='inner.m' persistent=False
x: USER_INPUT

# outputs
y: USER_OUTPUT
"""


@pytest.mark.parametrize(
    ("origins", "told"),
    [
        ("['val_1', 'zeros']", False),
        ("['inner.m', 'val_1']", False),
        ("['val_1', 'w']", True),
        ("['inner.e', 'inner.m']", True),
        ("['inner.other']", True),
        ("['val_1', 'zer", True),
    ],
)
def test_what_the_exporter_computed_without_parameters_is_no_weight(tmp_path, origins, told):
    """`torch.onnx` notes what it folded a value from; where a parameter is in it, or may be, it is a weight as ever."""
    proto = model(
        [node("Add", ["x", "mask"], ["a"]), node("MatMul", ["a", "w"], ["y"])], [X], [Y], [weight("mask", 4, 8), weight("w", 8, 8)]
    )
    proto.graph.value_info.append(info("mask", [4, 8]))
    proto.graph.value_info[-1].metadata_props.add(key="pkg.onnxscript.optimizer.folded_from", value=origins)
    assert accounts(proto, tmp_path)[1].totals.total == 96  # without the program's signature nothing is known
    proto.graph.metadata_props.add(key="pkg.torch.export.ExportedProgram.graph_signature", value=SIGNATURE)
    found, result = accounts(proto, tmp_path)
    assert result.totals.total == (96 if told else 64)
    assert [one.layer.type for one in found.values()] == ["Add" if told else "Buffer", "Dense"]
