"""Where reports go: `--format`, `-o`, several at once, standard output; model by model where the format allows it."""

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import typer

from modelscan.cli.common import Colour
from modelscan.cli.output import Output, Outputs, ScanFormat, outputs_of
from modelscan.ledger import FindingReport, LayerReport, ModelReport, Report
from modelscan.report.json import dumps
from modelscan.scan import begin
from modelscan.settings import Thresholds
from tests.report.machine import check

ROOT = Path(__file__).parent.parent
GOOD, BAD = ROOT / "fixtures" / "good", ROOT / "fixtures" / "bad"
MACHINE = [str(one) for one in ScanFormat]


def run(*arguments, cwd=ROOT):
    plain = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "modelscan", *map(str, arguments)],
        capture_output=True,
        check=False,
        cwd=cwd,
        env=plain | {"PYTHONPATH": str(ROOT)},
        timeout=120,
    )


@cache
def scanned(name, jobs):
    return run("scan", "fixtures/good", "fixtures/bad", "fixtures/saved_model", "--format", name, "--jobs", jobs)


@pytest.mark.parametrize("name", MACHINE)
def test_stdout_parses_and_two_runs_give_the_same_bytes(name):
    first, second = scanned(name, 1), scanned(name, 2)
    assert (first.returncode, first.stderr) == (1, b"")
    assert first.stdout == second.stdout
    report = json.loads(scanned("json", 1).stdout)
    check(name, first.stdout.decode(), report)


@pytest.mark.parametrize("name", sorted(set(MACHINE) - {"json", "jsonl"}))
def test_a_report_of_findings_and_sums_is_drawn_as_a_whole_one(name, capsys):
    """Where no view needs the layers, they are not put together in the first place."""
    paths = [str(ROOT / "fixtures" / one) for one in ("good", "bad", "saved_model")]
    texts = []
    for brief in (False, True):
        drawn = Outputs([Output(ScanFormat(name), "-")], Thresholds(), Colour.NEVER)
        assert drawn.brief
        running = begin(paths, brief=brief)
        models = list(running.models)
        assert brief != any(one.layers or one.facts or one.inputs for one in models)
        assert not any(one.brief().layers for one in models)
        for one in models:
            drawn.model(one)
        drawn.end(Report(skipped=running.skipped, notes=running.notes))
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize("name", ["json", "jsonl"])
def test_the_whole_report_is_made_where_it_is_written(name):
    assert not Outputs([Output(ScanFormat.TABLE, "-"), Output(ScanFormat(name), "x")], Thresholds(), Colour.NEVER).brief


def outputs(*wanted, format=None):
    return [(str(one.format), one.path) for one in outputs_of(wanted, format)]


def test_the_table_stays_on_stdout_unless_told():
    assert outputs() == [("table", "-")]
    assert outputs("a.sarif", "b.xml") == [("sarif", "a.sarif"), ("junit", "b.xml"), ("table", "-")]
    assert outputs("a.sarif", "github:-") == [("sarif", "a.sarif"), ("github", "-")]
    assert outputs(format=ScanFormat.JSON) == [("json", "-")]
    assert outputs("sarif:x", format=ScanFormat.MARKDOWN) == [("sarif", "x"), ("markdown", "-")]


def test_a_format_is_that_of_the_files_that_do_not_say_their_own():
    assert outputs("out", format=ScanFormat.JSON) == [("json", "out")]
    assert outputs("out.json", format=ScanFormat.SARIF) == [("sarif", "out.json")]
    assert outputs("-", format=ScanFormat.JSONL) == [("jsonl", "-")]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.json", "json"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.SARIF", "sarif"),
        ("a.sarif.json", "sarif"),
        ("x/a.xml", "junit"),
        ("a.md", "markdown"),
        ("a.txt", "table"),
        ("junit:a", "junit"),
        ("table:a.json", "table"),
        ("sarif:C:/x", "sarif"),
    ],
)
def test_formats_by_name(path, name):
    assert outputs(path)[0][0] == name


