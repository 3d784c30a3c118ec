"""TensorFlow's files: SavedModel folders and archives, checkpoints, GraphDefs; the program is read, the shards are only measured."""

from __future__ import annotations

from modelscan.formats.tensorflow.detection import detect
from modelscan.formats.tensorflow.payload import blocks
from modelscan.formats.tensorflow.reader import read

__all__ = ["blocks", "detect", "read"]
