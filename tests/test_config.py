"""Where settings come from: the nearest file, the environment, the command line; wrong keys, wrong values, each told with its place."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from modelscan.config import DEFAULTS, load, nearest, shown
from modelscan.errors import ConfigError
from modelscan.model import Severity
from modelscan.settings import Budget, Suppression, WantedTensor
from modelscan.tables import toml

TOML = "modelscan.toml"


def put(folder, text, name=TOML):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


def loaded(text, tmp_path, **more):
    return load(config=put(tmp_path, text), environment={}, **more)


# --- where the file is found -------------------------------------------------------------------------------------------


def test_the_nearest_file_holds_and_nothing_is_merged(tmp_path):
    put(tmp_path, 'fail-on = "low"\nselect = ["FIL"]')
    inner = tmp_path / "a" / "b"
    put(tmp_path / "a", 'fail-on = "medium"')
    inner.mkdir()
    found = load(environment={}, folder=str(inner))
    assert found.fail_on.default is Severity.MEDIUM
    assert found.select == ()
    assert os.path.samefile(found.source, tmp_path / "a" / TOML)
    assert os.path.samefile(found.root, tmp_path / "a")


def test_a_project_file_counts_only_with_a_section(tmp_path):
    put(tmp_path, '[tool.modelscan]\nfail-on = "low"', "pyproject.toml")
    put(tmp_path / "inner", "[tool.other]\nx = 1", "pyproject.toml")
    assert load(environment={}, folder=str(tmp_path / "inner")).fail_on.default is Severity.LOW


def test_modelscan_toml_comes_before_the_project_file(tmp_path):
    put(tmp_path, '[tool.modelscan]\nfail-on = "low"', "pyproject.toml")
    put(tmp_path, 'fail-on = "critical"')
    assert load(environment={}, folder=str(tmp_path)).fail_on.default is Severity.CRITICAL


def test_the_search_ends_at_the_root_of_the_repository(tmp_path):
    put(tmp_path, 'fail-on = "low"')
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    assert nearest(str(repository)) is None
    assert load(environment={}, folder=str(repository)).fail_on.default is Severity.HIGH


def test_a_file_beside_the_models_does_not_count(tmp_path, monkeypatch):
    """Who delivers a model must not bring the rules by which it is judged."""
    put(tmp_path / "delivered", 'fail-on = "never"')
    here = tmp_path / "here"
    (here / ".git").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert load(environment={}).source is None


def test_isolated_reads_no_file(tmp_path):
    put(tmp_path, 'fail-on = "low"')
    assert load(isolated=True, environment={}, folder=str(tmp_path)).fail_on.default is Severity.HIGH
    assert load(environment={"MODELSCAN_ISOLATED": "1"}, folder=str(tmp_path)).fail_on.default is Severity.HIGH


def test_paths_in_the_file_count_from_its_folder(tmp_path):
    found = loaded('baseline = "known.json"\nagainst = "../prod.onnx"\n[[models]]\npath = "a.onnx"\nagainst = "b.onnx"', tmp_path)
    assert found.baseline == str(tmp_path / "known.json")
    assert [one.against for one in found.demands] == [str(tmp_path.parent / "prod.onnx"), str(tmp_path / "b.onnx")]


# --- precedence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "in_file", "variable", "option", "read", "expected"),
    [
        ("fail-on", '"low"', "medium", {"default": "critical"}, lambda s: str(s.fail_on.default), ["high", "low", "medium", "critical"]),
        ("select", '["FIL"]', "SEC", ["PAR"], lambda s: s.select, [(), ("FIL",), ("SEC",), ("PAR",)]),
        ("ignore", '["FIL"]', "SEC,weight-mismatch", ["PAR"], lambda s: s.ignore, [(), ("FIL",), ("SEC", "weight-mismatch"), ("PAR",)]),
        ("baseline", '"/f"', "/v", "/o", lambda s: s.baseline, [None, "/f", "/v", "/o"]),
        ("against", '"/f"', "/v", "/o", lambda s: s.demands[0].against if s.demands else None, [None, "/f", "/v", "/o"]),
        ("jobs", "2", "3", 4, lambda s: s.jobs, [None, 2, 3, 4]),
        ("values", "true", "0", True, lambda s: s.values, [False, True, False, True]),
    ],
)
def test_command_line_over_environment_over_file_over_default(tmp_path, key, in_file, variable, option, read, expected):
    empty = put(tmp_path, "")
    full = put(tmp_path / "full", f"{key} = {in_file}")
    name = "MODELSCAN_" + key.upper().replace("-", "_")
    layers = [
        load(config=empty, environment={}),
        load(config=full, environment={}),
        load(config=full, environment={name: variable}),
        load({key: option}, config=full, environment={name: variable}),
    ]
    assert [read(one) for one in layers] == expected
    assert [one.origins.get(key) for one in layers] == [None, full, name, f"--{key}"]


def test_the_configuration_file_can_be_named_by_a_variable(tmp_path):
    path = put(tmp_path, 'fail-on = "low"', "other.toml")
    assert load(environment={"MODELSCAN_CONFIG": path}).fail_on.default is Severity.LOW
    assert load(config=put(tmp_path, ""), environment={"MODELSCAN_CONFIG": path}).fail_on.default is Severity.HIGH


def test_an_option_replaces_one_budget_and_leaves_the_others(tmp_path):
    path = put(tmp_path, "[budget]\nparameters = 1\nlayers = 2")
    assert load({"budget": {"parameters": "3"}}, config=path, environment={}).demands[0].budget == Budget(parameters=3, layers=2)


def test_an_empty_variable_is_none(tmp_path):
    assert load(config=put(tmp_path, 'fail-on = "low"'), environment={"MODELSCAN_FAIL_ON": ""}).fail_on.default is Severity.LOW


# --- every key ---------------------------------------------------------------------------------------------------------


def test_every_key_of_the_file(tmp_path):
    found = loaded(
        """
