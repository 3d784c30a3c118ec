"""Formula, verdict and witnesses of each kind of layer, on models made by hand."""

from __future__ import annotations

import pytest
from onnx import helper

from modelscan.model import Verdict
from tests.layers.onnx.onnx_graphs import (
    FLOAT,
    FLOAT16,
    INT8,
    INT32,
    INT64,
    UINT8,
    accounts,
    agreed,
    info,
    ints,
    model,
    node,
    only,
    weight,
    witnesses,
)

X = info("x", ["N", 8])
CASES = {
    # name: (nodes, input, output, tensors, parameters, symbolic formula)
    "distances to stored points": (
        [node("CDist", ["x", "w"], ["y"], domain="com.microsoft", metric="euclidean")],
        X,
        info("y", ["N", 30]),
        [weight("w", 30, 8)],
        240,
        "points × features",
    ),
    "dense": (
        [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"])],
        X,
        info("y", ["N", 5]),
        [weight("w", 8, 5), weight("b", 5)],
        45,
        "units × (inputs + 1)",
    ),
    "dense, bias first": (
        [node("MatMul", ["x", "w"], ["m"]), node("Add", ["b", "m"], ["y"])],
        X,
        info("y", ["N", 5]),
        [weight("w", 8, 5), weight("b", 1, 5)],
        45,
        "units × (inputs + 1)",
    ),
    "dense, scalar addition is no bias": (
        [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"])],
        X,
        info("y", ["N", 5]),
        [weight("w", 8, 5), weight("b", 1)],
        40,
        "inputs × units",
    ),
    "dense through transpose": (
        [node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["y"])],
        X,
        info("y", ["N", 5]),
        [weight("w", 5, 8)],
        40,
        "inputs × units",
    ),
    "gemm": (
        [node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
        X,
        info("y", ["N", 5]),
        [weight("w", 5, 8), weight("b", 5)],
        45,
        "units × (inputs + 1)",
    ),
    "einsum": (
        [node("Einsum", ["x", "w"], ["e"], equation="btd,dhk->bthk"), node("Add", ["e", "b"], ["y"])],
        info("x", ["N", 3, 8]),
        info("y", ["N", 3, 2, 5]),
        [weight("w", 8, 2, 5), weight("b", 2, 5)],
        90,
        "units_h × units_k × (inputs + 1)",
    ),
    "conv": (
        [node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[3, 3])],
        info("x", ["N", 3, 9, 9]),
        info("y", ["N", 4, 7, 7]),
        [weight("w", 4, 3, 3, 3), weight("b", 4)],
        112,
        "filters × (channels × kernel_height × kernel_width + 1)",
    ),
    "depthwise": (
        [node("Conv", ["x", "w"], ["y"], kernel_shape=[3], group=6)],
        info("x", ["N", 6, 9]),
        info("y", ["N", 6, 7]),
        [weight("w", 6, 1, 3)],
        18,
        "filters × channels/groups × kernel_size",
    ),
    "conv transpose": (
        [node("ConvTranspose", ["x", "w", "b"], ["y"], kernel_shape=[2, 2], strides=[2, 2])],
        info("x", ["N", 3, 4, 4]),
        info("y", ["N", 5, 8, 8]),
        [weight("w", 3, 5, 2, 2), weight("b", 5)],
        65,
        "filters × (channels × kernel_height × kernel_width + 1)",
    ),
    "batch normalization": (
        [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])],
        info("x", ["N", 6, 4]),
        info("y", ["N", 6, 4]),
        [weight(name, 6) for name in "sbmv"],
        24,
        "4 × channels",
    ),
    "layer normalization": (
        [node("LayerNormalization", ["x", "s", "b"], ["y"])],
        X,
        info("y", ["N", 8]),
        [weight("s", 8), weight("b", 8)],
        16,
        "2 × width",
    ),
    "prelu": (
        [node("PRelu", ["x", "s"], ["y"])],
        info("x", ["N", 6, 4, 4]),
        info("y", ["N", 6, 4, 4]),
        [weight("s", 6, 1, 1)],
        6,
        "channels",
    ),
    "lstm": (
        [node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=7)],
        info("x", [5, "N", 8]),
        info("y", [5, 1, "N", 7]),
        [weight("w", 1, 28, 8), weight("r", 1, 28, 7), weight("b", 1, 56)],
        4 * 7 * (8 + 7 + 2),
        "4 × hidden × (inputs + hidden + 2)",
    ),
    "gru, both directions": (
        [node("GRU", ["x", "w", "r", "b"], ["y"], hidden_size=7, direction="bidirectional")],
        info("x", [5, "N", 8]),
        info("y", [5, 2, "N", 7]),
        [weight("w", 2, 21, 8), weight("r", 2, 21, 7), weight("b", 2, 42)],
        2 * 3 * 7 * (8 + 7 + 2),
        "3 × directions × hidden × (inputs + hidden + 2)",
    ),
    "lstm with peepholes": (
        [node("LSTM", ["x", "w", "r", "b", "", "", "", "p"], ["y"], hidden_size=7)],
        info("x", [5, "N", 8]),
        info("y", [5, 1, "N", 7]),
        [weight("w", 1, 28, 8), weight("r", 1, 28, 7), weight("b", 1, 56), weight("p", 1, 21)],
        4 * 7 * (8 + 7 + 2) + 21,
        "hidden × (4 × inputs + 4 × hidden + 11)",
    ),
    "attention": (
        [node("Attention", ["x", "w", "b"], ["y"], domain="com.microsoft", num_heads=2)],
        info("x", ["N", 3, 8]),
        info("y", ["N", 3, 8]),
        [weight("w", 8, 24), weight("b", 24)],
        9 * 24,
        "3 × hidden × (inputs + 1)",
    ),
    "skip layer normalization": (
        [node("SkipLayerNormalization", ["x", "x", "g", "b", "c"], ["y"], domain="com.microsoft")],
        info("x", ["N", 3, 8]),
        info("y", ["N", 3, 8]),
        [weight("g", 8), weight("b", 8), weight("c", 8)],
        24,
        "3 × width",
    ),
    "elementwise table": (
        [node("Add", ["x", "p"], ["y"])],
        info("x", ["N", 3, 8]),
        info("y", ["N", 3, 8]),
        [weight("p", 1, 3, 8)],
        24,
        "length × width",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_formula_equals_the_store_and_every_dimension_has_a_witness(case, tmp_path):
    nodes, x, y, tensors, parameters, formula = CASES[case]
    account = only(model(nodes, [x], [y], tensors), tmp_path)
    assert account.parameters == parameters
    assert account.formula.symbolic == formula
    assert agreed(account), [(row.spec.role, row.problem, witnesses(account, row.spec.role)) for row in account.rows]


def test_a_width_that_nothing_else_tells_is_inferred(tmp_path):
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    account = only(model(nodes, [X], [info("y", ["N", "M"])], [weight("w", 8, 5)]), tmp_path)
    assert account.verdict is Verdict.INFERRED
    assert witnesses(account, "kernel") == {"inputs": "activation x", "units": None}


def test_a_tensor_is_no_witness_for_itself(tmp_path):
    """x · W and its own result are all there is: the sum of both must not attest the width."""
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Sigmoid", ["m"], ["s"]), node("Mul", ["m", "s"], ["y"])]
    account = only(model(nodes, [X], [info("y", ["N", "M"])], [weight("w", 8, 5)]), tmp_path)
    assert account.verdict is Verdict.INFERRED


def test_the_next_layer_attests_the_width(tmp_path):
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Relu", ["m"], ["r"]), node("MatMul", ["r", "v"], ["y"], name="head")]
    found, _ = accounts(model(nodes, [X], [info("y", ["N", "M"])], [weight("w", 8, 5), weight("v", 5, 3)]), tmp_path)
    first, second = found.values()
    assert agreed(first)
    assert witnesses(first, "kernel")["units"] == "input of head"
    assert second.verdict is Verdict.INFERRED


def test_a_flattened_convolution_is_attested_by_the_layer_behind(tmp_path):
    nodes = [
        node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        node("Flatten", ["c"], ["f"]),
        node("MatMul", ["f", "v"], ["y"]),
    ]
    tensors = [weight("w", 4, 3, 3, 3), weight("v", 4 * 7 * 7, 2)]
    found, _ = accounts(model(nodes, [info("x", ["N", 3, 9, 9])], [info("y", ["N", 2])], tensors), tmp_path)
    assert all(agreed(one) for one in found.values())


def test_two_kernels_joined_for_one_operator_are_checked_piece_by_piece(tmp_path):
    """Bidirectional weights that an exporter concatenates in the graph."""
    nodes = [
        node("Unsqueeze", ["wf", "zero"], ["wf1"]),
        node("Unsqueeze", ["wb", "zero"], ["wb1"]),
        node("Concat", ["wf1", "wb1"], ["w"], axis=0),
        node("GRU", ["x", "w", "r"], ["y"], hidden_size=7, direction="bidirectional"),
    ]
    tensors = [weight("wf", 21, 8), weight("wb", 21, 8), weight("r", 2, 21, 7), ints("zero", 0)]
    account = only(model(nodes, [info("x", [5, "N", 8])], [info("y", [5, 2, "N", 7])], tensors), tmp_path)
    assert account.parameters == 2 * 21 * (8 + 7)
    assert agreed(account)


def test_gates_cut_and_joined_in_another_order_are_one_weight(tmp_path):
    """PyTorch's gate order is not ONNX': its exporter slices and joins again."""
    cuts = [node("Slice", ["w", f"s{n}", f"e{n}", "zero"], [f"g{n}"]) for n in range(3)]
    bounds = [ints(f"s{n}", 7 * n) for n in range(3)] + [ints(f"e{n}", 7 * n + 7) for n in range(3)]
    nodes = [
        *cuts,
        node("Concat", ["g1", "g0", "g2"], ["w2"], axis=0),
        node("Unsqueeze", ["w2", "zero"], ["w3"]),
        node("GRU", ["x", "w3", "r"], ["y"], hidden_size=7),
    ]
    tensors = [weight("w", 21, 8), weight("r", 1, 21, 7), ints("zero", 0), *bounds]
    found, result = accounts(model(nodes, [info("x", [5, "N", 8])], [info("y", [5, 1, "N", 7])], tensors), tmp_path)
    assert sum(one.parameters for one in found.values()) == 21 * (8 + 7) == result.totals.stored
    assert all(one.verdict is Verdict.MATCH for one in found.values())


def test_one_kernel_split_for_three_layers_is_counted_once(tmp_path):
    nodes = [node("Split", ["w"], ["q", "k", "v"], axis=1), *(node("MatMul", ["x", one], [f"y{one}"]) for one in "qkv")]
    outputs = [info(f"y{one}", ["N", 5]) for one in "qkv"]
    found, result = accounts(model(nodes, [X], outputs, [weight("w", 8, 15)]), tmp_path)
    assert [one.parameters for one in found.values()] == [40, 40, 40]
    assert result.totals.total == result.totals.stored == 120
    assert all(agreed(one) for one in found.values())


def test_a_tied_weight_counts_once(tmp_path):
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("MatMul", ["m", "w"], ["y"])]
    _, result = accounts(model(nodes, [X], [info("y", ["N", 8])], [weight("w", 8, 8)]), tmp_path)
    assert result.totals.total == result.totals.stored == 64


