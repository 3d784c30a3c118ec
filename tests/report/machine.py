"""Every machine format of a report, parsed as its reader would: by an official schema where there is one."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import jsonschema
import xmlschema

from modelscan.ledger import Report
from modelscan.report.findings import DEFAULT_GATE, scan_text
from modelscan.report.github import github_annotations
from modelscan.report.json import dumps
from modelscan.report.jsonl import JsonLines
from modelscan.report.junit import junit
from modelscan.report.markdown import scan_markdown
from modelscan.report.sarif import sarif
from modelscan.report.text import Style
from modelscan.settings import Thresholds

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "tests" / "schemas"
ANNOTATION = re.compile(r"::(error|warning|notice) file=([^:,\n]*),title=([^:,\n]*)::([^\n]*)")
HARMLESS = {"\n"}


@cache
def validator(path: Path) -> jsonschema.protocols.Validator:
    """Of a JSON Schema file, by the draft that it names."""
    schema = json.loads(path.read_text())
    return jsonschema.validators.validator_for(schema)(schema)


@cache
def xsd() -> xmlschema.XMLSchema:
    """JUnit's schema."""
    return xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd"))


def all_texts(report: Report, fail_on: Thresholds = DEFAULT_GATE) -> dict[str, str]:
    """The report in every format."""
    lines: list[str] = []
    stream = JsonLines(lines.append)
    for model in report.models:
        stream.model(model)
    stream.end(Report(skipped=report.skipped, notes=report.notes, policy=report.policy))
    return {
        "table": scan_text(report, Style(), fail_on),
        "json": dumps(report.to_dict()),
        "jsonl": "".join(lines),
        "sarif": sarif(report),
        "junit": junit(report, fail_on),
        "markdown": scan_markdown(report, fail_on),
        "github": github_annotations(report, fail_on),
    }


def check(format: str, text: str, report: dict[str, Any]) -> None:
    """The text parses, is valid, says what the report says, and holds nothing that a terminal or a CI runner obeys."""
    bad = {c for c in text if c not in HARMLESS and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")}
    assert not bad, (format, bad)
    assert "##[" not in text, format
    CHECKS[format](text, report)


def check_json(text: str, report: dict[str, Any]) -> None:
    found = json.loads(text)
    validator(ROOT / "modelscan" / "report" / "schema.json").validate(found)
    json.dumps(found, ensure_ascii=False).encode()  # no half characters
    assert found["summary"] == report["summary"]
    assert len(found["models"]) == len(report["models"])


def check_jsonl(text: str, report: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in text.splitlines()]
    assert [one["record"] for one in lines] == ["model"] * len(report["models"]) + ["summary"]
    assert lines[-1]["summary"] == report["summary"]
    whole = {key: value for key, value in lines[-1].items() if key != "record"}
    whole["models"] = [{key: value for key, value in one.items() if key != "record"} for one in lines[:-1]]
    validator(ROOT / "modelscan" / "report" / "schema.json").validate(whole)


def check_sarif(text: str, report: dict[str, Any]) -> None:
    found = json.loads(text)
    validator(SCHEMAS / "sarif-schema-2.1.0.json").validate(found)
    (run,) = found["runs"]
    rules = run["tool"]["driver"]["rules"]
    findings = [one for model in report["models"] for one in model["findings"]]
    assert [one["ruleId"] for one in run["results"]] == [one["code"] for one in findings]
    assert sorted({one["code"] for one in findings}) == [rule["id"] for rule in rules]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]
        assert run["artifacts"][place["index"]]["location"]["uri"] == place["uri"]
        assert urlsplit(place["uri"]).scheme in ("", "file")
    marks = [
        (one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], *one["partialFingerprints"].values()) for one in run["results"]
    ]
    assert len(set(marks)) == len(marks)
    paths = [unquote_to_bytes(one["location"]["uri"].removeprefix("file://")) for one in run["artifacts"]]
    assert len(paths) == len(report["models"])


def check_junit(text: str, report: dict[str, Any]) -> None:
    xsd().validate(text)
    top = xmlschema.XMLResource(text).root
    suites = list(top)
    assert len(suites) == len(report["models"])
    for key, kind in (("tests", None), ("failures", "failure"), ("errors", "error")):
        cases = [case for suite in suites for case in suite.findall("testcase")]
        assert int(top.get(key)) == sum(kind is None or case.find(kind) is not None for case in cases)


def check_markdown(text: str, report: dict[str, Any]) -> None:
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 7 for line in rows), rows
    assert text.count("<details") == text.count("</details>")
    assert not re.search(r"(?<!\\)<script", re.sub(r"`[^`]*`", "", text))
    assert len(text.encode()) < 1 << 20


def check_github(text: str, report: dict[str, Any]) -> None:
    lines = text.splitlines()
    assert all(ANNOTATION.fullmatch(line) for line in lines), lines
    told = [line for line in lines if ",title=unreadable::" not in line]
    assert len(told) == sum(one["suppressed"] is None for model in report["models"] for one in model["findings"])


def check_table(text: str, report: dict[str, Any]) -> None:
    assert not re.search(r"^\s*::", text, re.MULTILINE)


CHECKS = {
    "table": check_table,
    "json": check_json,
    "jsonl": check_jsonl,
    "sarif": check_sarif,
    "junit": check_junit,
    "markdown": check_markdown,
    "github": check_github,
}


def check_all(report: Report) -> None:
    """Every format of one report."""
    data = report.to_dict()
    texts = all_texts(report)
    for name, text in texts.items():
        check(name, text, data)
    assert texts == all_texts(report)
