"""What attests a dimension from afar: through concatenations, normalisations, tables of constants; what is counted, and once."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from modelscan.model import Verdict
from tests.layers.onnx.onnx_graphs import FLOAT, INT64, accounts, agreed, info, ints, model, node, only, weight, witnesses


def test_the_width_of_one_part_is_what_the_others_leave_of_the_whole(tmp_path):
    """DenseNet: a convolution without bias, whose filters nothing tells but the normalisation of all that was concatenated."""
    nodes = [
        node("Conv", ["x", "w1"], ["a"], kernel_shape=[1, 1]),
        node("Conv", ["a", "w2"], ["b"], kernel_shape=[1, 1]),
        node("Concat", ["a", "b"], ["c"], axis=1),
        node("Conv", ["c", "w3"], ["d"], kernel_shape=[1, 1]),
        node("Concat", ["c", "d"], ["e"], axis=1),
        node("BatchNormalization", ["e", "scale", "shift", "mean", "var"], ["y"]),
    ]
    norms = [weight(name, 11) for name in ("scale", "shift", "mean", "var")]
    tensors = [weight("w1", 4, 3, 1, 1), weight("w2", 2, 4, 1, 1), weight("w3", 5, 6, 1, 1), *norms]
    found, _ = accounts(model(nodes, [info("x", ["N", 3, 8, 8])], [info("y", None)], tensors), tmp_path)
    last = next(one for one in found.values() if one.rows[0].tensor.name == "w3")
    assert agreed(last)
    assert "BatchNormalization" in witnesses(last, "kernel")["filters"]


def test_a_part_is_no_witness_of_its_own_width(tmp_path):
    """The same weight on both sides of the sum tells nothing about itself."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], kernel_shape=[1, 1]),
        node("Conv", ["z", "w"], ["b"], kernel_shape=[1, 1]),
        node("Concat", ["a", "b"], ["y"], axis=1),
    ]
    inputs = [info("x", ["N", 3, 8, 8]), info("z", ["N", 3, 8, 8])]
    found, _ = accounts(model(nodes, inputs, [info("y", ["N", None, 8, 8])], [weight("w", 4, 3, 1, 1)]), tmp_path)
    assert {one.verdict for one in found.values()} == {Verdict.INFERRED}


def test_parts_side_by_side_attest_the_sizes_that_they_share(tmp_path):
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("Expand", ["cls", "shape"], ["c"]), node("Concat", ["c", "h"], ["y"], axis=1)]
    tensors = [weight("w", 6, 8), weight("cls", 1, 1, 8), ints("shape", 2, 1, 8)]
    found, _ = accounts(model(nodes, [info("x", [2, 4, 6])], [info("y", None)], tensors), tmp_path)
    table = next(one for one in found.values() if one.layer.type == "Table")
    assert agreed(table)
    assert table.layer.input_shapes == ()


def test_a_normalisation_attests_the_width_of_what_it_was_given(tmp_path):
    """Slices at computed places leave a size open that the scale of the normalisation tells."""
    nodes = [
        node("LayerNormalization", ["x", "g", "b"], ["n"]),
        node("MatMul", ["n", "w"], ["y"]),
    ]
    tensors = [weight("g", 12), weight("b", 12), weight("w", 12, 5)]
    found, _ = accounts(model(nodes, [info("x", ["N", None, None])], [info("y", ["N", None, 5])], tensors), tmp_path)
    dense = next(one for one in found.values() if one.layer.type == "Dense")
    assert agreed(dense)
    assert dense.layer.output_shapes[0][-1] == 5


def filled(value):
    return helper.make_tensor("v", TensorProto.INT64, [1], [value])


def test_the_minus_one_of_an_expansion_is_found_as_exporters_write_it(tmp_path):
    """`expand(2, -1, -1)`: the target is compared with minus one, and ones are put there."""
    nodes = [
        node("ConstantOfShape", ["rank"], ["ones"], value=filled(1)),
        node("Mul", ["ones", "minus"], ["marks"]),
        node("Equal", ["target", "marks"], ["open"]),
        node("Where", ["open", "ones", "target"], ["shape"]),
        node("Expand", ["cls", "shape"], ["c"]),
        node("Concat", ["c", "x"], ["t"], axis=1),
        node("Add", ["t", "pos"], ["y"]),
    ]
    tensors = [ints("rank", 3), helper.make_tensor("minus", INT64, (), [-1]), ints("target", 2, -1, -1)]
    tensors += [weight("cls", 1, 1, 8), weight("pos", 1, 5, 8)]
    found, _ = accounts(model(nodes, [info("x", [2, 4, 8])], [info("y", None)], tensors), tmp_path)
    assert all(agreed(one) for one in found.values())
    assert sum(one.parameters for one in found.values()) == 8 + 40