def test_quantised_kernels_count_and_their_scales_do_not(tmp_path):
    nodes = [
        node("DequantizeLinear", ["wq", "s", "z"], ["w"], axis=1),
        node("DequantizeLinear", ["bq", "sb"], ["b"]),
        node("MatMul", ["x", "w"], ["m"]),
        node("Add", ["m", "b"], ["y"]),
    ]
    tensors = [weight("wq", 8, 5, dtype=INT8), weight("s", 5), weight("z", 5, dtype=INT8), weight("bq", 5, dtype=INT32), weight("sb", 1)]
    account = only(model(nodes, [X], [info("y", ["N", 5])], tensors), tmp_path)
    assert account.parameters == 45
    assert agreed(account)
    assert {row.spec.role for row in account.rows if not row.spec.counted} == {"kernel_scale", "kernel_zero_point", "bias_scale"}


def test_weight_normalisation_at_run_time_counts_direction_and_magnitude(tmp_path):
    nodes = [
        node("ReduceL2", ["v"], ["norm"], axes=[1, 2]),
        node("Div", ["v", "norm"], ["unit"]),
        node("Mul", ["unit", "g"], ["w"]),
        node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[3]),
    ]
    tensors = [weight("v", 8, 4, 3), weight("g", 8, 1, 1), weight("b", 8)]
    account = only(model(nodes, [info("x", ["N", 4, 9])], [info("y", ["N", 8, 7])], tensors), tmp_path)
    assert account.parameters == 96 + 8 + 8
    assert account.verdict is Verdict.MATCH


