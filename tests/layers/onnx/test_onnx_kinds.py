"""Element types behind com.microsoft: what follows is held against what is declared, with ONNX Runtime's own schemas as the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from modelscan.formats.onnx.signatures import _onnx_name
from modelscan.layers.onnx.kinds import ALIKE, GROUPS, INTEGERS
from tests.layers.onnx.onnx_graphs import FLOAT, FLOAT16, INT8, UINT8, derived, info, model, node, weight

MS = {"domain": "com.microsoft"}
X = info("x", ["N", 8])
QUANTISED = (
    [
        node("QuantizeLinear", ["x", "s", "z"], ["q"], **MS),
        node("DequantizeLinear", ["q", "s", "z"], ["d"], **MS),
        node("MatMul", ["d", "w"], ["y"]),
    ],
    [weight("s", dtype=FLOAT), weight("z", dtype=UINT8), weight("w", 8, 3)],
)
GELU = ([node("BiasGelu", ["x", "b"], ["g"], **MS), node("MatMul", ["g", "w"], ["y"])], [weight("b", 8), weight("w", 8, 3)])


def told(nodes, tensors, output, *values, tmp_path):
    found = derived(model(nodes, [X], [output], tensors, values=values), tmp_path)
    return {(one.kind, one.tensor or one.where) for one in found.observations}


@pytest.mark.parametrize("case", [QUANTISED, GELU], ids=["quantised", "gelu"])
def test_right_declarations_are_not_told(case, tmp_path):
    assert not told(*case, info("y", ["N", 3]), info("d", ["N", 8]), info("q", ["N", 8], UINT8), info("g", ["N", 8]), tmp_path=tmp_path)


@pytest.mark.parametrize(
    ("case", "value"),
    [(QUANTISED, info("q", ["N", 8], INT8)), (QUANTISED, info("d", ["N", 8], FLOAT16)), (GELU, info("g", ["N", 8], FLOAT16))],
    ids=["quantised", "dequantised", "gelu"],
)
def test_a_wrong_type_of_an_inner_value_is_told_where_it_is_declared(case, value, tmp_path):
    assert ("declared-shape", value.name) in told(*case, info("y", ["N", 3]), value, tmp_path=tmp_path)


@pytest.mark.parametrize("case", [QUANTISED, GELU], ids=["quantised", "gelu"])
def test_a_wrong_type_of_an_output_is_told_through_the_operators_between(case, tmp_path):
    assert told(*case, info("y", ["N", 3], FLOAT16), tmp_path=tmp_path) == {("declared-shape", "y")}


def test_operands_of_one_type_parameter_that_differ_are_told(tmp_path):
    nodes = [node("MatMulNBits", ["x", "B", "S"], ["y"], name="mm", K=8, N=4, bits=4, block_size=16, **MS)]
    right = [weight("B", 4, 1, 8, dtype=UINT8), weight("S", 4, 1)]
    assert not told(nodes, right, info("y", ["N", 4]), tmp_path=tmp_path)
    half = [right[0], weight("S", 4, 1, dtype=FLOAT16)]
    assert told(nodes, half, info("y", ["N", 4]), tmp_path=tmp_path) == {("type-mismatch", "mm")}
    offsets = [*right, weight("Z", 4, 1, dtype=INT8)]
    nodes[0].input.append("Z")
    assert told(nodes, offsets, info("y", ["N", 4]), tmp_path=tmp_path) == {("type-mismatch", "mm")}
    del nodes[0].input[-1]
    signed = [weight("B", 4, 1, 8, dtype=INT8), right[1]]
    assert told(nodes, signed, info("y", ["N", 4]), tmp_path=tmp_path) == {("type-mismatch", "mm")}


@pytest.mark.parametrize(
    ("zero", "output", "problem"),
    [
        (UINT8, UINT8, None),
        (INT8, UINT8, ("type-mismatch", "gemm")),
        (UINT8, INT8, ("declared-shape", "y")),
        (UINT8, FLOAT, ("declared-shape", "y")),
    ],
)
def test_a_quantised_product_has_the_types_of_its_zero_points(zero, output, problem, tmp_path):
    one = node("QGemm", ["q", "s", "z", "w", "s", "wz", "", "s", "z"], ["y"], name="gemm", **MS)
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), one]
    tensors = [weight("s", dtype=FLOAT), weight("z", dtype=UINT8), weight("w", 8, 3, dtype=UINT8), weight("wz", dtype=zero)]
    assert told(nodes, tensors, info("y", ["N", 3], output), tmp_path=tmp_path) == ({problem} if problem else set())


def test_types_are_followed_through_operators_of_the_runtime_and_quantisation(tmp_path):
    """General inference stops at SimplifiedLayerNormalization, which stands in the standard domain without being in the standard."""
    nodes = [
        node("SimplifiedLayerNormalization", ["x", "g"], ["n"], axis=-1),
        node("QuantizeLinear", ["n", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("MatMul", ["d", "w"], ["y"]),
    ]
    tensors = [weight("g", 8), weight("s", dtype=FLOAT), weight("z", dtype=UINT8), weight("w", 8, 3)]
    right = told(nodes, tensors, info("y", ["N", 3]), tmp_path=tmp_path)
    wrong = told(nodes, tensors, info("y", ["N", 3], FLOAT16), info("q", ["N", 8], INT8), tmp_path=tmp_path)
    assert {one for one in wrong - right if one[0] == "declared-shape"} == {("declared-shape", "y"), ("declared-shape", "q")}
    assert not {one for one in right if one[0] == "declared-shape"}


BLOCKS = {"block_size": 4, "axis": 0}


@pytest.mark.parametrize(
    ("attributes", "scale", "zero", "problem"),
    [
        ({}, [], [], None),
        ({"axis": 0}, [8], [8], None),
        ({"axis": -1}, [6], [6], None),
        (BLOCKS, [2, 6], [2, 6], None),
        ({"axis": 0}, [6], [6], "6 scales along an axis of 8"),
        ({"axis": 0}, [8], [6], "scales (8,), zero points (6,)"),
        ({"axis": 2}, [8], [8], "axis 2 of 2"),
        (BLOCKS, [2, 7], [2, 7], "7 scales along axis 1, 6 are right"),
        (BLOCKS, [3, 6], [3, 6], "3 scales along axis 0, 2 are right"),
        ({"axis": 0}, [2, 6], [2, 6], "scales (2, 6) without a block size"),
    ],
)
def test_scales_fit_the_tensor_and_their_zero_points(attributes, scale, zero, problem, tmp_path):
    """The runtime is the oracle: it creates no session for what is told, or fails at the first input."""
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    nodes = [node("DequantizeLinear", ["k", "s", "z"], ["w"], name="dq", **attributes), node("MatMul", ["x", "w"], ["y"])]
    tensors = [weight("k", 8, 6, dtype=UINT8), weight("s", *scale), weight("z", *zero, dtype=UINT8)]
    proto = model(nodes, [X], [info("y", ["N", 6])], tensors, opset=21)
    found = [one.message for one in derived(proto, tmp_path).observations if one.kind == "operator-contradiction"]
    assert found == ([f"DequantizeLinear dq: {problem}"] if problem else [])
    try:
        session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        session.run(None, {"x": np.ones((2, 8), np.float32)})
    except Exception:  # noqa: BLE001 - whatever it says, it does not run
        assert problem
    else:
        assert not problem


def test_a_packed_product_is_as_deep_as_its_activation_is_wide(tmp_path):
    """9 columns need as many blocks of 16 as 8 do."""
    for depth, problem in ((8, set()), (9, {("operator-contradiction", "mm")})):
        nodes = [node("MatMulNBits", ["x", "B", "S"], ["y"], name="mm", K=depth, N=4, bits=4, block_size=16, **MS)]
        tensors = [weight("B", 4, 1, 8, dtype=UINT8), weight("S", 4, 1)]
        assert told(nodes, tensors, info("y", ["N", 4]), tmp_path=tmp_path) == problem


def test_the_tables_are_those_of_onnx_runtime():
    """Every operator of the tables that the installed runtime has: the same inputs, and no type that it takes is refused."""
    state = pytest.importorskip("onnxruntime.capi.onnxruntime_pybind11_state")
    schemas = {f"{one.domain}:{one.name}": one for one in state.get_all_operator_schema() if one.domain == "com.microsoft"}
    assert len(ALIKE.keys() & schemas.keys()) > 50
    for name, places in ALIKE.items():
        if name not in schemas:
            continue
        inputs = [one.typeStr for one in schemas[name].inputs]
        same = [place for place, kind in enumerate(inputs) if kind == schemas[name].outputs[0].typeStr]
        assert set(places) <= set(same), name
    for name, groups in GROUPS.items():
        for group in groups if name in schemas else ():
            assert len({schemas[name].inputs[place].typeStr for place in group}) == 1, name
    for name, places, taken in [(name, *one) for name, held in INTEGERS.items() for one in held]:
        if name not in schemas:
            continue
        kinds = {one.type_param_str: set(one.allowed_type_strs) for one in schemas[name].type_constraints}
        for place in places:
            assert kinds[schemas[name].inputs[place].typeStr] <= {f"tensor({_onnx_name(one)})" for one in taken}, (name, place)
