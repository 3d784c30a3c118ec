"""Nodes that the onnx package's inference or ONNX Runtime refuses are told, each beside the same node in good order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, checker, helper, numpy_helper, parser

from modelscan.formats.onnx import choices, contrib, native, operators, refusals
from modelscan.graph import Node
from modelscan.model import Model, Severity
from tests.formats.onnx.onnx_models import info, ints, kinds, model, scan

NODE = helper.make_node


def parsed(body: str, takes: str = "float[2,6] x", gives: str = "y", opset: int = 21, **tensors: object) -> onnx.ModelProto:
    """A model in onnx's own notation; whole numbers become int64, others float32."""
    head = f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
    proto = parser.parse_model(f"{head} g ({takes}) => ({gives}) {{ {body} }}")
    for name, values in tensors.items():
        array = np.asarray(values)
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(np.int64 if array.dtype.kind == "i" else np.float32), name))
    return proto


IMAGE = "float[2,4,8,8] x"
REFUSED: dict[str, tuple[onnx.ModelProto, onnx.ModelProto]] = {
    "sizes of Concat": (parsed("y=Concat<axis=0>(x,w)", w=np.ones((2, 6))), parsed("y=Concat<axis=0>(x,w)", w=np.ones((2, 5)))),
    "axis of Softmax": (parsed("y=Softmax<axis=1>(x)"), parsed("y=Softmax<axis=2>(x)")),
    "axis of Softmax, flattened": (parsed("y=Softmax<axis=-2>(x)", opset=11), parsed("y=Softmax<axis=2>(x)", opset=11)),
    "twice the same axis": (parsed("y=Unsqueeze(x,a)", a=[0, 1]), parsed("y=Unsqueeze(x,a)", a=[0, 0])),
    "an axis that is not 1": (parsed("y=Squeeze(x,a)", takes="float[1,6] x", a=[0]), parsed("y=Squeeze(x,a)", a=[0])),
    "starts and ends": (parsed("y=Slice(x,a,b)", a=[0, 0], b=[2, 2]), parsed("y=Slice(x,a,b)", a=[0, 0], b=[2])),
    "steps": (parsed("y=Slice(x,a,b,c,d)", a=[0], b=[2], c=[0], d=[1]), parsed("y=Slice(x,a,b,c,d)", a=[0], b=[2], c=[0], d=[0])),
    "repeats": (parsed("y=Tile(x,r)", r=[2, 2]), parsed("y=Tile(x,r)", r=[2, 2, 2])),
    "negative repeats": (parsed("y=Tile(x,r)", r=[2, 2]), parsed("y=Tile(x,r)", r=[2, -2])),
    "more than there are": (parsed("y,z=TopK(x,k)", k=[6]), parsed("y,z=TopK(x,k)", k=[9])),
    "letters of Einsum": (parsed('y=Einsum<equation="ij->ji">(x)'), parsed('y=Einsum<equation="ij->jk">(x)')),
    "a window without rank": (
        parsed("y=MaxPool<kernel_shape=[2]>(x)", takes="float[2,3,6] x"),
        parsed("y=MaxPool<kernel_shape=[2]>(x)"),
    ),
    "outputs of training": (
        parsed("y=BatchNormalization(x,a,a,a,a)", takes=IMAGE, a=[1.0, 2, 3, 4]),
        parsed("y,p,q=BatchNormalization(x,a,a,a,a)", takes=IMAGE, a=[1.0, 2, 3, 4]),
    ),
    "a target that does not fit": (parsed("y=Expand(x,s)", s=[3, 2, 6]), parsed("y=Expand(x,s)", s=[2, 5])),
    "behind an operator of another domain": (
        parsed("a=com.microsoft.Gelu(x)\n b=Tile(x,r)\n y=Add(a,b)", r=[1, 1]),
        parsed("a=com.microsoft.Gelu(x)\n b=Tile(x,r)\n y=Relu(a)", r=[1]),
    ),
    "in a branch": (
        parsed("y=If(c)<then_branch=g() => (p) {p=Add(x,x)}, else_branch=h() => (q) {q=Relu(x)}>", "bool c, float[2,6] x"),
        parsed("y=If(c)<then_branch=g() => (p) {p=MatMul(x,x)}, else_branch=h() => (q) {q=Relu(x)}>", "bool c, float[2,6] x"),
    ),
}


