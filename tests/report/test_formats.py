"""The machine formats: valid by their official schemas, deterministic, and proof against whatever a file calls itself."""

import json
import random
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from modelscan.failing import failing
from modelscan.ledger import FindingReport, LayerReport, ModelReport, Parameters, Report
from modelscan.model import Severity
from modelscan.report.github import github_annotations
from modelscan.report.html import as_html
from modelscan.report.json import dumps, harmless
from modelscan.report.junit import junit
from modelscan.report.markdown import ledger_markdown, scan_markdown
from modelscan.report.sarif import sarif
from modelscan.report.table import as_text, render
from modelscan.report.text import Style, parameters
from modelscan.rules import all_rules
from modelscan.scan import scan
from modelscan.settings import Thresholds
from tests.report.machine import ANNOTATION, ROOT, all_texts, check_all

EVIL = [
    "\x1b[2J\x1b]0;title\x07",
    "two\nlines\r\n::error::forged",
    "::add-mask::secret",
    "##[add-path]/tmp",
    "right\u202eleft\u2066",
    "]]> <!-- <script>alert(1)</script> & &amp; ' \"",
    "a|b `c` *d* _e_ [f](https://example.org) <g> \\| #1 ~~h~~",
    "%0A%3A,title=x::forged",
    "lone \udc80 surrogate \ud83d",
    "emoji \U0001f600 and \uffff \x00 \x85 \u2028",
    "back\\slash\\u0041 \\udc80 ${{ secrets.TOKEN }} $(id) {0} {{1}}",
]


def finding(message="nothing", code="PAR001", severity="high", **more):
    names = {rule.code: rule.name for rule in all_rules()}
    return FindingReport(code, names[code], severity, message, help="save the model again", **more)


def model(path="model.onnx", *findings, readable=True, name="dense"):
    one = LayerReport(name, name, "Dense", 0, (), ((None, 4),), ((None, 3),), 15, 15, 0, 12, "a", "b", "match", ())
    return ModelReport(path, "onnx", readable, 100, parameters=Parameters(total=15), layers=(one,), findings=findings)


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_what_a_file_says_breaks_no_format(evil):
    findings = [
        finding(evil, layer=evil, tensor=f"{evil}/{evil}", where=evil, offset=7),
        finding(f"x {evil}", "SEC001", "critical", suppressed=evil),
        finding(evil, "FIL010", "info"),
    ]
    report = Report((model(f"dir/{evil}", *findings, name=evil), model(evil, readable=False)), notes=(evil,))
    check_all(report)
    for text in (ledger_markdown(report.models[0]), as_text(report.models[0])):
        assert "\x1b" not in text
        assert "##[" not in text
        assert not re.search(r"^\s*::", text, re.MULTILINE)


def test_random_names_break_no_format():
    random.seed(7)
    letters = "".join(EVIL)
    for _ in range(60):
        words = ["".join(random.choices(letters, k=random.randrange(1, 30))) for _ in range(5)]
        check_all(
            Report((model(words[0], finding(words[1], layer=words[2], tensor=words[3], suppressed=random.choice((None, words[4])))),))
        )


def test_no_models_no_findings():
    check_all(Report())
    check_all(Report((model(),), skipped=3, notes=("a note",)))


def test_json_text_means_the_same_after_it_was_made_harmless():
    for value in ("##[group]", "\\##[", "\U0001f600", "plain \\udc80 text", "\\\\udc80"):
        assert json.loads(dumps([value])) == [value]
    assert json.loads(dumps(["x\udc80y"])) == ["x\\udc80y"]


def random_data(draw, depth=4):
    leaves = (None, True, False, 0, -(10**20), 1.5, -0.0, 1e300, "", 'é"\\\n\x1b', "\udc80", Severity.HIGH, 7)
    if depth == 0 or draw.random() < 0.3:
        return draw.choice(leaves)
    parts = [random_data(draw, depth - 1) for _ in range(draw.randrange(4))]
    return draw.choice((parts, tuple(parts), {f"key{place}\t": part for place, part in enumerate(parts)}))


def test_json_is_written_as_the_standard_library_writes_it():
    draw = random.Random(8)
    for _ in range(2_000):
        data = random_data(draw)
        assert dumps(data) == harmless(json.dumps(data, indent=2, allow_nan=False))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_what_json_has_no_word_for_is_refused(value):
    with pytest.raises(ValueError, match="JSON has no word for"):
        dumps([value])


def test_sarif_names_the_place():
    (run,) = json.loads(sarif(Report((model("a b/ü#.onnx", finding("m", layer="block/dense", tensor="w", offset=40)),))))["runs"]
    (result,) = run["results"]
    place = result["locations"][0]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b/%C3%BC%23.onnx", "uriBaseId": "%SRCROOT%", "index": 0},
        "region": {"byteOffset": 40},
    }
    assert place["logicalLocations"][0] == {"name": "dense", "fullyQualifiedName": "block/dense", "kind": "layer"}
    rule = next(one for one in all_rules() if one.code == "PAR001")
    assert run["tool"]["driver"]["rules"][0]["help"]["text"] == rule.documentation()


