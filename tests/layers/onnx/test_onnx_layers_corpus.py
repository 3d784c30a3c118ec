"""The whole way over real files: nothing raises, every element has a place, no alarm on a healthy file."""

from __future__ import annotations

from collections import Counter

import pytest

from modelscan import accounting, layers
from modelscan.errors import UnreadableFile
from modelscan.formats import onnx as reader
from modelscan.formats import open_artifact
from modelscan.limits import DEFAULT
from modelscan.rules import Subject, judge
from tests.corpus import corpus, expected

CONTRADICTIONS = {
    "ort/transform/fusion/fuse-matmul-bn-only-reshape.onnx": "four vectors of 5 normalise one channel",
    "ort/transform/fusion/fuse-matmul-bn-only-transpose.onnx": "four vectors of 5 normalise one channel",
    "ort/transform/fusion/reshape_fusion_concat_subgraph_mul.onnx": "6,000 elements are reshaped to 120,000",
    "ort/transform/fusion/reshape_fusion_multiple_values_in_initializer_tensor_1.onnx": "6,000 elements are reshaped to 4,000",
    "ort/transform/fusion/reshape_fusion_concat_subgraph_not_triggered.onnx": "an output of rank 3 is reshaped to rank 4",
    "ort/transform/fusion/reshape_fusion_with_graph_inputs.onnx": "an output of rank 3 is reshaped to rank 2",
}
"""Files that the checker and ONNX Runtime accept and that nevertheless contradict themselves."""


@pytest.fixture(scope="module")
def results():
    found = {}
    for row in expected("onnx"):
        try:
            model = reader.read(open_artifact(str(corpus("onnx", row["path"]))), DEFAULT)
        except UnreadableFile:
            continue
        model = layers.derive(model, DEFAULT)
        found[row["path"]] = (row, model, accounting.reconcile(model))
    return found


def test_every_file_that_the_package_loads_is_derived(results):
    assert not [row["path"] for row in expected("onnx") if row["load"] == "ok" and row["path"] not in results]


def test_nearly_all_weight_elements_are_explained_and_most_independently(results):
    sums = Counter()
    for _, _, accounts in results.values():
        for name in ("stored", "explained", "independent"):
            sums[name] += getattr(accounts.totals, name)
    assert sums["explained"] / sums["stored"] > 0.98
    assert sums["independent"] / sums["stored"] > 0.80


def test_no_weight_is_left_without_a_layer(results):
    assert not {path: accounts.unclaimed for path, (_, _, accounts) in results.items() if accounts.unclaimed}


def test_paths_are_unique_and_inbound_ones_exist(results):
    for path, (_, model, _) in results.items():
        paths = [one.path for one in model.layers]
        assert len(paths) == len(set(paths)), path
        assert {source for one in model.layers for source in one.inbound} <= set(paths), path


def test_the_total_is_what_is_stored_where_every_element_is_explained_and_nothing_packed(results):
    """Parts and ties must neither lose an element nor count one twice."""
    for path, (_, model, accounts) in results.items():
        totals = accounts.totals
        embedded = any(spec.embedded for one in model.layers for spec in one.specs or ())
        sparse = bool(model.graph.sparse)
        if totals.total is None or totals.explained != totals.stored or embedded or sparse:
            continue
        assert totals.total == totals.stored, path


def test_no_alarm_on_a_file_that_checker_and_runtime_accept(results):
    alarms = {}
    for path, (row, model, accounts) in results.items():
        if row["checker"] == "ok" and row["runtime"] == "ok" and path not in CONTRADICTIONS:
            found = [one.message for one in judge(Subject(path, model.observations, model, accounts)) if one.severity.rank >= 3]
            if found:
                alarms[path] = found
    assert not alarms


def test_real_contradictions_are_reported(results):
    for path in CONTRADICTIONS:
        _, model, accounts = results[path]
        assert any(one.severity.rank >= 3 for one in judge(Subject(path, model.observations, model, accounts))), path
