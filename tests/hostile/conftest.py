"""The museum, built and scanned once for all tests that look at it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelscan.formats import ReadOptions
from modelscan.ledger import ModelReport
from modelscan.scan import examine_all
from tests.hostile.museum import all_exhibits

EXHIBITS = {one.name: one for one in all_exhibits()}
SLOW_TO_READ = {"onnx_of_3_gib"}
"""Whose values are not read: it is large, not hostile."""


@dataclass(frozen=True)
class Visit:
    """The whole museum, scanned as a folder is: in child processes."""

    paths: dict[str, Path]
    reports: dict[str, ModelReport]
    with_values: dict[str, ModelReport]


@pytest.fixture(scope="session")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    root = tmp_path_factory.mktemp("museum")
    paths = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile complains about the members that are duplicates on purpose
        for name, one in EXHIBITS.items():
            (root / name).mkdir()
            paths[name] = one.build(root / name)
    reports = scanned(paths, values=False)
    return Visit(paths, reports, scanned({name: path for name, path in paths.items() if name not in SLOW_TO_READ}, values=True))


def scanned(paths: dict[str, Path], values: bool) -> dict[str, ModelReport]:
    return dict(zip(paths, examine_all([str(path) for path in paths.values()], ReadOptions(values=values), jobs=2), strict=True))
