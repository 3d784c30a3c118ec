"""MLflow folders: files found through MLmodel, signatures held against the model."""

import contextlib
import json
import time
from pathlib import Path

import pytest

from modelscan.discover import discover
from modelscan.errors import ConfigError
from modelscan.mlflow import parse
from modelscan.scan import scan
from tests.hostile.exhibit import keras_zip
from tests.hostile.onnx_files import gemm_model

LONG = (
    '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}, "name": "a long name so that PyYAML wraps the line"}, '
    '{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}, "name": "it'
    's quoted"}]'
)
DOCUMENT = {
    "artifact_path": "model",
    "flavors": {
        "keras": {"data": "data", "keras_version": "3.3.3", "save_format": "keras", "code": None},
        "python_function": {
            "data": "data",
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": "mlflow.keras",
        },
    },
    "tags": ["a", "b: c", {"k": "v", "l": ["m"]}],
    "mlflow_version": "2.14.1",
    "signature": {"inputs": LONG, "outputs": None, "params": None},
    "utc_time_created": "2024-06-20 10:11:12.345678",
}


def strings(value):
    if isinstance(value, dict):
        return {key: strings(one) for key, one in value.items()}
    return [strings(one) for one in value] if isinstance(value, list) else value


DUMPED = """\
artifact_path: model
flavors:
  keras:
    data: data
    keras_version: 3.3.3
    save_format: keras
    code: null
  python_function:
    data: data
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.keras
tags:
- a
- 'b: c'
- k: v
  l:
  - m
mlflow_version: 2.14.1
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32",
    "shape": [-1, 4]}, "name": "a long name so that PyYAML wraps
    the line"}, {"type": "tensor", "tensor-spec": {"dtype": "float32",
    "shape": [-1, 4]}, "name": "its quoted"}]'
  outputs: null
  params: null
utc_time_created: '2024-06-20 10:11:12.345678'
"""


def test_what_pyyaml_dumped_is_read():
    assert parse(DUMPED) == strings(DOCUMENT)


def test_the_subset_is_what_pyyaml_writes():
    yaml = pytest.importorskip("yaml")
    for options in ({}, {"width": 40}, {"indent": 4}, {"sort_keys": False}):
        assert parse(yaml.safe_dump(DOCUMENT, default_flow_style=False, **options)) == strings(DOCUMENT)


WRITTEN = """\
flavors:
  {flavour}:
    {key}: {path}
    version: 1.0
  python_function:
    env:
      conda: conda.yaml
    loader_module: mlflow.{flavour}
signature:
  inputs: '{inputs}'
  outputs: '[{{"type": "tensor", "tensor-spec": {{"dtype": "float32",
    "shape": [-1, 3]}}}}]'
  params: null
"""


def tensor(*shape, **more):
    return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": list(shape)}, **more}])


def folder(tmp_path: Path, flavour="onnx", key="data", path="model.onnx", inputs=None):
    (tmp_path / "MLmodel").write_text(WRITTEN.format(flavour=flavour, key=key, path=path, inputs=inputs or tensor(-1, 4)))
    return tmp_path


def test_a_fitting_signature_is_silent(tmp_path):
    (folder(tmp_path) / "model.onnx").write_bytes(gemm_model().SerializeToString())
    report = scan([str(tmp_path)]).models
    assert [(Path(one.path).name, [f.name for f in one.findings if f.severity != "info"]) for one in report] == [("model.onnx", [])]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (tensor(-1, 5), "(?, 5) declared"),
        (tensor(-1, 2, 2), "(?, 2, 2) declared"),
        (json.dumps(json.loads(tensor(-1, 4)) * 2), "2 declared, 1 in the model"),
    ],
)
def test_a_signature_that_does_not_fit_is_a_finding(tmp_path, inputs, says):
    (folder(tmp_path, inputs=inputs) / "model.onnx").write_bytes(gemm_model().SerializeToString())
    found = [one for one in scan([str(tmp_path)]).models[0].findings if one.name == "mlflow-signature"]
    assert len(found) == 1
    assert says in found[0].message


def test_columns_are_no_tensors(tmp_path):
    columns = json.dumps([{"type": "double", "name": "age"}, {"type": "string", "name": "city"}])
    (folder(tmp_path, inputs=columns) / "model.onnx").write_bytes(gemm_model().SerializeToString())
    assert not [one for one in scan([str(tmp_path)]).models[0].findings if one.name == "mlflow-signature"]


def test_a_flavour_whose_file_is_gone_is_reported(tmp_path):
    folder(tmp_path)
    report = scan([str(tmp_path)]).models
    assert [one.readable for one in report] == [False]
    assert report[0].findings[0].name == "unreadable-file"


