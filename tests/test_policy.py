"""The policy over reports: every demand failing and passing, what lets findings pass, and what is told about that."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date

import jsonschema
import pytest

from modelscan.errors import ConfigError
from modelscan.fingerprint import fingerprints
from modelscan.ledger import FindingReport, ModelReport, Report
from modelscan.policy import Gate
from modelscan.policy.paths import fits, place, word_fits
from modelscan.rules import all_rules
from tests.policy_cases import BAD, CASES, GOOD, ROOT, examined, judged, made, settings

EDITED = str(BAD / "edited_units.h5")
SCHEMA = json.loads((ROOT / "modelscan" / "report" / "schema.json").read_text())


def found(report, suppressed=False):
    return [one for model in report.models for one in model.findings if (one.suppressed is not None) is suppressed]


def codes(report, suppressed=False):
    return [one.code for one in found(report, suppressed) if one.severity != "info"]


# --- demands -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.fails[:40]}")
def test_a_demand_fails_and_passes(case, tmp_path):
    path = made(case.fixture, tmp_path)
    assert not codes(judged(path, "")[0]), "without a demand there is nothing to find"
    report, failing = judged(path, case.fails)
    assert case.code in codes(report)
    assert any(case.told in one.message for one in found(report) if one.code == case.code), [one.message for one in found(report)]
    grave = any(one.severity == "high" for one in found(report))
    assert failing == sum(one.severity == "high" for one in found(report))
    assert grave or case.code in ("DEP205", "DEP190")
    report, failing = judged(path, case.passes)
    assert case.code not in codes(report)


def test_every_rule_of_the_policy_has_a_case():
    raised_elsewhere = {"POL002", "POL009", "POL010", "DEP206"}  # below, each with its own test
    own = {rule.code for rule in all_rules() if rule.code.startswith("POL") or rule.__module__.endswith("dep_targets")}
    assert {case.code for case in CASES} | raised_elsewhere == own


def test_a_figure_that_cannot_be_told_is_not_within_budget():
    model = replace(examined(str(GOOD / "conv_net.onnx")), macs=None)
    report = Gate(settings("budget.macs = '1G'")).apply(Report((model,)))
    assert codes(report) == ["POL002"]
    assert found(report)[0].message == "the number of multiply-accumulates cannot be told, and the budget is 1,000,000,000"
    assert codes(Gate(settings("budget.parameters = '1G'")).apply(Report((model,)))) == []


def test_weights_without_an_architecture_have_no_costs():
    assert examined(str(GOOD / "simple_rnn.weights.h5")).macs is None
    assert codes(judged(str(GOOD / "simple_rnn.weights.h5"), "budget.macs = '1G'")[0]) == ["POL002"]


def test_demands_of_one_model_hold_for_it_alone():
    text = "budget.parameters = '1M'\n[[models]]\npath = 'fixtures/good/simple*.keras'\nbudget.parameters = 20000"
    assert codes(judged(str(GOOD / "simple_rnn_128_64.keras"), text)[0]) == ["POL001"]
    assert codes(judged(str(GOOD / "simple_rnn.keras"), text)[0]) == []
    assert codes(judged(str(GOOD / "simple_rnn_export.onnx"), text.replace("20000", "1"))[0]) == []


def test_demands_that_fit_no_model_are_told():
    text = "[[models]]\npath = 'modles/*.onnx'\nbudget.layers = 1\n[[models]]\npath = '*.h5'\nbudget.layers = 1"
    model = examined(str(GOOD / "simple_rnn.h5"))
    told = "no scanned model fits the path modles/*.onnx of [[models]]; what is demanded there was asked of none"
    gate = Gate(settings(text))
    assert gate.apply(Report((model,))).notes == (told,)
    assert gate.apply(Report((model,)), one_of_many=True).notes == ()
    assert Gate(settings(text)).apply(Report((examined(str(BAD / "page.h5")),))).notes == (told,), "one that cannot be read is one"


def test_a_release_that_nobody_knows_is_told():
    """DEP201 where the oldest known one does not load it; else DEP205, and DEP190 of Keras."""
    for target, path, expected in (
        ("onnxruntime==0.1", "conv_net.onnx", ["DEP201", "DEP202"]),
        ("onnxruntime==1.17.30", "conv_net.onnx", []),
        ("keras==2.99", "simple_rnn.keras", ["DEP190"]),
        ("keras==0.3", "keras_2.h5", ["DEP190"]),
        ("keras>=3.40", "simple_rnn.keras", []),
    ):
        assert sorted(set(codes(judged(str(GOOD / path), f"require.runtimes = ['{target}']")[0]))) == expected, target
    old = replace(examined(str(GOOD / "conv_net.onnx")), facts={"opsets": {"": 7}, "ir_version": 3})
    report = Gate(settings("require.runtimes = ['onnxruntime==0.1']")).apply(Report((old,)))
    assert set(codes(report)) == {"DEP205"}


def test_unreadable_models_get_no_demands():
    report, failing = judged(str(BAD / "empty.onnx"), "budget.parameters = 1\nrequire.formats = ['onnx']")
    assert (codes(report), failing) == (["FIL010"], 1)


def test_an_old_operator_set_is_a_note(tmp_path):
    from onnx import TensorProto, helper, save

    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", info[:1], info[1:])
    for opset, expected in ((6, ["DEP206"]), (7, [])):
        path = tmp_path / f"{opset}.onnx"
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3), path)
        report, failing = judged(str(path), "")
        assert [one.code for one in found(report)] == expected
        assert failing == 0


# --- the model in production -------------------------------------------------------------------------------------------


def signature(inputs, outputs, format="onnx"):
    def tensor(name, dtype, shape):
        from modelscan.ledger import TensorReport

        return TensorReport(name, dtype, shape)

    return ModelReport("m", format, True, 1, inputs=tuple(tensor(*one) for one in inputs), outputs=tuple(tensor(*one) for one in outputs))


OLD = ([("x", "float32", ("N", 3))], [("y", "float32", ("N", 10))])


@pytest.mark.parametrize(
    ("inputs", "outputs", "told"),
    [
        (*OLD, []),
        ([("x", "float32", (None, 3))], [("y", "float32", (4, 10))], []),
        ([("x", "float32", ("N", None))], OLD[1], []),
        (OLD[0], [*OLD[1], ("extra", "float32", (1,))], []),
        ([("z", "float32", ("N", 3))], OLD[1], ["input x is gone", "there is a new input z that no caller feeds"]),
        ([*OLD[0], ("mask", "bool", ("N",))], OLD[1], ["there is a new input mask that no caller feeds"]),
        ([("x", "float16", ("N", 3))], OLD[1], ["input x: float16, in production float32"]),
        ([("x", "float32", (1, 3))], OLD[1], ["input x: (1, 3), in production (N, 3): dimension 0 takes 1 only"]),
        ([("x", "float32", ("N", 4))], OLD[1], ["input x: (N, 4), in production (N, 3): dimension 1 takes 4 only"]),
        ([("x", "float32", ("N", 3, 1))], OLD[1], ["input x: (N, 3, 1), in production (N, 3): another rank"]),
        ([("x", "float32", None)], OLD[1], ["input x: unknown shape, in production (N, 3): whether it fits cannot be told"]),
        (OLD[0], [], ["output y is gone"]),
        (OLD[0], [("y", "float32", ("N", 11))], ["output y: (N, 11), in production (N, 10): dimension 1 was always 10"]),
        (OLD[0], [("y", "float32", ("N", None))], ["output y: (N, ?), in production (N, 10): dimension 1 was always 10"]),
        (OLD[0], [("y", "int64", ("N", 10))], ["output y: int64, in production float32"]),
    ],
)
def test_what_callers_would_stumble_over(inputs, outputs, told):
    from modelscan.policy.signature import replacement_differences

    assert [one.message for one in replacement_differences(signature(inputs, outputs), signature(*OLD))] == told


def test_keras_is_called_by_position_where_names_do_not_meet():
    from modelscan.policy.signature import replacement_differences

    new = signature([("input_7", "float32", (None, 3))], [("dense_9", None, (None, 10))], "keras")
    old = signature([("input_1", "float32", (None, 3))], [("dense_1", None, (None, 10))], "keras-h5")
    assert not list(replacement_differences(new, old))
    assert list(replacement_differences(replace(new, format="onnx"), old))
    wider = replace(new, inputs=(replace(new.inputs[0], shape=(None, 4)),))
    assert [one.message for one in replacement_differences(wider, old)] == [
        "input input_1: (?, 4), in production (?, 3): dimension 1 takes 4 only"
    ]


def test_against_a_file():
    text = f"against = {json.dumps(str(GOOD / 'simple_rnn.h5'))}"
    assert codes(judged(str(GOOD / "simple_rnn.keras"), text)[0]) == []
    report, failing = judged(str(GOOD / "nested.keras"), text)
    assert set(codes(report)) == {"POL009"}
    assert failing == 2


@pytest.mark.parametrize(
    ("path", "told"), [("none.onnx", "no such file or folder"), (str(BAD / "empty.onnx"), "cannot be read: empty.onnx is empty")]
)
def test_a_production_model_that_cannot_be_used_is_an_error(path, told):
    with pytest.raises(ConfigError, match=told):
        Gate(settings(f"against = {json.dumps(path)}"))


# --- thresholds and selection ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "failing"),
    [
        ("", 4),
        ("fail-on = 'critical'", 0),
        ("fail-on = 'low'", 4),
        ("fail-on = 'never'", 0),
        ("fail-on = {PAR = 'critical'}", 0),
        ("fail-on = {default = 'never', PAR = 'high'}", 4),
        ("fail-on = {default = 'low', PAR = 'never'}", 0),
        ("fail-on = {default = 'never', SEC = 'low'}", 0),
        ("select = ['FIL']", 0),
        ("select = ['PAR001']", 4),
        ("select = ['weight-mismatch']", 4),
        ("ignore = ['PAR']", 0),
        ("ignore = ['PAR002']", 4),
        ("select = ['PAR']\nignore = ['PAR001']", 0),
        ("select = ['PAR001']\nignore = ['PAR']", 4),
        ("select = ['PAR001']\nignore = ['weight-mismatch']", 0),
        ("[per-file-ignores]\n'edited*' = ['PAR']", 0),
        ("[per-file-ignores]\n'fixtures/bad/' = ['PAR001']", 0),
        ("[per-file-ignores]\n'fixtures/good/' = ['PAR001']", 4),
        ("[per-file-ignores]\n'*.h5' = ['FIL']", 4),
    ],
)
def test_thresholds_and_selection(text, failing):
    report, count = judged(EDITED, text)
    assert count == failing
    assert report.failing == report.policy["failing"] == failing
    left_out = 4 - len(codes(report))
    assert report.policy["ignored"] >= left_out


@pytest.mark.parametrize(
    ("text", "failing"),
    [
        ("", 1),
        ("fail-on = 'critical'", 1),
        ("fail-on = 'never'", 0),
        ("ignore = ['FIL']", 1),
        ("[[suppressions]]\nrule = 'FIL010'\nreason = 'a placeholder'", 0),
        ("[[suppressions]]\nrule = 'FIL011'\nreason = 'a placeholder'", 1),
    ],
)
def test_an_unreadable_model_fails_unless_somebody_accepted_it(text, failing):
    assert judged(str(BAD / "empty.onnx"), text)[1] == failing


# --- suppressions ------------------------------------------------------------------------------------------------------


def suppression(**keys):
    given = {"rule": "PAR001", "reason": "units were edited on purpose"} | keys
    return (
        "[[suppressions]]\n"
        + "\n".join(f"{key} = {value if isinstance(value, date) else json.dumps(value)}" for key, value in given.items())
        + "\n"
    )


@pytest.mark.parametrize(
    ("text", "suppressed"),
    [
        (suppression(), 4),
        (suppression(rule="PAR"), 4),
        (suppression(rule="weight-mismatch"), 4),
        (suppression(rule="SEC"), 0),
        (suppression(path="fixtures/bad/*.h5"), 4),
        (suppression(path="fixtures/good/*.h5"), 0),
        (suppression(layer="dense"), 1),
        (suppression(layer="simple*"), 3),
        (suppression(layer="other"), 0),
        (suppression(layer="dense") + suppression(layer="simple_rnn", reason="another"), 4),
        (suppression(expires=date(2030, 1, 1)), 4),
        (suppression(expires=date(2029, 12, 31)), 0),
    ],
)
def test_suppressions(text, suppressed):
    report, failing = judged(EDITED, text, today=date(2030, 1, 1))
    assert len(found(report, True)) == suppressed == report.policy["suppressed"]
    assert sum(one["suppressed"] for one in report.policy["suppressions"]) == suppressed
    assert failing == 4 - suppressed
    assert all(one.suppressed in ("units were edited on purpose", "another") for one in found(report, True))
    assert report.count("high") == failing


def test_an_expired_suppression_is_a_finding():
    report, failing = judged(EDITED, suppression(expires=date(2029, 12, 31)), today=date(2030, 1, 1))
    assert codes(report) == ["PAR001"] * 4 + ["POL010"]
    assert failing == 4
    assert (
        found(report)[-1].message
        == "the suppression of PAR001 expired on 2029-12-31; 4 findings stand again (units were edited on purpose)"
    )
    assert report.policy["suppressions"][0]["expired"]


def test_an_unused_suppression_is_told_where_its_models_were_scanned():
    assert judged(EDITED, suppression(rule="SEC"))[0].notes == ("suppression 1 (SEC in **) suppressed nothing; take it out",)
    assert judged(EDITED, suppression(rule="SEC", path="elsewhere/*"))[0].notes == ()
    assert judged(EDITED, suppression())[0].notes == ()


def test_demands_can_be_suppressed_for_one_model():
    text = "budget.parameters = 1\n" + suppression(
        rule="POL001", path="fixtures/good/simple_rnn.keras", reason="agreed until the next release"
    )
    assert judged(str(GOOD / "simple_rnn.keras"), text)[1] == 0
    assert judged(str(GOOD / "nested.keras"), text)[1] == 1


# --- baseline ----------------------------------------------------------------------------------------------------------


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "modelscan", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        env=None,
    )


@pytest.fixture
def project(tmp_path):
    """A folder with one good and one bad model and an empty configuration."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "models").mkdir()
    shutil.copy(EDITED, tmp_path / "models")
    shutil.copy(GOOD / "simple_rnn.h5", tmp_path / "models")
    return tmp_path


