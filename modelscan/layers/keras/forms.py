"""The other forms in which Keras 1 stored the same weights: one array per gate, kernels in Theano's order.

Sources: `keras/layers/{convolutional,recurrent}.py` of Keras 1.0 to 1.2.2, and what `preprocess_weights_for_loading` of Keras 2
converted from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelscan.formula import Dim, const
from modelscan.model import Claim, WeightSpec

_GATES = {"LSTM": "icfo", "GRU": "zrh"}


def other_forms(kind: str, specs: Sequence[WeightSpec]) -> list[tuple[WeightSpec, ...]]:
    """The stored forms besides the usual one that a layer of this type had in Keras 1."""
    if kind in _GATES:
        return [_by_gate(specs, _GATES[kind])]
    if kind in ("Conv1D", "Conv2D", "Conv3D"):
        return _kernels(specs)
    return []


def _by_gate(specs: Sequence[WeightSpec], gates: str) -> tuple[WeightSpec, ...]:
    """`W_i`, `U_i`, `b_i` and so on instead of three arrays with all gates side by side."""
    words = {"kernel": "W", "recurrent_kernel": "U", "bias": "b"}
    found = []
    for gate in gates:
        for spec in specs:
            dims = tuple(replace(one, coefficient=1) if one.coefficient == len(gates) else one for one in spec.dims)
            found.append(replace(spec, role=f"{words[spec.role]}_{gate}", dims=dims, key=None))
    return tuple(found)


def _kernels(specs: Sequence[WeightSpec]) -> list[tuple[WeightSpec, ...]]:
    """Theano's (filters, channels, window…); for one dimension with an axis of 1 in between, in either order."""
    kernel = next((spec for spec in specs if spec.role == "kernel"), None)
    if kernel is None:
        return []
    *window, channels, filters = kernel.dims
    orders: list[tuple[Dim, ...]] = [(filters, channels, *window)]
    if len(window) == 1:
        orders = [(window[0], const(1), channels, filters), (filters, channels, window[0], const(1))]
    return [tuple(replace(spec, dims=order) if spec is kernel else spec for spec in specs) for order in orders]


def fits(specs: Sequence[WeightSpec], claims: Sequence[Claim]) -> bool:
    """Whether every claim has a role, every weight a claim, and no shape contradicts."""
    by_role = {spec.role: spec for spec in specs}
    claimed = {claim.role for claim in claims}
    if None in claimed or any(spec.role not in claimed and not spec.optional for spec in specs):
        return False
    for claim in claims:
        shape = by_role[claim.role or ""].shape
        if len(shape) != len(claim.tensor.shape) or any(a not in (None, b) for a, b in zip(shape, claim.tensor.shape, strict=True)):
            return False
    return True
