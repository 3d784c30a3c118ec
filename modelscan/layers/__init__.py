"""One catalogue per framework: what each layer type should hold, the shapes it yields, what it costs.

`derive` hands a model that a reader made to the catalogue of its framework.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from modelscan.limits import Limits
from modelscan.model import Model

CATALOGUES: dict[str, str] = {
    "keras": "modelscan.layers.keras",
    "onnx": "modelscan.layers.onnx",
    "tensorflow": "modelscan.layers.tensorflow",
}


def derive(model: Model, limits: Limits) -> Model:
    """The model with specs, shapes, roles and costs filled in, by the catalogue that it names."""
    catalogue = import_module(CATALOGUES[model.catalogue])
    return cast("Callable[[Model, Limits], Model]", catalogue.derive)(model, limits)
