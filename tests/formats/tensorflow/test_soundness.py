"""Graphs that contradict themselves, in the graph, in functions and in frozen graphs; and those that only look like it."""

from dataclasses import replace

import pytest

import modelscan
from fixtures.tensorflow_operations import TABLE, text
from modelscan.examine import examine
from modelscan.formats.tensorflow.soundness import Soundness
from modelscan.formats.tensorflow.wiring import body_of, ordered
from modelscan.model import TensorInfo
from modelscan.program import Argument, ConcreteFunction, Function, MetaGraph, Operation, SavedObject, Signature
from tests.formats.tensorflow.opened import findings
from tests.hostile.exhibit import field
from tests.hostile.tensorflow_bytes import BOOL, FLOAT, INT32, WRAPPER, SavedModel, bare_node, call, function, kind, kinds, node, shape_of


def tensor(dtype, dims, **how):
    """An attribute that is a tensor: its `content`, or `values` in a field for integers."""
    payload = field(4, how["content"]) if "content" in how else field(7, how["values"])
    return field(8, field(1, dtype) + field(2, shape_of(dims)) + payload)


def const(name, dtype, dims, **how):
    return node(name, "Const", dtype=kind(dtype), value=tensor(dtype, dims, **how))


def placeholder(name, *dims):
    return node(name, "Placeholder", dtype=kind(FLOAT), shape=field(7, shape_of(dims)))


def relu(name, *inputs):
    return node(name, "Relu", *inputs)


X = placeholder("x", -1, 6)
KERNEL = const("kernel", FLOAT, (8, 6), content=bytes(8 * 6 * 4))
IMAGE = placeholder("image", -1, 9, 9, 3)
FILTER = const("filter", FLOAT, (3, 3, 4, 2), content=bytes(72 * 4))
TURNED = {"transpose_b": field(5, 1)}

BAD = {
    "an input that is not there": ([X, relu("r", "nope")], "undefined-value", "r takes 'nope', which is not there"),
    "an output that is not there": ([X, relu("r", "x:1")], "undefined-value", "Placeholder has one output"),
    "one of several outputs": (
        [X, node("split", "IdentityN", "x", "x", T=kinds(FLOAT, FLOAT)), relu("r", "split:2")],
        "undefined-value",
        "IdentityN has 2 outputs",
    ),
    "a control dependency": ([X, relu("r", "x", "^nope")], "undefined-value", "waits for 'nope'"),
    "two nodes of one name": ([X, relu("r", "x"), relu("r", "x")], "duplicate-node", "a second node is called 'r'"),
    "a circle": ([X, node("a", "AddV2", "x", "b"), relu("b", "a")], "node-cycle", "b > a > b"),
    "a node that waits for itself": ([X, relu("r", "x", "^r")], "node-cycle", "r > r"),
    "no type": ([X, bare_node("r", "Relu", "x")], "node-definition", "r lacks the attribute T"),
    "an input too many": ([X, relu("r", "x", "x")], "node-definition", "r takes 2 values, Relu takes 1"),
    "an input too few": ([X, node("m", "MatMul", "x")], "node-definition", "m takes 1 values, MatMul takes 2"),
    "another number than stated": ([X, node("s", "AddN", "x", "x", N=field(3, 3))], "node-definition", "AddN takes 3"),
    "a product": ([X, KERNEL, node("m", "MatMul", "x", "kernel")], "operand-shapes", "have to be equal, 6 and 8"),
    "a product of a vector": (
        [X, placeholder("v", 6), node("m", "MatMul", "x", "v")],
        "operand-shapes",
        "(6,), 2 dimensions are asked for",
    ),
    "a batch product": (
        [placeholder("b", -1, 4, 6), KERNEL, node("m", "BatchMatMulV2", "b", "kernel")],
        "operand-shapes",
        "have to be equal, 6 and 8",
    ),
    "a convolution": ([IMAGE, FILTER, node("c", "Conv2D", "image", "filter")], "operand-shapes", "3 channels of the input"),
    "a bias": (
        [
            X,
            KERNEL,
            const("bias", FLOAT, (6,), content=bytes(24)),
            node("m", "MatMul", "x", "kernel", **TURNED),
            node("b", "BiasAdd", "m", "bias"),
        ],
        "operand-shapes",
        "same length, 8 and 6",
    ),
    "a sum": ([X, placeholder("y", -1, 5), node("a", "AddV2", "x", "y")], "operand-shapes", "do not go together, 6 and 5"),
    "behind a reshape": (
        [
            X,
            KERNEL,
            const("to", INT32, (2,), content=bytes((255,) * 4 + (12, 0, 0, 0))),
            node("r", "Reshape", "x", "to"),
            node("m", "MatMul", "r", "kernel"),
        ],
        "operand-shapes",
        "have to be equal, 12 and 8",
    ),
    "a cut constant": ([const("c", INT32, (4,), content=bytes(12))], "constant-payload", "12 bytes; (4,) int32 takes 16"),
    "a constant of another shape": ([const("c", INT32, (5,), content=bytes(16))], "constant-payload", "16 bytes; (5,) int32 takes 20"),
    "a constant of another type": (
        [node("c", "Const", dtype=kind(FLOAT), value=tensor(INT32, (1,), content=bytes(4)))],
        "constant-payload",
        "declared float32, its tensor is int32",
    ),
}


