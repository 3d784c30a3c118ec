"""Weights that static operators make something else of before they are used: followed where it is known what, listed where it is not."""

import pytest

from modelscan.model import Verdict
from tests.layers.onnx.onnx_graphs import UINT8, accounts, info, ints, model, node, only, weight

X, Y = info("x", ["N", 6]), info("y", ["N", 8])
STEPS = {
    "sign": [node("Sign", ["w"], ["k"])],
    "softplus": [node("Softplus", ["w"], ["k"])],
    "rounded": [node("Div", ["w", "step"], ["d"]), node("Round", ["d"], ["r"]), node("Mul", ["r", "step"], ["k"])],
    "softmax": [node("Softmax", ["w"], ["k"], axis=0)],
    "sums": [node("CumSum", ["w", "one"], ["k"])],
    "softplus with its threshold": [
        node("Softplus", ["w"], ["s"]),
        node("Greater", ["w", "step"], ["large"]),
        node("Where", ["large", "w", "s"], ["k"]),
    ],
    "numbers for missing ones": [node("IsNaN", ["w"], ["missing"]), node("Where", ["missing", "step", "w"], ["k"])],
    "which are there": [node("IsNaN", ["w"], ["missing"]), node("Not", ["missing"], ["there"]), node("Cast", ["there"], ["k"], to=1)],
}
PRODUCT = node("MatMul", ["x", "k"], ["y"])
CONSTANTS = (weight("step"), ints("one", 1))


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_kernel_of_another_value_but_the_same_shape_is_the_same_weight(steps, tmp_path):
    one = only(model([*steps, PRODUCT], [X], [Y], [weight("w", 6, 8), *CONSTANTS]), tmp_path)
    assert (one.verdict, one.parameters) == (Verdict.MATCH, 48)
    bad = only(model([*steps, PRODUCT], [X], [Y], [weight("w", 6, 9), *CONSTANTS]), tmp_path)
    assert bad.verdict is Verdict.MISMATCH


UNKNOWN = {
    "einsum": ([node("Einsum", ["w", "v"], ["k"], equation="ab,bc->ac")], [weight("w", 6, 2), weight("v", 2, 8)], 28),
    "sine": ([node("Sin", ["w"], ["k"])], [weight("w", 6, 8)], 48),
    "depth to space": (
        [node("Reshape", ["w", "four"], ["r"]), node("DepthToSpace", ["r"], ["d"], blocksize=2), node("Reshape", ["d", "two"], ["k"])],
        [weight("w", 12, 4), ints("four", 1, 8, 3, 2), ints("two", 6, 8)],
        48,
    ),
    "norm": (
        [node("LayerNormalization", ["w", "scale"], ["k"])],
        [weight("w", 6, 8), weight("scale", 8)],
        56,
    ),
}


@pytest.mark.parametrize(("steps", "tensors", "count"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_a_kernel_is_made_of_by_unknown_ways_is_counted_and_not_explained(steps, tensors, count, tmp_path):
    found, totals = accounts(model([*steps, PRODUCT], [X], [Y], tensors), tmp_path)
    assert sum(one.parameters or 0 for one in found.values()) == count
    assert Verdict.UNKNOWN in {one.verdict for one in found.values()}
    assert totals.totals.total == count


def test_a_kernel_made_of_shapes_alone_holds_nothing(tmp_path):
    nodes = [node("Shape", ["x"], ["s"]), node("ConstantOfShape", ["s"], ["c"]), node("Transpose", ["c"], ["k"]), PRODUCT]
    found, _ = accounts(model(nodes, [X], [info("y", ["N", "N"])], []), tmp_path)
    assert found == {}


def test_a_mask_on_a_kernel_is_no_weight(tmp_path):
    nodes = [node("Cast", ["mask"], ["m"], to=1), node("Mul", ["w", "m"], ["k"]), PRODUCT]
    mask = weight("mask", 6, 8, dtype=UINT8)
    mask.data_type = 9
    one = only(model(nodes, [X], [Y], [weight("w", 6, 8), mask]), tmp_path)
    assert (one.verdict, one.parameters) == (Verdict.MATCH, 48)


def test_where_numbers_are_missing_is_no_weight(tmp_path):
    """The nearest neighbours of an imputer: the same table says which elements are there, and which values they have."""
    nodes = [
        node("IsNaN", ["w"], ["missing"]),
        node("Where", ["missing", "x", "step"], ["y"]),
    ]
    found, result = accounts(model(nodes, [info("x", [6, 8])], [info("y", [6, 8])], [weight("w", 6, 8), weight("step")]), tmp_path)
    assert [one.layer.type for one in found.values()] == ["Buffer"]
    assert (result.totals.total, result.totals.constants) == (0, 49)


def test_a_noisy_kernel_is_multiplied_with_once(tmp_path):
    nodes = [node("Mul", ["deviation", "noise"], ["n"]), node("Add", ["mean", "n"], ["k"]), PRODUCT]
    one = only(model(nodes, [X], [Y], [weight(name, 6, 8) for name in ("mean", "deviation", "noise")]), tmp_path)
    assert (one.parameters, one.macs) == (144, 48)


@pytest.mark.parametrize(
    "making",
    [
        [node("SplitToSequence", ["w", "sizes"], ["s"], axis=0), node("SequenceAt", ["s", "one"], ["k"])],
        [node("SplitToSequence", ["w", "six"], ["s"], axis=0), node("SequenceAt", ["s", "one"], ["k"])],
        [
            node("Slice", ["w", "six", "twelve"], ["part"]),
            node("SequenceConstruct", ["part", "part"], ["s"]),
            node("SequenceAt", ["s", "one"], ["k"]),
        ],
    ],
    ids=["sizes", "size", "constructed"],
)
def test_a_part_out_of_a_sequence_is_a_part_of_the_weight(making, tmp_path):
    scalar = ints("one", 1)
    del scalar.dims[:]
    tensors = [weight("w", 12, 8), ints("sizes", 6, 6), ints("six", 6), ints("twelve", 12), scalar]
    one = only(model([*making, PRODUCT], [X], [Y], tensors), tmp_path)
    assert (one.verdict, one.parameters) == (Verdict.MATCH, 48)


def test_axes_that_are_counted_out_at_run_time(tmp_path):
    """A scale per channel is widened by axes from `Range`, as torch.onnx writes GroupNorm before it is simplified."""
    scalars = [ints(name, number) for name, number in (("four", 4), ("one", 1))]
    for scalar in scalars:
        del scalar.dims[:]
    nodes = [
        node("Sub", ["four", "one"], ["end"]),
        node("Range", ["one", "end", "one"], ["axes"]),
        node("Unsqueeze", ["w", "axes"], ["wide"]),
        node("Mul", ["x", "wide"], ["y"]),
    ]
    image = info("x", ["N", 5, 4, 4])
    one = only(model(nodes, [image], [info("y", ["N", 5, 4, 4])], [weight("w", 5), *scalars]), tmp_path)
    assert (one.verdict, one.parameters) == (Verdict.MATCH, 5)


def test_what_only_tells_a_type_or_a_window_is_no_weight(tmp_path):
    nodes = [node("CastLike", ["x", "w"], ["c"]), node("STFT", ["c", "one", "window"], ["y"])]
    scalar = ints("one", 1)
    del scalar.dims[:]
    tensors = [weight("w", 6, 8), weight("window", 4), scalar]
    found, _ = accounts(model(nodes, [info("x", [1, 6, 1])], [info("y", [1, 3, 3, 2])], tensors), tmp_path)
    assert found == {}