def test_a_baseline_lets_known_findings_pass_and_new_ones_fail(project):
    assert command("scan", "models", cwd=project).returncode == 1
    done = command("scan", "models", "--write-baseline", "known.json", cwd=project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "modelscan: 4 findings written to known.json\n")
    done = command("scan", "models", "--baseline", "known.json", "--format", "json", cwd=project)
    assert done.returncode == 0
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    assert report["policy"]["known"] == 4
    assert report["summary"]["findings"]["high"] == 0
    shutil.copy(project / "models" / "edited_units.h5", project / "models" / "another.h5")
    done = command("scan", "models", "--baseline", "known.json", cwd=project)
    assert done.returncode == 1
    assert "4 high" in done.stdout


def test_a_baseline_holds_from_any_folder_and_wherever_the_bytes_are(project):
    command("scan", "models", "--write-baseline", "known.json", cwd=project)
    assert command("scan", "edited_units.h5", "--baseline", "../known.json", cwd=project / "models").returncode == 0
    assert command("scan", project / "models", "--baseline", project / "known.json", cwd=ROOT).returncode == 0


def test_a_baseline_says_when_it_is_out_of_date(project):
    command("scan", "models", "--write-baseline", "known.json", cwd=project)
    shutil.copy(project / "models" / "simple_rnn.h5", project / "models" / "edited_units.h5")
    done = command("scan", "models", "--baseline", "known.json", cwd=project)
    assert done.returncode == 0
    assert "4 known findings of known.json did not occur; write it anew" in done.stdout
    assert "did not occur" not in command("scan", "models/simple_rnn.h5", "--baseline", "known.json", cwd=project).stdout