fail-on = {default = "medium", SEC = "low", WGT = "never"}
select = ["FIL", "par", "weight-mismatch"]
ignore = "GRF209"
values = true
jobs = 3
plugins = ["my.layers"]
[per-file-ignores]
"old/*.h5" = ["FIL", "PAR001"]
[budget]
parameters = "1.5M"
bytes = "100 MiB"
file-bytes = "1 GB"
macs = "2G"
layers = 10
dtypes = {float64 = 0, int8 = "1_000"}
[require]
formats = ["onnx"]
opset = {"ai.onnx" = ">=13,<=17", "ai.onnx.ml" = "3"}
ir-version = "<=9"
dtypes = ["float32"]
operators = ["Conv", "com.microsoft.*"]
runtimes = ["onnxruntime>=1.15,<2", "keras ~= 3.1"]
dynamic-batch = true
explained = "99 %"
independent = 90.5
[[require.inputs]]
name = "x"
dtype = "float32"
shape = ["?", 3, "*", "height"]
[[require.outputs]]
name = "y"
[[models]]
path = "small/*"
budget.parameters = 100
[[suppressions]]
rule = "WGT003"
path = "old/**"
layer = "dense*"
reason = "pruned"
expires = 2030-12-31
[layers.MyLayer]
kernel = ["units"]
""",
        tmp_path,
    )
    assert (str(found.fail_on.default), found.fail_on.families) == ("medium", {"SEC": Severity.LOW, "WGT": None})
    assert (found.select, found.ignore) == (("FIL", "PAR", "weight-mismatch"), ("GRF209",))
    assert (found.values, found.jobs, found.plugins) == (True, 3, ("my.layers",))
    assert found.per_file_ignores == {"old/*.h5": ("FIL", "PAR001")}
    general, small = found.demands
    assert general.budget == Budget(1_500_000, 100 * 2**20, 10**9, 2 * 10**9, 10, {"float64": 0, "int8": 1000})
    assert (small.path, small.budget) == ("small/*", Budget(parameters=100))
    require = general.require
    assert (require.formats, require.dtypes, require.operators) == (("onnx",), ("float32",), ("Conv", "com.microsoft.*"))
    assert (17,) in require.opsets["ai.onnx"]
    assert (18,) not in require.opsets["ai.onnx"]
    assert (3,) in require.opsets["ai.onnx.ml"]
    assert (9,) in require.ir_version
    assert (10,) not in require.ir_version
    assert [str(one) for one in require.runtimes] == ["onnxruntime>=1.15,<2", "keras~=3.1"]
    assert (require.dynamic_batch, require.explained, require.independent) == (True, 99.0, 90.5)
    assert require.inputs == (WantedTensor("x", "float32", ("?", 3, "*", "height")),)
    assert require.outputs == (WantedTensor("y"),)
    assert found.suppressions == (Suppression("WGT003", "pruned", "old/**", "dense*", date(2030, 12, 31)),)
    assert found.layers == {"MyLayer": {"kernel": ["units"]}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("failon = 'low'", "there is no key 'failon'; did you mean fail-on?"),
        ("zzz = 1", "there is no key 'zzz'; the keys are against, baseline, budget"),
        ("fail-on = 'severe'", "fail-on: default: 'severe' is none of critical, high, medium, low, info, never"),
        ("fail-on = 'hihg'", "did you mean high?"),
        ("fail-on = {SEK = 'low'}", "fail-on: there is no key 'SEK'; did you mean SEC?"),
        ("fail-on = 3", "fail-on: expected a severity or a table of them by family, not 3"),
        ("select = ['PARX']", "select: 'PARX' is no rule's code, beginning of a code or name; did you mean PAR"),
        ("ignore = ['weight-mismach']", "did you mean weight-mismatch?"),
        ("ignore = ['']", "ignore: '' is no rule's code"),
        ("select = [1]", "select: expected a list of texts, not [1]"),
        ("jobs = 0", "jobs: expected a number such as 4, 1 at least, not 0"),
        ("values = 'yes'", "values: expected true or false, not 'yes'"),
        ("layers = {A = 1}", "layers: A: expected a table, not 1"),
        ("[budget]\nparameter = 1", "budget: there is no key 'parameter'; did you mean parameters?"),
        ("[budget]\nparameters = -1", "budget: parameters: expected a number such as 1_500_000 or 1.5M, not -1"),
        ("[budget]\nparameters = '1.5'", "budget: parameters: expected a number"),
        ("[budget]\nparameters = 1.5", "budget: parameters: expected a number"),
        ("[budget]\nbytes = '1.5 B'", "budget: bytes: expected a size"),
        ("[budget]\nparameters = '1 MiB'", "budget: parameters: expected a number"),
        ("[budget]\nbytes = '1 parsec'", "budget: bytes: expected a size such as 1_048_576, 500 kB or 100 MiB, not '1 parsec'"),
        ("[budget]\nmacs = true", "budget: macs: expected a number"),
        ("[budget.dtypes]\nfloat23 = 1", "budget: dtypes: there is no key 'float23'; did you mean float"),
        ("[require]\nformats = ['onx']", "require: formats: 'onx' is none of onnx,"),
        ("[require]\nopset = '>>3'", "require: opset: '>>3' is no range of versions"),
        ("[require]\nopset = '>=17,<13'", "require: opset: '>=17,<13' allows no version at all"),
        ("[require]\nruntimes = ['keras<3,>4']", "require: runtimes: '<3,>4' allows no version at all"),
        ("[[require.inputs]]\nname = 'x'\ndtype = 'foo'", "require: inputs[0]: dtype: 'foo' is none of"),
        ("[[require.inputs]]\nname = 'x'\ndtype = 'float23'", "did you mean float"),
        ("[require]\nopset = 1.5", "require: opset: expected a range"),
        ("[require]\nir-version = [1]", "require: ir-version: expected a range"),
        ("[require]\ndtypes = ['float']", "require: dtypes: 'float' is none of"),
        ("[require]\nexplained = 0.99", "require: explained: expected a percentage such as 99 or '99 %', not 0.99"),
        ("[require]\nexplained = 101", "require: explained: expected a percentage"),
        ("[require]\nindependent = 'most'", "require: independent: expected a percentage"),
        ("[require]\nruntimes = ['onxruntime==1.2']", "require: runtimes: 'onxruntime==1.2' is no runtime"),
        ("[require]\nruntimes = ['keras']", "require: runtimes: 'keras' has no version; write keras>=1.2 or keras==1.2"),
        ("[require]\nruntimes = ['keras>=x']", "require: runtimes: '>=x' is no range of versions"),
        ("[require]\ninputs = ['x']", "require: inputs: expected a list of tables ([[inputs]])"),
        ("[[require.inputs]]\ndtype = 'float32'", "require: inputs[0]: name is missing"),
        ("[[require.inputs]]\nname = 'x'\nshape = [-1]", "require: inputs[0]: shape: expected sizes"),
        ("[[require.inputs]]\nname = 'x'\nshap = [1]", "require: inputs[0]: there is no key 'shap'; did you mean shape?"),
        ("[[models]]\nbudget.layers = 1", "models[0]: path is missing"),
        ("[[models]]\npath = 'x'\nfail-on = 'low'", "models[0]: there is no key 'fail-on'"),
        ("[[suppressions]]\nrule = 'SEC'", "suppressions[0]: reason is missing"),
        ("[[suppressions]]\nrule = 'SEC'\nreason = ' '", "suppressions[0]: reason is empty"),
        ("[[suppressions]]\nreason = 'x'", "suppressions[0]: rule is missing"),
        ("[[suppressions]]\nrule = 'SEX'\nreason = 'x'", "suppressions[0]: rule: 'SEX' is no rule's code"),
        (
            "[[suppressions]]\nrule = 'SEC'\nreason = 'x'\nexpires = 'soon'",
            "suppressions[0]: expires: expected a date such as 2030-12-31, not 'soon'",
        ),
        ("[[suppressions]]\nrule = 'SEC'\nreason = 'x'\nexpires = 2030-01-01T00:00:00", "suppressions[0]: expires: expected a date"),
        ("[[suppressions]]\nrule = 'SEC'\nreason = 'x'\nuntil = 2030-01-01", "suppressions[0]: there is no key 'until'"),
        ("[per-file-ignores]\n'*.h5' = ['XYZ']", "per-file-ignores: *.h5: 'XYZ' is no rule's code"),
        ("budget = 3", "budget: expected a table, not 3"),
        ("fail-on = ", "no valid TOML"),
        ("a = 1\na = 2", "no valid TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, text, told):
    with pytest.raises(ConfigError) as caught:
        loaded(text, tmp_path)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / TOML))


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"MODELSCAN_FAILON": "low"}, "MODELSCAN_FAILON: there is no such variable; did you mean MODELSCAN_FAIL_ON?"),
        ({"MODELSCAN_FAIL_ON": "grave"}, "MODELSCAN_FAIL_ON: 'grave' is none of"),
        ({"MODELSCAN_SELECT": "XYZ"}, "MODELSCAN_SELECT: 'XYZ' is no rule's code"),
        ({"MODELSCAN_JOBS": "many"}, "MODELSCAN_JOBS: 'many' is no number"),
        ({"MODELSCAN_VALUES": "perhaps"}, "MODELSCAN_VALUES: expected 1 or 0, not 'perhaps'"),
        ({"MODELSCAN_CONFIG": "/no/such.toml"}, "/no/such.toml: No such file or directory"),
        ({"MODELSCAN_FAIL_ON": "low,high"}, "MODELSCAN_FAIL_ON: two thresholds"),
    ],
)
def test_wrong_variables(tmp_path, monkeypatch, variables, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=None) as caught:
        load(environment=variables)
    assert told in str(caught.value)


def test_variables_of_others_are_left_alone(tmp_path):
    load(config=put(tmp_path, ""), environment={"MODELSCAN_CORPUS": "x", "MODELSCAN_DEBUG": "1"})


@pytest.mark.parametrize("name", ["modelscan.toml", "pyproject.toml"])
@pytest.mark.parametrize("kind", ["dangling", "loop", "fifo", "folder"])
def test_settings_that_cannot_be_opened_are_not_no_settings(tmp_path, name, kind):
    path = tmp_path / name
    if kind in ("dangling", "loop"):
        path.symlink_to("nowhere" if kind == "dangling" else name)
    else:
        os.mkfifo(path) if kind == "fifo" else path.mkdir()
    with pytest.raises(ConfigError, match=name):
        load(environment={}, folder=str(tmp_path))
    assert load(environment={}, isolated=True, folder=str(tmp_path)).source is None


def test_a_settings_file_or_none_but_not_both(tmp_path):
    path = put(tmp_path, 'fail-on = "low"', "other.toml")
    with pytest.raises(ConfigError, match=r"--config .*other.toml and --isolated"):
        load(config=path, isolated=True, environment={})
    with pytest.raises(ConfigError, match=r"MODELSCAN_CONFIG .*other.toml and MODELSCAN_ISOLATED"):
        load(environment={"MODELSCAN_CONFIG": path, "MODELSCAN_ISOLATED": "1"})
    assert load(isolated=True, environment={"MODELSCAN_CONFIG": path}).source is None, "an option comes before a variable"
    assert load(config=path, environment={"MODELSCAN_ISOLATED": "1"}).source == path


@pytest.mark.parametrize("name", ["missing.toml", "folder.toml"])
def test_a_file_that_cannot_be_read(tmp_path, name):
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(ConfigError, match=name):
        load(config=str(tmp_path / name), environment={})


def test_a_file_that_is_no_text_and_one_without_end(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="no valid TOML"):
        load(config=str(path), environment={})
    path.write_bytes(b"#" * (5 << 20))
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        load(config=str(path), environment={})
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(ConfigError, match="no valid TOML"):
        load(config=str(path), environment={})


# --- --show-settings ---------------------------------------------------------------------------------------------------


def test_shown_settings_are_toml_that_means_the_same(tmp_path):
    import tomllib

    text = """
