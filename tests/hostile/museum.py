"""The whole museum: every module that registers exhibits."""

from __future__ import annotations

from tests.hostile import (  # noqa: F401 - they register what they build
    clean_files,
    containers,
    hdf5_files,
    keras_files,
    loading_files,
    odd_containers,
    onnx_files,
    onnx_more,
    onnx_places,
    tensorflow_files,
    value_files,
)
from tests.hostile.exhibit import BAD, CLEAN, Exhibit


def all_exhibits() -> list[Exhibit]:
    """Bad ones first."""
    return [*BAD, *CLEAN]
