"""The command line as a user meets it: output, exit statuses, wrong calls."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import typer

import modelscan
from modelscan.errors import ConfigError

ROOT = Path(__file__).parent.parent
GOOD, BAD = ROOT / "fixtures" / "good", ROOT / "fixtures" / "bad"
SCHEMA = json.loads((ROOT / "modelscan" / "report" / "schema.json").read_text())
EXAMPLE = str(GOOD / "simple_rnn.keras")


def run(*arguments, **environment):
    """The command as a process; its output as text."""
    plain = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "modelscan", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=plain | environment,
        timeout=120,
    )


def test_inspect_prints_the_ledger():
    done = run("inspect", EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "simple_rnn (SimpleRNN)" in done.stdout
    assert "units × (inputs + units + 1) = 128 × (10 + 128 + 1)" in done.stdout
    assert "19,082 parameters (74.5 KiB float32) · trainable 19,082 · non-trainable 0 · optimizer none" in done.stdout
    assert "every stored element explained, all from the configuration alone · no findings" in done.stdout


def test_explain_derives_a_layer():
    lines = run("explain", EXAMPLE, "simple_rnn").stdout.splitlines()
    assert lines[0] == "simple_rnn · SimpleRNN · (None, 5, 10) → (None, 128)"
    assert lines[1].split()[:9] == ["kernel", "inputs", "×", "units", "10", "×", "128", "=", "1,280"]
    assert "stored (10, 128) float32, 5,120 B at byte" in lines[1]
    assert lines[4].split() == "units × (inputs + units + 1) = 128 × (10 + 128 + 1) = 17,792 ✓".split()


@pytest.mark.parametrize(
    ("layer", "shown"),
    [
        (None, ["middle/inner/a", "middle/inner/b", "middle/c", "head"]),
        ("head", ["head"]),
        ("middle/inner", ["middle/inner", "middle/inner/a", "middle/inner/b"]),
        ("entry", ["entry"]),
    ],
)
def test_a_derivation_as_data_is_the_ledger_of_its_layers(layer, shown):
    """The schema and the entries are those of `inspect`: there is one form of the data."""
    path = GOOD / "nested.keras"
    done = run("explain", path, *([layer] if layer else []), "--format", "json")
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    whole = json.loads(run("inspect", path, "--format", "json").stdout)["models"][0]
    (model,) = report["models"]
    assert [one["path"] for one in model["layers"]] == shown
    assert model == whole | {"layers": [one for one in whole["layers"] if one["path"] in shown]}


@pytest.mark.parametrize("name", ["page.h5", "edited_units.h5"])
def test_explain_as_data_has_the_exit_status_of_explain(name):
    done = run("explain", BAD / name, "-f", "json")
    assert done.returncode == run("explain", BAD / name).returncode == 1
    (model,) = json.loads(done.stdout)["models"]
    assert model["findings"]


def test_rules_as_data():
    listed = json.loads(run("rules", "--format", "json").stdout)
    told = [line.split()[:3] for line in run("rules").stdout.splitlines()]
    assert [[one["code"], one["severity"], one["name"]] for one in listed] == told
    assert json.loads(run("rules", "WGT00", "-f", "json").stdout) == [one for one in listed if one["code"].startswith("WGT00")]
    (one,) = [one for one in listed if one["code"] == "PAR001"]
    assert json.loads(run("rule", "weight-mismatch", "-f", "json").stdout) == one
    assert run("rule", "PAR001").stdout.partition("\n\n")[2].rstrip() == one["documentation"]
    assert one["documentation"].startswith(one["summary"])
    assert one["help"]


@pytest.mark.parametrize(
    "path", sorted([*GOOD.glob("*.keras"), *GOOD.glob("*.h5"), *GOOD.glob("*.onnx"), *BAD.iterdir()]), ids=lambda p: p.name
)
def test_json_follows_the_schema(path):
    done = run("inspect", path, "--format", "json")
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    assert done.returncode == int(path.parent == BAD)
    from modelscan.ledger import Report

    assert Report.from_dict(report).to_dict() == report
    assert run("inspect", path, "--format", "json").stdout == done.stdout


def test_scan_reports_every_file_and_counts_the_others():
    done = run("scan", ROOT / "fixtures" / "bad", GOOD)
    assert done.returncode == 1
    assert done.stderr == ""
    for name in ("truncated.keras", "pointer.onnx", "page.h5", "empty.onnx", "edited_units.h5", "simple_rnn.keras"):
        assert name in done.stdout
    assert "1 other file ·" in done.stdout
    report = json.loads(run("scan", BAD, GOOD, "--format", "json").stdout)
    jsonschema.validate(report, SCHEMA)
    assert report["summary"]["skipped"] == 1  # external.bin belongs to a model and is none


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("inspect", EXAMPLE), 0),
        (("inspect", BAD / "page.h5"), 1),
        (("inspect", BAD / "edited_units.h5"), 1),
        (("inspect", "no/such/file"), 2),
        (("inspect",), 2),
        (("inspect", EXAMPLE, "--format", "xml"), 2),
        (("inspect", EXAMPLE, "--dim", "N"), 2),
        (("inspect", EXAMPLE, "--input", "x"), 2),
        (("explain", EXAMPLE, "simple_rn"), 2),
        (("explain", BAD / "page.h5"), 1),
        (("scan", GOOD), 0),
        (("scan", BAD), 1),
        (("scan", EXAMPLE, BAD / "page.h5"), 1),
        (("scan", "no/such/folder"), 2),
        (("scan", ROOT / "modelscan" / "cli"), 2),
        (("scan", EXAMPLE, "--fail-on", "nothing"), 2),
        (("scan", EXAMPLE, "-o", "no/such/folder/out.json"), 2),
        (("frobnicate",), 2),
        (("rule", "PAR001"), 0),
        (("rule", "PAR999"), 2),
        (("rules",), 0),
        (("--version",), 0),
    ],
)
def test_exit_statuses(arguments, status):
    done = run(*arguments)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


def test_only_the_option_asks_for_the_version(capsys):
    """Another pairing of typer and click hands over an object for "not given": no scan may end as `--version` does, with 0."""
    from modelscan.cli import _version

    for absent in (False, None, object(), "UNSET"):
        _version(absent)
    assert not capsys.readouterr().out
    with pytest.raises(typer.Exit):
        _version(True)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("inspct", "did you mean inspect?"),
        (EXAMPLE, f"`modelscan inspect {EXAMPLE}` looks at it"),
        (str(GOOD), f"`modelscan scan {GOOD}` looks at it"),
        ("help", "`modelscan --help` lists them"),
        ("frobnicate", "the commands are inspect, explain, scan, diff, rules, rule, verify"),
    ],
)
def test_a_word_in_place_of_a_command_gets_what_was_meant(word, told):
    done = run(word)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"modelscan: there is no command {word!r}; {told}\n"


@pytest.mark.parametrize("command", [("inspect",), ("explain",), ("scan",), ("verify",), ("diff", EXAMPLE), ("scan", EXAMPLE, "--against")])
def test_a_checkpoint_named_as_tensorflow_names_it(command):
    """`tf.train.load_checkpoint` takes the beginning of the names; the shard beside it is no way in either."""
    prefix = ROOT / "fixtures" / "saved_model" / "keras_2_checkpoint" / "weights"
    done = run(*command, prefix)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{prefix}: no such file or folder; did you mean {prefix}.index?" in done.stderr
    shard = modelscan.inspect(f"{prefix}.data-00000-of-00001")
    assert shard.findings[0].message == "a shard of a checkpoint, which is read by its index: weights.index"


def test_standard_input_is_no_model():
    assert run("scan", "-").stderr.startswith("modelscan: -: standard input is not read")


def test_addresses_are_not_followed():
    assert run("scan", "s3://bucket/model.onnx").stderr.endswith("no such file or folder; addresses are not followed, fetch it first\n")


def test_a_folder_of_models_is_no_model():
    assert modelscan.inspect(GOOD).findings[0].message == "a folder that is no SavedModel"


def test_a_misspelt_layer_gets_a_suggestion():
    assert "did you mean simple_rnn?" in run("explain", EXAMPLE, "simple_rn").stderr


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_the_table_keeps_to_the_terminal(columns):
    done = run("inspect", GOOD / "convolutional.keras", COLUMNS=str(columns))
    assert max(map(len, done.stdout.splitlines()[1:])) <= columns
    assert "1,211" in done.stdout


def test_colours_only_where_they_are_wanted():
    assert "\x1b[" not in run("inspect", EXAMPLE).stdout
    assert "\x1b[" in run("inspect", EXAMPLE, "--color", "always").stdout


def test_a_stream_that_is_not_unicode_gets_ascii():
    done = run("inspect", EXAMPLE, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "units * (inputs + units + 1)" in done.stdout


def test_names_cannot_move_the_cursor(tmp_path):
    from tests.hostile.exhibit import dense, input_layer, keras_zip, sequential

    path = keras_zip(tmp_path / "model.keras", sequential(input_layer(4), dense("evil\x1b[2J\u202ename", 3, 4)))
    for arguments in (
        ("inspect", path),
        ("explain", path),
        ("inspect", path, "--format", "markdown"),
        ("scan", path),
        ("inspect", path, "-f", "json"),
    ):
        output = run(*arguments).stdout
        assert "\x1b" not in output
        assert "\u202e" not in output


def test_depth_folds_and_weights_unfold():
    whole = run("inspect", GOOD / "nested.keras").stdout
    folded = run("inspect", GOOD / "nested.keras", "--depth", "0").stdout
    assert "inner (Sequential)" in whole
    assert "inner" not in folded
    assert "middle (Functional)" in folded
    assert "kernel" in run("inspect", GOOD / "nested.keras", "--weights").stdout


def test_multiply_accumulates_have_a_column_on_demand():
    """Those of the JSON report, in the table of each width; what is unknown stays so."""
    for name in ("good/nested.keras", "saved_model/tf_1_savedmodel", "good/conv_net.onnx"):
        path = GOOD.parent / name
        (model,) = json.loads(run("inspect", path, "-f", "json").stdout)["models"]
        for columns in ("60", "80", "200"):
            lines = run("inspect", path, "--macs", COLUMNS=columns).stdout.splitlines()
            head = next(line for line in lines if line.lstrip().startswith("Layer (type)"))
            end = head.index("MACs") + 4
            shown = [line[:end].split()[-1] for line in lines[lines.index(head) + 2 :][: len(model["layers"])]]
            assert shown == ["?" if one["macs"] is None else f"{one['macs']:,}" for one in model["layers"]]
        assert ("? MACs" in "\n".join(lines)) == (model["macs"] is None)
        assert "MACs  " not in run("inspect", path).stdout


def test_output_goes_to_a_file(tmp_path):
    target = tmp_path / "report.json"
    done = run("scan", GOOD, "-f", "json", "-o", target)
    assert (done.returncode, done.stdout) == (0, "")
    jsonschema.validate(json.loads(target.read_text()), SCHEMA)


def test_values_are_read_when_asked_for(tmp_path):
    import shutil

    import h5py

    target = tmp_path / "model.h5"
    shutil.copy(GOOD / "simple_rnn.h5", target)
    with h5py.File(target, "r+") as file:
        file["model_weights/dense/example/dense/kernel"][3, 4] = float("nan")
    assert run("inspect", target).returncode == 0
    done = run("inspect", target, "--values")
    assert done.returncode == 1
    assert "WGT001 high" in done.stdout


def test_the_command_line_starts_without_heavy_imports():
    code = (
        "import sys, modelscan.cli; print(sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'onnx', 'h5py', 'rich', 'tensorflow'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_scanning_never_imports_a_framework():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'tf_keras', 'onnxruntime', 'torch')));"
        f"import modelscan; print([modelscan.inspect(p).parameters.total for p in ({EXAMPLE!r}, {str(GOOD / 'conv_net.onnx')!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[19082, 364]", done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["inspect", "conv_net.onnx", "--input", "y:1x3x4x4"], "--input y: there is no such thing; the model's inputs are x"),
        (["inspect", "conv_net.onnx", "--dim", "Q=3"], "--dim Q: there is no such thing; its symbolic dimensions are N"),
        (["inspect", "conv_net.onnx", "--input", "x:1x2"], "--input x: 2 dimensions; the model's input has 4: (N, 3, 16, 16)"),
        (["inspect", "conv_net.onnx", "--dim", "N=99999999999999999999999999"], "--dim N=99999999999999999999999999: write NAME=SIZE"),
        (["inspect", "conv_net.onnx", "--dim", "N=" + "9" * 5000], "write NAME=SIZE"),
        (["inspect", "conv_net.onnx", "--dim", "N=1", "--dim", "N=2"], "there are two sizes for N"),
        (["inspect", "conv_net.onnx", "--input", "x:9999999999x1x1x1"], "write NAME:SHAPE"),
        (["inspect", "conv_net.onnx", "--config", "simple_rnn.keras"], "does nothing for "),
        (["inspect", "simple_rnn.keras", "--dim", "N=3"], "--dim N: does nothing for "),
        (["explain", "simple_rnn.h5", "--input", "x:1"], "--input x: does nothing for "),
        (["inspect", "simple_rnn.keras", "--config", "simple_rnn.h5"], "does nothing for "),
        (["inspect", "simple_rnn.weights.h5", "--config", "simple_rnn.h5"], "no architecture: "),
        (["diff", "conv_net.onnx", "simple_rnn.keras", "--dim", "Q=3"], "--dim Q: neither of the two models has it"),
        (["diff", "conv_net.onnx", "conv_net.onnx", "--input", "x:1"], "--input x: 1 dimensions"),
    ],
)
def test_an_option_that_does_not_fit_the_model_is_an_error_of_the_call(arguments, told):
    done = run(*(GOOD / one if one.endswith((".onnx", ".keras", ".h5")) else one for one in arguments), PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stdout) == (2, ""), done.stdout
    assert told in done.stderr


def test_an_option_that_fits_one_of_two_models_is_used():
    done = run("diff", GOOD / "conv_net.onnx", GOOD / "simple_rnn.keras", "--dim", "N=3", "--format", "json", PYTHONPATH=str(ROOT))
    assert (done.returncode, json.loads(done.stdout)["error"]) == (1, None)


@pytest.mark.parametrize("wrong", [{"dims": {"N": -4}}, {"dims": {"N": 1.5}}, {"inputs": {"x": (-1, 3, 16, 16)}}, {"dims": {"Q": 1}}])
def test_the_library_refuses_what_is_no_size(wrong):
    with pytest.raises(ConfigError):
        modelscan.inspect(GOOD / "conv_net.onnx", **wrong)


@pytest.mark.parametrize("jobs", [0, -1])
def test_the_library_refuses_what_is_no_number_of_processes(jobs):
    with pytest.raises(ConfigError, match="jobs: "):
        modelscan.scan(GOOD / "conv_net.onnx", jobs=jobs)


def test_one_path_is_a_path():
    for path in (GOOD / "conv_net.onnx", str(GOOD / "conv_net.onnx")):
        assert [one.path for one in modelscan.scan(path).models] == [str(path)]