def frozen(tmp_path, nodes):
    path = tmp_path / "frozen.pb"
    path.write_bytes(b"".join(field(1, one) for one in nodes))
    return path


def said(path, name):
    return [one.message for one in examine(str(path)).findings if one.name == name and one.severity == "high"]


@pytest.mark.parametrize(("nodes", "kind_", "says"), BAD.values(), ids=BAD.keys())
def test_a_frozen_graph(tmp_path, nodes, kind_, says):
    found = said(frozen(tmp_path, nodes), kind_)
    assert len(found) == 1
    assert says in found[0]


@pytest.mark.parametrize(("nodes", "kind_", "says"), BAD.values(), ids=BAD.keys())
def test_the_graph_of_a_saved_model(tmp_path, nodes, kind_, says):
    found = said(SavedModel(nodes=tuple(nodes)).write(tmp_path), kind_)
    assert len(found) == 1
    assert says in found[0]


STATED = field(1, field(7, shape_of((-1, 5))))
"""What a node states of its output."""
INNER = {
    "an input that is not there": ([relu("r", "nope:out:0")], "undefined-value", "r takes 'nope:out:0', which is not there"),
    "an output of another name": ([relu("r", "matmul:activations:0")], "undefined-value", "MatMul has no output 'activations'"),
    "an output that is not there": ([relu("r", "matmul:product:1")], "undefined-value", "is 1 tensors"),
    "a control dependency": ([relu("r", "x", "^nope")], "undefined-value", "waits for 'nope'"),
    "two nodes of one name": ([relu("matmul", "x")], "duplicate-node", "'matmul'"),
    "a node with the name of an argument": ([relu("x", "matmul:product:0")], "duplicate-node", "'x'"),
    "a circle": ([relu("a", "b:activations:0"), relu("b", "a:activations:0")], "node-cycle", "b > a > b"),
    "no type": ([bare_node("r", "Relu", "x")], "node-definition", "lacks the attribute T"),
    "an attribute too many": ([node("r", "Relu", "x", data_format=field(2, "NHWC"))], "node-definition", "has the attribute data_format"),
    "a cut constant": ([const("c", INT32, (4,), content=bytes(12))], "constant-payload", "12 bytes"),
    "a product with a variable": ([node("m", "MatMul", "identity:output:0", "read_kernel:value:0")], "operand-shapes", "be equal, 3 and 4"),
    "a variable turned": ([node("m", "MatMul", "x", "read_kernel:value:0", **TURNED)], "operand-shapes", "be equal, 4 and 3"),
    "another result than stated": (
        [node("m", "MatMul", "x", "read_kernel:value:0", _output_shapes=STATED)],
        "operand-shapes",
        "its result is (?, 3) by its operands and (?, 5) by its own statement",
    ),
    "too many for a function": ([node("c", "inner", "x", "x")], "node-definition", "c takes 2 values, inner takes 1"),
    "another output of a function": ([node("c", "inner", "x"), relu("r", "c:z:0")], "undefined-value", "'inner' has no output 'z'"),
}
IDENTITY = function("inner", {"x": FLOAT}, {"y": FLOAT}, (), {"y": "x"})


@pytest.mark.parametrize(("nodes", "kind_", "says"), INNER.values(), ids=INNER.keys())
def test_a_function(tmp_path, nodes, kind_, says):
    found = said(SavedModel(body=tuple(nodes), library=(IDENTITY,)).write(tmp_path), kind_)
    assert len(found) == 1
    assert says in found[0]
    assert WRAPPER in found[0] or kind_ == "node-cycle"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (function("f", {"x": FLOAT}, {"y": FLOAT}, (), {"y": "nope:output:0"}), "f gives back 'nope:output:0', which is not there"),
        (function("f", {"x": FLOAT}, {"y": FLOAT}, (), {}), "f gives back 'y', of which nothing is said"),
        (function("f", {}, {}, (), {}) + field(6, field(1, "c") + field(2, "nope")), "f waits for 'nope' before it returns"),
        (function("f", {}, {}, (relu("r", "nope:y:0"),), {}), "f > r takes 'nope:y:0'"),
    ],
)
def test_a_function_that_nobody_calls(tmp_path, broken, says):
    """TensorFlow 2 builds it all the same when it loads the model."""
    (found,) = said(SavedModel(library=(broken,)).write(tmp_path), "undefined-value")
    assert says in found


