"""Attributes and operands that no runtime accepts are told, with the same node in good order beside each; loops that grow are not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modelscan.accounting import reconcile
from modelscan.rules import Subject, judge
from tests.layers.onnx.onnx_graphs import FLOAT, INT64, derived, info, ints, model, node, weight

X = info("x", [2, 4, 6])
IMAGE = info("x", [1, 4, 8, 8])
OTHER = info("z", [2, 5, 6])


def told(proto, tmp_path):
    """The names of findings at `high` or above."""
    found = derived(proto, tmp_path)
    return {one.name for one in judge(Subject("model.onnx", found.observations, found, reconcile(found))) if one.severity.rank >= 3}


CASES = {
    "axis of Concat": (node, ("Concat", ["x", "x"], ["y"]), {"axis": 1}, {"axis": 3}, [X], []),
    "operands of Concat": (node, ("Concat", ["x", "z"], ["y"]), {"axis": 1}, {"axis": 0}, [X, OTHER], []),
    "axis of Gather": (node, ("Gather", ["x", "i"], ["y"]), {"axis": -3}, {"axis": -4}, [X], [ints("i", 1)]),
    "index of Gather": (node, ("Gather", ["x", "i"], ["y"]), {"axis": 2}, {"axis": 1}, [X], [ints("i", 5)]),
    "axis of Softmax": (node, ("Softmax", ["x"], ["y"]), {"axis": 2}, {"axis": 7}, [X], []),
    "axes of Squeeze": (node, ("Unsqueeze", ["x"], ["y"]), {"axes": [3]}, {"axes": [5]}, [X], []),
    "order": (node, ("Transpose", ["x"], ["y"]), {"perm": [0, 2, 1]}, {"perm": [0, 1, 1]}, [X], []),
    "order of another rank": (node, ("Transpose", ["x"], ["y"]), {"perm": [0, 2, 1]}, {"perm": [1, 0]}, [X], []),
    "strides": (node, ("MaxPool", ["x"], ["y"]), {"strides": [2, 2]}, {"strides": [2]}, [IMAGE], []),
    "no stride": (node, ("MaxPool", ["x"], ["y"]), {"strides": [2, 2]}, {"strides": [0, 2]}, [IMAGE], []),
    "pads of a window": (node, ("MaxPool", ["x"], ["y"]), {"pads": [0, 0, 1, 1]}, {"pads": [0, 1]}, [IMAGE], []),
    "blocks": (node, ("DepthToSpace", ["x"], ["y"]), {"blocksize": 2}, {"blocksize": 3}, [IMAGE], []),
    "parts": (node, ("Split", ["x"], ["y", "w"]), {"split": [1, 3], "axis": 1}, {"split": [1, 4], "axis": 1}, [X], []),
    "type of Cast": (node, ("Cast", ["x"], ["y"]), {"to": 10}, {"to": 99}, [X], []),
}


@pytest.mark.parametrize("case", CASES)
def test_an_attribute_that_cannot_be_is_told(case, tmp_path):
    make, call, good, bad, inputs, tensors = CASES[case]
    opset = 11
    for attributes, wrong in ((good, False), (bad, True)):
        more = {"kernel_shape": [2, 2]} if call[0] == "MaxPool" else {}
        outputs = [info(name, None, TensorProto.FLOAT16 if attributes.get("to") == 10 else FLOAT) for name in call[2]]
        proto = model([make(*call, **more, **attributes)], inputs, outputs, tensors, opset=opset)
        assert bool(told(proto, tmp_path)) is wrong, (case, told(proto, tmp_path))


@pytest.mark.parametrize(
    ("target", "wrong"), [((8, 6), False), ((0, -1), False), ((8, 7), True), ((-1, -1), True), ((5, -1), True), ((0, 0, 0, 0), True)]
)
def test_a_target_of_another_number_of_elements_is_told(target, wrong, tmp_path):
    proto = model([node("Reshape", ["x", "to"], ["y"])], [X], [info("y", None)], [ints("to", *target)])
    assert bool(told(proto, tmp_path)) is wrong


@pytest.mark.parametrize(("shape", "wrong"), [([2, 4, 6], False), ([4, 1], False), ([2, 5, 6], True), ([5, 6], True)])
def test_activations_that_do_not_broadcast_are_told(shape, wrong, tmp_path):
    proto = model([node("Add", ["x", "z"], ["y"])], [X, info("z", shape)], [info("y", None)])
    assert bool(told(proto, tmp_path)) is wrong


@pytest.mark.parametrize(("shape", "wrong"), [([2, 6, 3], False), ([6, 3], False), ([6], False), ([2, 5, 3], True), ([5], True)])
def test_a_product_of_activations_of_other_depths_is_told(shape, wrong, tmp_path):
    proto = model([node("MatMul", ["x", "z"], ["y"])], [X, info("z", shape)], [info("y", None)])
    assert bool(told(proto, tmp_path)) is wrong


def test_a_recurrent_layer_over_an_image_is_told(tmp_path):
    nodes = [node("GRU", ["x", "w", "r"], ["y"], hidden_size=3)]
    tensors = [weight("w", 1, 9, 8), weight("r", 1, 9, 3)]
    assert told(model(nodes, [IMAGE], [info("y", None)], tensors), tmp_path)


def test_an_empty_list_of_strides_is_told(tmp_path):
    """It is not the same as none: runtimes want one for each axis."""
    line = info("x", [1, 4, 8])
    call = node("MaxPool", ["x"], ["y"], kernel_shape=[2], strides=[2])
    assert not told(model([call], [line], [info("y", None)]), tmp_path)
    del call.attribute[1].ints[:]
    assert told(model([call], [line], [info("y", None)]), tmp_path)


def test_a_constant_without_a_value_is_told(tmp_path):
    assert told(model([onnx.NodeProto(op_type="Constant", output=["c"]), node("Add", ["x", "c"], ["y"])], [X], [info("y", None)]), tmp_path)


def branches(first, second):
    then = helper.make_graph([node("Relu", ["x"], [f"a{i}"]) for i in range(first)], "t", [], [info(f"a{i}", None) for i in range(first)])
    other = helper.make_graph([node("Abs", ["x"], [f"b{i}"]) for i in range(second)], "e", [], [info(f"b{i}", None) for i in range(second)])
    return node("If", ["c"], ["y"], then_branch=then, else_branch=other)


@pytest.mark.parametrize(("first", "second", "wrong"), [(1, 1, False), (1, 2, True), (0, 1, True)])
def test_a_branch_that_yields_another_number_of_values_is_told(first, second, wrong, tmp_path):
    proto = model([branches(first, second)], [X, info("c", [], TensorProto.BOOL)], [info("y", None)])
    assert ("operator-signature" in told(proto, tmp_path)) is wrong


def test_a_loop_whose_state_grows_has_no_known_length_and_no_alarm(tmp_path):
    """The first turn's shape is not that of the last; a count that each turn raises is no constant."""
    body = helper.make_graph(
        [node("Concat", ["s", "x"], ["grown"], axis=0), node("Add", ["k", "one"], ["more"]), node("Identity", ["go"], ["still"])],
        "body",
        [info("i", [], INT64), info("go", [], TensorProto.BOOL), info("s", None), info("k", [1], INT64)],
        [info("still", [], TensorProto.BOOL), info("grown", None), info("more", [1], INT64)],
    )
    nodes = [
        node("Loop", ["n", "", "start", "zero"], ["all", "count"], body=body),
        node("Add", ["all", "z"], ["y"]),
        node("Concat", ["count", "four"], ["to"], axis=0),
        node("Reshape", ["all", "to"], ["w"]),
    ]
    tensors = [helper.make_tensor("n", INT64, (), [4]), weight("start", 1, 4), ints("zero", 1), ints("four", 4), ints("one", 1)]
    inputs = [info("x", [1, 4]), info("z", [5, 4])]
    proto = model(nodes, inputs, [info("y", None), info("w", None)], tensors)
    assert not told(proto, tmp_path)
    shown = {one.name: one.output_shapes for one in derived(proto, tmp_path).layers}
    assert ((None, 4),) in shown.values()


