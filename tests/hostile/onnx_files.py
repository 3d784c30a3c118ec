"""ONNX files with one thing wrong each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.exhibit import BAD, Exhibit, bad, field, varint, write

Edit = Callable[[onnx.ModelProto], None]
F = TensorProto.FLOAT


def array(*shape: int) -> np.ndarray:
    """Small distinct values."""
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def model_of(graph: onnx.GraphProto, opset: int = 17, **more: object) -> onnx.ModelProto:
    """A model of one graph."""
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="museum", **more)


def gemm_model() -> onnx.ModelProto:
    """x[N,4] → Gemm(W[4,3], B[3]) → y[N,3]."""
    return model_of(
        helper.make_graph(
            [helper.make_node("Gemm", ["x", "W", "B"], ["y"], name="fc")],
            "g",
            [helper.make_tensor_value_info("x", F, ["N", 4])],
            [helper.make_tensor_value_info("y", F, ["N", 3])],
            [numpy_helper.from_array(array(4, 3), "W"), numpy_helper.from_array(array(3), "B")],
        )
    )


def conv_model() -> onnx.ModelProto:
    """x[1,4,8,8] → Conv(W[6,2,3,3], group 2) → BatchNormalization → y."""
    return model_of(
        helper.make_graph(
            [
                helper.make_node("Conv", ["x", "W", "B"], ["c"], name="conv", group=2, kernel_shape=[3, 3]),
                helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"], name="bn"),
            ],
            "g",
            [helper.make_tensor_value_info("x", F, [1, 4, 8, 8])],
            [helper.make_tensor_value_info("y", F, [1, 6, 6, 6])],
            [numpy_helper.from_array(array(6, 2, 3, 3), "W"), *(numpy_helper.from_array(abs(array(6)) + 1, name) for name in "Bsbmv")],
        )
    )


def edited(name: str, rule: str, base: Callable[[], onnx.ModelProto] = gemm_model) -> Callable[[Edit], Edit]:
    """Registers an edit of a healthy model."""

    def register(edit: Edit) -> Edit:
        def build(folder: Path) -> Path:
            model = base()
            edit(model)
            return write(folder / "model.onnx", model.SerializeToString())

        BAD.append(Exhibit(name, rule, build))
        return edit

    return register


# --- external data ----------------------------------------------------------------------------------------------------------


def outside(
    location: str, tensor: Callable[[onnx.ModelProto], onnx.TensorProto] = lambda m: m.graph.initializer[0], **entries: object
) -> Edit:
    """Moves a tensor's payload to `location`."""

    def edit(model: onnx.ModelProto) -> None:
        one = tensor(model)
        one.ClearField("raw_data")
        one.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            entry = one.external_data.add()
            entry.key, entry.value = key, str(value)

    return edit


for _name, _location in (
    ("absolute", "/etc/passwd"),
    ("climbing", "../../etc/passwd"),
    ("hidden_climb", "a/../../x"),
    ("drive", "C:\\weights.bin"),
    ("backslash", "..\\weights.bin"),
):
    edited(f"external_{_name}", "path-escape")(outside(_location, length=48))


def _with_data(size: int, **entries: object) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        write(folder / "weights.bin", bytes(size))
        model = gemm_model()
        outside("weights.bin", **entries)(model)
        return write(folder / "model.onnx", model.SerializeToString())

    return build


for _name, _size, _entries, _rule in (
    ("short_file", 40, {"length": 48}, "external-data-range"),
    ("offset_past_end", 100, {"offset": 4096, "length": 48}, "external-data-range"),
    ("offset_negative", 100, {"offset": -48, "length": 48}, "external-data-range"),
    ("length_negative", 100, {"length": -1}, "external-data-range"),
    ("length_too_short", 100, {"length": 44}, "external-data-length"),
    ("length_too_long", 100, {"length": 64}, "external-data-length"),
    ("offset_is_text", 100, {"offset": "zero", "length": 48}, "external-data-range"),
    ("unknown_key", 48, {"length": 48, "__class__": "x"}, "external-data-key"),
    ("empty_file", 0, {"length": 48}, "external-data-range"),
):
    BAD.append(Exhibit(f"external_{_name}", _rule, _with_data(_size, **_entries)))

edited("external_missing", "external-data-missing")(outside("gone.bin", length=48))
edited("external_without_location", "external-data-missing")(outside(""))


