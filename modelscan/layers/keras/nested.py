"""Weights that a file lists for a nested model as a whole, given to its layers.

The HDF5 layout of Keras 1 and 2 has one group per outermost layer. Its order is known: first all trainable weights, then the
others, or, for a frozen model, layer by layer. An order is taken only if every count and every shape agrees with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from modelscan.layers.keras.deriving import Result
from modelscan.model import Claim, Layer, WeightSpec

Owned = tuple[Layer, WeightSpec]


def distributed(layers: Sequence[Layer], results: Mapping[str, Result]) -> dict[str, tuple[Claim, ...]]:
    """Claims by layer path for the layers of containers that hold claims of their own, and what is left to these."""
    found: dict[str, tuple[Claim, ...]] = {}
    for index, container in enumerate(layers):
        if not container.container or not container.claims:
            continue
        inner = list(_inner(layers, index))
        owned = [
            (one, spec) for one in inner for spec in (results[one.path].specs if one.path in results else None) or () if not spec.optional
        ]
        for order in _orders(owned):
            if len(order) == len(container.claims) and all(
                _fits(spec, claim) for (_, spec), claim in zip(order, container.claims, strict=True)
            ):
                given: dict[str, list[Claim]] = {}
                for (one, spec), claim in zip(order, container.claims, strict=True):
                    given.setdefault(one.path, []).append(replace(claim, key=spec.role))
                found.update({path: tuple(claims) for path, claims in given.items()})
                found[container.path] = ()
                break
    return found


def _inner(layers: Sequence[Layer], index: int) -> Iterator[Layer]:
    for layer in layers[index + 1 :]:
        if layer.depth <= layers[index].depth:
            return
        if not layer.container:
            yield layer


def _orders(owned: list[Owned]) -> Iterator[list[Owned]]:
    yield [one for one in owned if one[0].trainable and one[1].trainable] + [
        one for one in owned if not (one[0].trainable and one[1].trainable)
    ]
    yield owned
    yield [one for one in owned if one[1].trainable] + [one for one in owned if not one[1].trainable]


def _fits(spec: WeightSpec, claim: Claim) -> bool:
    return len(spec.shape) == len(claim.tensor.shape) and all(
        expected in (None, size) for expected, size in zip(spec.shape, claim.tensor.shape, strict=True)
    )
