"""Real ONNX files: every node and element counted as the onnx package counts them, and no alarm on what works."""

from __future__ import annotations

import onnx
import pytest

from modelscan.formats import open_artifact
from modelscan.formats.onnx import blocks, detect, read
from modelscan.graph import Graph
from modelscan.limits import DEFAULT
from modelscan.model import Model, Severity
from modelscan.rules.base import all_rules
from tests.corpus import corpus, expected

pytestmark = pytest.mark.corpus

SPARSE = {"ort/sparse_initializer_as_output.onnx": 3 + 3}
"""A sparse Constant: three values and their three indices, which the oracle does not count."""
BLOBS = {"ort/custom_op_openvino_wrapper_library/custom_op_mnist_ov_wrapper.onnx": 23_992}
"""Tensor attributes of an operator that is no Constant (a compiled network), which the oracle does not count."""


def scopes(model: Model) -> list[Graph]:
    root: Graph = model.graph
    return [one for top in (root, *(function.graph for function in root.functions.values())) for _, one in top.scopes()]


def test_nodes_and_elements_equal_the_oracle() -> None:
    rows = expected("onnx")
    wrong = []
    for row in rows:
        path = corpus("onnx") / row["path"]
        if not path.stat().st_size:  # the onnx package takes an empty file for an empty model
            continue
        target = open_artifact(str(path))
        assert detect(target), path
        found = read(target, DEFAULT)
        graphs = scopes(found)
        constants = sum(tensor.elements for graph in graphs for name, tensor in graph.constants.items() if name not in graph.sparse)
        ours = (
            sum(len(graph.nodes) for graph in graphs),
            sum(len(graph.initializers) for graph in graphs),
            sum(tensor.elements for graph in graphs for tensor in graph.initializers.values()),
            constants,
        )
        theirs = tuple(int(row[key]) for key in ("nodes", "initializers", "initializer_elements", "constant_elements"))
        more = SPARSE.get(row["path"], 0) + BLOBS.get(row["path"], 0)
        stored = sum(tensor.elements for tensor in found.tensors)
        if ours != theirs or stored != theirs[2] + theirs[3] + more:
            wrong.append((row["path"], ours, theirs, stored))
    assert not wrong


def test_no_alarm_on_files_that_checker_and_runtime_accept() -> None:
    severities = {rule.name: rule.severity for rule in all_rules()}
    alarms = []
    accepted = 0
    for row in expected("onnx"):
        if row["checker"] != "ok" or row["runtime"] != "ok":
            continue
        accepted += 1
        for one in read(open_artifact(str(corpus("onnx", row["path"]))), DEFAULT).observations:
            if (one.severity or severities[one.kind]).rank > Severity.INFO.rank:
                alarms.append((row["path"], one.kind, one.message))
    assert accepted > 500
    assert not alarms


def test_payloads_of_real_files_are_where_we_say() -> None:
    """Each tensor's bytes, read from its offset, are the array that the onnx package makes of it."""
    from onnx import numpy_helper

    compared = 0
    for row in expected("onnx")[::7]:
        path = corpus("onnx") / row["path"]
        if not path.stat().st_size:
            continue
        target = open_artifact(str(path))
        ours = {tensor.name: tensor for tensor in read(target, DEFAULT).tensors}
        for tensor in onnx.load(str(path)).graph.initializer:
            if tensor.data_type == onnx.TensorProto.STRING:
                continue
            found = b"".join(bytes(block) for block in blocks(target, ours[tensor.name], DEFAULT))
            assert found == numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data, (path, tensor.name)
            compared += 1
    assert compared > 100


def test_cases_of_the_onnx_package_raise_no_alarm() -> None:
    """The package ships models that are right by definition."""
    from pathlib import Path

    severities = {rule.name: rule.severity for rule in all_rules()}
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    files = sorted(folder.rglob("*.onnx"))
    if not files:
        pytest.skip("this onnx package comes without its test models")
    alarms = []
    for path in files:
        target = open_artifact(str(path))
        assert detect(target)
        alarms += [
            (path.name, one.message)
            for one in read(target, DEFAULT).observations
            if (one.severity or severities[one.kind]).rank > Severity.INFO.rank
        ]
    assert not alarms