def contradictions(found: Model) -> list[str]:
    return [one.message for one in found.observations if one.kind == "operator-contradiction"]


@pytest.mark.parametrize("case", REFUSED)
def test_what_inference_refuses(case: str) -> None:
    right, wrong = REFUSED[case]
    assert not contradictions(scan(right))
    assert len(contradictions(scan(wrong))) == 1
    if "domain" not in case:
        with pytest.raises(onnx.shape_inference.InferenceError):
            onnx.shape_inference.infer_shapes(wrong, strict_mode=True)


def test_the_node_is_named_and_its_operands_are_shown() -> None:
    proto = parsed("a=Relu(x)\n y=Tile(a,r)", r=[1])
    proto.graph.node[1].name = "twice"
    (message,) = contradictions(scan(proto))
    assert message.startswith("Tile twice: ")
    assert message.endswith("it takes (2, 6), (1,)")


def test_the_cause_is_told_and_not_what_follows_from_it() -> None:
    found = scan(parsed("a=Tile(x,r)\n b=Relu(a)\n c=Add(b,x)\n y=Neg(c)", r=[1]))
    assert len(contradictions(found)) == 1


def test_a_node_that_is_no_possible_call_is_told_once() -> None:
    found = scan(parsed("y=Cast(x)"))
    assert [one.kind for one in found.observations] == ["operator-signature"]


@pytest.mark.parametrize("there", [True, False])
def test_a_shape_that_lies_in_another_file(tmp_path: Path, there: bool) -> None:
    """Runtimes infer shapes before they read external data, and refuse the model, whether the data is there or not."""
    proto = parsed("y = Reshape(x, s)", s=[3, 4])
    path = tmp_path / "m.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="m.data", size_threshold=0)
    if not there:
        (tmp_path / "m.data").unlink()
    (found,) = contradictions(scan(path.read_bytes(), tmp_path))
    assert found.startswith("Reshape Reshape_0: s steers the shape of the result and lies in another file, where runtimes do not look")
    assert found.endswith("(Cannot parse data from external tensors); it takes (2, 6), (2,)")
    runtime = pytest.importorskip("onnxruntime")
    with pytest.raises(runtime.capi.onnxruntime_pybind11_state.Fail, match="Cannot parse data from external tensors"):
        runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_a_shape_that_lies_in_another_file_and_has_no_name() -> None:
    """As the values of constant nodes."""
    text = "Cannot parse data from external tensors. Please load external data into raw data for tensor: "
    ((place, reason),) = refusals.refusals(f"(op_type:Gather, node name: 3): [ShapeInferenceError] {text}\n")
    assert place == (3,)
    assert reason.startswith("a tensor steers the shape of the result")
    assert reason.endswith("(Cannot parse data from external tensors)")


def test_many_calls_behind_another_domain_are_asked_for_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    from modelscan.formats.onnx import inference

    asked: list[int] = []
    part = inference.Inference._part

    def counted(self, graph, nodes, found):  # type: ignore[no-untyped-def]
        asked.append(len(nodes))
        return part(self, graph, nodes, found)

    monkeypatch.setattr(inference.Inference, "_part", counted)
    body = "\n".join(f"a{n + 1}=Softmax<axis=1>(x)" for n in range(50))
    scan(parsed(f"b=com.microsoft.Gelu(x)\n {body}\n y=Relu(a1)"))
    assert asked == [2]


CALLS: dict[str, tuple[onnx.ModelProto, bool]] = {
    "an output too many": (parsed("y,z=Relu(x)"), True),
    "no output": (parsed("y=Relu(x)\n =Relu(x)"), True),
    "an output that is left out": (model([NODE("Relu", ["x"], [""]), NODE("Relu", ["x"], ["y"])], [info("x", 3)], [info("y", 3)]), True),
    "an input that is left out": (model([NODE("Add", ["x", ""], ["y"])], [info("x", 3)], [onnx.ValueInfoProto(name="y")]), True),
    "a mask that nobody takes": (parsed("y,z=Dropout(x)"), False),
    "states alone": (parsed("_,h=GRU<hidden_size=2>(x,w,w)\n y=Relu(h)", "float[3,2,2] x", w=np.ones((1, 6, 2))), False),
    "after one that is right": (parsed("a=Relu(x)\n b,c=Relu(a)\n y=Relu(b)"), True),
}
CALLS["states alone"][0].graph.node[0].output[0] = ""


