"""Models of ai.onnx.ml: their weights stand in attributes, with bytes; lists that do not belong together are told. ONNX Runtime is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from modelscan import inspect
from tests.layers.onnx.onnx_graphs import derived

TREES = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [3, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
}
TARGETS = {"target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0], "target_weights": [1.0, 2.0], "n_targets": 1}
CLASSES = {
    "class_treeids": [0, 0],
    "class_nodeids": [1, 2],
    "class_ids": [0, 1],
    "class_weights": [1.0, 2.0],
    "classlabels_int64s": [0, 1],
}
GOOD = {
    # operator: (attributes, outputs with type, parameters, bytes)
    "TreeEnsembleRegressor": (TREES | TARGETS, [TensorProto.FLOAT], 1 + 2, 12),
    "TreeEnsembleClassifier": (TREES | CLASSES, [TensorProto.INT64, TensorProto.FLOAT], 1 + 2, 12),
    "LinearRegressor": ({"coefficients": [0.5] * 8, "intercepts": [1.0, 2.0], "targets": 2}, [TensorProto.FLOAT], 10, 40),
    "LinearClassifier": (
        {"coefficients": [0.5] * 12, "intercepts": [1.0, 2.0, 3.0], "classlabels_ints": [0, 1, 2]},
        [TensorProto.INT64, TensorProto.FLOAT],
        15,
        60,
    ),
    "Scaler": ({"offset": [0.0] * 4, "scale": [1.0] * 4}, [TensorProto.FLOAT], 8, 32),
    "SVMRegressor": (
        {
            "support_vectors": [0.5] * 8,
            "coefficients": [1.0, -1.0],
            "rho": [0.1],
            "n_supports": 2,
            "kernel_type": "LINEAR",
            "kernel_params": [0.1, 0.0, 3.0],
        },
        [TensorProto.FLOAT],
        11,
        44,
    ),
    "SVMClassifier": (
        {
            "support_vectors": [0.5] * 8,
            "coefficients": [1.0, -1.0],
            "rho": [0.1],
            "vectors_per_class": [1, 1],
            "classlabels_ints": [0, 1],
            "kernel_params": [0.1, 0.0, 3.0],
            "kernel_type": "RBF",
        },
        [TensorProto.INT64, TensorProto.FLOAT],
        11,
        44,
    ),
    "Imputer": ({"imputed_value_floats": [0.0] * 4, "replaced_value_float": -1.0}, [TensorProto.FLOAT], 0, 0),
}
BAD = [
    ("TreeEnsembleRegressor", "nodes_values", [0.5, 0.0]),
    ("TreeEnsembleRegressor", "nodes_modes", ["BRANCH_LEQ", "LEAF"]),
    ("TreeEnsembleRegressor", "target_weights", [1.0]),
    ("TreeEnsembleRegressor", "nodes_truenodeids", [7, 0, 0]),
    ("TreeEnsembleRegressor", "nodes_featureids", [9, 0, 0]),
    ("TreeEnsembleClassifier", "class_ids", [0]),
    ("TreeEnsembleClassifier", "nodes_treeids", [0, 0]),
    ("LinearRegressor", "coefficients", [0.5] * 6),
    ("LinearClassifier", "coefficients", [0.5] * 11),
    ("LinearClassifier", "coefficients", [0.5] * 9),
    ("LinearClassifier", "classlabels_ints", [0, 1]),
    ("Scaler", "scale", [1.0] * 3),
    ("SVMRegressor", "support_vectors", [0.5] * 7),
    ("SVMClassifier", "coefficients", [1.0]),
    ("SVMClassifier", "rho", []),
    ("SVMClassifier", "support_vectors", [0.5] * 6),
]


def proto(op, attributes, types, version=3):
    outputs = [helper.make_tensor_value_info(f"y{place}", kind, None) for place, kind in enumerate(types)]
    one = helper.make_node(op, ["x"], [each.name for each in outputs], name="ml", domain="ai.onnx.ml")
    # An empty list has no type by itself.
    one.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items() if value != [])
    graph = helper.make_graph([one], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", version)], ir_version=8)


def runs(model):
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)
    try:
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        session.run(None, {"x": np.ones((2, 4), np.float32)})
    except Exception:  # noqa: BLE001 - whatever it says, it does not run
        return False
    return True


@pytest.mark.parametrize("op", GOOD)
def test_weights_in_attributes_are_counted_and_weighed(op, tmp_path):
    attributes, types, count, nbytes = GOOD[op]
    model = proto(op, attributes, types)
    assert runs(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    found = inspect(str(path))
    assert not found.findings
    assert (found.parameters.total, found.weight_bytes, found.parameters.stored) == (count, nbytes, 0)
    assert sum(one.nbytes or 0 for one in found.layers) == nbytes
    assert dict(found.parameters.by_dtype) == ({"float32": count} if count else {})


@pytest.mark.parametrize(("op", "name", "value"), BAD, ids=[f"{op}-{name}-{len(value)}" for op, name, value in BAD])
def test_lists_that_do_not_belong_together_are_told(op, name, value, tmp_path):
    attributes, types, *_ = GOOD[op]
    model = proto(op, attributes | {name: value}, types)
    assert not runs(model)
    assert [one.kind for one in derived(model, tmp_path).observations] == ["operator-contradiction"]


def test_intercepts_that_the_runtime_passes_over_are_told(tmp_path):
    """It adds them where there is one for each target, and none otherwise, without a word."""
    attributes, types, *_ = GOOD["LinearRegressor"]
    model = proto("LinearRegressor", attributes | {"intercepts": [1.0]}, types)
    assert runs(model)
    assert [one.kind for one in derived(model, tmp_path).observations] == ["operator-contradiction"]


def test_a_result_of_another_type_is_told(tmp_path):
    """By the schema, where general inference has no function for the operator (before version 3)."""
    attributes, *_ = GOOD["TreeEnsembleRegressor"]
    model = proto("TreeEnsembleRegressor", attributes, [TensorProto.DOUBLE], version=1)
    assert not runs(model)
    assert [one.kind for one in derived(model, tmp_path).observations] == ["type-mismatch"]


def after_trees(last, kind, *, version=1):
    """A model whose trees give a result that nothing declares, and two operators after it."""
    attributes, types, *_ = GOOD["TreeEnsembleRegressor"]
    model = proto("TreeEnsembleRegressor", attributes, types, version)
    one = helper.make_tensor("one", kind if last == "Mul" else TensorProto.FLOAT, [1], [1.0])
    model.graph.node.append(helper.make_node("Relu", ["y0"], ["r"], name="relu"))
    model.graph.node.append(helper.make_node("Mul", ["r", "one"], ["z"], name="mul"))
    model.graph.initializer.append(one)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", kind, None))
    return model


@pytest.mark.parametrize("last", ["Mul", "output"])
def test_types_that_the_schemas_alone_tell_are_carried_on(last, tmp_path):
    """Doubles after trees, as skl2onnx writes them for an ensemble that was fitted on doubles: the trees give floats."""
    model = after_trees(last, TensorProto.DOUBLE)
    assert not runs(model)
    assert [(one.kind, one.layer) for one in derived(model, tmp_path).observations] == [("type-mismatch", "mul")]


def test_types_that_are_carried_on_and_fit_are_left_alone(tmp_path):
    model = after_trees("Mul", TensorProto.FLOAT)
    assert runs(model)
    assert not derived(model, tmp_path).observations