def test_a_branch_for_ranks_that_never_come_raises_no_alarm(tmp_path):
    """`if x.dim() == 4: x.shape[3]`, which an exporter writes out although the rank is 3."""
    then = helper.make_graph([node("Gather", ["s", "three"], ["a"], axis=0)], "t", [], [info("a", None, INT64)])
    other = helper.make_graph([node("Gather", ["s", "one"], ["b"], axis=0)], "e", [], [info("b", None, INT64)])
    nodes = [node("Shape", ["x"], ["s"]), node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    proto = model(nodes, [X, info("c", [], TensorProto.BOOL)], [info("y", None, INT64)], [ints("three", 3), ints("one", 1)])
    assert not told(proto, tmp_path)


def test_a_fused_product_may_take_its_batch_axes_from_behind(tmp_path):
    """`transBatchA` moves the first axis behind the batch axes, as ONNX Runtime's optimiser writes attention."""
    call = node("FusedMatMul", ["q", "k"], ["y"], domain="com.microsoft", transBatchA=1, transBatchB=1, transB=1)
    inputs = [info("q", [17, 2, 4, 16]), info("k", [9, 2, 4, 16])]
    assert not told(model([call], inputs, [info("y", [2, 4, 17, 9])]), tmp_path)
    assert "declared-shape" in told(model([call], inputs, [info("y", [17, 2, 4, 4])]), tmp_path)


def test_labels_of_a_loss(tmp_path):
    def found(*labels):
        call = node("SoftmaxCrossEntropyLoss", ["x", "t"], ["y"])
        return told(model([call], [X, info("t", list(labels), INT64)], [info("y", None)], []), tmp_path)

    assert found(2, 6) == set()
    assert found(2, 5) == {"operator-contradiction"}
    assert found(2) == {"operator-contradiction"}


def test_scales_are_more_than_nothing(tmp_path):
    def found(factor):
        call = node("Resize", ["x", "", "s"], ["y"], mode="nearest")
        scales = onnx.numpy_helper.from_array(np.array([1, 1, factor, 2], np.float32), "s")
        return told(model([call], [IMAGE], [info("y", None)], [scales]), tmp_path)

    assert found(2) == set()
    assert found(-2) == {"operator-contradiction"}


def test_a_target_below_nothing_gives_no_size(tmp_path):
    found = derived(model([node("Tile", ["x", "r"], ["y"])], [X], [info("y", [2, 4, 6])], [ints("r", 1, -3, 1)]), tmp_path)
    assert not any(isinstance(size, int) and size < 0 for layer in found.layers for shape in layer.output_shapes for size in shape)
    assert not any("-12" in one.message for one in found.observations)


def test_what_inference_refuses_too_is_told_once(tmp_path):
    found = derived(model([node("Transpose", ["x"], ["y"], perm=[0, 1, 1])], [X], [info("y", None)]), tmp_path)
    assert [one.message for one in found.observations] == ["Transpose Transpose_0: perm (0, 1, 1) is no order of 3 axes"]
