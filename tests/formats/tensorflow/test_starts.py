"""What a loop of a frozen graph starts from is no weight; what is handed through it is one."""

import pytest

import modelscan
from modelscan.formats.tensorflow.starts import starting
from modelscan.program import Argument, Constant, Function, FunctionRef, MetaGraph, Operation


def const(name, *values):
    return Operation(name, "Const", (), {"value": Constant("float32", (1, len(values)), 4 * len(values), 9, "raw", values)})


def functional(state, kernel, *more):
    """A `While` whose body replaces its first value and returns its second as it came."""
    body = Function(
        "body",
        (Argument("h", "float32"), Argument("k", "float32")),
        (Argument("out_h", "float32"), Argument("out_k", "float32")),
        (Operation("step", "MatMul", ("h", "k")), Operation("same", "Identity", ("k",))),
        {"out_h": "step:product:0", "out_k": "same:output:0"},
    )
    loop = Operation("loop", "While", ("state", "kernel"), {"body": FunctionRef("body"), "cond": FunctionRef("cond")})
    return MetaGraph(nodes=(state, kernel, loop, *more), functions={"body": body})


def lowered(state, kernel, *more):
    """The same in the operations of TensorFlow 1."""
    nodes = [state, kernel]
    for name, source in (("h", "state"), ("k", "kernel")):
        nodes.append(Operation(f"{name}_enter", "Enter", (source,)))
        nodes.append(Operation(f"{name}_merge", "Merge", (f"{name}_enter", f"{name}_next")))
        nodes.append(Operation(f"{name}_switch", "Switch", (f"{name}_merge", "going_on")))
    nodes.append(Operation("step", "MatMul", ("h_switch:1", "k_switch:1")))
    nodes.append(Operation("same", "Identity", ("k_switch:1",)))
    nodes.append(Operation("h_next", "NextIteration", ("step",)))
    nodes.append(Operation("k_next", "NextIteration", ("same",)))
    return MetaGraph(nodes=(*nodes, *more))


@pytest.mark.parametrize("graph", [functional, lowered])
def test_a_first_state_is_told_from_a_weight(graph):
    zeros, kernel = const("state", 0.0, 0.0), const("kernel", 0.0, 0.0)
    assert starting(graph(zeros, kernel)) == {"state"}
    assert starting(graph(const("state", 0.0, 0.5), kernel)) == frozenset()  # one that was learned
    assert starting(graph(zeros, kernel, Operation("other", "MatMul", ("x", "state")))) == frozenset()  # used elsewhere, too


def test_a_graph_without_loops():
    assert starting(MetaGraph(nodes=(const("c", 0.0, 0.0), Operation("y", "Relu", ("c",))))) == frozenset()


@pytest.mark.parametrize("lower", [False, True])
def test_a_frozen_recurrent_layer_counts_as_in_keras(lower, tmp_path):
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    freezing = pytest.importorskip("tensorflow.python.framework.convert_to_constants")
    inputs = keras.Input((6, 8))
    model = keras.Model(inputs, keras.layers.Bidirectional(keras.layers.GRU(5))(inputs))
    called = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec((1, 6, 8)))
    frozen = freezing.convert_variables_to_constants_v2(called, lower_control_flow=lower)
    path = tmp_path / "frozen.pb"
    path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
    report = modelscan.inspect(path)
    assert report.parameters.total == model.count_params()
    assert [one for one in report.findings if one.severity != "info"] == []
