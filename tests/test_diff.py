"""What changed between two models: within a format, across formats, values, views, exit status."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

import modelscan
from modelscan.diff import diff
from modelscan.formats import ReadOptions
from modelscan.report.difference import difference_markdown, difference_text
from modelscan.report.text import Style
from tests.layers.onnx.onnx_graphs import info, model, node, weight

FIXTURES = Path(__file__).parent.parent / "fixtures"
GOOD = FIXTURES / "good"
VALUES = ReadOptions(values=True)


def compared(before, after, options=None):
    return diff(str(before), str(after), options)


def told(found):
    return {(one.scope, one.name, one.aspect): (one.before, one.after) for one in found.changes}


def test_a_file_is_like_itself():
    for name in ("convolutional.keras", "nested.h5", "simple_rnn_export.onnx"):
        found = compared(GOOD / name, GOOD / name, VALUES)
        assert found.same
        assert found.unchanged == found.paired > 0


def test_an_edited_hyperparameter_and_what_follows_from_it():
    found = compared(GOOD / "simple_rnn.h5", FIXTURES / "bad" / "edited_units.h5")
    assert told(found)["layer", "simple_rnn", "units"] == (128, 64)
    assert told(found)["layer", "simple_rnn", "parameters"] == (17_792, 64 * (10 + 64 + 1))
    assert told(found)["layer", "dense", "parameters"] == (1_290, 650)
    assert ("layer", "dense", "units") not in told(found)


def test_the_same_model_in_an_archive_and_in_hdf5():
    for name in ("simple_rnn", "convolutional", "sequences", "nested", "attention", "branches"):
        found = compared(GOOD / f"{name}.keras", GOOD / f"{name}.h5", VALUES)
        assert {one.scope for one in found.changes} <= {"model", "output"}, (name, found.changes)
        assert found.unchanged == found.paired


def test_across_frameworks_layers_are_paired_by_what_they_hold():
    found = compared(GOOD / "simple_rnn.keras", GOOD / "simple_rnn_export.onnx")
    assert (found.paired, found.unchanged) == (2, 2)
    assert not found.of("layer")
    folded = compared(GOOD / "convolutional.keras", GOOD / "convolutional_export.onnx")
    assert [(one.aspect, one.before, one.after) for one in folded.of("layer")] == [("parameters", 32, 16)]  # a folded normalisation
    exported = compared(GOOD / "attention.keras", FIXTURES / "saved_model" / "attention_savedmodel")
    assert not exported.of("layer")


def test_added_removed_and_renamed_layers():
    found = compared(GOOD / "dense_128_64.keras", GOOD / "simple_rnn_128_64.keras")
    kinds = {(one.aspect, one.type) for one in found.of("layer")}
    assert {("removed", "Dense"), ("added", "SimpleRNN")} <= kinds


def test_what_an_exporter_need_not_write_is_no_change(tmp_path):
    """Attributes at the values that ONNX operators go by when they are absent; other values are changes."""
    paths = []
    said = {"auto_pad": "NOTSET", "dilations": [1, 1], "group": 1, "pads": [0, 0, 0, 0], "strides": [1, 1]}
    for number, attributes in enumerate(({}, said, {**said, "auto_pad": "VALID"}, {**said, "dilations": [2, 2]})):
        conv = node("Conv", ["x", "w"], ["y"], name="conv", kernel_shape=[1, 1], **attributes)
        paths.append(tmp_path / f"{number}.onnx")
        proto = model([conv], [info("x", [1, 3, 8, 8])], [info("y", [1, 4, 8, 8])], [weight("w", 4, 3, 1, 1)])
        paths[-1].write_bytes(proto.SerializeToString())
    assert compared(paths[0], paths[1]).same
    assert compared(paths[1], paths[0]).same
    assert told(compared(paths[0], paths[2])) == {("layer", "conv", "auto_pad"): (None, "VALID")}
    assert told(compared(paths[0], paths[3])) == {("layer", "conv", "dilations"): (None, [2, 2])}
    assert told(compared(paths[1], paths[2])) == {("layer", "conv", "auto_pad"): ("NOTSET", "VALID")}


@pytest.fixture
def touched(tmp_path):
    """One value of one kernel is another one."""
    path = tmp_path / "touched.h5"
    shutil.copy(GOOD / "simple_rnn.h5", path)
    with h5py.File(path, "r+") as file:
        names = []
        file["model_weights/dense"].visititems(
            lambda name, one: names.append(one.name) if isinstance(one, h5py.Dataset) and one.ndim == 2 else None
        )
        file[names[0]][3, 4] += 1
    return path


def test_values_differ_only_where_they_are_asked_for(touched):
    assert compared(GOOD / "simple_rnn.h5", touched).same
    found = compared(GOOD / "simple_rnn.h5", touched, VALUES)
    assert list(told(found)) == [("layer", "dense", "kernel values")]
    assert found.equal_values == 1


def test_signature_and_operator_sets():
    found = compared(GOOD / "simple_rnn.keras", GOOD / "simple_rnn_operator.onnx")
    assert ("model", "", "opsets") in told(found)
    assert {one.aspect for one in found.of("input")} <= {"added", "removed", "changed"}


def test_what_cannot_be_read_is_said():
    found = compared(GOOD / "simple_rnn.keras", FIXTURES / "bad" / "empty.onnx")
    assert not found.same
    assert "empty.onnx is empty" in found.error
    assert "empty" in difference_text(found, Style())
    assert "empty" in difference_markdown(found)


def test_views_escape_names_and_agree_on_the_figures():
    found = compared(GOOD / "simple_rnn.h5", FIXTURES / "bad" / "edited_units.h5")
    text, page = difference_text(found, Style(columns=100)), difference_markdown(found)
    assert "units: 128 → 64" in text
    assert "| units | 128 | 64 |" in page
    assert max(map(len, text.splitlines())) <= 100
    assert type(found).from_dict(json.loads(json.dumps(found.to_dict()))) == found


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "modelscan", "diff", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_command_line():
    same = run(GOOD / "simple_rnn.keras", GOOD / "simple_rnn.keras")
    assert (same.returncode, same.stderr) == (0, "")
    other = run("--format", "json", GOOD / "simple_rnn.h5", FIXTURES / "bad" / "edited_units.h5")
    assert other.returncode == 1
    assert json.loads(other.stdout)["same"] is False
    assert run(GOOD / "simple_rnn.keras", FIXTURES / "bad" / "empty.onnx").returncode == 1
    missing = run(GOOD / "simple_rnn.keras", "nowhere.h5")
    assert (missing.returncode, "nowhere.h5: no such file" in missing.stderr) == (2, True)


def test_custom_layers_of_the_settings_are_known(tmp_path):
    """A settings file that cannot be used is told, as everywhere."""
    (tmp_path / "modelscan.toml").write_text("plugins = ['no_such_module']")
    command = [sys.executable, "-m", "modelscan", "diff", str(GOOD / "simple_rnn.keras"), str(GOOD / "simple_rnn.keras")]
    for more, status in (([], 2), (["--isolated"], 0), (["--config", "other.toml"], 2)):
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == status, done.stderr


def test_paths_of_any_kind_and_told_once():
    path = GOOD / "simple_rnn.keras"
    assert modelscan.diff(path, path).same
    assert modelscan.diff(path, Path("/nope")).error == "/nope: No such file or directory"


def test_the_library():
    assert modelscan.diff(str(GOOD / "simple_rnn.keras"), str(GOOD / "simple_rnn.keras")).same


def test_it_prints_as_the_command_does():
    found = modelscan.diff(GOOD / "simple_rnn.h5", FIXTURES / "bad" / "edited_units.h5")
    assert "~ simple_rnn (SimpleRNN)  units: 128 → 64" in str(found)
    assert "parameters     19,082 → 5,450" in found._repr_html_()
    assert "<script>" not in modelscan.diff("<script>", "b")._repr_html_()