@pytest.mark.parametrize(
    ("wanted", "format"),
    [
        (("a.out",), None),
        (("a.sarif",), ScanFormat.JSON),
        (("json:a", "sarif:./a"), None),
        (("json:-", "-"), None),
        (("yaml:a.yaml",), None),
    ],
)
def test_what_cannot_be_meant_is_refused(wanted, format):
    with pytest.raises(typer.Exit) as caught:
        outputs_of(wanted, format)
    assert caught.value.exit_code == 2


def test_several_reports_of_one_scan(tmp_path):
    files = [tmp_path / name for name in ("r.json", "r.jsonl", "r.sarif", "r.xml", "r.md", "r.txt", "r.github")]
    wanted = [str(path) for path in files[:-1]] + [f"github:{files[-1]}"]
    done = run("scan", "fixtures/bad", *(part for one in wanted for part in ("-o", one)))
    assert done.returncode == 1
    assert done.stdout.startswith("✗ fixtures/bad/edited_units.h5".encode())
    report = json.loads(files[0].read_text())
    for path, name in zip(files, ("json", "jsonl", "sarif", "junit", "markdown", "table", "github"), strict=True):
        check(name, path.read_text(encoding="utf-8"), report)


def test_a_report_that_cannot_be_written_is_told_before_the_scan(tmp_path):
    (tmp_path / "folder.json").mkdir()
    for where in ("missing/report.json", "folder.json"):
        done = run("scan", GOOD, "-o", tmp_path / where)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.startswith(b"modelscan: -o ")
    assert run("scan", "missing.onnx", "-o", tmp_path / "new.sarif").returncode == 2
    assert not (tmp_path / "new.sarif").exists()
    (tmp_path / "old.jsonl").write_text("old")
    assert run("scan", "missing.onnx", "-o", tmp_path / "old.jsonl").returncode == 2
    assert (tmp_path / "old.jsonl").read_text() == "old"


@pytest.mark.parametrize("option", ["-o", "--write-baseline"])
def test_nothing_is_written_over_what_is_read(tmp_path, option):
    shutil.copytree(ROOT / "fixtures" / "saved_model" / "simple_rnn_savedmodel", tmp_path / "saved")
    for name in ("a.keras", "b.keras"):
        shutil.copy(GOOD / "simple_rnn.keras", tmp_path / name)
    (tmp_path / "link.json").symlink_to("a.keras")
    os.link(tmp_path / "a.keras", tmp_path / "hard.json")
    (tmp_path / "modelscan.toml").write_text("jobs = 1")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    prefix = "json:" if option == "-o" else ""
    for place in (
        "a.keras",
        "./a.keras",
        "link.json",
        "hard.json",
        "saved/saved_model.pb",
        "saved/variables/variables.index",
        "b.keras",
        "modelscan.toml",
    ):
        done = run("scan", "a.keras", "saved", option, prefix + place, "--against", "b.keras", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, b""), place
        assert b"which is read; write elsewhere" in done.stderr
    assert {path: path.read_bytes() for path in before} == before
    for place in ("new.json", "saved/report.json", "new.json", "/dev/null"):
        assert run("scan", "a.keras", "saved", option, prefix + place, cwd=tmp_path).returncode == 0, place


@pytest.mark.parametrize("asked", [("-o", "q.json"), ("--format", "json")])
@pytest.mark.parametrize("option", [("--write-baseline", "b.json"), ("--show-settings",)])
def test_a_report_that_would_not_be_written_is_refused(tmp_path, option, asked):
    done = run("scan", GOOD / "simple_rnn.keras", *option, *asked, cwd=tmp_path)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, b"", [])
    assert f"{option[0]} writes no report; leave out {asked[0]}".encode() in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--help",), ("scan", "-h"), ("--version",)])
