"""ONNX: the same threats in the places that few readers look at, sizes that follow from the file, and what is legal there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.exhibit import BAD, CLEAN, Exhibit, bad, clean, write
from tests.hostile.onnx_files import F, array, edited, gemm_model, model_of, outside

Info = helper.make_tensor_value_info
X, Y = Info("x", F, ["N", 4]), Info("y", F, ["N", 4])
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]


def tensor(name: str, *shape: int) -> onnx.TensorProto:
    """A small tensor."""
    return numpy_helper.from_array(array(*shape), name)


def elsewhere(one: onnx.TensorProto, location: str) -> onnx.TensorProto:
    """The same with its payload in another file."""
    outside(location, lambda _: one, length=len(one.raw_data))(onnx.ModelProto())
    return one


def numbers(name: str, values: object, dtype: type = np.int64) -> onnx.NodeProto:
    """A Constant node."""
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values, dtype), name))


def saved(nodes: Iterable[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], output: onnx.ValueInfoProto) -> Callable[[Path], Path]:
    """A model of these nodes."""
    model = model_of(helper.make_graph(list(nodes), "g", inputs, [output]))
    return lambda folder: write(folder / "model.onnx", model.SerializeToString())


def with_function(*functions: onnx.FunctionProto) -> Callable[[Path], Path]:
    """A model that calls the first of these functions."""
    call = helper.make_node(functions[0].name, ["x"], ["y"], domain="my")
    graph = helper.make_graph([call], "g", [X], [Y])
    model = helper.make_model(graph, functions=functions, opset_imports=OPSETS, ir_version=8)
    return lambda folder: write(folder / "model.onnx", model.SerializeToString())


def function(name: str, *nodes: onnx.NodeProto, **more: object) -> onnx.FunctionProto:
    """From `a` to `b`."""
    return helper.make_function("my", name, ["a"], ["b"], list(nodes), OPSETS, **more)


def branching(*nodes: onnx.NodeProto, output: str = "q") -> tuple[onnx.NodeProto, onnx.NodeProto]:
    """An If that runs these nodes in both branches, with its condition."""
    body = helper.make_graph(list(nodes), "branch", [], [Info(output, F, None)])
    return numbers("yes", True, np.bool_), helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)


def register(name: str, rule: str | None, build: Callable[[Path], Path]) -> None:
    """A bad file, or a legal one without a rule."""
    (BAD if rule else CLEAN).append(Exhibit(name, rule, build))


# --- external data, wherever a tensor can be ---------------------------------------------------------------------------------------

constant = helper.make_node("Constant", [], ["k"], value=elsewhere(tensor("k", 4), "../../etc/passwd"))
register("external_in_a_branch_of_a_function", "path-escape", with_function(function("F", *branching(constant, output="k")[:1], constant, helper.make_node("Add", ["a", "k"], ["b"]))))  # fmt: skip


@edited("external_in_a_function_that_nothing_calls", "path-escape")
def _uncalled(model: onnx.ModelProto) -> None:
    model.functions.append(function("F", constant, helper.make_node("Add", ["a", "k"], ["b"])))
    model.opset_import.append(OPSETS[1])


@edited("external_in_a_sparse_tensor", "path-escape")
def _sparse(model: onnx.ModelProto) -> None:
    places = numpy_helper.from_array(np.array([0, 1], np.int64), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(elsewhere(tensor("s", 2), "../weights.bin"), places, [4]))


@edited("external_in_a_training_graph", "path-escape")
def _training(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "initialization", [], [], [elsewhere(tensor("t", 4), "/etc/passwd")])
    model.training_info.add().initialization.CopyFrom(graph)


@edited("external_in_a_list_of_tensors", "path-escape")
def _listed(model: onnx.ModelProto) -> None:
    node = helper.make_node("Custom", ["x"], ["z"], domain="my")
    attribute = node.attribute.add(name="tensors", type=onnx.AttributeProto.TENSORS)
    attribute.tensors.append(elsewhere(tensor("t", 4), "/etc/passwd"))
    model.graph.node.insert(0, node)
    model.opset_import.append(OPSETS[1])


@bad("payload-field")
def external_and_inside(folder: Path) -> Path:
    """A tensor with bytes of its own, and others in a file: `onnx.checker` refuses it, runtimes take one or the other."""
    write(folder / "weights.bin", bytes(48))
    model = gemm_model()
    one = model.graph.initializer[0]
    one.data_location = TensorProto.EXTERNAL
    one.external_data.add(key="location", value="weights.bin")
    return write(folder / "model.onnx", model.SerializeToString())


@clean
def external_through_a_folder_and_back(folder: Path) -> Path:
    (folder / "a").mkdir()
    model = gemm_model()
    write(folder / "weights.bin", bytes(model.graph.initializer[0].raw_data))
    outside("a/../weights.bin", length=48)(model)
    return write(folder / "model.onnx", model.SerializeToString())


# --- functions --------------------------------------------------------------------------------------------------------------------


def inner(name: str, *calls: str) -> onnx.FunctionProto:
    """A function that calls others of its kind one after another."""
    names = ["a", *(f"v{at}" for at in range(len(calls) - 1)), "b"]
    return function(name, *(helper.make_node(one, [names[at]], [names[at + 1]], domain="my") for at, one in enumerate(calls)))


register("functions_that_call_each_other_in_turn", "recursive-function", with_function(inner("F", "G"), inner("G", "F")))
register(
    "functions_that_double_forty_times",
    "limit-exceeded",
    with_function(
        *(inner(f"F{at}", f"F{at + 1}", f"F{at + 1}") for at in range(39)), function("F39", helper.make_node("Relu", ["a"], ["b"]))
    ),
)
register("function_called_twice", None, with_function(inner("F", "G", "G"), function("G", helper.make_node("Relu", ["a"], ["b"]))))
register("python_operator_in_a_function", "python-operator", with_function(function("F", helper.make_node("PyOp", ["a"], ["b"], domain="ai.onnx.contrib"))))  # fmt: skip
register("function_name_with_a_bidirectional_character", "deceptive-name", with_function(function("F\u2066x", helper.make_node("Relu", ["a"], ["b"]))))  # fmt: skip

# --- sizes that follow from the file ------------------------------------------------------------------------------------------------

FREE = Info("y", F, None)
register(
    "allocation_Range",
    "huge-allocation",
    saved(
        [numbers("a", 0), numbers("b", 1 << 60), numbers("c", 1), helper.make_node("Range", ["a", "b", "c"], ["y"])],
        [],
        Info("y", TensorProto.INT64, None),
    ),
)
register(
    "allocation_Resize",
    "huge-allocation",
    saved(
        [numbers("s", [1, 1, 1 << 22, 1 << 22]), helper.make_node("Resize", ["x", "", "", "s"], ["y"])],
        [Info("x", F, [1, 1, 4, 4])],
        FREE,
    ),
)
register(
    "allocation_Pad",
    "huge-allocation",
    saved([numbers("p", [0, 0, 1 << 40, 0]), helper.make_node("Pad", ["x", "p"], ["y"])], [Info("x", F, [2, 4])], FREE),
)
register("allocation_RandomNormal", "huge-allocation", saved([helper.make_node("RandomNormal", [], ["y"], shape=[1 << 20, 1 << 20])], [], FREE))  # fmt: skip
register(
    "allocation_in_a_branch",
    "huge-allocation",
    saved(branching(numbers("s", [1 << 21, 1 << 21]), helper.make_node("ConstantOfShape", ["s"], ["q"])), [], FREE),
)
register(
    "range_of_a_hundred_thousand",
    None,
    saved(
        [numbers("a", 0), numbers("b", 100_000), numbers("c", 1), helper.make_node("Range", ["a", "b", "c"], ["y"])],
        [],
        Info("y", TensorProto.INT64, [None]),
    ),
)

# --- texts and indices --------------------------------------------------------------------------------------------------------------


@edited("token_in_a_doc_string_of_a_node", "secret-in-metadata")
def _token(model: onnx.ModelProto) -> None:
    model.graph.node[0].doc_string = "uploaded with ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@edited("token_in_a_doc_string_of_a_function", "secret-in-metadata")
def _token_of_a_function(model: onnx.ModelProto) -> None:
    text = "AKIA" + "IOSFODNN7EXAMPL2"
    model.functions.append(function("F", helper.make_node("Relu", ["a"], ["b"]), doc_string=text))
    model.opset_import.append(OPSETS[1])


def sparse_at(*places: int) -> Callable[[onnx.ModelProto], None]:
    """Adds a sparse tensor of four with two values at these places."""

    def edit(model: onnx.ModelProto) -> None:
        indices = numpy_helper.from_array(np.array(places, np.int64), "places")
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor("s", 2), indices, [4]))

    return edit


edited("sparse_index_outside", "sparse-tensor-broken")(sparse_at(0, 99))
edited("sparse_index_negative", "sparse-tensor-broken")(sparse_at(-1, 2))
edited("sparse_indices_unsorted", "sparse-tensor-broken")(sparse_at(3, 1))
