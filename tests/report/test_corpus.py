"""Every machine format on every file of the corpus: it parses, and a second scan gives the same bytes."""

import pytest

from modelscan.formats import ReadOptions
from modelscan.ledger import Report
from modelscan.scan import begin
from tests.corpus import corpus
from tests.report.machine import all_texts, check_all

pytestmark = [pytest.mark.slow, pytest.mark.corpus]


def test_every_file_in_every_format():
    count = 0
    first, second = (begin([str(corpus())], options=ReadOptions(), jobs=2).models for _ in range(2))
    for one, again in zip(first, second, strict=True):
        check_all(Report((one,)))
        assert all_texts(Report((one,))) == all_texts(Report((again,))), one.path
        count += 1
    assert count > 100
