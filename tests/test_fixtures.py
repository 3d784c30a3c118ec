"""Every fixture against what the framework that made it says of it."""

import json
from math import prod
from pathlib import Path

import pytest

import modelscan

FIXTURES = Path(__file__).parent.parent / "fixtures"
MANIFEST = json.loads((FIXTURES / "manifest.json").read_text())
KERAS = [name for name in MANIFEST if name.endswith((".keras", ".h5")) and "layers" in MANIFEST[name]]
ONNX = [name for name in MANIFEST if name.endswith(".onnx")]


def inspected(name):
    return modelscan.inspect(FIXTURES / "good" / name)


@pytest.mark.parametrize("name", KERAS)
def test_keras_figures(name):
    said, report = MANIFEST[name], inspected(name)
    assert (report.parameters.total, report.parameters.trainable, report.parameters.non_trainable) == (
        said["total"],
        said["trainable"],
        said["non_trainable"],
    )
    outer = {one.name: one for one in report.layers if one.depth == 0}
    for layer, figures in said["layers"].items():
        assert outer[layer].parameters == figures["parameters"], layer
        if figures["output_shape"] is not None:
            assert [list(one) for one in outer[layer].output_shapes] == [figures["output_shape"]], layer
    assert {one.verdict for one in report.layers} <= {"match", "empty"}
    assert [one for one in report.findings if one.severity != "info"] == []


@pytest.mark.parametrize("name", ONNX)
def test_onnx_figures(name):
    said, report = MANIFEST[name], inspected(name)
    initializers = sum(prod(shape) for shape in said["initializers"].values())
    constants = 32 if name == "branch.onnx" else None  # the weight in its Constant node and the initializer of the other branch
    stored = report.parameters.stored + report.parameters.constants
    assert stored == initializers + 2 * constants if constants else stored >= initializers
    assert [one.name for one in report.inputs] == said["inputs"]
    assert [one.name for one in report.outputs] == said["outputs"]
    assert not [one for one in report.findings if one.severity != "info"]
    assert report.parameters.explained == report.parameters.stored


def test_the_example():
    for name in ("simple_rnn.keras", "simple_rnn.h5", "simple_rnn.weights.h5"):
        report = inspected(name)
        assert {one.name: one.parameters for one in report.layers} == {"simple_rnn": 17_792, "dense": 1_290}
        assert report.parameters.total == 19_082
    assert inspected("simple_rnn.keras").layer("simple_rnn").formula == "units × (inputs + units + 1)"
    assert inspected("simple_rnn.keras").layer("simple_rnn").formula_values == "128 × (10 + 128 + 1)"


def test_the_rnn_operator_says_where_its_second_bias_comes_from():
    report = inspected("simple_rnn_operator.onnx")
    assert report.layer("simple_rnn").output_shapes == ((1, "batch", 128),)  # the last state; the sequence of all states is left out
    assert report.layer("dense").inbound == ("simple_rnn",)
    counts = {one.name: one.parameters for one in report.layers}
    assert (counts["simple_rnn"], counts["dense"]) == (17_920, 1_290)
    assert "two biases" in (report.layer("simple_rnn").note or "")


@pytest.mark.parametrize(("name", "total"), [("dense_128_64", 8_256), ("conv2d_32_3x3", 896), ("simple_rnn_128_64", 24_704)])
def test_the_textbook_layers(name, total):
    assert inspected(f"{name}.keras").parameters.total == total


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("truncated.keras", {"truncated-archive", "truncated-hdf5"}),
        ("pointer.onnx", {"git-lfs-pointer"}),
        ("page.h5", {"html-file"}),
        ("empty.onnx", {"empty-file"}),
        ("edited_units.h5", {"weight-mismatch"}),
    ],
)
def test_bad_files_are_named(name, rules):
    report = modelscan.inspect(FIXTURES / "bad" / name)
    assert rules <= {one.name for one in report.findings}
