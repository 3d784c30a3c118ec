"""The museum: every bad file is named by its own rule with the exact reason, every legal one is left in peace.

python -m pytest tests/hostile --update-golden      # after a message was reworded: writes reasons.tsv; read the difference
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from modelscan.ledger import ModelReport, Report
from modelscan.rules import all_rules
from tests.hostile import threats
from tests.hostile.conftest import EXHIBITS, SLOW_TO_READ, Visit, scanned
from tests.hostile.exhibit import Exhibit
from tests.hostile.museum import all_exhibits

REASONS = Path(__file__).with_name("reasons.tsv")
BY_VALUES = {"nan-values", "infinite-values", "entry-crc"}
"""Rules that speak only where the values are read."""
CODES = {rule.name: rule.code for rule in all_rules()}


def reasons() -> dict[str, str]:
    rows = REASONS.read_text(encoding="utf-8").splitlines()[1:]
    return dict(row.split("\t", 1) for row in rows)


def said(report: ModelReport, rule: str, folder: Path) -> list[str]:
    """The messages of a rule, without the folder that the exhibit happens to lie in."""
    found = [one.message for one in report.findings if one.name == rule]
    return [re.sub(r"\s", " ", one.replace(f"{folder}{os.sep}", "")) for one in found]


def place(exhibit: Exhibit, path: Path) -> Path:
    """The folder that the exhibit was built in."""
    return next(one for one in (path, *path.parents) if one.name == exhibit.name)


@pytest.mark.parametrize("name", [one.name for one in all_exhibits() if one.rule])
def test_bad(name: str, visit: Visit) -> None:
    exhibit = EXHIBITS[name]
    assert exhibit.rule is not None
    report = (visit.reports if name in SLOW_TO_READ else visit.with_values)[name]
    grave = [one for one in report.findings if one.severity != "info"]
    assert exhibit.rule in {one.name for one in grave}, [(one.name, one.message) for one in report.findings]
    assert {one.code for one in grave if one.name == exhibit.rule} == {CODES[exhibit.rule]}
    messages = said(report, exhibit.rule, place(exhibit, visit.paths[name]))
    assert any(reasons()[name] in one for one in messages), messages


@pytest.mark.parametrize("name", [one.name for one in all_exhibits() if not one.rule])
def test_clean(name: str, visit: Visit) -> None:
    exhibit = EXHIBITS[name]
    for report in (visit.reports[name], visit.with_values[name]):
        assert report.readable
        assert [(one.name, one.message) for one in report.findings if one.severity != "info"] == []
    if exhibit.note is not None:
        messages = said(visit.with_values[name], exhibit.note, place(exhibit, visit.paths[name]))
        assert any(reasons()[name] in one for one in messages), messages


@pytest.mark.parametrize("name", ["keras_without_weights", "legacy_weights_group_gone"])
def test_weights_that_are_all_missing_are_one_finding(name: str, visit: Visit) -> None:
    assert [one.name for one in visit.reports[name].findings if one.severity != "info"] == ["missing-weights"]


def test_whatever_is_wrong_is_told_without_reading_values(visit: Visit) -> None:
    quiet = [
        name
        for name, one in EXHIBITS.items()
        if one.rule and one.rule not in BY_VALUES and one.rule not in {found.name for found in visit.reports[name].findings}
    ]
    assert quiet == []


def test_no_reader_dies_and_none_has_a_fault(visit: Visit) -> None:
    ended = ("reader-crash", "reader-timeout", "reader-memory")
    for reports in (visit.reports, visit.with_values):
        assert {name: one.message for name, report in reports.items() for one in report.findings if one.name in ended} == {}


def test_every_exhibit_has_its_reason(visit: Visit, request: pytest.FixtureRequest) -> None:
    wanted = [one for one in all_exhibits() if one.rule or one.note]
    if request.config.getoption("--update-golden"):
        rows = ["exhibit\tsays"]
        for one in wanted:
            report = (visit.reports if one.name in SLOW_TO_READ else visit.with_values)[one.name]
            messages = said(report, one.rule or one.note or "", place(one, visit.paths[one.name]))
            kept = reasons().get(one.name) if REASONS.exists() else None
            rows.append(f"{one.name}\t{kept if kept and any(kept in text for text in messages) else messages[0]}")
        REASONS.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert sorted(reasons()) == sorted(one.name for one in wanted)
    assert all(len(text) >= 15 for text in reasons().values())


def test_no_view_lets_a_terminal_obey_a_file(visit: Visit) -> None:
    from modelscan.report.findings import scan_text
    from modelscan.report.html import as_html
    from modelscan.report.markdown import scan_markdown
    from modelscan.report.table import render
    from modelscan.report.text import Style

    forbidden = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
    for report in visit.reports.values():
        whole = Report((report,))
        for text in (scan_text(whole, Style(100)), scan_markdown(whole), render(report, Style(100)), as_html(report)):
            assert not forbidden.search(text), report.path
        assert json.dumps(whole.to_dict()).isascii()


def test_two_visits_give_the_same_bytes(visit: Visit) -> None:
    again = scanned(visit.paths, values=False)
    assert json.dumps([one.to_dict() for one in again.values()]) == json.dumps([one.to_dict() for one in visit.reports.values()])


# --- what the museum covers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threat", threats.THREATS, ids=lambda one: f"{one.area}: {one.what}")
def test_every_threat_has_exhibits(threat: threats.Threat) -> None:
    assert threat.exhibits()
    for pattern in threat.patterns:
        assert any(threats.fnmatchcase(one.name, pattern) for one in threat.exhibits()), pattern


def test_every_bad_file_stands_for_a_threat() -> None:
    known = {exhibit.name for threat in threats.THREATS for exhibit in threat.exhibits()}
    assert sorted(one.name for one in all_exhibits() if one.rule and one.name not in known) == []


def test_the_page_of_threats_is_up_to_date() -> None:
    assert threats.PAGE.read_text() == threats.page(), "run `python -m tests.hostile.threats`"


def test_the_museum_is_large_enough() -> None:
    assert sum(1 for one in all_exhibits() if one.rule) >= 150
    assert sum(1 for one in all_exhibits() if not one.rule) >= 60
    assert len(EXHIBITS) == len(all_exhibits()), "two exhibits share a name"


# --- time and memory ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(EXHIBITS))
def test_an_answer_costs_at_most_two_seconds_and_300_mb(name: str, visit: Visit) -> None:
    """A whole process for each file, as on the command line."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "modelscan", "scan", "--format", "json", str(visit.paths[name])]
    code = (
        "import json, resource, subprocess, sys, time\n"
        "started = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "took = time.perf_counter() - started\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024\n"
        "print(json.dumps([took, peak, done.returncode, done.stdout, done.stderr]))\n"
    )
    answers = [json.loads(subprocess.run([sys.executable, "-c", code, *command], capture_output=True, check=True).stdout) for _ in range(2)]
    took, peak, status, stdout, stderr = min(answers)
    assert status == (1 if any(one.severity in ("high", "critical") for one in visit.reports[name].findings) else 0)
    assert stderr == ""
    json.loads(stdout)
    assert took < 2
    assert peak < 300e6
