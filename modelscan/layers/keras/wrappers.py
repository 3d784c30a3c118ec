"""Wrappers around one layer."""

from __future__ import annotations

from modelscan.formula import dim
from modelscan.layers.keras.registry import Config, Derived, keyed, layer, prefixed
from modelscan.model import Shape


@layer("TimeDistributed")
def time_distributed(c: Config) -> Derived:
    """The inner layer's weights, applied at every time step."""
    shape = c.ranked(2)
    steps = shape[1] if shape is not None else None
    inner_input: Shape | None = None if shape is None else (shape[0], *shape[2:])
    inner = c.inner(c.get("layer"), (inner_input,))
    outputs = tuple(None if not one or c.input is None else (one[0], steps, *one[1:]) for one in inner.outputs)
    positions = inner.positions * steps if inner.positions is not None and isinstance(steps, int) else None
    copies = {f"layer/{key}": role for key, role in inner.copies.items()}
    return Derived(prefixed(keyed(inner.weights), "layer", ""), outputs or (None,), positions, note=inner.note, copies=copies)


@layer("SpectralNormalization")
def spectral_normalization(c: Config) -> Derived:
    """The inner layer and the vector of its power iteration. Archives hold the inner kernel a second time."""
    inner = c.inner(c.get("layer"), c.inputs)
    weights = prefixed(keyed(inner.weights), "layer", "")
    kernel = next((spec for spec in weights if spec.role in ("kernel", "embeddings")), None)
    last = kernel.dims[-1] if kernel is not None else dim("features", None)
    vector = c.weight("vector_u", dim("one", 1, "definition"), last, trainable=False, key="vars/1")
    copies = {"vars/0": kernel.role} if kernel is not None else {}
    return Derived([*weights, vector], inner.outputs, inner.positions, copies=copies)