def test_an_initial_state_is_no_parameter_wherever_it_is_laid_out(tmp_path):
    nodes = [
        node("Expand", ["h0", "shape"], ["h"]),
        node("GRU", ["x", "w", "r", "b", "", "h"], ["y"], hidden_size=6),
    ]
    tensors = [weight("w", 1, 18, 8), weight("r", 1, 18, 6), weight("b", 1, 36), weight("h0", 1, 1, 6), ints("shape", 1, 2, 6)]
    found, result = accounts(model(nodes, [info("x", [5, 2, 8])], [info("y", [5, 1, 2, 6])], tensors), tmp_path)
    assert result.totals.total == result.totals.stored == 3 * 6 * (8 + 6 + 2)
    assert result.totals.constants == 6 + 3
    assert [(one.layer.type, one.parameters) for one in found.values()] == [("GRU", 288)]
    assert not any(row.problem for one in found.values() for row in one.rows)


@pytest.mark.parametrize(
    ("shape", "counted"), [((1, 1, 6, 6), 0), ((6, 6), 0), ((2, 1, 6, 6), 0), ((1, 4, 6, 6), 144), ((2, 4, 6, 6), 288)]
)
def test_a_mask_of_attention_scores_is_no_weight_but_a_bias_per_head_is(tmp_path, shape, counted):
    """The mask of a whole batch is one for all heads, too."""
    nodes = [node("Add", ["x", "m"], ["s"]), node("Softmax", ["s"], ["y"], axis=-1)]
    account = only(model(nodes, [info("x", [2, 4, 6, 6])], [info("y", [2, 4, 6, 6])], [weight("m", *shape)]), tmp_path)
    assert account.parameters == counted
    assert account.layer.type == ("Add" if counted else "Buffer")


