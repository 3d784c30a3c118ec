"""The TensorFlow catalogue: what the variables of a program are weights of.

Where Keras left its metadata, its own catalogue tells; elsewhere the operators do that the variables end at.
"""

from __future__ import annotations

from dataclasses import replace

from modelscan.layers import keras
from modelscan.limits import Limits
from modelscan.model import Claim, Layer, Model
from modelscan.topology import Block

__all__ = ["derive"]


def derive(model: Model, limits: Limits) -> Model:
    """The model with its layers, from Keras' configuration or from the program itself."""
    if isinstance(model.graph, Block):
        derived = keras.derive(model, limits)
    else:
        derived = model
    return _with_copies(derived)


def _with_copies(model: Model) -> Model:
    """The second entries of variables beside the ones that count (Keras 3's `export` stores each twice)."""
    copies: dict[str, list[str]] = {}
    for second, first in model.program.copies.items():
        copies.setdefault(first, []).append(second)
    if not copies:
        return model
    tensors = {one.name: one for one in model.tensors}

    def completed(layer: Layer) -> Layer:
        more = [
            replace(claim, tensor=tensors[name], copy=True)
            for claim in layer.claims
            for name in copies.get(claim.tensor.name, ())
            if name in tensors
        ]
        claims: tuple[Claim, ...] = (*layer.claims, *more)
        return replace(layer, claims=claims) if more else layer

    return replace(model, layers=tuple(completed(one) for one in model.layers))
