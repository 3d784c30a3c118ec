"""What a dtype policy or LoRA does to a layer's weights: int8, int4 and float8 quantisation, low-rank adapters.

Source: `keras/src/layers/core/{dense,embedding,einsum_dense}.py`, Keras 3.4 to 3.15, `variable_serialization_spec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelscan.formula import Dim, const, dim
from modelscan.layers.keras.registry import Config, Derived
from modelscan.model import WeightSpec

_TABLES = {"embeddings", "reverse_embeddings"}
_KERNELS = {"kernel"} | _TABLES


def policy_mode(values: Mapping[str, Any]) -> str | None:
    """The quantisation that a dtype policy names (`int8`, `int4`, `float8`, `gptq`, `awq`), with its block size if it has one."""
    value = values.get("dtype", values.get("dtype_policy"))
    if isinstance(value, Mapping):
        config = value.get("config")
        config = config if isinstance(config, Mapping) else {}
        mode = config.get("mode")
        if isinstance(mode, str):
            return mode
        value = config.get("name")
    if isinstance(value, str) and "_from_" in value:
        return value.split("_from_", 1)[0]
    return None


def adapted(c: Config, derived: Derived) -> Derived:
    """The declaration's weights as the policy and LoRA leave them."""
    mode = policy_mode(c.values)
    if c.type in ("Dense", "EinsumDense", "Embedding", "ReversibleEmbedding") and mode is not None:
        derived = _quantised(c, derived, mode)
    rank = c.get("lora_rank")
    if isinstance(rank, int) and rank > 0:
        derived = _with_lora(c, derived, rank)
    return derived


def _quantised(c: Config, derived: Derived, mode: str) -> Derived:
    name, _, argument = mode.partition("/")
    weights = list(derived.weights)
    if name == "float8":
        if c.type in ("Dense", "EinsumDense"):
            history = dim("amax_history_length", c.get("amax_history_length", 1024), "dtype policy")
            for one in ("inputs", "kernel", "outputs_grad"):
                weights += [c.weight(f"{one}_scale", dtype=None), c.weight(f"{one}_amax_history", history, dtype=None)]
        return replace(derived, weights=weights)
    if name not in ("int8", "int4"):
        return derived
    found: list[WeightSpec] = []
    scales: list[WeightSpec] = []
    for spec in weights:
        if spec.role not in _KERNELS:
            found.append(spec)
            continue
        packed, own = _packed(c, spec, name, argument)
        found.append(packed)
        if spec.role in _TABLES:
            found.extend(own)  # an embedding keeps each scale beside its table
        else:
            scales.extend(own)
    return replace(derived, weights=[*found, *scales], note=f"quantised to {mode}")


def _packed(c: Config, spec: WeightSpec, name: str, argument: str) -> tuple[WeightSpec, list[WeightSpec]]:
    """A quantised kernel and the scales that belong to it."""
    table = spec.role in _TABLES
    reverse = spec.role == "reverse_embeddings"
    dims = spec.dims
    if name == "int4":
        at = 0 if reverse or (not table and c.version is not None and c.version < (3, 14)) else len(dims) - 1
        half = dim(f"⌈{dims[at]}/2⌉", _divided_up(dims[at], 2), "dtype policy")
        dims = (*dims[:at], half, *dims[at + 1 :])
    packed = replace(spec, dims=dims, dtype="int8", trainable=False, logical=spec.dims if name == "int4" else None)
    block = int(argument) if argument.lstrip("-").isdecimal() else -1
    if c.type == "EinsumDense" and name == "int4":
        return _packed_einsum(c, spec, block)
    if c.type == "EinsumDense":
        return packed, [c.weight("kernel_scale", *_einsum_scale(c, spec.dims), trainable=False, dtype=None)]
    kept, grouped = (spec.dims[0], spec.dims[1]) if table and not reverse else (spec.dims[1], spec.dims[0])
    if name == "int8" or block <= 0:
        return packed, [c.weight(f"{spec.role}_scale", kept, trainable=False, dtype=None)]
    blocks = dim(f"⌈{grouped}/{block}⌉", _divided_up(grouped, block), "dtype policy")
    shape = (kept, blocks) if table and not reverse else (blocks, kept)
    return packed, [
        c.weight(f"{spec.role}_scale", *shape, trainable=False, dtype=None),
        c.weight(f"{spec.role}_zero", *shape, trainable=False, dtype=None),
        c.weight("g_idx", grouped, trainable=False, dtype=None),
    ]


def _packed_einsum(c: Config, spec: WeightSpec, block: int) -> tuple[WeightSpec, list[WeightSpec]]:
    """Four-bit kernels of an EinsumDense are flattened to two dimensions, contracted axes by kept ones, before they are packed."""
    from modelscan.layers.keras.core import equation_parts

    _, kernel, right, _ = equation_parts(str(c.get("equation")))
    rows, columns = const(1), const(1)
    for letter, one in zip(kernel, spec.dims, strict=True):
        if letter in right:
            columns = columns * one
        else:
            rows = rows * one
    half = dim(f"⌈{columns}/2⌉", _divided_up(columns, 2), "dtype policy")
    groups = dim(f"⌈{rows}/{block}⌉", _divided_up(rows, block), "dtype policy") if block > 0 else const(1)
    packed = replace(spec, dims=(rows, half), dtype="int8", trainable=False, logical=spec.dims)
    extra = [c.weight("kernel_scale", groups, columns, trainable=False, dtype=None)]
    if block > 0:
        extra += [
            c.weight("kernel_zero", groups, columns, trainable=False, dtype=None),
            c.weight("g_idx", rows, trainable=False, dtype=None),
        ]
    return packed, extra


def _divided_up(one: Dim, by: int) -> int | None:
    return None if one.value is None else -(-one.value // by)


def _einsum_scale(c: Config, dims: tuple[Dim, ...]) -> list[Dim]:
    """The kernel's extents in the order of the output, 1 where an axis is contracted."""
    from modelscan.layers.keras.core import equation_parts

    _, kernel, right, _ = equation_parts(str(c.get("equation")))
    sizes = dict(zip(kernel, dims, strict=True))
    return [sizes.get(letter, const(1)) for letter in right]


def _with_lora(c: Config, derived: Derived, rank: int) -> Derived:
    """Two low-rank matrices beside a frozen kernel. Archives hold the product merged into the kernel and not these."""
    r = dim("lora_rank", rank, "configuration: lora_rank")
    weights = list(derived.weights)
    for at, spec in enumerate(weights):
        if spec.role not in ("kernel", "embeddings"):
            continue
        full = spec.logical or spec.dims
        first, second = [*full[:-1], r], [r, full[-1]]
        if c.type == "EinsumDense" and len(full) > 2:
            first, second = [*full[:-1], r], [r, full[-1]]
        weights[at] = replace(spec, trainable=False, dtype=None)  # merging computes in the policy's compute type
        for role, dims in ((f"lora_{spec.role}_a", first), (f"lora_{spec.role}_b", second)):
            weights.append(c.weight(role, *dims, dtype=None, optional=True, key="lora"))
        break
    note = f"LoRA of rank {rank}: merged into the kernel in .keras files, so that a loaded model holds more than the file"
    return replace(derived, weights=weights, note=note)
