"""Every demand that the policy knows: a configuration under which a good fixture fails with exactly this code, one under which it passes.

These are the hit and clean fixtures of the POL and target rules, whose findings depend on the user's settings.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modelscan.examine import examine
from modelscan.policy import Gate
from modelscan.settingsfile import settings_of

ROOT = Path(__file__).parent.parent
GOOD, BAD = ROOT / "fixtures" / "good", ROOT / "fixtures" / "bad"


@dataclass(frozen=True)
class Case:
    """One demand; `told` is part of the failing finding's message."""

    code: str
    fixture: str
    fails: str
    passes: str
    told: str


RNN, CONV, KERAS, EXPORT, QUANTISED = (
    "simple_rnn_operator.onnx",
    "conv_net.onnx",
    "simple_rnn.keras",
    "simple_rnn_export.onnx",
    "quantised.onnx",
)
CASES = [
    # budgets: exactly at the budget passes, one less fails
    Case("POL001", KERAS, "budget.parameters = 19081", "budget.parameters = 19082", "19,082 parameters, 1 more than the budget of 19,081"),
    Case(
        "POL001", KERAS, "budget.bytes = '74 KiB'", "budget.bytes = '75 KiB'", "76,328 bytes of weights, 552 more than the budget of 75,776"
    ),
    Case("POL001", EXPORT, "budget.file-bytes = 84183", "budget.file-bytes = 84184", "84,184 bytes of the file"),
    Case("POL001", KERAS, "budget.macs = 89599", "budget.macs = '89.6k'", "89,600 multiply-accumulates"),
    Case("POL001", KERAS, "budget.layers = 1", "budget.layers = 2", "2 layers, 1 more than the budget of 1"),
    Case("POL001", QUANTISED, "budget.dtypes.int8 = 63", "budget.dtypes = {int8 = 64, float64 = 0}", "64 elements of int8"),
    # requirements
    Case(
        "POL003",
        KERAS,
        "require.formats = ['onnx', 'keras-h5']",
        "require.formats = ['onnx', 'keras']",
        "the format is keras; allowed: onnx, keras-h5",
    ),
    Case("POL004", RNN, "require.opset = '<17'", "require.opset = '>=13,<=17'", "operator set 17 of ai.onnx; demanded: <17"),
    Case(
        "POL004",
        EXPORT,
        "require.opset = {'ai.onnx.ml' = 3}",
        "require.opset = {'ai.onnx.ml' = '<=2'}",
        "operator set 2 of ai.onnx.ml; demanded: 3",
    ),
    Case("POL004", RNN, "require.ir-version = '<=7'", "require.ir-version = 8", "IR version 8; demanded: <=7"),
    Case(
        "POL005",
        QUANTISED,
        "require.dtypes = ['float32']",
        "require.dtypes = ['float32', 'int8']",
        "64 stored elements of int8 in fc; allowed: float32",
    ),
    Case(
        "POL006",
        CONV,
        "require.operators = ['Conv', 'Add', '*Pool', 'Flatten', 'MatMul', 'Relu']",
        "require.operators = ['Conv', 'Add', '*Pool', 'Flatten', 'MatMul', 'Relu', 'Batch*']",
        "BatchNormalization, used once, is not on the list of allowed operators",
    ),
    Case(
        "POL006",
        "branch.onnx",
        "require.operators = ['If', 'Constant']",
        "require.operators = ['If', 'MatMul', 'Constant']",
        "MatMul, used 2 times",
    ),
    Case(
        "POL006", KERAS, "require.operators = ['Dense']", "require.operators = ['Dense', 'SimpleRNN', 'InputLayer']", "SimpleRNN, used once"
    ),
    Case(
        "POL007",
        RNN,
        "require.inputs = [{name = 'image'}, {name = 'x'}]",
        "require.inputs = [{name = 'x', dtype = 'float32', shape = [5, '?', 10]}]",
        "there is no input image; there are x",
    ),
    Case("POL007", RNN, "require.inputs = []", "require.inputs = [{name = 'x'}]", "there is an input x that nobody demanded"),
    Case(
        "POL007",
        RNN,
        "require.inputs = [{name = 'x', dtype = 'float16'}]",
        "require.inputs = [{name = 'x', dtype = 'float32'}]",
        "input x is float32; demanded: float16",
    ),
    Case(
        "POL007",
        RNN,
        "require.inputs = [{name = 'x', shape = ['?', 5, 10]}]",
        "require.inputs = [{name = 'x', shape = [5, 'batch', '*']}]",
        "input x is (5, batch, 10): dimension 0 is 5; demanded: dynamic",
    ),
    Case(
        "POL007",
        RNN,
        "require.inputs = [{name = 'x', shape = [5, 1, 10]}]",
        "require.inputs = [{name = 'x', shape = ['*', '*', '*']}]",
        "dimension 1 is dynamic (batch); demanded: 1",
    ),
    Case(
        "POL007",
        RNN,
        "require.inputs = [{name = 'x', shape = [5, 'time', 10]}]",
        "require.inputs = [{name = 'x', shape = [5, 'batch', 10]}]",
        "dimension 1 is dynamic (batch); demanded: dynamic (time)",
    ),
    Case(
        "POL007",
        KERAS,
        "require.outputs = [{name = 'dense', shape = ['?']}]",
        "require.outputs = [{name = 'dense', shape = ['n', 10]}]",
        "output dense is (?, 10), of rank 2; demanded: (?,)",
    ),
    Case(
        "POL007",
        KERAS,
        "require.outputs = [{name = 'dense', dtype = 'float32'}]",
        "require.outputs = [{name = 'dense'}]",
        "output dense has no type that the file tells; demanded: float32",
    ),
    Case(
        "POL008",
        "simple_rnn.weights.h5",
        "require.independent = '0.5 %'",
        "require.independent = 0",
        "0 of 19,082 stored elements (0 %) are explained without reading a dimension off the weights; demanded: 0.5 %",
    ),
    Case(
        "POL008",
        "simple_rnn.weights.h5",
        "require.independent = 100",
        "require.explained = '100 %'",
        "demanded: 100 %",
    ),
    # targets
    Case(
        "DEP201",
        RNN,
        "require.runtimes = ['onnxruntime==1.11']",
        "require.runtimes = ['onnxruntime==1.12']",
        "operator set 17 of ai.onnx; ONNX Runtime 1.11 loads up to 16, the first to load it is 1.12",
    ),
    Case(
        "DEP201",
        RNN,
        "require.runtimes = ['onnxruntime>=1.10']",
        "require.runtimes = ['onnxruntime>=1.12']",
        "operator set 17 of ai.onnx; ONNX Runtime 1.10 loads up to 15, the first to load it is 1.12",
    ),
    Case(
        "DEP202",
        "newer_format",
        "require.runtimes = ['onnxruntime==1.17']",
        "require.runtimes = ['onnxruntime>=1.18']",
        "IR version 10; ONNX Runtime 1.17 loads up to 9",
    ),
    Case(
        "DEP203",
        "custom_operator",
        "require.runtimes = ['onnxruntime>=1.18']",
        "require.runtimes = ['onnxruntime-gpu>=1.18']",
        "com.example.Mystery is no operator of ONNX Runtime; it needs a library of custom operators",
    ),
    Case(
        "DEP203",
        "no_kernel",
        "require.runtimes = ['onnxruntime>=1.25']",
        "require.runtimes = ['onnxruntime-gpu>=1.25']",
        "MaxRoiPool is in its version 22 without an implementation for the CPU",
    ),
    Case(
        "DEP204",
        "float8_input",
        "require.runtimes = ['onnxruntime==1.15']",
        "require.runtimes = ['onnxruntime==1.16']",
        "element type float8_e4m3fn (since IR version 9); ONNX Runtime 1.15 loads up to 8",
    ),
    Case(
        "DEP205",
        "opset_25",
        "require.runtimes = ['onnxruntime==1.24']",
        "require.runtimes = ['onnxruntime==1.25']",
        "operator set 25 of ai.onnx: whether ONNX Runtime 1.24 loads it is not known; up to 23 it surely does",
    ),
    Case(
        "DEP207",
        CONV,
        "require.dynamic-batch = false",
        "require.dynamic-batch = true",
        "the first dimension of input x is dynamic; demanded: fixed",
    ),
    Case(
        "DEP207",
        RNN,
        "require.dynamic-batch = true",
        "require.dynamic-batch = false",
        "the first dimension of input x is fixed at 5; demanded: dynamic",
    ),
    Case("DEP190", KERAS, "require.runtimes = ['keras<3']", "require.runtimes = ['keras>=3.15']", "does not read files of Keras 3"),
    Case(
        "DEP190",
        KERAS,
        "require.runtimes = ['keras==3.10']",
        "require.runtimes = ['keras~=3.15']",
        "may refuse keys that Keras 3.15 writes",
    ),
    Case(
        "DEP190",
        "nested.keras",
        "require.runtimes = ['keras==2.15']",
        "require.runtimes = ['keras>=3.15']",
        "does not read files of Keras 3",
    ),
    Case(
        "DEP190",
        "keras_2.h5",
        "require.runtimes = ['keras>=2.15,<4']",
        "require.runtimes = ['keras>=2.15,<3']",
        "Keras 3.0 to 3.15 reads only part of what Keras 2 wrote",
    ),
]