@pytest.mark.parametrize(
    ("shape", "last", "counted"), [((1, 3, 1, 6, 6), "Softmax", 144), ((1, 3, 4, 6, 6), "Softmax", 576), ((1, 3, 1, 6, 6), "Relu", 252)]
)
def test_a_window_mask_is_no_weight_when_it_is_widened_to_the_batch(tmp_path, shape, last, counted):
    """As Swin's is after a simplifier has folded it: one for all heads, laid out anew, and added to the bias of each head first."""
    nodes = [
        node("Shape", ["x"], ["n"], end=1),
        node("Div", ["n", "three"], ["batch"]),
        node("Concat", ["batch", "rest"], ["target"], axis=0),
        node("Expand", ["mask", "target"], ["wide"], name="mask"),
        node("Reshape", ["wide", "flat"], ["windows"]),
        node("Add", ["b", "windows"], ["bias"], name="bias"),
        node("Add", ["x", "bias"], ["s"]),
        node(last, ["s"], ["y"]),
    ]
    tensors = [
        weight("mask", *shape),
        weight("b", 4, 6, 6),
        ints("three", 3),
        ints("rest", 1, shape[2], 1, 1),
        ints("flat", -1, shape[2], 6, 6),
    ]
    x, y = info("x", ["N", 4, 6, 6]), info("y", ["N", 4, 6, 6])
    _, result = accounts(model(nodes, [x], [y], tensors), tmp_path)
    assert result.totals.total == counted


def test_a_table_for_scores_of_one_head_may_be_learned(tmp_path):
    """Whether its first axis counts heads or samples cannot be told."""
    nodes = [node("Add", ["x", "m"], ["s"]), node("Softmax", ["s"], ["y"], axis=-1)]
    account = only(model(nodes, [info("x", [3, 1, 6, 6])], [info("y", [3, 1, 6, 6])], [weight("m", 3, 1, 6, 6)]), tmp_path)
    assert account.parameters == 108


@pytest.mark.parametrize(("shape", "last", "counted"), [((4, 6, 6), "Softmax", 144), ((1, 6, 6), "Softmax", 0), ((4, 6, 6), "Relu", 0)])
def test_a_bias_per_head_is_a_weight_when_a_mask_by_position_is_added_first(tmp_path, shape, last, counted):
    """As windowed attention does; what is made of constants and shapes alone meets the scores only afterwards."""
    nodes = [
        node("Shape", ["x"], ["size"]),
        node("ConstantOfShape", ["size"], ["mask"]),
        node("Add", ["b", "mask"], ["bias"], name="bias"),
        node("Add", ["x", "bias"], ["s"], name="add"),
        node(last, ["s"], ["y"], name="last"),
    ]
    found, result = accounts(model(nodes, [info("x", [2, 4, 6, 6])], [info("y", [2, 4, 6, 6])], [weight("b", *shape)]), tmp_path)
    assert (result.totals.stored, result.totals.total) == (counted, counted)
    assert [one.layer.type for one in found.values() if one.parameters] == (["Add"] if counted else [])


