"""What each operator with weights should hold: one function per kind of layer, registered for its operators."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue import (
    attention,
    buffers,
    contrib,
    convolution,
    dense,
    einsum,
    elementwise,
    embedding,
    layouts,
    machine_learning,
    normalisation,
    packed,
    quantised,
    recurrent,
)

__all__ = [
    "attention",
    "buffers",
    "contrib",
    "convolution",
    "dense",
    "einsum",
    "elementwise",
    "embedding",
    "layouts",
    "machine_learning",
    "normalisation",
    "packed",
    "quantised",
    "recurrent",
]