@pytest.mark.parametrize("case", CALLS)
def test_outputs_and_what_is_left_out(case: str) -> None:
    proto, wrong = CALLS[case]
    assert ("operator-signature" in kinds(scan(proto))) is wrong
    if wrong:
        with pytest.raises(checker.ValidationError):
            checker.check_model(proto)


def test_initializers_that_are_declared_otherwise() -> None:
    def told(name: str, said: onnx.ValueInfoProto) -> set[str]:
        proto = model([NODE("MatMul", ["x", "w"], ["y"])], [info("x", "N", 3)], [info("y", "N", 2)])
        proto.graph.initializer.append(numpy_helper.from_array(np.ones((3, 2), np.float32), "w"))
        getattr(proto.graph, name).append(said)
        found = scan(proto)
        assert found.graph.values["y"].shape == ("N", 2), "inference goes on"
        return kinds(found)

    for field in ("input", "value_info"):
        assert told(field, info("w", 3, 2)) == set()
        assert told(field, info("w", "A", "B")) == set()
        assert told(field, info("w", 2, 3)) == {"declared-shape"}
        assert told(field, info("w", 3, 2, dtype=TensorProto.FLOAT16)) == {"declared-shape"}


SETTINGS: dict[str, tuple[Node, int, bool]] = {
    "padding": (Node("", "Conv", attributes={"auto_pad": "SAME"}), 11, True),
    "padding that is": (Node("", "Conv", attributes={"auto_pad": "SAME_UPPER"}), 11, False),
    "direction": (Node("", "LSTM", attributes={"hidden_size": 3, "direction": "backward"}), 14, True),
    "functions": (Node("", "LSTM", attributes={"hidden_size": 3, "activations": ("Sigmoid", "Tanh", "Bogus")}), 14, True),
    "functions in any case": (Node("", "LSTM", attributes={"hidden_size": 3, "activations": ("sigmoid", "tanh", "tanh")}), 14, False),
    "too few functions": (Node("", "LSTM", attributes={"hidden_size": 3, "activations": ("Sigmoid", "Tanh")}), 14, True),
    "functions of both ways": (
        Node("", "GRU", attributes={"hidden_size": 3, "direction": "bidirectional", "activations": ("Tanh",) * 4}),
        14,
        False,
    ),
    "no width": (Node("", "RNN", attributes={"direction": "forward"}), 14, True),
    "old grid": (Node("", "GridSample", attributes={"mode": "bilinear"}), 16, False),
    "new grid": (Node("", "GridSample", attributes={"mode": "bilinear"}), 20, True),
    "rounding": (Node("", "Resize", attributes={"nearest_mode": "round"}), 19, True),
    "rounding of a line": (Node("", "Resize", attributes={"nearest_mode": "round", "mode": "linear"}), 19, False),
    "pads as wide as the window": (Node("", "MaxPool", attributes={"kernel_shape": (2, 2), "pads": (0, 2, 0, 0)}), 12, True),
    "pads": (Node("", "MaxPool", attributes={"kernel_shape": (2, 2), "pads": (0, 1, 0, 1)}), 12, False),
    "a norm": (Node("", "LpNormalization", attributes={"p": 3}), 1, True),
    "an even neighbourhood": (Node("", "LRN", attributes={"size": 4}), 13, True),
    "regions": (Node("", "RoiAlign", attributes={"mode": "min"}), 16, True),
    "trees": (Node("", "TreeEnsembleRegressor", attributes={"aggregate_function": "SUMME"}), 1, True),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_names_that_are_none(case: str) -> None:
    node, since, wrong = SETTINGS[case]
    assert len(list(choices.problems(node, since))) == wrong


def test_settings_are_looked_at() -> None:
    assert kinds(scan(parsed('y=BitShift<direction="UP">(x,x)', "uint8[2] x"))) == {"operator-signature"}


def test_calls_of_functions() -> None:
    def told(inputs: list[str], outputs: list[str]) -> set[str]:
        one = helper.make_function("local", "F", ["a", "b"], ["c"], [NODE("Add", ["a", "b"], ["c"])], [helper.make_opsetid("", 17)])
        call = NODE("F", inputs, outputs, domain="local")
        return kinds(scan(model([call], [info("x", 3)], [info("y", 3)], domains=["local"], functions=[one])))

    assert told(["x", "x"], ["y"]) == set()
    assert told(["x", "x", "x"], ["y"]) == {"operator-signature"}
    assert told(["x", "x"], ["y", "z"]) == {"operator-signature"}


def test_operators_that_a_domain_cannot_have() -> None:
    def told(op: str, domain: str, imported: bool) -> dict[str, Severity | None]:
        proto = model([NODE(op, ["x"], ["y"], domain=domain)], [info("x", 3)], [info("y", 3)], domains=[domain] if imported else [])
        return {one.kind: one.severity for one in scan(proto).observations}

    assert told("Gelu", "com.microsoft", True) == {}
    assert told("ReluGrad", "com.microsoft", True) == {}
    assert told("Nonsense", "com.microsoft", True) == {"unknown-operator": None}
    assert told("Relu", "com.microsoft", True) == {"unknown-operator": None}
    assert told("Gelu", "com.microsoft", False) == {"missing-opset": Severity.MEDIUM}
    assert told("Relu", "vendor", True) == {}
    assert told("Relu", "vendor", False) == {"missing-opset": Severity.MEDIUM, "unknown-operator": None}
    assert told("Special", "vendor", False) == {"missing-opset": Severity.MEDIUM}


@pytest.mark.parametrize("domain", ["", "ai.onnx.ml"])
def test_what_an_older_package_cannot_know(domain: str) -> None:
    """An operator of a version after the registry's is in doubt; of a version that the registry has, it is none."""
    newest = native.newest_opset(domain)
    for version, severity in ((newest, None), (newest + 1, Severity.MEDIUM)):
        proto = model([NODE("Later", ["x"], ["y"], domain=domain)], [info("x", 3)], [info("y", 3)], domains=[domain] if domain else [])
        next(one for one in proto.opset_import if one.domain == domain).version = version
        found = {one.kind: one for one in scan(proto).observations}
        assert found["unknown-operator"].severity == severity
        assert (f"the model asks for {version}" in found["unknown-operator"].message) == (severity is not None)


@pytest.mark.parametrize(
    ("op", "opset", "severity"),
    [
        ("SimplifiedLayerNormalization", 21, Severity.INFO),
        ("SimplifiedLayerNormalization", 9, Severity.INFO),
        ("ScaledTanh", 9, Severity.LOW),
        ("ScaledTanh", 10, None),
    ],
)
def test_the_runtime_s_own_operators_in_the_standard_domain(op: str, opset: int, severity: Severity | None) -> None:
    """What ONNX Runtime runs (and writes itself) is told without alarm; from opset 10 on it does not load what it has withdrawn."""
    attributes = {"axis": -1} if op.startswith("Simplified") else {"alpha": 1.0, "beta": 1.0}
    takes = ["x", "w"] if op.startswith("Simplified") else ["x"]
    stored = [numpy_helper.from_array(np.ones(4, np.float32), "w")][: len(takes) - 1]
    graph = helper.make_graph([NODE(op, takes, ["y"], **attributes)], "g", [info("x", 4)], [info("y", 4)], stored)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    found = next(one for one in scan(proto).observations if one.kind == "unknown-operator")
    assert found.severity == severity
    assert ("ONNX Runtime has it in that domain and runs it" in found.message) == (severity is not None)
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    if severity is None:
        with pytest.raises(runtime.capi.onnxruntime_pybind11_state.Fail, match="not a registered function"):
            runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    else:
        runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


def test_the_operators_of_the_runtime() -> None:
    state = pytest.importorskip("onnxruntime.capi.onnxruntime_pybind11_state")
    assert all(contrib.knows(one.name) for one in state.get_all_operator_schema() if one.domain == contrib.DOMAIN)


def test_a_format_of_the_future() -> None:
    proto = parsed("y=Relu(x)")
    assert kinds(scan(proto)) == set()
    proto.ir_version = operators.NEWEST_IR + 1
    assert kinds(scan(proto)) == {"unknown-opset"}
    assert operators.NEWEST_IR >= onnx.IR_VERSION


def test_no_size_is_less_than_nothing() -> None:
    proto = model([NODE("ConstantOfShape", ["s"], ["y"])], [], [info("y")], [ints("s", -2, 3)])
    found = scan(proto)
    assert not any(isinstance(size, int) and size < 0 for one in found.graph.values.values() for size in one.shape or ())