def filler(name, number, width=8):
    return node("Constant", [], [name], value=helper.make_tensor("", FLOAT, (width,), [number] * width))


@pytest.mark.parametrize(("ones", "zeros", "counted"), [(1.0, 0.0, 0), (1.0, 0.5, 8), (2.0, 0.0, 8), (2.0, 0.5, 16)])
def test_ones_and_zeros_that_a_node_states_are_no_parameters_of_a_normalisation(tmp_path, ones, zeros, counted):
    """What `torch.onnx` writes for `elementwise_affine=False` and `bias=False`."""
    nodes = [filler("s", ones), filler("b", zeros), node("LayerNormalization", ["x", "s", "b"], ["y"], axis=-1)]
    _, result = accounts(model(nodes, [info("x", ["N", 4, 8])], [info("y", ["N", 4, 8])]), tmp_path)
    assert (result.totals.total, result.totals.constants) == (counted, 16 - counted)


def test_a_fresh_normalisation_has_parameters(tmp_path):
    """Ones and zeros, too, but stored as initializers."""
    tensors = [helper.make_tensor("s", FLOAT, (8,), [1.0] * 8), helper.make_tensor("b", FLOAT, (8,), [0.0] * 8)]
    nodes = [node("LayerNormalization", ["x", "s", "b"], ["y"], axis=-1)]
    _, result = accounts(model(nodes, [info("x", ["N", 4, 8])], [info("y", ["N", 4, 8])], tensors), tmp_path)
    assert result.totals.total == 16


@pytest.mark.parametrize(("ones", "counted"), [(255, 16), (254, 24)])
def test_the_ones_and_zeros_of_a_group_normalisation_may_be_quantised(tmp_path, ones, counted):
    """Static quantisation stores the ones as numbers of 8 bits; they stay no parameters, and the layer one."""
    tensors = [
        helper.make_tensor("q", UINT8, (4,), [ones] * 4),
        helper.make_tensor("qs", FLOAT, (), [1 / 255]),
        helper.make_tensor("qz", UINT8, (), [0]),
        *[weight("scale", 8, 1), weight("shift", 8, 1), ints("in", 0, 4, -1), ints("out", 0, 8, -1)],
    ]
    nodes = [
        node("Reshape", ["x", "in"], ["groups"]),
        node("DequantizeLinear", ["q", "qs", "qz"], ["ones"]),
        filler("zeros", 0.0, 4),
        node("InstanceNormalization", ["groups", "ones", "zeros"], ["n"]),
        node("Reshape", ["n", "out"], ["r"]),
        node("Mul", ["r", "scale"], ["m"]),
        node("Add", ["m", "shift"], ["y"]),
    ]
    found, result = accounts(model(nodes, [info("x", [2, 8, 6])], [info("y", [2, 8, 6])], tensors), tmp_path)
    assert result.totals.total == counted
    assert [one.layer.type for one in found.values() if one.parameters][-1] == (
        "GroupNormalization" if ones == 255 else "BatchNormalization"
    )


def test_an_einsum_of_three_operands_is_a_layer(tmp_path):
    nodes = [node("Einsum", ["x", "w", "g"], ["y"], equation="beh,ehd,be->bd")]
    account = only(model(nodes, [info("x", ["N", 4, 16]), info("g", ["N", 4])], [info("y", ["N", 8])], [weight("w", 4, 16, 8)]), tmp_path)
    assert (account.parameters, account.verdict) == (512, Verdict.MATCH)
    assert account.macs is None