def test_positions_through_a_small_network_are_weights(tmp_path):
    """Swin V2: a stored table of coordinates, two layers on it, and the result is added to the scores."""
    nodes = [
        node("MatMul", ["coords", "w1"], ["a"]),
        node("Add", ["a", "b1"], ["h"]),
        node("Relu", ["h"], ["r"]),
        node("MatMul", ["r", "w2"], ["t"]),
        node("Transpose", ["t"], ["bias"], perm=[0, 3, 1, 2]),
        node("Add", ["x", "bias"], ["y"]),
    ]
    tensors = [weight("coords", 1, 5, 5, 2), weight("w1", 2, 16), weight("b1", 16), weight("w2", 16, 3)]
    found, result = accounts(model(nodes, [info("x", ["N", 3, 5, 5])], [info("y", ["N", 3, 5, 5])], tensors), tmp_path)
    assert result.totals.constants == 0
    assert result.totals.total == result.totals.stored == 50 + 32 + 16 + 48
    assert sorted(one.layer.type for one in found.values()) == ["Dense", "MatMul"]


def test_a_bias_spelt_out_of_shapes_stays_a_constant(tmp_path):
    """Only what is multiplied with learned numbers is a layer; arithmetic on positions is not."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Cast", ["s"], ["f"], to=FLOAT),
        node("Mul", ["f", "table"], ["m"]),
        node("ReduceSum", ["m"], ["r"]),
        node("Add", ["x", "r"], ["y"]),
    ]
    found, result = accounts(model(nodes, [info("x", ["N", 4, 8])], [info("y", ["N", 4, 8])], [weight("table", 3)]), tmp_path)
    assert not found
    assert result.totals.constants == 3


@pytest.mark.parametrize("shape", [(8, 6), (8, 1), ()])
def test_a_kernel_divided_by_its_own_norm_is_a_kernel(tmp_path, shape):
    """`F.normalize(weight)`: the norm may be laid out anew, or expanded, before the division."""
    after = [node("Expand", ["c", "shape"], ["d"])] if shape else [node("Identity", ["c"], ["d"])]
    nodes = [
        node("ReduceL2", ["w"], ["n"], axes=[1], keepdims=1),
        node("Clip", ["n", "least"], ["c"]),
        *after,
        node("Div", ["w", "d"], ["u"]),
        node("Transpose", ["u"], ["t"], perm=[1, 0]),
        node("MatMul", ["x", "t"], ["y"]),
    ]
    tensors = [weight("w", 8, 6), helper.make_tensor("least", FLOAT, (), [1e-12]), *([ints("shape", *shape)] if shape else [])]
    account = only(model(nodes, [info("x", ["N", 6])], [info("y", ["N", 8])], tensors), tmp_path)
    assert (account.layer.type, account.parameters) == ("Dense", 48)


def test_spectral_normalisation_at_run_time_is_part_of_its_layer(tmp_path):
    """The two vectors, and the kernel in the layout that they are multiplied with, only measure it."""
    x, y = [info("x", ["N", 8])], [info("y", ["N", 4])]
    nodes = [
        node("MatMul", ["w", "v"], ["a"]),
        node("MatMul", ["u", "a"], ["sigma"]),
        node("Div", ["w", "sigma"], ["k"]),
        node("Gemm", ["x", "k", "b"], ["y"], transB=1),
    ]
    tensors = [weight("w", 4, 8), weight("u", 4), weight("v", 8), weight("b", 4)]
    account = only(model(nodes, x, y, tensors), tmp_path)
    assert (account.layer.type, account.parameters, agreed(account)) == ("Dense", 32 + 4, True)  # as torch counts: u and v are buffers
    account = only(model([node("MatMul", ["copy", "v"], ["a"]), *nodes[1:]], x, y, [*tensors, weight("copy", 4, 8)]), tmp_path)
    assert account.parameters == 32 + 4


def test_a_weight_that_first_serves_as_a_buffer_counts_where_it_is_looked_up(tmp_path):
    """A codebook: the square of its rows is added to distances, its rows are looked up."""
    nodes = [
        node("Pow", ["book", "two"], ["sq"]),
        node("ReduceSum", ["sq", "axis"], ["norm"], keepdims=0),
        node("Add", ["x", "norm"], ["d"]),
        node("ArgMin", ["d"], ["i"], axis=1, keepdims=0),
        node("Gather", ["book", "i"], ["y"]),
    ]
    tensors = [weight("book", 16, 4), helper.make_tensor("two", FLOAT, (), [2.0]), ints("axis", 1)]
    _, result = accounts(model(nodes, [info("x", ["N", 16])], [info("y", ["N", 4])], tensors), tmp_path)
    assert result.totals.total == result.totals.stored == 64


def test_the_heads_of_queries_are_those_of_keys(tmp_path):
    """`view(1, length, -1, head)` leaves the number of heads open; the product with the keys tells it."""
    nodes = []
    for name in ("q", "k"):
        nodes += [node("MatMul", ["x", f"w{name}"], [name]), node("Reshape", [name, "heads"], [f"{name}h"])]
    nodes += [
        node("Transpose", ["qh"], ["qt"], perm=[0, 2, 1, 3]),
        node("Transpose", ["kh"], ["kt"], perm=[0, 2, 3, 1]),
        node("MatMul", ["qt", "kt"], ["y"]),
    ]
    tensors = [weight("wq", 6, 32), weight("wk", 6, 32), ints("heads", 1, 5, -1, 8)]
    found, _ = accounts(model(nodes, [info("x", [1, 5, 6])], [info("y", None)], tensors), tmp_path)
    assert all(agreed(one) for one in found.values())
    assert all("MatMul with" in witnesses(one, "kernel")["units"] for one in found.values())
