"""The fixtures that TensorFlow wrote, layer by layer, against what the framework that made each of them says."""

import json
from pathlib import Path

import pytest

import modelscan

SAVED = Path(__file__).parents[3] / "fixtures" / "saved_model"
MANIFEST = json.loads((SAVED.parent / "manifest.json").read_text())
MODELS = [name for name in MANIFEST if (SAVED / name).exists()]


def inspected(name):
    return modelscan.inspect(SAVED / name)


@pytest.mark.parametrize("name", MODELS)
def test_figures_of_the_framework(name):
    said, report = MANIFEST[name], inspected(name)
    parameters = report.parameters
    assert parameters.total == said["total"]
    if "trainable" in said:
        assert (parameters.trainable, parameters.non_trainable) == (said["trainable"], said["total"] - said["trainable"])
    counts = {one.name: one.parameters for one in report.layers}
    for layer, figures in said.get("layers", {}).items():
        assert counts.get(layer, 0) == figures["parameters"], layer
    assert parameters.explained == parameters.stored
    assert [one for one in report.findings if one.severity != "info"] == []


def test_there_is_a_fixture_of_every_kind():
    assert len(MODELS) == 7
    assert {inspected(name).format for name in MODELS} == {"savedmodel", "checkpoint", "graphdef"}


def test_the_example():
    report = inspected("simple_rnn_savedmodel")
    assert [(one.name, one.type, one.parameters) for one in report.layers] == [
        ("simple_rnn", "SimpleRNN", 17_792),
        ("dense", "Dense", 1_290),
    ]
    assert report.layer("simple_rnn").formula == "units × (inputs + units + 1)"
    assert {one.verdict for one in report.layers} == {"match"}
    copies = [one for one in report.layer("dense").weights if one.copy]
    assert [one.role for one in copies] == ["kernel", "bias"]  # `export` stores every variable twice
    assert report.parameters.stored == 2 * report.parameters.total


def test_variables_without_scopes_are_grouped_by_what_uses_them():
    report = inspected("module_savedmodel")
    assert {one.name: (one.type, one.parameters) for one in report.layers} == {
        "table": ("Embedding", 40),
        "w": ("Dense", 30),
        "image": ("Conv2D", 18),
    }
    assert [one.role for one in report.layer("w").weights] == ["kernel", "bias"]
    assert report.layer("image").macs == 8 * 8 * 18
    assert {one.verdict for one in report.layers} == {"match"}
    assert [(one.name, one.dtype) for one in report.inputs] == [("ids", "int32")]


def test_a_graph_of_tensorflow_1():
    report = inspected("tf_1_savedmodel")
    assert {one.name: one.type for one in report.layers} == {"conv1": "Conv2D", "fc": "Dense", "table": "Embedding"}
    assert report.layer("table").weights[0].stored_shape == (10, 4)  # three parts put together


def test_what_only_the_stored_tensor_tells_is_inferred():
    assert {one.verdict for one in inspected("frozen.pb").layers} == {"inferred"}
    assert {one.verdict for one in inspected("keras_2_checkpoint/weights.index").layers if not one.container} == {"inferred"}


def test_the_witness_is_the_program_not_the_checkpoint():
    weight = inspected("module_savedmodel").layer("w").weights[0]
    assert weight.witnesses == {"inputs": "declared w", "units": "declared w"}


def test_a_graph_without_signatures_begins_at_its_placeholders_and_ends_where_nothing_follows():
    report = inspected("frozen.pb")
    assert [(one.name, one.dtype) for one in report.inputs] == [("x", "float32")]
    assert len(report.outputs) == 1
    assert report.outputs[0].dtype == "float32"