def test_a_function_that_nobody_calls_in_a_graph_of_tensorflow_1(tmp_path):
    library = field(2, field(1, function("f", {}, {}, (relu("r", "nope:y:0"),), {})))
    path = frozen(tmp_path, [X, relu("r", "x")])
    path.write_bytes(path.read_bytes() + library)
    assert findings(path) == []


GOOD = {
    "a loop of TensorFlow 1": [
        X,
        node("enter", "Enter", "x", frame_name=field(2, "loop")),
        node("merge", "Merge", "enter", "next"),
        const("flag", BOOL, (), values=1),
        node("condition", "LoopCond", "flag", "^merge"),
        node("switch", "Switch", "merge", "condition"),
        relu("body", "switch:1"),
        node("next", "NextIteration", "body"),
        node("exit", "Exit", "switch"),
    ],
    "nodes in any order": [relu("b", "a"), relu("a", "x"), X],
    "an operation of somebody else": [X, node("o", "TheirOp", "x", "x"), relu("r", "o:7")],
    "the first output with its number": [X, relu("r", "x:0")],
    "a kernel turned": [X, KERNEL, node("m", "MatMul", "x", "kernel", **TURNED)],
    "an unknown width": [placeholder("u", -1, -1), KERNEL, node("m", "MatMul", "u", "kernel")],
    "a placeholder of which nothing is known": [placeholder("u"), KERNEL, node("m", "MatMul", "u", "kernel")],
    "channels first": [
        placeholder("image", -1, 4, 9, 9),
        FILTER,
        node("c", "Conv2D", "image", "filter", data_format=field(2, "NCHW")),
    ],
    "groups": [placeholder("image", -1, 9, 9, 8), FILTER, node("c", "Conv2D", "image", "filter")],
    "one that is stretched": [X, placeholder("y", -1, 1), node("a", "AddV2", "x", "y")],
    "a constant that repeats its last element": [const("c", INT32, (4,), values=7)],
    "a constant of zeros": [node("c", "Const", dtype=kind(INT32), value=field(8, field(1, INT32) + field(2, shape_of((4,)))))],
    "a constant without elements": [const("c", INT32, (0,), content=b"")],
    "an attribute of a later TensorFlow": [X, node("r", "Relu", "x", fast=field(5, 1))],
}


@pytest.mark.parametrize("nodes", GOOD.values(), ids=GOOD.keys())
def test_what_only_looks_wrong(tmp_path, nodes):
    assert findings(frozen(tmp_path, nodes)) == []


def test_the_same_function_for_variables_of_two_shapes(tmp_path):
    """What its callers do not agree on is not known in it."""
    apply = function("apply", {"x": FLOAT, "w": FLOAT}, {}, (node("m", "MatMul", "x", "w"),), {})
    nodes = (X, placeholder("a", 6, 2), placeholder("y", -1, 9), placeholder("b", 9, 2))
    calls = tuple(node(f"c{one}", "PartitionedCall", one, other, f=call("apply")) for one, other in (("x", "a"), ("y", "b")))
    assert findings(SavedModel(nodes=(*nodes, *calls), library=(apply,)).write(tmp_path)) == []


def test_a_circle_is_told_with_the_others_left_out():
    nodes = tuple(
        Operation(name, "AddV2", inputs) for name, inputs in (("x", ()), ("a", ("x", "c")), ("b", ("a",)), ("c", ("b",)), ("d", ("c",)))
    )
    order, circle = ordered(body_of(MetaGraph(nodes=nodes)))
    assert [one.name for one in order] == ["x"]
    assert sorted(circle) == ["a", "b", "c"]


# --- what stands around the graph ------------------------------------------------------------------------------------------------


def told(graph):
    return [(one.kind, one.message) for one in Soundness(graph, {}).run()]


def model(**changed):
    graph = MetaGraph(nodes=(Operation("x", "Placeholder", attributes={"dtype": "float32", "shape": (None, 8)}),))
    return replace(graph, **changed)


@pytest.mark.parametrize(
    ("side", "info", "says"),
    [
        ("inputs", TensorInfo("nope:0", "float32", (None, 8)), "which is not there"),
        ("outputs", TensorInfo("nope:0", "float32", (None, 8)), "which is not there"),
        ("outputs", TensorInfo("x:1", "float32", (None, 8)), "Placeholder has one output"),
        ("inputs", TensorInfo("x:0", "float32", (None, 77)), "is (?, 77), the graph's x is (?, 8)"),
        ("inputs", TensorInfo("x:0", "int32", (None, 8)), "is int32, the graph's x is float32"),
        ("inputs", TensorInfo("x:0", "float32", (4, 8)), None),
        ("inputs", TensorInfo("x:0", "float32", None), None),
        ("inputs", TensorInfo("", "float32", (None, 77)), None),
    ],
)
def test_a_signature(side, info, says):
    found = told(model(signatures={"serve": Signature("serve", **{side: {"a": info}})}))
    assert [kind_ for kind_, _ in found] == (["signature-tensor"] if says else [])
    assert not says or says in found[0][1]