def test_what_is_not_looked_for_is_not_gone(project):
    """Ignored findings occur all the same; values were not read, so nothing is known of them."""
    command("scan", "models", "--write-baseline", "known.json", cwd=project)
    assert "did not occur" not in command("scan", "models", "--baseline", "known.json", "--select", "FIL", cwd=project).stdout
    known = json.loads((project / "known.json").read_text())
    known["findings"].append({"path": "models/simple_rnn.h5", "fingerprint": "0" * 32, "code": "WGT001", "message": "a NaN"})
    (project / "known.json").write_text(json.dumps(known))
    assert "did not occur" not in command("scan", "models", "--baseline", "known.json", cwd=project).stdout
    assert (
        "1 known finding of known.json did not occur"
        in command("scan", "models", "--baseline", "known.json", "--values", cwd=project).stdout
    )


def test_a_baseline_is_the_same_bytes_every_time(project):
    for name in ("one.json", "two.json"):
        command("scan", "models", "--write-baseline", name, cwd=project)
    assert (project / "one.json").read_bytes() == (project / "two.json").read_bytes()


def test_writing_a_baseline_does_not_need_the_old_one(project):
    (project / "modelscan.toml").write_text("baseline = 'known.json'")
    assert command("scan", "models", cwd=project).returncode == 2
    assert command("scan", "models", "--write-baseline", "known.json", cwd=project).returncode == 0
    assert command("scan", "models", cwd=project).returncode == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "modelscan-baseline-1", "findings": [{"path": "x"}]}', "[" * 100_000])