def test_help_goes_out_as_a_report_does(arguments):
    done = run(*arguments)
    assert done.returncode == (0 if arguments else 2)
    call = [sys.executable, "-m", "modelscan", *arguments]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(call, check=False, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (done.returncode, done.stderr), "a reader that has seen enough"
    if done.stdout:
        with open("/dev/full", "wb") as full:
            ended = subprocess.run(call, check=False, cwd=ROOT, stdout=full, stderr=subprocess.PIPE)
        assert (ended.returncode, ended.stderr) == (2, b"modelscan: standard output: No space left on device\n")


def test_what_usage_errors_quote_reaches_no_terminal():
    done = run("scan", "no\x1b[31msuch.onnx")
    assert (done.returncode, done.stderr) == (2, b"modelscan: no\\u{1b}[31msuch.onnx: no such file or folder\n")


def test_a_file_does_not_become_an_option(tmp_path):
    shutil.copy(BAD / "edited_units.h5", tmp_path / "--fail-on=never")
    for arguments in (("scan", "--fail-on=never"), ("inspect", "--fail-on=never", "x"), ("scan", "x", "--fail-on=never")):
        done = run(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.startswith(b"modelscan: --fail-on=never is an option and the name of a file here; write -- before paths")
    assert run("scan", "--", "--fail-on=never", cwd=tmp_path).returncode == 1


def test_names_on_disk_reach_no_terminal(tmp_path):
    names = [
        "evil\x1b[2J.keras",
        "two\nlines.keras",
        "\u202egnp.keras",
        "##[error]x.keras",
        "::error::x.keras",
        os.fsdecode(b"\xff\xfe.keras"),
        "a,b:c%.keras",
        "-o.keras",
    ]
    for name in names:
        shutil.copy(GOOD / "simple_rnn.keras", tmp_path / name)
        shutil.copy(BAD / "page.h5", tmp_path / f"{name}.h5")
    report = json.loads(run("scan", ".", "-f", "json", cwd=tmp_path).stdout)
    assert len(report["models"]) == 2 * len(names)
    for name in MACHINE:
        done = run("scan", ".", "-f", name, cwd=tmp_path)
        check(name, done.stdout.decode(), report)
        assert b"\x1b" not in done.stderr


def big(number):
    layers = tuple(LayerReport(f"layer_{i}", f"layer_{i}", "Dense", 0, (), (), (), 1, 1, 0, 1, "a", "b", "match", ()) for i in range(200))
    found = (FindingReport("PAR001", "weight-mismatch", "high", f"in {number}"),)
    return ModelReport(f"model_{number}.onnx", "onnx", True, 10, layers=layers, findings=found)


def test_lines_are_written_model_by_model(tmp_path):
    target = tmp_path / "report.jsonl"
    writer = Outputs([Output(ScanFormat.JSONL, str(target))], Thresholds(), Colour.NEVER)
    with writer.opened():
        for number in range(3):
            writer.model(big(number))
            assert [json.loads(line)["path"] for line in target.read_text().splitlines()] == [f"model_{i}.onnx" for i in range(number + 1)]
        writer.end(Report())
    assert json.loads(target.read_text().splitlines()[-1])["summary"]["findings"]["high"] == 3


def test_the_document_is_that_of_the_whole_report(tmp_path):
    for count in (0, 1, 3):
        report = Report(tuple(big(number) for number in range(count)), skipped=2, notes=("a note",))
        target = tmp_path / f"{count}.json"
        writer = Outputs([Output(ScanFormat.JSON, str(target))], Thresholds(), Colour.NEVER)
        with writer.opened():
            for one in report.models:
                writer.model(one)
            writer.end(replace(report, models=()))
        assert target.read_text() == dumps(report.to_dict()) + "\n"


@pytest.mark.parametrize("name", ["jsonl", "sarif"])
def test_memory_does_not_grow_with_the_layers_of_many_models(tmp_path, name):
    writer = Outputs([Output(ScanFormat(name), str(tmp_path / "report"))], Thresholds(), Colour.NEVER)
    with writer.opened():
        writer.model(big(0))
        tracemalloc.start()
        for number in range(300):
            writer.model(big(number))
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert kept < (20_000 if name == "jsonl" else 500_000), "300 models of 200 layers are some 30 MB"