fail-on = {default = "low", SEC = "info"}
select = ["FIL", 'a"b']
[[suppressions]]
rule = "SEC"
reason = 'said "yes"'
expires = 2030-12-31
[per-file-ignores]
"*.h5" = ["PAR"]
""".replace(", 'a\"b'", "")
    path = put(tmp_path, text)
    lines = shown({"jobs": 2}, config=path, environment={})
    again = tomllib.loads(lines)
    assert load(again, isolated=True, environment={}).suppressions == load(config=path, environment={}).suppressions
    assert again["fail-on"] == {"default": "low", "SEC": "info"}
    assert again["jobs"] == 2
    assert f'select = ["FIL"]  # {path}' in lines.splitlines()
    assert "jobs = 2  # --jobs" in lines.splitlines()
    assert "values = false  # default" in lines.splitlines()
    assert "# baseline is not set" in lines.splitlines()
    assert shown(isolated=True, environment={}).splitlines()[0] == "# configuration file: none"


def test_shown_names_every_key(tmp_path):
    with pytest.raises(ConfigError) as caught:
        loaded("nonsense_key_of_nobody = 1", tmp_path)
    keys = str(caught.value).rpartition("the keys are ")[2].split(", ")
    assert sorted(keys) == sorted(DEFAULTS)


@pytest.mark.parametrize("value", [True, 3, 1.5, 'a"b\nc', [1, "x"], {"a b": {"c": [date(2030, 1, 2)]}}])
def test_values_written_as_toml(value):
    import tomllib

    assert tomllib.loads(f"x = {toml(value)}")["x"] == value


# --- the command line --------------------------------------------------------------------------------------------------


def run(*arguments, cwd, **environment):
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MODELSCAN_")}
    done = subprocess.run(
        [sys.executable, "-m", "modelscan", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=plain | environment,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_folder_that_is_gone_has_no_settings(tmp_path):
    """A shell may stand in a folder that was removed; that is no fault of ours."""
    model = Path(__file__).parent.parent / "fixtures" / "good" / "conv_net.onnx"
    command = f"cd {tmp_path} && mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m modelscan scan {model}"
    plain = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(["sh", "-c", command], check=False, capture_output=True, text=True, env=plain, timeout=120)
    assert done.returncode == 2
    assert "modelscan: no settings file can be looked for where this runs: No such file or directory; --isolated" in done.stderr
    assert (
        subprocess.run(
            ["sh", "-c", f"{command} --isolated".replace("mkdir", "mkdir -p")], env=plain, check=False, capture_output=True
        ).returncode
        == 0
    )


@pytest.mark.parametrize("command", ["scan", "inspect"])
def test_wrong_settings_exit_2_and_print_nothing(tmp_path, command):
    put(tmp_path, "failon = 'low'")
    (tmp_path / ".git").mkdir()
    (tmp_path / "x.onnx").write_bytes(b"")
    assert run(command, "x.onnx", cwd=tmp_path) == (2, "", "modelscan: modelscan.toml: there is no key 'failon'; did you mean fail-on?\n")
    assert run(command, "x.onnx", "--isolated", cwd=tmp_path)[0] == 1


@pytest.mark.parametrize("command", ["scan", "inspect"])
def test_show_settings_exits_0(tmp_path, command):
    (tmp_path / ".git").mkdir()
    more = ["x.onnx"] if command == "inspect" else []
    status, out, _ = run(command, *more, "--show-settings", "--fail-on", "SEC=low", cwd=tmp_path, MODELSCAN_SELECT="FIL")
    assert status == 0
    assert 'fail-on = {SEC = "low"}  # --fail-on' in out
    assert 'select = ["FIL"]  # MODELSCAN_SELECT' in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fail-on", "grave"], "--fail-on: 'grave' is none of"),
        (["--select", "XYZ"], "--select: 'XYZ' is no rule's code"),
        (["--budget", "parameters"], "--budget parameters: write KEY=N"),
        (["--budget", "parameters=3", "--budget", "parameters=4"], "--budget parameters=4: there are two budgets for parameters"),
        (["--budget", "parameter=3"], "--budget: there is no key 'parameter'; did you mean parameters?"),
        (["--target", "onxruntime==1"], "is no runtime"),
        (["--baseline", "none.json"], "none.json: No such file or directory; `modelscan scan --write-baseline` writes one"),
        (["--against", "none.onnx"], "against: none.onnx: no such file or folder"),
        (["--target", "onnxruntime>=1.17,<1.10"], "--target: '>=1.17,<1.10' allows no version at all"),
        (["--config", "none.toml"], "none.toml: No such file or directory"),
    ],
)
def test_wrong_options_exit_2(tmp_path, arguments, told):
    (tmp_path / "x.onnx").write_bytes(b"")
    status, out, error = run("scan", "x.onnx", *arguments, cwd=tmp_path)
    assert (status, out) == (2, "")
    assert told in error
