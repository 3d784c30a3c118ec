"""The second opinion: agreement on good files, differences on edited ones, and whatever may happen to the framework."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from modelscan.report.text import Style
from modelscan.report.verification import verification_text
from modelscan.verify import Comparison, Oracle, Verification, process, verify
from modelscan.verify.compare import compare_tensors
from tests.hostile.exhibit import keras_zip
from tests.hostile.keras_files import python_lambda, with_layers

FIXTURES = Path(__file__).parent.parent / "fixtures"
GOOD = FIXTURES / "good"
FILES = [
    GOOD / "simple_rnn.keras",
    GOOD / "nested.h5",
    GOOD / "keras_2.h5",
    GOOD / "conv_net.onnx",
    GOOD / "external.onnx",
    FIXTURES / "saved_model" / "simple_rnn_savedmodel",
    FIXTURES / "saved_model" / "module_savedmodel",
    FIXTURES / "saved_model" / "tf_1_savedmodel",
    FIXTURES / "saved_model" / "keras_2_checkpoint" / "weights.index",
    FIXTURES / "saved_model" / "frozen.pb",
]


@pytest.fixture(scope="module")
def oracle():
    """One process for all files: TensorFlow takes seconds to import."""
    with Oracle(seconds=120) as one:
        yield one


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_ours_and_theirs_agree(path, oracle):
    found = verify(str(path), oracle=oracle)
    assert found.error is None
    assert found.comparisons
    assert found.differences == ()


def test_an_edited_count_is_a_difference(oracle, tmp_path):
    """The framework cannot load it, and says so; what both can read and count differently is the next test's."""
    found = verify(str(FIXTURES / "bad" / "edited_units.h5"), oracle=oracle)
    assert found.error is not None
    assert "shape" in found.error.lower()


def test_differences_are_told_with_both_figures():
    answer = {"tensors": [{"name": "w", "shape": [3, 4], "dtype": "float32"}], "inputs": [], "outputs": []}
    report = pytest.importorskip("modelscan").inspect(GOOD / "conv_net.onnx")
    found = Verification("x.onnx", "onnx", "1", tuple(compare_tensors(report, (), answer, complete=True)))
    assert Comparison("w", "stored", None, [3, 4]) in found.differences
    assert "w" in verification_text(found, Style())
    assert json.loads(json.dumps(found.to_dict()))["differences"] == len(found.differences) > 0


def test_what_is_unsafe_is_not_loaded(oracle, tmp_path):
    path = keras_zip(tmp_path / "model.keras", with_layers(python_lambda()))
    found = verify(str(path), oracle=oracle)
    assert found.error.startswith("not loaded, it is unsafe: SEC")
    loaded = verify(str(path), oracle=oracle, allow_unsafe=True)
    assert not loaded.error.startswith("not loaded")  # Keras' own safety still stands
    assert "Lambda" in loaded.error


def test_what_the_framework_refuses_is_said_in_its_words(oracle, tmp_path):
    model = onnx.load(GOOD / "conv_net.onnx")
    model.opset_import[0].version = 999
    onnx.save(model, tmp_path / "future.onnx")
    found = verify(str(tmp_path / "future.onnx"), oracle=oracle)
    assert any("999" in text for text in found.checks.values())


def scripted(monkeypatch, tmp_path, code, **limits):
    """An oracle of our own making."""
    script = tmp_path / "script.py"
    script.write_text(code)
    monkeypatch.setattr(process, "ORACLE", str(script))
    return Oracle(**limits)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import time; time.sleep(60)", "did not answer within 0.5 s"),
        ("import os; os.abort()", "crashed with SIGABRT"),
        ("import sys; sys.exit('no such kernel')", "ended with status 1: no such kernel"),
        ("print('[]', flush=True); input()", "is no object"),
    ],
)
def test_a_framework_that_does_not_answer(monkeypatch, tmp_path, code, says):
    with scripted(monkeypatch, tmp_path, code, seconds=0.5 if "sleep" in code else 20) as one:
        found = verify(str(GOOD / "conv_net.onnx"), oracle=one)
    assert says in found.error
    assert not found.usage


def test_without_the_extra_the_install_line_is_said(monkeypatch, tmp_path):
    with scripted(monkeypatch, tmp_path, 'print(\'{"missing": "onnxruntime"}\', flush=True)\ninput()') as one:
        found = verify(str(GOOD / "conv_net.onnx"), oracle=one)
    assert found.usage
    assert found.error == "the package onnxruntime is not installed; pip install 'modelscan-audit[verify]'"


def test_after_a_crash_the_next_file_is_asked_anew(monkeypatch, tmp_path):
    flag = tmp_path / "died"
    code = (
        "import json, os, pathlib, sys\n"
        f"flag = pathlib.Path({str(flag)!r})\n"
        "sys.stdin.readline()\n"
        "if not flag.exists():\n    flag.touch()\n    os.abort()\n"
        "print(json.dumps({'framework': 'none', 'error': 'second try'}), flush=True)\ninput()\n"
    )
    with scripted(monkeypatch, tmp_path, code) as one:
        assert "SIGABRT" in verify(str(GOOD / "conv_net.onnx"), oracle=one).error
        assert verify(str(GOOD / "conv_net.onnx"), oracle=one).error == "second try"


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "modelscan", "verify", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_command_line():
    done = run("--format", "json", GOOD / "conv_net.onnx")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["differences"] == 0
    unreadable = run(FIXTURES / "bad" / "empty.onnx")
    assert (unreadable.returncode, "is empty" in unreadable.stdout) == (1, True)
    assert run("nowhere.onnx").returncode == 2
