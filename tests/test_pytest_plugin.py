"""The pytest plugin in a project of its own: what passes, and what a failure says."""

import tomllib
from pathlib import Path

import pytest

pytest_plugins = ("pytester",)
ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
MODEL = str(FIXTURES / "good" / "simple_rnn.keras")


@pytest.fixture
def check(pytester, monkeypatch):
    """Runs one test with this body in a project of its own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(body, head=""):
        pytester.makepyfile(f"{head}\ndef test_it(modelscan):\n    path = {MODEL!r}\n    {body}\n")
        return pytester.runpytest_subprocess("-p", "modelscan.pytest_plugin", "-p", "no:cacheprovider")

    return run


def test_the_plugin_is_registered():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"modelscan": "modelscan.pytest_plugin"}


@pytest.mark.parametrize(
    "expected",
    [
        "",
        "parameters=19_082, trainable=19_082, explained=True, no_findings=True",
        "layers=2",
        "layers=['SimpleRNN', 'Dense']",
        "layers={'simple_rnn': 17_792, 'dense': 'Dense'}",
        "inputs=[(None, 5, 10)], outputs=[(None, 10)]",
        "inputs={'input_layer': (None, 5, 10)}",
        "replaces=path",
        "policy=True",
    ],
)
def test_what_passes(check, expected):
    check(f"assert modelscan.assert_model(path, {expected}).readable").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        ("parameters=19_083", "*  - parameters: expected 19,083, found 19,082, -1"),
        ("trainable=1", "*  - trainable parameters: expected 1, found 19,082, +19,081"),
        ("layers=3", "*  - layers: expected 3, found 2"),
        ("layers=['SimpleRNN', 'LSTM']", "*number 2 should be LSTM, it is Dense*"),
        ("layers=['SimpleRNN']", "*number 2 should be no more, it is Dense*"),
        ("layers={'dense': 1_291}", "*layer dense: expected 1,291 parameters, found 1,290 = units × (inputs + 1) = 10 × (128 + 1)"),
        ("layers={'dense': 'LSTM'}", "*layer dense: expected a LSTM, found a Dense"),
        ("layers={'dens': 1}", "*layer dens: there is none; did you mean dense?"),
        ("inputs=[(None, 5, 11)]", "*input input_layer: expected (None, 5, 11), found (None, 5, 10)"),
        ("inputs=[(None,), (None,)]", "*inputs: expected 2, found 1 (input_layer)"),
        ("inputs={'x': (None, 5, 10)}", "*input x: there is none; found input_layer"),
        ("outputs=[(None, 11)]", "*output *: expected (None, 11), found (None, 10)"),
    ],
)
def test_what_a_failure_says(check, expected, says):
    done = check(f"modelscan.assert_model(path, {expected})")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*simple_rnn.keras is not as expected:", says])
    done.stdout.fnmatch_lines(["*simple_rnn (SimpleRNN)*units × (inputs + units + 1)*"])
    done.stdout.no_fnmatch_line("*pytest_plugin.py*")


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        ("layers='Dense'", "*TypeError: layers: expected a number, a list of types*'Dense'"),
        ("layers=True", "*TypeError: layers: expected *"),
        ("parameters='19k'", "*TypeError: parameters: expected a whole number such as 19_082, not '19k'"),
        ("trainable=1.5", "*TypeError: trainable: expected a whole number *"),
    ],
)
def test_what_is_no_expectation_is_said(check, expected, says):
    check(f"modelscan.assert_model(path, {expected})").stdout.fnmatch_lines([says])


def test_everything_that_is_wrong_is_said_at_once(check):
    done = check("modelscan.assert_model(path, parameters=1, layers=1, inputs=[(1,)])")
    done.stdout.fnmatch_lines(["*- parameters:*", "*- layers:*", "*- input *"])


def test_findings_fail(check):
    bad = FIXTURES / "bad"
    done = check(f"modelscan.assert_model({str(bad / 'edited_units.h5')!r})")
    done.stdout.fnmatch_lines(["*- PAR001 high: Dense dense: kernel: stored shape (128, 10), expected (64, 10)* → save the model again*"])
    check(f"modelscan.assert_model({str(bad / 'edited_units.h5')!r}, findings_below='critical')").assert_outcomes(passed=1)
    check(f"modelscan.assert_model({str(bad / 'page.h5')!r})").stdout.fnmatch_lines(["*- it cannot be read: FIL012 a web page*"])
    done = check("modelscan.assert_model(path); modelscan.assert_model('missing.onnx')")
    done.stdout.fnmatch_lines(["*missing.onnx: No such file*"])
    for ours in ("pytest_plugin.py", "ModelReport("):
        done.stdout.no_fnmatch_line(f"*{ours}*")


def test_the_policy_of_the_project_judges(check, pytester):
    pytester.makefile(".toml", modelscan="[budget]\nparameters = 1000\n")
    check("modelscan.assert_model(path, policy=True)").stdout.fnmatch_lines(["*- POL*19,082*"])
    check("modelscan.assert_model(path, policy='modelscan.toml')").assert_outcomes(failed=1)


def test_a_replacement_must_fit_its_callers(check):
    done = check(f"modelscan.assert_model(path, replaces={str(FIXTURES / 'good' / 'convolutional.keras')!r})")
    done.stdout.fnmatch_lines(["*- cannot replace *convolutional.keras: *"])


def test_without_the_fixture_and_with_scan(check):
    check("assert_model(path, parameters=19_082)", "from modelscan.pytest_plugin import assert_model").assert_outcomes(passed=1)
    check("assert modelscan.scan(path).count('high') == 0").assert_outcomes(passed=1)
    check("assert modelscan.inspect(path) is modelscan.inspect(path)").assert_outcomes(passed=1)