@bad("path-escape")
def external_through_a_link(folder: Path) -> Path:
    (folder / "weights.bin").symlink_to("/etc/passwd")
    model = gemm_model()
    outside("weights.bin", length=48)(model)
    return write(folder / "model.onnx", model.SerializeToString())


@bad("external-data-overlap")
def external_overlap(folder: Path) -> Path:
    write(folder / "weights.bin", bytes(100))
    model = gemm_model()
    outside("weights.bin", offset=0, length=48)(model)
    outside("weights.bin", lambda m: m.graph.initializer[1], offset=24, length=12)(model)
    return write(folder / "model.onnx", model.SerializeToString())


def _constant(location: str) -> onnx.NodeProto:
    tensor = numpy_helper.from_array(array(4, 3), "inner")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return helper.make_node("Constant", [], ["k"], value=tensor)


@edited("external_in_an_attribute", "path-escape")
def _in_attribute(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, _constant("/etc/passwd"))


def if_model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A model whose two branches hold `nodes` before an Identity of x."""
    branch = helper.make_graph(
        [*nodes, helper.make_node("Identity", ["x"], ["b"])], "branch", [], [helper.make_tensor_value_info("b", F, [1])]
    )
    return model_of(
        helper.make_graph(
            [helper.make_node("If", ["c"], ["y"], name="if", then_branch=branch, else_branch=branch)],
            "g",
            [helper.make_tensor_value_info("c", TensorProto.BOOL, []), helper.make_tensor_value_info("x", F, [1])],
            [helper.make_tensor_value_info("y", F, [1])],
        )
    )


edited("external_in_a_subgraph", "path-escape", base=lambda: if_model(_constant("../secret")))(lambda _: None)


@edited("external_in_a_function", "path-escape")
def _in_function(model: onnx.ModelProto) -> None:
    function = helper.make_function(
        "local", "F", ["a"], ["b"], [_constant("../secret"), helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))


# --- tensors ------------------------------------------------------------------------------------------------------------------


@edited("raw_short", "payload-too-short")
def _raw_short(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


@edited("raw_long", "payload-too-long")
def _raw_long(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data += b"smuggled"


@edited("typed_short", "payload-too-short")
def _typed_short(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 11)


@edited("typed_long", "payload-too-long")
def _typed_long(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 13)


@edited("no_payload", "payload-too-short")
def _no_payload(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].ClearField("raw_data")


@edited("payload_in_the_wrong_field", "payload-field")
def _wrong_field(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.int64_data.extend(range(12))


@edited("payload_in_two_fields", "payload-field")
def _two_fields(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].float_data.extend([1.0] * 12)


@edited("dims_negative", "invalid-dims")
def _negative(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -4


@edited("dims_overflow", "invalid-dims")
def _overflow(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**33, 2**33]


@edited("data_type_unknown", "unknown-data-type")
def _unknown_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 99


@edited("data_type_undefined", "unknown-data-type")
def _undefined_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 0


@edited("data_type_lied", "payload-too-short")
def _type_lied(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = TensorProto.DOUBLE


@edited("int4_short", "payload-too-short")
def _int4(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="q", data_type=TensorProto.INT4, dims=[5], raw_data=bytes(2)))


# --- the graph -----------------------------------------------------------------------------------------------------------------


@edited("initializer_twice", "duplicate-initializer")
def _twice(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])


@edited("value_defined_twice", "duplicate-value")
def _value_twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["x"], ["y"]))


@edited("cycle", "graph-cycle")
def _cycle(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("Add", ["x", "b"], ["a"]))
    model.graph.node.insert(1, helper.make_node("Relu", ["a"], ["b"]))


@edited("unsorted", "unsorted-nodes")
def _unsorted(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "r"
    model.graph.node.append(helper.make_node("Relu", ["x"], ["r"]))


@edited("undefined_input", "undefined-input")
def _undefined_input(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nowhere"


@edited("undefined_output", "undefined-output")
def _undefined_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "nowhere"


@edited("initializer_dropped", "undefined-input")
def _dropped(model: onnx.ModelProto) -> None:
    del model.graph.initializer[0]


@edited("without_opset", "missing-opset")
def _without_opset(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


@edited("without_ir_version", "missing-ir-version")
def _without_ir(model: onnx.ModelProto) -> None:
    model.ClearField("ir_version")


@edited("without_graph", "missing-graph")
def _without_graph(model: onnx.ModelProto) -> None:
    model.ClearField("graph")


@edited("unknown_operator", "unknown-operator")
def _unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Gemmm"


@edited("opset_of_the_future", "unknown-opset")
def _future(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 999


@edited("operator_of_a_later_opset", "unknown-operator")
def _later(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Gelu", ["y"], ["z"]))


@edited("recursive_function", "recursive-function")
def _recursive(model: onnx.ModelProto) -> None:
    for name, other in (("A", "B"), ("B", "A")):
        node = helper.make_node(other, ["a"], ["b"], domain="local")
        model.functions.append(helper.make_function("local", name, ["a"], ["b"], [node], [helper.make_opsetid("local", 1)]))
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node.append(helper.make_node("A", ["y"], ["z"], domain="local"))


@bad("limit-exceeded")
def subgraphs_20000_deep(folder: Path) -> Path:
    heads, size = [], len(field(2, "leaf"))
    for _ in range(20_000):  # from the innermost outwards: each level is a head before what it encloses
        for number, before in ((6, field(1, "then_branch") + field(20, 5)), (5, field(2, "o") + field(4, "If")), (1, field(2, "g"))):
            head = before + varint(number << 3 | 2) + varint(size)
            heads.append(head)
            size += len(head)
    graph = b"".join(reversed(heads)) + field(2, "leaf")
    return write(folder / "model.onnx", field(1, 8) + field(8, field(2, 17)) + field(7, graph))


@bad("limit-exceeded")
def millions_of_empty_initializers(folder: Path) -> Path:
    return write(folder / "model.onnx", field(1, 8) + field(8, field(2, 17)) + field(7, field(2, "g") + field(5, b"") * 3_000_000))


@bad("truncated-file")
def length_past_the_end(folder: Path) -> Path:
    graph = gemm_model().graph.SerializeToString()
    return write(folder / "model.onnx", field(1, 8) + field(8, field(2, 17)) + varint(7 << 3 | 2) + varint(1 << 40) + graph)


@bad("malformed-protobuf")
def varint_without_end(folder: Path) -> Path:
    return write(folder / "model.onnx", field(1, 8) + field(8, field(2, 17)) + b"\x38" + b"\xff" * 64)


# --- weights against operators ----------------------------------------------------------------------------------------------


def _replace(name: str, *shape: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(array(*shape), name))

    return edit


edited("gemm_inputs_wrong", "weight-mismatch")(_replace("W", 5, 3))
edited("gemm_axes_swapped", "weight-mismatch")(_replace("W", 3, 4))
edited("gemm_bias_wrong", "weight-mismatch")(_replace("B", 2))
edited("conv_channels_wrong", "weight-mismatch", base=conv_model)(_replace("W", 6, 3, 3, 3))
edited("conv_kernel_wrong", "weight-mismatch", base=conv_model)(_replace("W", 6, 2, 5, 5))
edited("conv_bias_wrong", "weight-mismatch", base=conv_model)(_replace("B", 5))
edited("batchnorm_length_wrong", "weight-mismatch", base=conv_model)(_replace("s", 5))


@edited("conv_group_edited", "weight-mismatch", base=conv_model)
def _group(model: onnx.ModelProto) -> None:
    next(one for one in model.graph.node[0].attribute if one.name == "group").i = 4


@edited("declared_output_lied", "declared-shape")
def _declared(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7


# --- safety -----------------------------------------------------------------------------------------------------------------


for _op, _domain in (("PyOp", "ai.onnx.contrib"), ("PythonOp", "com.microsoft"), ("PyCustomOp", "pyop")):

    @edited(f"python_operator_{_op}", "python-operator")
    def _python(model: onnx.ModelProto, op: str = _op, domain: str = _domain) -> None:
        model.graph.node.append(helper.make_node(op, ["y"], ["z"], domain=domain))
        model.opset_import.append(helper.make_opsetid(domain, 1))


def _fill(op: str) -> onnx.ModelProto:
    shape = numpy_helper.from_array(np.array([2**20, 2**20], np.int64), "shape")
    inputs = ["shape"] if op == "ConstantOfShape" else ["x", "shape"]
    return model_of(
        helper.make_graph(
            [helper.make_node(op, inputs, ["y"], name="bomb")],
            "g",
            [helper.make_tensor_value_info("x", F, [1, 1])],
            [helper.make_tensor_value_info("y", F, [None, None])],
            [shape],
        )
    )


for _op in ("ConstantOfShape", "Expand", "Tile"):
    edited(f"allocation_{_op}", "huge-allocation", base=lambda op=_op: _fill(op))(lambda _: None)