def test_a_baseline_that_is_none(tmp_path, content):
    path = tmp_path / "known.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"known\.json"):
        Gate(settings(f"baseline = {json.dumps(str(path))}"))


def test_fingerprints_are_stable_and_tell_findings_apart():
    one = FindingReport("PAR001", "weight-mismatch", "high", "kernel: stored shape (1,) at byte 1,234", "dense", "k", 1234)
    moved = replace(one, message="kernel: stored shape (1,) at byte 99", offset=99, severity="medium", help="other")
    others = [
        replace(one, code="PAR002"),
        replace(one, layer="d2"),
        replace(one, tensor="q"),
        replace(one, message="kernel: stored shape (2,)"),
    ]
    base = fingerprints("a/b.h5", [one])
    assert fingerprints("a/b.h5", [moved]) == base
    assert fingerprints("a/c.h5", [one]) != base
    assert all(fingerprints("a/b.h5", [other]) != base for other in others)
    assert fingerprints("a/b.h5", [one, moved]) == [*base, f"{base[0]}-2"]


# --- patterns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.h5", "a/b/c.h5", True),
        ("c.h5", "a/b/c.h5", True),
        ("b/c.h5", "a/b/c.h5", False),
        ("a/b/c.h5", "a/b/c.h5", True),
        ("./a/b/c.h5", "a/b/c.h5", True),
        ("a/*", "a/b/c.h5", False),
        ("a/**", "a/b/c.h5", True),
        ("a/", "a/b/c.h5", True),
        ("a/", "ab/c.h5", False),
        ("**/c.h5", "a/b/c.h5", True),
        ("**/c.h5", "c.h5", True),
        ("**/b/*", "a/b/c.h5", True),
        ("**", "a/b/c.h5", True),
        ("?.h5", "a/c.h5", True),
        ("[a-d].h5", "a/c.h5", True),
        ("[!a-d].h5", "a/c.h5", False),
        ("[z-a].h5", "a/c.h5", False),
        ("c.h?", "a/c.h5", True),
        ("c+h5", "a/c.h5", False),
    ],
)
def test_patterns_over_paths(tmp_path, pattern, path, expected):
    model = ModelReport(str(tmp_path / path), "keras-h5", True, 1)
    assert fits(pattern, model, str(tmp_path)) is expected