def test_a_keras_flavour_keeps_its_model_in_a_folder(tmp_path):
    (folder(tmp_path, "keras", path="data", inputs=tensor(-1, 7)) / "data").mkdir()
    keras_zip(tmp_path / "data" / "model.keras")
    report = scan([str(tmp_path)]).models
    assert len(report) == 1
    assert [one.name for one in report[0].findings if one.severity != "info"] == ["mlflow-signature"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.onnx", "a/../../secret.onnx"])
def test_paths_out_of_the_folder_are_not_followed(tmp_path, path):
    found = discover([str(folder(tmp_path, path=path))])
    assert found.targets == []
    assert found.unclear == [f"{tmp_path / 'MLmodel'}: {path!r} leads out of the folder; what is there was not read"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "inside").mkdir()
    (folder(tmp_path / "inside") / "model.onnx").symlink_to("../secret.onnx")
    (tmp_path / "secret.onnx").write_bytes(gemm_model().SerializeToString())
    found = discover([str(tmp_path / "inside")])
    assert (found.targets, found.outside) == ([], 1)
    assert "'model.onnx' leads out of the folder" in found.unclear[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b",
        "a: b: c: [",
        "\tx",
        "a:\n   b: 1\n  c: 2",
        "flavors: {onnx: {data: x}",
        "flavors: [onnx]",
        "'" * 5000,
        "a: '" + "x\n" * 90_000,
    ],
)
def test_what_is_no_mlmodel_is_left_alone(tmp_path, text):
    (tmp_path / "MLmodel").write_text(text)
    (tmp_path / "model.onnx").write_bytes(gemm_model().SerializeToString())
    report = scan([str(tmp_path)])
    assert len(report.models) == 1
    assert len(report.notes) == 1
    assert report.notes[0].startswith(f"{tmp_path / 'MLmodel'}: ")
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(ConfigError, match=r"nothing to scan.*MLmodel: "):
        scan([str(tmp_path)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flavors: {onnx: {data: model.onnx}}", {"flavors": {"onnx": {"data": "model.onnx"}}}),
        ('{"flavors": {"onnx": {"data": "model.onnx"}}, "n": [1, "a, b", []]}', None),
        ('{\n  "flavors": {\n    "onnx": {"data": "model.onnx"}\n  }\n}', None),
        ("a: [x y, 'it''s', \"q\\\"\", {b: null}, -1,]  # why", {"a": ["x y", "it's", 'q"', {"b": None}, "-1"]}),
        ("a:\n- {b: http://c/d}\n- [ ]\n- {}", {"a": [{"b": "http://c/d"}, [], {}]}),
    ],
)
def test_braces_and_brackets_are_read(text, expected):
    assert parse(text) == strings_of_numbers(json.loads(text) if expected is None else expected)


def strings_of_numbers(value):
    if isinstance(value, dict):
        return {key: strings_of_numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [strings_of_numbers(one) for one in value]
    return str(value) if isinstance(value, int) else value


@pytest.mark.parametrize(
    "text", ["a: {b: 1", "a: {b}", "a: {b: 1 c: 2}", "a: [b] c", "a: [*b]", "a: {b: 'c}", "a: " + "[" * 50 + "]" * 50, "a: {[b]: c}"]
)
def test_what_is_wrong_in_braces_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse(text)


HOSTILE = {
    "backslashes": lambda n: 'a: "' + "\\" * n + '"',
    "backslashes without end": lambda n: 'a: "' + "\\" * n,
    "quotes": lambda n: "a: " + '"' * n,
    "escaped quotes": lambda n: 'a: "' + '\\"' * (n // 2),
    "one word": lambda n: "a" * n,
    "colons": lambda n: "a:" * (n // 2),
    "spaces": lambda n: "a" + " " * n + "x",
    "dashes": lambda n: "- " * (n // 2),
    "a text over many lines": lambda n: "a: '" + "x\n" * (n // 2),
    "backslashes over many lines": lambda n: 'a: "' + ("\\" * 61 + "\n") * (n // 62),
    "keys": lambda n: "a: b\n" * (n // 5),
    "items": lambda n: "a:\n" + "- b\n" * (n // 4),
    "brackets": lambda n: "a: " + "[" * n,
    "braces": lambda n: "a: {" + "b: c, " * (n // 6) + "}",
    "a list of words": lambda n: "a: [" + "b," * (n // 2),
    "blanks in brackets": lambda n: "a: [" + " " * n,
    "colons in braces": lambda n: "a: {" + ":" * n,
    "nesting": lambda n: "".join(" " * i + "a:\n" for i in range(int((2 * n) ** 0.5))),
}


@pytest.mark.parametrize("build", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_no_longer_than_its_length(build):
    def seconds(text):
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            with contextlib.suppress(ValueError):
                parse(text)
            best = min(best, time.process_time() - start)
        return best

    small, large = seconds(build(16_000)), seconds(build(256_000))
    assert large < max(0.05, 50 * small), "sixteen times the text, far more than sixteen times the work"
    assert large < 2