def made(name: str, folder: Path) -> str:
    """A fixture by name: a file of `fixtures/good`, or one that is made here because no good fixture has the property."""
    if (GOOD / name).exists():
        return str(GOOD / name)
    import onnx
    from onnx import TensorProto, helper

    opset, ir_version, domains, node = 17, 8, [], helper.make_node("Identity", ["x"], ["y"])
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])]
    if name == "newer_format":
        opset, ir_version = 20, 10
    elif name == "custom_operator":
        domains, node = [helper.make_opsetid("com.example", 1)], helper.make_node("Mystery", ["x"], ["y"], domain="com.example")
    elif name == "no_kernel":
        opset, ir_version = 22, 10
        inputs = [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8]),
            helper.make_tensor_value_info("r", TensorProto.FLOAT, [2, 5]),
        ]
        node = helper.make_node("MaxRoiPool", ["x", "r"], ["y"], pooled_shape=[2, 2])
    elif name == "float8_input":
        opset, ir_version = 19, 8
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT8E4M3FN, ["n", 4])]
        node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    elif name == "opset_25":
        opset, ir_version = 25, 10
    shape = None if name in ("no_kernel", "custom_operator") else ["n", 4]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), *domains], ir_version=ir_version)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return str(path)


@cache
def examined(path: str):
    """The report on a file before any policy; read once."""
    return examine(path)


def settings(text: str, root: Path = ROOT):
    """The settings of a TOML text that stands in `root`."""
    import tomllib

    return settings_of(tomllib.loads(text), {}, root=str(root), source=None)


def judged(path: str, text: str, root: Path = ROOT, **more):
    """A file under a policy: its report and the number of findings that fail."""
    from modelscan.ledger import Report

    gate = Gate(settings(text, root), **more)
    report = gate.apply(Report((examined(path),)))
    return report, gate.failing(report)
