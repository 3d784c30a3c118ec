"""No rule without documentation, without a file that it names, and without one of its formats that it leaves in peace.

A new rule needs an exhibit in the museum (`@bad(name)`, or `@noted(name)` when it tells something at `info`), or a case in
`tests/policy_cases.py` when it depends on the user's settings. What neither can show has a test of its own below.
"""

from __future__ import annotations

import ast
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from docs.generate import pages
from modelscan import examine
from modelscan.formats import ReadOptions
from modelscan.ledger import ModelReport
from modelscan.limits import DEFAULT, MIB, Limits
from modelscan.rules import Rule, all_rules
from modelscan.scan import examine_all
from modelscan.worker import can_isolate
from tests.hostile.conftest import EXHIBITS, Visit
from tests.policy_cases import CASES

ROOT = Path(__file__).parents[2]
GOOD = ROOT / "fixtures" / "good" / "simple_rnn_operator.onnx"
ELSEWHERE = {
    "reader-crash": "tests/hostile/test_rules.py::test_a_crash",
    "reader-timeout": "tests/hostile/test_rules.py::test_a_timeout",
    "reader-memory": "tests/hostile/test_rules.py::test_exhausted_memory",
    "budget-untold": "tests/test_policy.py::test_weights_without_an_architecture_have_no_costs",
    "breaks-callers": "tests/test_policy.py::test_against_a_file",
    "suppression-expired": "tests/test_policy.py::test_an_expired_suppression_is_a_finding",
    "lambda-refused": "tests/targets/test_loading.py::test_a_python_lambda",
    "opset-below-guarantee": "tests/test_policy.py::test_an_old_operator_set_is_a_note",
}
"""Rules that need more than a file, or than one configuration: the test that shows them, on both sides."""
RULES = [pytest.param(rule, id=rule.code) for rule in all_rules()]


@pytest.mark.parametrize("rule", RULES)
def test_documented(rule: Rule) -> None:
    text = next(text for path, text in pages() if path.name == f"{rule.code[:3].lower()}.md")
    assert f"## {rule.code} {rule.name}" in text
    assert len(rule.documentation().split()) > 30


@pytest.mark.parametrize("rule", RULES)
def test_named_by_a_fixture(rule: Rule, visit: Visit) -> None:
    if rule.name in ELSEWHERE:
        path, _, test = ELSEWHERE[rule.name].partition("::")
        names = {one.name for one in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(one, ast.FunctionDef)}
        assert test in names
    elif rule.code in {case.code for case in CASES}:
        assert all(case.told for case in CASES if case.code == rule.code)
    else:
        shown = [one.name for one in EXHIBITS.values() if rule.name in (one.rule, one.note)]
        assert shown, f"{rule.code} {rule.name} has no exhibit"
        reports = [visit.with_values.get(name) or visit.reports[name] for name in shown]
        assert all(rule.code in {one.code for one in report.findings} for report in reports)


@pytest.mark.parametrize("rule", RULES)
def test_silent_on_a_clean_fixture(rule: Rule, visit: Visit) -> None:
    if rule.name in ELSEWHERE or rule.code in {case.code for case in CASES}:
        return  # each case has settings under which it passes
    clean = [name for name, one in EXHIBITS.items() if one.rule is None and rule.name not in (one.rule, one.note)]
    of_its_formats = [name for name in clean if family(visit.reports[name]) in rule.formats]
    assert of_its_formats, f"{rule.code} {rule.name} has no clean exhibit of {rule.formats}"
    assert not any(rule.code in {one.code for one in visit.reports[name].findings} for name in of_its_formats[:1])


def family(report: ModelReport) -> str:
    """The rules' word for a format."""
    name = str(report.format)
    return {"checkpoint": "savedmodel", "graphdef": "savedmodel"}.get(name, name.partition("-")[0])


# --- what happens to readers -----------------------------------------------------------------------------------------------------


def scanned(limits: Limits = DEFAULT) -> list[tuple[str, str]]:
    report = next(examine_all([str(GOOD)], ReadOptions(inference=False), limits))
    return [(one.code, one.message) for one in report.findings]


needs_isolation = pytest.mark.skipif(not can_isolate(), reason="this platform cannot fork and limit a child process")


@needs_isolation
def test_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "examine", lambda *given, **more: os.abort())
    assert scanned() == [("FIL030", "the process that read it was ended by SIGABRT")]
    monkeypatch.undo()
    assert scanned() == []


@needs_isolation
def test_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "examine", lambda *given, **more: time.sleep(30))
    assert scanned(replace(DEFAULT, worker_seconds=0.5)) == [("FIL031", "reading took longer than 0.5 s and was stopped")]
    monkeypatch.undo()
    assert scanned() == []


@needs_isolation
def test_exhausted_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "examine", lambda *given, **more: bytearray(8 << 30))
    limit = replace(DEFAULT, worker_memory=2048 * MIB)
    assert scanned(limit) == [("FIL032", "reading needed more than 2,147,483,648 bytes of memory")]
    monkeypatch.undo()
    assert scanned() == []
