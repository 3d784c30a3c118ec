"""What each operator with weights should hold: one function per kind of layer, registered for its operators."""

from __future__ import annotations

from modelscan.layers.onnx.catalogue import convolution, dense, elementwise, embedding, normalisation, recurrent

__all__ = ["convolution", "dense", "elementwise", "embedding", "normalisation", "recurrent"]