def test_a_path_outside_of_the_root_is_seen_as_given(tmp_path):
    assert place("../x/y.h5", "inner") == "../x/y.h5"
    assert place("inner/x/y.h5", "inner") == "x/y.h5"
    assert place("..x/y.h5", ".") == "..x/y.h5"


@pytest.mark.parametrize(
    ("pattern", "word", "expected"),
    [
        ("dense*", "block/dense_1", False),
        ("*dense*", "block/dense_1", True),
        ("com.microsoft.*", "com.microsoft.Gelu", True),
        ("Conv", "Conv1", False),
    ],
)
def test_patterns_over_names(pattern, word, expected):
    assert word_fits(pattern, word) is expected


# --- the report --------------------------------------------------------------------------------------------------------


def test_the_policy_is_part_of_the_report():
    report, _ = judged(EDITED, "budget.parameters = 1\n" + suppression(layer="dense"))
    document = report.to_dict()
    jsonschema.validate(document, SCHEMA)
    assert document["policy"] == {
        "source": None,
        "failing": 4,
        "ignored": 0,
        "suppressed": 1,
        "known": 0,
        "suppressions": [
            {
                "rule": "PAR001",
                "path": "**",
                "layer": "dense",
                "reason": "units were edited on purpose",
                "expires": None,
                "expired": False,
                "suppressed": 1,
            }
        ],
    }
    assert Report.from_dict(json.loads(json.dumps(document))).to_dict() == document


def test_the_library_applies_settings():
    import modelscan

    plain = modelscan.scan([EDITED], isolate=False)
    assert plain.policy is None
    assert callable(modelscan.scan), "importing the module of that name must not hide the function"
    assert modelscan.scan([EDITED], isolate=False, settings=settings(suppression())).failing == 0
    assert modelscan.scan([EDITED], isolate=False).failing is None, "no policy, no judgement"
