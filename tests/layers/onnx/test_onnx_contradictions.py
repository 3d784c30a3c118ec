"""Weights that contradict their operator: each is told, in its place, and nothing else is."""

from __future__ import annotations

import pytest

from modelscan.accounting import reconcile
from modelscan.model import Severity, Verdict
from modelscan.rules import Subject, judge
from tests.layers.onnx.onnx_graphs import accounts, derived, info, model, node, weight

X = info("x", ["N", 8])
IMAGE = info("x", ["N", 3, 9, 9])


def problems(proto, tmp_path):
    """The roles whose stored tensors do not fit, by layer."""
    found, _ = accounts(proto, tmp_path)
    return {
        (one.layer.type, row.spec.role): row.problem
        for one in found.values()
        for row in one.rows
        if row.verdict is Verdict.MISMATCH and row.spec is not None
    }


def findings(proto, tmp_path):
    found = derived(proto, tmp_path)
    return {one.name for one in judge(Subject("model.onnx", found.observations, found, reconcile(found))) if one.severity.rank >= 3}


CASES = {
    "kernel of other inputs": (
        [node("MatMul", ["x", "w"], ["y"])],
        X,
        info("y", ["N", 5]),
        [weight("w", 9, 5)],
        {("Dense", "kernel")},
    ),
    "axes swapped": (
        [node("Gemm", ["x", "w", "b"], ["y"])],
        X,
        info("y", ["N", 5]),
        [weight("w", 5, 8), weight("b", 5)],
        {("Dense", "kernel")},
    ),
    "gemm bias of another length": (
        [node("Gemm", ["x", "w", "b"], ["y"])],
        X,
        info("y", ["N", 5]),
        [weight("w", 8, 5), weight("b", 4)],
        {("Dense", "bias")},
    ),
    "added bias of another length": (
        [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"])],
        X,
        info("y", ["N", 5]),
        [weight("w", 8, 5), weight("b", 6)],
        {("Dense", "bias")},
    ),
    "conv bias of another length": (
        [node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[3, 3])],
        IMAGE,
        info("y", ["N", 4, 7, 7]),
        [weight("w", 4, 3, 3, 3), weight("b", 5)],
        {("Conv", "bias")},
    ),
    "kernel_shape edited": (
        [node("Conv", ["x", "w"], ["y"], kernel_shape=[5, 3])],
        IMAGE,
        info("y", ["N", 4, 5, 7]),
        [weight("w", 4, 3, 3, 3)],
        {("Conv", "kernel")},
    ),
    "batch normalization over another axis": (
        [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])],
        info("x", ["N", 1, 5]),
        info("y", ["N", 1, 5]),
        [weight(name, 5) for name in "sbmv"],
        {("BatchNormalization", role) for role in ("scale", "bias", "mean", "variance")},
    ),
    "hidden_size edited": (
        [node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=6)],
        info("x", [5, "N", 8]),
        info("y", [5, 1, "N", "H"]),
        [weight("w", 1, 28, 8), weight("r", 1, 28, 7), weight("b", 1, 56)],
        {("LSTM", "kernel"), ("LSTM", "recurrent_kernel"), ("LSTM", "bias")},
    ),
    "packed kernel of other attributes": (
        [node("MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=64, N=10, bits=4, block_size=32)],
        info("x", ["N", 64]),
        info("y", ["N", 10]),
        [weight("w", 10, 2, 32), weight("s", 20)],
        {("MatMulNBits", "kernel")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_weight_that_does_not_fit_is_named(case, tmp_path):
    nodes, x, y, tensors, roles = CASES[case]
    proto = model(nodes, [x], [y], tensors)
    assert set(problems(proto, tmp_path)) == roles
    assert "weight-mismatch" in findings(proto, tmp_path)


def test_a_bias_that_broadcasts_is_fine(tmp_path):
    for shape in ((5,), (1, 5), (1, 1, 5), (1,)):
        nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"])]
        y = info("y", ["N", 5] if len(shape) < 3 else [1, "N", 5])
        assert not problems(model(nodes, [X], [y], [weight("w", 8, 5), weight("b", *shape)]), tmp_path)


def test_a_gemm_bias_per_row_or_for_all_is_fine(tmp_path):
    for shape in ((1,), (1, 1), (4, 1), (4, 5), (1, 5)):
        proto = model(
            [node("Gemm", ["x", "w", "b"], ["y"])], [info("x", [4, 8])], [info("y", [4, 5])], [weight("w", 8, 5), weight("b", *shape)]
        )
        assert not problems(proto, tmp_path), shape


def test_a_group_that_divides_neither_channels_nor_filters(tmp_path):
    nodes = [node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], group=2)]
    proto = model(nodes, [IMAGE], [info("y", ["N", 4, 7, 7])], [weight("w", 4, 3, 3, 3)])
    assert {"operator-contradiction", "weight-mismatch"} & findings(proto, tmp_path)


def test_a_declared_output_that_the_operators_contradict(tmp_path):
    """General inference knows nothing of MatMulNBits; the attribute N does."""
    nodes = [node("MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=64, N=10, bits=4, block_size=32)]
    from tests.layers.onnx.onnx_graphs import UINT8

    tensors = [weight("w", 10, 2, 16, dtype=UINT8), weight("s", 20)]
    assert findings(model(nodes, [info("x", ["N", 64])], [info("y", ["N", 10])], tensors), tmp_path) == set()
    assert "declared-shape" in findings(model(nodes, [info("x", ["N", 64])], [info("y", ["N", 11])], tensors), tmp_path)


def test_severity_of_a_healthy_model_is_at_most_info(tmp_path):
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"])]
    found = derived(model(nodes, [X], [info("y", ["N", 5])], [weight("w", 8, 5), weight("b", 5)]), tmp_path)
    assert all(one.severity is Severity.INFO for one in judge(Subject("model.onnx", found.observations, found, reconcile(found))))
