"""What other programs read of this project: the GitHub action, the pre-commit hook, and the snippets of docs/integrations.md."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parent.parent
GOOD, BAD = ROOT / "fixtures" / "good", ROOT / "fixtures" / "bad"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step.get("name"): step for step in ACTION["runs"]["steps"]}


def test_every_input_is_described_and_used():
    text = (ROOT / "action.yml").read_text().split("\nruns:")[1]
    assert ACTION["runs"]["using"] == "composite"
    for name, one in ACTION["inputs"].items():
        assert one["description"]
        assert isinstance(one["default"], str)
        assert f"inputs.{name}" in text, f"input {name} is used nowhere"
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])


def test_no_input_is_text_of_a_script():
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert ("run" in step) == ("shell" in step)


def test_the_action_uses_what_its_steps_give():
    for one in ACTION["outputs"].values():
        assert re.fullmatch(r"\$\{\{ steps\.scan\.outputs\.\w+ \}\}", one["value"])
    upload = STEPS["Upload to code scanning"]
    assert "always()" in upload["if"]
    assert "inputs.upload-sarif == 'true'" in upload["if"]


@pytest.fixture(params=["bin", "Scripts"], ids=["elsewhere", "windows"])
def step(request, tmp_path):
    """Runs the shell step of the action as the runner does, in a workspace with two models; a virtual environment of Windows has `Scripts`."""
    workspace, temp = tmp_path / "workspace", tmp_path / "temp"
    command = temp / "modelscan" / request.param / "modelscan"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m modelscan "$@"\n')
    command.chmod(0o755)
    (workspace / "my models").mkdir(parents=True)
    shutil.copy(GOOD / "simple_rnn.keras", workspace / "my models" / "good.keras")
    shutil.copy(BAD / "edited_units.h5", workspace / "bad.h5")
    files = {"GITHUB_STEP_SUMMARY": tmp_path / "summary.md", "GITHUB_OUTPUT": tmp_path / "output"}
    for path in files.values():
        path.touch()
    scan = STEPS["Scan"]
    script = tmp_path / "step.sh"
    script.write_text(scan["run"])

    def run(**inputs):
        values = {name: one["default"] for name, one in ACTION["inputs"].items()} | {
            key.replace("_", "-"): value for key, value in inputs.items()
        }
        own = {key: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: values[found[1]], value) for key, value in scan["env"].items()}
        known = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "MODELSCAN_"))}
        environment = known | own | {key: str(path) for key, path in files.items()} | {"RUNNER_TEMP": str(temp), "PYTHONPATH": str(ROOT)}
        call = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]  # as the runner calls `shell: bash`
        done = subprocess.run(call, cwd=workspace, env=environment, capture_output=True, text=True, check=False, timeout=120)
        return (
            done,
            dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines()),
            files["GITHUB_STEP_SUMMARY"].read_text(),
        )

    run.workspace = workspace
    return run


@pytest.mark.parametrize("programs", ["bin", "Scripts"])
def test_the_installation_finds_the_environment_that_it_made(tmp_path, programs):
    made = tmp_path / "temp" / "modelscan" / programs / "python"
    python = tmp_path / "path" / "python"
    for one, text in ((python, f'mkdir -p "{made.parent}" && cp "{tmp_path}/inner" "{made}"'), (tmp_path / "inner", 'echo "pip: $@"')):
        one.parent.mkdir(exist_ok=True)
        one.write_text(f"#!/bin/sh\n{text}\n")
        one.chmod(0o755)
    (tmp_path / "temp").mkdir()
    environment = {"PATH": f"{python.parent}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path / "temp"), "GITHUB_ACTION_PATH": "here"}
    call = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", STEPS["Install modelscan"]["run"]]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "pip: -m pip install --quiet here\n"), done.stderr


def test_the_step_fails_on_findings_and_leaves_all_reports(step):
    done, output, summary = step()
    assert (done.returncode, done.stderr) == (1, "")
    assert output == {"status": "1", "sarif": "modelscan.sarif"}
    assert done.stdout.startswith("::error file=bad.h5,title=PAR001 weight-mismatch::")
    assert summary.startswith("## ❌ modelscan")
    results = json.loads((step.workspace / "modelscan.sarif").read_text())["runs"][0]["results"]
    assert {one["ruleId"] for one in results if one["level"] == "error"} == {"PAR001"}


def test_the_step_takes_every_input(step):
    done, output, summary = step(
        paths="my models\n*.h5\n", fail_on="critical", format="table", args="--ignore=PAR\n--jobs=1", sarif="out/x.sarif", summary="false"
    )
    assert (done.returncode, output) == (2, {"status": "2"}), "there is no folder out"
    (step.workspace / "out").mkdir()
    done, output, summary = step(
        paths="my models\n*.h5\n", fail_on="critical", format="table", args="--ignore=PAR\n--jobs=1", sarif="out/x.sarif", summary="false"
    )
    assert (done.returncode, summary) == (0, ""), done.stderr
    assert "✓ my models/good.keras" in done.stdout
    assert "PAR001" not in done.stdout
    assert output == {"status": "0", "sarif": "out/x.sarif"}


def test_a_report_of_an_earlier_step_is_not_taken_for_this_one(step):
    (step.workspace / "modelscan.sarif").write_text("{}")
    done, output, _ = step(paths="nowhere")
    assert (done.returncode, output) == (2, {"status": "2"})
    assert not (step.workspace / "modelscan.sarif").exists()


def test_nothing_in_an_input_is_run(step):
    done, *_ = step(paths='$(touch injected)\n"; touch injected; "\n`touch injected`')
    assert done.returncode == 2
    assert not (step.workspace / "injected").exists()


def test_options_cannot_come_in_through_paths(step):
    done, *_ = step(paths="--fail-on=never")
    assert done.returncode == 2
    assert "no such file" in done.stderr


def hook():
    (one,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    return one


@pytest.mark.parametrize(
    ("path", "is_model"),
    [
        ("models/a.onnx", True),
        ("a.keras", True),
        ("b.h5", True),
        ("x/saved_model.pb", True),
        ("x/fingerprint.pb", False),
        ("keras_metadata.pb", False),
        ("x/my_fingerprint.pb", True),
        ("a.py", False),
        ("onnx.md", False),
        ("a.onnx.txt", False),
    ],
)
def test_the_hook_is_called_for_models(path, is_model):
    assert (bool(re.search(hook()["files"], path)) and not re.search(hook()["exclude"], path)) == is_model


def test_the_hook_passes_over_the_parts_of_a_good_savedmodel():
    """All tracked files of a good folder come as they are; what the hook is called for must pass."""
    folder = ROOT / "fixtures" / "saved_model"
    names = [one.relative_to(ROOT).as_posix() for one in sorted(folder.rglob("*")) if one.is_file()]
    chosen = [name for name in names if re.search(hook()["files"], name) and not re.search(hook()["exclude"], name)]
    assert 0 < len(chosen) < len([name for name in names if name.endswith(".pb")])
    done = subprocess.run([sys.executable, "-m", *hook()["entry"].split(), *chosen], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_hook_runs():
    call = [sys.executable, "-m", *hook()["entry"].split(), *hook()["args"]]
    for path, status in ((GOOD / "simple_rnn.keras", 0), (BAD / "pointer.onnx", 1)):
        assert subprocess.run([*call, str(path)], capture_output=True, check=False, cwd=ROOT).returncode == status


def test_a_committed_file_is_no_option_of_the_hook(tmp_path):
    shutil.copy(BAD / "edited_units.h5", tmp_path / "--write-baseline=m2.h5")
    call = [sys.executable, "-m", *hook()["entry"].split(), *hook()["args"], "--write-baseline=m2.h5"]
    done = subprocess.run(call, capture_output=True, text=True, check=False, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, [one.name for one in tmp_path.iterdir()]) == (1, ["--write-baseline=m2.h5"])
    assert "PAR001" in done.stdout


PAGE = (ROOT / "docs" / "integrations.md").read_text()


def snippets(kind):
    return re.findall(rf"```{kind}(?: title=(\S+))?\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", [text for _, text in snippets("yaml")], ids=lambda text: text[:30])
def test_yaml_snippets_say_what_exists(text):
    found = yaml.safe_load(text)
    uses = [step for job in found.get("jobs", {}).values() for step in job["steps"] if step.get("uses") == "./"]
    assert all(set(step.get("with", {})) <= set(ACTION["inputs"]) for step in uses)
    for repo in found.get("repos", ()):
        assert [one["id"] for one in repo["hooks"]] == [hook()["id"]]
    assert uses or found.get("repos") or "modelscan scan" in text


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "models").mkdir()
    shutil.copy(GOOD / "simple_rnn.keras", tmp_path / "models" / "model.keras")
    shutil.copy(GOOD / "conv_net.onnx", tmp_path / "models" / "model.onnx")
    command = tmp_path / "bin" / "modelscan"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m modelscan "$@"\n')
    command.chmod(0o755)
    for name, text in snippets("toml"):
        (tmp_path / (name or "modelscan.toml")).write_text(text)
    return tmp_path


def environment(workspace):
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MODELSCAN_")}
    return plain | {
        "PATH": f"{workspace / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


@pytest.mark.parametrize("text", [text for _, text in snippets("sh")], ids=lambda text: text[:30])
def test_shell_snippets_run(text, workspace):
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text],
        cwd=workspace,
        env=environment(workspace),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "text"), snippets("python"), ids=lambda text: text[:30])
def test_python_snippets_run(name, text, workspace):
    path = workspace / (name or "snippet.py")
    path.write_text(text)
    call = (
        ["-m", "pytest", "-q", "-p", "modelscan.pytest_plugin", "-p", "no:cacheprovider", str(path)]
        if path.name.startswith("test_")
        else [str(path)]
    )
    done = subprocess.run(
        [sys.executable, *call], cwd=workspace, env=environment(workspace), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
