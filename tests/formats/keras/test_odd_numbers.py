"""Digits where a number is expected, of a kind or length that Python's `int` refuses; and a configuration that is null."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import modelscan
from tests.hostile.exhibit import keras_zip


@pytest.mark.parametrize("version", ["9" * 5000, f"3.{'1' * 5000}", "²", "٣.1", "3.0²", ""])
def test_no_version_is_a_fault_of_ours(tmp_path: Path, version: str) -> None:
    path = keras_zip(tmp_path / "model.keras", metadata=json.dumps({"keras_version": version}))
    report = modelscan.inspect(path)
    assert report.readable
    assert report.parameters.total == 15
    assert not [one for one in report.findings if one.severity in ("high", "critical")]


def test_a_configuration_of_null_is_told(tmp_path: Path) -> None:
    """Keras makes no model of it and says nothing."""
    (found,) = [one for one in modelscan.inspect(keras_zip(tmp_path / "model.keras", "null")).findings if one.severity == "high"]
    assert (found.code, found.message) == ("FIL145", "config.json is null")
