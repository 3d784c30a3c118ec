"""Where the corpus of real model files is; tests that need it skip with one line where it is absent."""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("MODELSCAN_CORPUS") or Path(__file__).parents[1] / "../shared/corpus").resolve()


def corpus(*parts: str) -> Path:
    """A file or folder of the corpus; skips the test when it is not there."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{'/'.join(parts) or 'the corpus'} is not there; set MODELSCAN_CORPUS to the corpus folder")
    return path


@cache
def expected(folder: str) -> tuple[dict[str, str], ...]:
    """The rows of a folder's `expected.tsv`: what the frameworks say of each file."""
    with corpus(folder, "expected.tsv").open(encoding="utf-8", newline="") as table:
        return tuple(csv.DictReader(table, delimiter="\t"))