def test_packed_kernels_state_their_logical_size(tmp_path):
    """MatMulNBits of 64 inputs and 10 units, blocks of 32 in 4 bits: 10 × 2 × 16 bytes hold 640 weights."""
    nodes = [node("MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=64, N=10, bits=4, block_size=32)]
    tensors = [weight("w", 10, 2, 16, dtype=UINT8), weight("s", 20)]
    account = only(model(nodes, [info("x", ["N", 64])], [info("y", ["N", 10])], tensors), tmp_path)
    assert (account.parameters, account.logical, account.macs) == (320, 640, 640)
    assert agreed(account)


def test_an_operator_without_a_formula_is_listed_and_counted(tmp_path):
    nodes = [node("Mystery", ["x", "w"], ["y"], domain="custom")]
    proto = model(nodes, [X], [info("y", ["N", 5])], [weight("w", 8, 5)], domains=("custom",))
    account = only(proto, tmp_path)
    assert (account.verdict, account.parameters, account.formula) == (Verdict.UNKNOWN, 40, None)


def test_a_mask_is_a_buffer_and_no_parameter(tmp_path):
    from onnx import TensorProto, helper

    mask = helper.make_tensor("mask", TensorProto.BOOL, (4, 4), bytes(16), raw=True)
    low = helper.make_tensor("low", TensorProto.FLOAT, (), [-1e9])
    nodes = [node("Where", ["mask", "x", "low"], ["y"])]
    found, result = accounts(model(nodes, [info("x", ["N", 4, 4])], [info("y", ["N", 4, 4])], [mask, low]), tmp_path)
    account = next(iter(found.values()))
    assert account.layer.type == "Buffer"
    assert (result.totals.total, result.totals.stored, result.totals.constants) == (0, 0, 17)


def test_embedding_width_is_attested_and_its_vocabulary_is_not(tmp_path):
    nodes = [node("Gather", ["w", "x"], ["e"]), node("MatMul", ["e", "v"], ["y"])]
    from tests.layers.onnx.onnx_graphs import INT64

    found, _ = accounts(model(nodes, [info("x", ["N"], INT64)], [info("y", ["N", 3])], [weight("w", 50, 8), weight("v", 8, 3)]), tmp_path)
    table, _ = found.values()
    assert table.layer.type == "Embedding"
    assert witnesses(table, "embeddings") == {"vocabulary": None, "width": "input of MatMul_1"}


def test_element_types_must_agree(tmp_path):
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    account = only(model(nodes, [X], [info("y", ["N", 5])], [weight("w", 8, 5, dtype=FLOAT16)]), tmp_path)
    assert account.verdict is Verdict.MISMATCH
    assert "float16" in account.rows[0].problem


def test_sparse_kernels_have_the_dense_shape(tmp_path):
    from onnx import helper

    proto = model([node("MatMul", ["x", "w"], ["y"])], [X], [info("y", ["N", 5])])
    values, indices = weight("w", 3), ints("w_indices", 0, 7, 21)
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [8, 5]))
    account = only(proto, tmp_path)
    assert account.parameters == 40
    assert agreed(account)


def test_convolutions_in_blocks_of_channels_are_convolutions(tmp_path):
    """As ONNX Runtime saves a model that it optimised for one processor: the kernel is filled up to whole blocks."""
    blocks = "com.microsoft.nchwc"
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["a"], domain=blocks, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("MaxPool", ["a"], ["m"], domain=blocks, kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["m", "w2", "b2"], ["c"], domain=blocks, kernel_shape=[1, 1]),
        node("ReorderOutput", ["c"], ["y"], domain=blocks, channels=5),
    ]
    tensors = [weight("w1", 8, 3, 3, 3), weight("b1", 8), weight("w2", 8, 8, 1, 1), weight("b2", 8)]
    proto = model(nodes, [info("x", [1, 3, 8, 8])], [info("y", [1, 5, 4, 4])], tensors, domains=(blocks,))
    found, result = accounts(proto, tmp_path)
    assert [(one.layer.type, one.parameters, agreed(one)) for one in found.values()] == [("Conv", 224, True), ("Conv", 72, True)]
    assert result.totals.explained == result.totals.stored


def test_what_an_array_feature_extractor_holds_is_a_table(tmp_path):
    """The targets of the training data, as nearest neighbours keep them."""
    nodes = [node("ArrayFeatureExtractor", ["t", "i"], ["y"], domain="ai.onnx.ml")]
    proto = model(nodes, [info("i", [3], INT64)], [info("y", None)], [weight("t", 1, 20)], domains=("ai.onnx.ml",))
    account = only(proto, tmp_path)
    assert (account.layer.type, account.parameters) == ("Table", 20)


@pytest.mark.parametrize(("shape", "counted"), [((1,), 9), ((1, 1), 9), ((), 8)])
def test_a_single_unit_has_a_bias_of_one_element_but_a_scalar_is_none(tmp_path, shape, counted):
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["a"]), node("Sigmoid", ["a"], ["y"])]
    account = only(model(nodes, [X], [info("y", ["N", 1])], [weight("w", 8, 1), weight("b", *shape)]), tmp_path)
    assert (account.parameters, agreed(account)) == (counted, True)
