"""JUnit XML: a suite per model, a case per rule that spoke, as CI servers show test results.

Follows `junit-10.xsd` of Jenkins' xUnit plugin. No times and no host: the same input gives the same bytes.
"""

from __future__ import annotations

from xml.etree import ElementTree

from modelscan.failing import failing, fails
from modelscan.ledger import FindingReport, ModelReport, Report
from modelscan.report.findings import DEFAULT_GATE, place_of
from modelscan.report.text import escape, number, parameters, size
from modelscan.settings import Thresholds


def junit(report: Report, fail_on: Thresholds = DEFAULT_GATE) -> str:
    """What fails the gate is a failure (an error where the model cannot be read), what is suppressed a skipped case.

    An unreadable model that the gate lets pass is no error: the server would stop what modelscan does not.
    """
    top = ElementTree.Element("testsuites", name="modelscan")
    for model in report.models:
        top.append(_suite(model, fail_on))
    for key in ("tests", "failures", "errors"):
        top.set(key, str(sum(int(suite.get(key, "0")) for suite in top)))
    ElementTree.indent(top)
    text = ElementTree.tostring(top, encoding="us-ascii").decode("ascii")  # the same in every encoding that a stream may have
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(model: ModelReport, fail_on: Thresholds) -> ElementTree.Element:
    path = escape(model.path)
    suite = ElementTree.Element("testsuite", name=path, file=path)
    by_rule: dict[str, list[FindingReport]] = {}
    for one in model.findings:
        by_rule.setdefault(f"{one.code} {one.name}", []).append(one)
    stopped = not model.readable and failing(model, fail_on) > 0
    cases = [] if by_rule or stopped else [_case(suite, path, "no findings")]
    for rule, findings in by_rule.items():
        cases.append(_case(suite, path, rule))
        _said(cases[-1], findings, fail_on)
    if stopped and not any(case.find("failure") is not None for case in cases):
        cases.append(_case(suite, path, "readable"))
        ElementTree.SubElement(cases[-1], "error", message="the model cannot be read", type="unreadable")
    told = f"{model.format or 'unknown format'}, {parameters(model.parameters.total)}, {size(model.file_bytes)}"
    ElementTree.SubElement(suite, "system-out").text = told
    counts = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error", "skipped")}
    suite.attrib |= {
        "tests": str(len(cases)),
        "failures": str(counts["failure"]),
        "errors": str(counts["error"]),
        "skipped": str(counts["skipped"]),
    }
    return suite


def _case(suite: ElementTree.Element, path: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", name=name, classname=path)


def _said(case: ElementTree.Element, findings: list[FindingReport], fail_on: Thresholds) -> None:
    """The findings of one rule: those that fail the gate in a failure, the others as output, suppressed ones with their reason."""
    standing = [one for one in findings if one.suppressed is None]
    grave = [one for one in standing if fails(one, fail_on)]
    if grave:
        first = grave[0]
        more = f" (and {number(len(grave) - 1)} more)" if len(grave) > 1 else ""
        element = ElementTree.SubElement(case, "failure", message=escape(first.message) + more, type=first.severity)
        element.text = "\n".join([*map(_line, grave), *([f"→ {first.help}"] if first.help else [])])
    elif not standing:
        ElementTree.SubElement(case, "skipped", message=escape(findings[0].suppressed or ""))
    others = [one for one in findings if one not in grave]
    if others:
        ElementTree.SubElement(case, "system-out").text = "\n".join(map(_line, others))


def _line(one: FindingReport) -> str:
    suppressed = f" [suppressed: {escape(one.suppressed)}]" if one.suppressed is not None else ""
    return f"{one.severity}: {escape(one.message)}{place_of(one)}{suppressed}"