@pytest.mark.parametrize(
    ("objects", "concrete", "kind_", "says"),
    [
        ([SavedObject("user_object", {"kernel": 9})], {}, "undefined-object", "as its child 'kernel' object 9, and there are 1"),
        ([SavedObject("user_object", {"kernel": (1 << 64) - 1})], {}, "undefined-object", "object -1"),
        ([SavedObject("function", functions=("g",))], {}, "undefined-function", "the function 'g', which is not there"),
        ([SavedObject("variable")], {"f": ConcreteFunction("f", (7,))}, "undefined-object", "bound to object 7"),
        ([SavedObject("variable")], {"f": ConcreteFunction("f", (0,), 2)}, "undefined-object", "2 are a caller's, 1 objects are bound"),
        ([SavedObject("variable")], {"f": ConcreteFunction("f", (0,), 1)}, None, ""),
        ([SavedObject("variable")], {"f": ConcreteFunction("f", (), None)}, None, ""),
    ],
)
def test_the_object_graph(objects, concrete, kind_, says):
    f = Function("f", inputs=(Argument("x", "float32"), Argument("w", "resource")))
    found = told(model(objects=tuple(objects), concrete=concrete, functions={"f": f}))
    assert [one for one, _ in found] == ([kind_] if kind_ else [])
    assert not kind_ or says in found[0][1]


def test_a_capture_that_was_removed(tmp_path):
    """A caller gives `x`; one variable is left for two arguments."""
    folder = SavedModel().write(tmp_path)
    path = folder / "saved_model.pb"
    whole, left = field(2, bytes((1, 2))), field(2, 1) + field(15, 0)
    data = path.read_bytes()
    assert len(whole) == len(left)
    path.write_bytes(data.replace(whole, left))
    assert "undefined-object" in findings(folder)


def test_a_function_that_is_called_and_not_there(tmp_path):
    called = SavedModel(body=(node("c", "PartitionedCall", "x", f=call("nobody")),))
    assert said(called.write(tmp_path), "undefined-function") == [f"{WRAPPER} > c calls 'nobody', which the library does not have"]


def test_a_function_that_a_note_names_and_that_is_not_there(tmp_path):
    """What begins with an underscore is no part of the operation: nobody need ever call it."""
    noted = SavedModel(body=(node("c", "PartitionedCall", "x", f=call("inner"), _gradient=call("nobody")),), library=(IDENTITY,))
    folder = noted.write(tmp_path)
    assert said(folder, "undefined-function") == []
    assert findings(folder) == ["undefined-function"]


@pytest.mark.slow
def test_the_definitions_are_tensorflows():
    pytest.importorskip("tensorflow")
    assert TABLE.read_text(encoding="ascii") == text(), "run `python -m fixtures.tensorflow_operations`"


def test_of_a_graph_that_could_not_be_read_to_its_end_nothing_more_is_said(tmp_path):
    """What is missing may stand in the part that was cut off."""
    path = frozen(tmp_path, [X, relu("r", "later"), relu("later", "x")])
    path.write_bytes(path.read_bytes()[:-4])
    found = findings(path)
    assert found
    assert "undefined-value" not in found


def test_attributes_stand_anywhere_in_a_node(tmp_path):
    """Writers put them last; a message is the same in any order of its fields."""
    split = bare_node("split", "Split", "axis", "x", T=kind(FLOAT))
    odd = bare_node("", "", num_split=field(3, 2)) + split  # one attribute before the name, the other one behind the inputs
    axis = const("axis", INT32, (), values=b"\0")
    for reference, faults in (("split:1", []), ("split:2", ["undefined-value"])):
        folder = tmp_path / reference.replace(":", "_")
        folder.mkdir()
        assert findings(SavedModel(nodes=(X, axis, odd, relu("r", reference))).write(folder)) == faults


def test_nodes_that_are_alike_are_told_of_one_by_one(tmp_path):
    wrong = [relu(f"wrong_{number}", "x", "x") for number in range(3)]
    right = [relu(f"right_{number}", "x") for number in range(3)]
    messages = [one.message for one in modelscan.inspect(SavedModel(nodes=(X, *right, *wrong)).write(tmp_path)).findings]
    assert [one.partition(" ")[0] for one in messages if "takes 2 values" in one] == ["wrong_0", "wrong_1", "wrong_2"]
