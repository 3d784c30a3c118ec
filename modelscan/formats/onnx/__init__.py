"""ONNX files: the structure is read, the payloads are located and measured."""

from __future__ import annotations

from modelscan.formats.onnx.detection import detect
from modelscan.formats.onnx.payload import blocks
from modelscan.formats.onnx.reader import read

__all__ = ["blocks", "detect", "read"]
