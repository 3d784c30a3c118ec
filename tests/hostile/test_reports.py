"""Every machine format of every exhibit parses, whatever the file is called or calls its parts; two scans give the same bytes."""

import pytest

from modelscan.ledger import Report
from modelscan.report.explain import explain
from modelscan.report.html import as_html
from modelscan.report.markdown import ledger_markdown
from modelscan.report.table import View, render
from modelscan.report.text import Style
from tests.hostile.conftest import SLOW_TO_READ, Visit, scanned
from tests.report.machine import all_texts, check_all


def test_all_together(visit: Visit) -> None:
    check_all(Report(tuple(visit.reports.values())))


def test_one_by_one(visit: Visit) -> None:
    for report in (*visit.reports.values(), *visit.with_values.values()):
        check_all(Report((report,)))


def test_views_of_one_model_hold_nothing_that_a_terminal_obeys(visit: Visit) -> None:
    for name, report in visit.reports.items():
        for text in (render(report, Style(), View(weights=True)), explain(report, Style()), ledger_markdown(report), as_html(report)):
            assert not any(c != "\n" and not c.isprintable() for c in text), name
            assert "##[" not in text, name


@pytest.mark.slow
def test_a_second_scan_gives_the_same_bytes(visit: Visit) -> None:
    again = scanned({name: path for name, path in visit.paths.items() if name not in SLOW_TO_READ}, values=True)
    first, second = (all_texts(Report(tuple(found.values()))) for found in (visit.with_values, again))
    for name, text in first.items():
        assert text == second[name], name