def test_sarif_of_every_rule():
    findings = [finding("m", rule.code, str(rule.severity)) for rule in all_rules()]
    report = Report((model("m.onnx", *findings),))
    check_all(report)
    rules = json.loads(sarif(report))["runs"][0]["tool"]["driver"]["rules"]
    for one in rules:
        assert one["shortDescription"]["text"].endswith(".")
        assert "**What to do**" in one["help"]["markdown"]
        assert ("security-severity" in one["properties"]) == one["id"].startswith("SEC")


def test_sarif_fingerprints_survive_moved_bytes_and_other_runs():
    def marks(report):
        return [one["partialFingerprints"] for one in json.loads(sarif(report))["runs"][0]["results"]]

    here = Report((model("m.onnx", finding("ends at byte 12", offset=12), finding("other")),))
    moved = Report(
        (
            model("new.onnx"),
            model("./m.onnx", finding("ends at byte 99", offset=99), finding("other")),
        )
    )
    assert marks(here) == marks(moved)
    assert marks(here)[0] != marks(here)[1]


def test_sarif_suppressions_give_the_reason():
    (run,) = json.loads(sarif(Report((model("m", finding("x", suppressed="accepted by me")),))))["runs"]
    assert run["results"][0]["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "accepted by me"}]


def test_sarif_messages_have_no_links():
    (run,) = json.loads(sarif(Report((model("m", finding("shape [3](https://example.org)")),))))["runs"]
    assert "\\[3\\](https" in run["results"][0]["message"]["text"]


def test_junit_fails_what_fails_the_gate():
    report = Report(
        (model("m", finding("one"), finding("two"), finding("note", "FIL010", "low"), finding("s", "SEC001", suppressed="why")),)
    )
    suite = ElementTree.fromstring(junit(report).encode())[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    assert suite.find("testcase/failure").get("message") == "one (and 1 more)"
    assert suite.find("testcase/skipped").get("message") == "why"
    suite = ElementTree.fromstring(junit(report, Thresholds(Severity.LOW, {"PAR": None})).encode())[0]
    assert suite.find("testcase/failure").get("message") == "note"


def test_junit_has_an_error_for_an_unreadable_model_whose_finding_fails_nothing():
    suite = ElementTree.fromstring(junit(Report((model("m", finding("x", severity="low"), readable=False),))).encode())[0]
    assert suite.get("errors") == "1"


LENIENT, NEVER = Thresholds(Severity.CRITICAL), Thresholds(None)
UNREADABLE = {
    "fails by its finding": ((finding("x"),), Thresholds(), 1),
    "fails although its finding is below the threshold": ((finding("x"),), LENIENT, 1),
    "fails although its rule is ignored": ((), Thresholds(), 1),
    "is accepted": ((finding("x", suppressed="known"),), Thresholds(), 0),
    "fails nothing, as nothing does": ((finding("x"),), NEVER, 0),
    "fails nothing, and nothing is told of it": ((), NEVER, 0),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_every_report_of_an_unreadable_model_says_what_the_exit_status_says(case):
    """A CI server stops at an error in JUnit, whatever the command exited with; and a gate that fails has to say where."""
    findings, fail_on, count = UNREADABLE[case]
    report = Report((*(model(f"good_{i}.onnx") for i in range(60)), model("bad.onnx", *findings, readable=False)))
    assert sum(failing(one, fail_on) for one in report.models) == count
    texts = all_texts(report, fail_on)
    heads = [line for line in texts["table"].splitlines() if line[:2] in ("✗ ", "! ", "✓ ")]
    assert heads[0].startswith("✗ bad.onnx") == bool(count)
    assert heads[-1].startswith("✗" if count else "✓")
    assert ("1 fails the gate" in heads[-1]) == bool(count)
    assert texts["markdown"].startswith(f"## {'❌' if count else '✅'} modelscan")
    assert ("1 fails the gate" in texts["markdown"]) == bool(count)
    suites = ElementTree.fromstring(texts["junit"].encode())
    assert int(suites.get("failures")) + int(suites.get("errors")) == count
    assert suites[-1].find("testcase") is not None
    assert len(re.findall("^::error file=bad.onnx,", texts["github"], re.MULTILINE)) == count


def test_annotations_are_sorted_by_gravity_and_unescape_to_what_was_said():
    report = Report((model("a,b:c%.onnx", finding("low", severity="low"), finding("100 %\nof it", severity="critical")),))
    lines = [ANNOTATION.fullmatch(line) for line in github_annotations(report).splitlines()]
    assert [line[1] for line in lines] == ["error", "warning"]
    assert lines[0][2] == "a%2Cb%3Ac%25.onnx"
    assert lines[0][4] == "100 %25\\u{a}of it%0Asave the model again"


def test_markdown_says_the_verdict_first_and_the_worst_model_before_the_others():
    text = scan_markdown(Report((model("good.onnx"), model("bad.onnx", finding("x")))))
    assert text.startswith("## ❌ modelscan\n\n2 models · 1 high · **1 fails the gate**\n")
    assert text.index("| ❌ | `bad.onnx`") < text.index("| ✅ | `good.onnx`")
    assert scan_markdown(Report((model(),))).startswith("## ✅ modelscan\n\n1 model · no findings\n")


def test_the_ledger_of_what_cannot_be_read():
    """Nothing is counted of it: its size is the file's, and no line is left for a table that is not there."""
    bad = replace(model("bad.onnx", finding("x", where="byte 3"), readable=False), layers=())
    assert (
        ledger_markdown(bad)
        == "### `bad.onnx`\n\n**unreadable** · 100 B\n\n- **PAR001** high: x (at byte 3)\n  <br>→ save the model again\n"
    )
    assert as_text(bad).splitlines()[:3] == ["bad.onnx · onnx · 100 B", "", "  PAR001 high  x (at byte 3)"]


def test_the_ledger_in_markdown_has_every_finding():
    found = [finding("note", "SEC108", "info"), finding("x", suppressed="why"), *(finding(f"one {i}") for i in range(500))]
    text = ledger_markdown(model("m.onnx", *found))
    assert "- **SEC108** info: note\n" in text
    assert "\n  <br>suppressed: why\n" in text
    assert text.count("<br>→ save the model again") == 2
    assert text.endswith("- … and 102 more; the JSON report has all\n")


def test_markdown_stays_within_a_job_summary():
    many = tuple(finding(f"finding {i} " + "words_" * 10_000, layer="l" * 60_000) for i in range(300))
    report = Report(tuple(replace(model(f"{'p' * 4000}_{i}.onnx"), findings=many) for i in range(300)))
    text = scan_markdown(report)
    assert len(text.encode()) < 1 << 20
    assert "100 more" in text
    assert "Only 400 findings are shown" in text


def test_the_table_puts_the_gravest_file_first_and_counts_many_good_ones():
    good = tuple(model(f"good_{i}.onnx") for i in range(80))
    bad = (
        model("low.onnx", finding("x", severity="low")),
        model("bad.onnx", finding("x")),
        model("evil.h5", finding("x", severity="critical")),
    )
    lines = all_texts(Report(good + bad))["table"].splitlines()
    heads = [line.split(" · ")[0] for line in lines if line[:2] in ("✗ ", "! ", "✓ ")]
    assert heads[:4] == ["✗ evil.h5", "✗ bad.onnx", "! low.onnx", "✓ good_0.onnx"]
    assert heads[-2:] == ["✓ 30 more models without findings above info", "✗ 83 models"]


def test_a_long_name_fills_no_screen():
    report = Report((model("m.onnx", finding("a" * 60_000, layer="l" * 60_000)),))
    texts = all_texts(report)
    assert len(texts["table"]) < 6_000
    assert len(texts["github"]) < 6_000


def test_fixtures_in_every_format():
    report = scan([str(ROOT / "fixtures" / "good"), str(ROOT / "fixtures" / "bad"), str(ROOT / "fixtures" / "saved_model")])
    check_all(report)
    for one in report.models:
        check_all(Report((one,)))


def test_every_severity_has_its_place_in_every_format():
    for severity in Severity:
        texts = all_texts(Report((model("m.onnx", finding("x", severity=str(severity))),)))
        assert all("PAR001" in texts[name] for name in ("github", "junit", "sarif"))


def test_one_parameter_is_one():
    assert [parameters(count) for count in (0, 1, 19_082, None)] == ["0 parameters", "1 parameter", "19,082 parameters", "? parameters"]


def test_what_counts_elsewhere_is_said_at_every_width():
    long = {"formula": "units × (inputs + 1)", "formula_values": "1,024 × (1,024 + 1)"}
    tied = replace(model().layers[0], path="again", tied=15, **long)
    box = replace(model().layers[0], name="box", type="Scope", container=True, output_shapes=(), formula=None, formula_values=None)
    one = replace(model(), layers=(box, model().layers[0], tied))
    for columns in range(80, 140):
        rows = [line for line in render(one, Style(columns=columns)).split("\n") if "(Dense)" in line]
        assert ["tied" in row for row in rows] == [False, True], columns
        assert max(map(len, rows)) <= columns
    assert "(tied: 15 counted above)" in rows[1]
    assert "1,024 × (1,024 + 1) (tied" in rows[1]
    partly = replace(one, layers=(replace(tied, tied=5),))
    assert "1,024 × (1,024 + 1) (5 tied)" in render(partly, Style(columns=80))
    for text in (ledger_markdown(one), as_html(one)):
        assert text.count("tied: 15") == 1
        assert "?" not in text
