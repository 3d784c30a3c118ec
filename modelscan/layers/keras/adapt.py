"""What a dtype policy or LoRA does to a layer's weights: int8, int4 and float8 quantisation, low-rank adapters.

Source: `keras/src/layers/core/{dense,embedding,einsum_dense}.py`, Keras 3.4 to 3.15, `variable_serialization_spec`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelscan.formula import Dim, const, dim
from modelscan.layers.keras.core import equation_parts
from modelscan.layers.keras.registry import BadConfigError, Config, Derived
from modelscan.model import FLOATING, WeightSpec

_TABLES = {"embeddings", "reverse_embeddings"}
_KERNELS = {"kernel"} | _TABLES
_SCALES = (("scale", FLOATING), ("zero", "int8"))
"""What a kernel of four bits has beside it."""


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
    _check_quantisation(c)
    mode = policy_mode(c.values)
    if c.type in ("Dense", "EinsumDense", "Embedding", "ReversibleEmbedding") and mode is not None:
        derived = _quantised(c, derived, mode)
    rank = c.get("lora_rank")
    if isinstance(rank, int) and rank > 0:
        derived = _with_lora(c, derived, rank)
    return derived


def _check_quantisation(c: Config) -> None:
    """What the quantisation that a layer states of its own cannot be; source: `keras/src/quantizers/`, the same since it can be stated."""
    config = _config_of(c.get("quantization_config"))
    size = config.get("block_size")
    if isinstance(size, int) and size < 1 and size != -1:
        raise BadConfigError(f"block_size is {size}, which is neither -1 nor a number of inputs")
    for name in ("weight_quantizer", "activation_quantizer"):
        own = _config_of(config.get(name))
        limits = own.get("value_range")
        if own.get("output_dtype") != "int8" or not isinstance(limits, list | tuple) or len(limits) != 2:
            continue
        if any(isinstance(one, int | float) and not -128 <= one <= 127 for one in limits):
            raise BadConfigError(f"value_range of the {name} is {tuple(limits)}, more than an int8 holds")


def _config_of(entry: Any) -> Mapping[str, Any]:
    """The configuration of a serialised object; empty where there is none."""
    config = entry.get("config") if isinstance(entry, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def _quantised(c: Config, derived: Derived, mode: str) -> Derived:
    name, _, argument = mode.partition("/")
    weights = list(derived.weights)
    if name == "float8":
        if c.type in ("Dense", "EinsumDense"):
            history = dim("amax_history_length", c.get("amax_history_length", 1024), "dtype policy")
            for one in ("inputs", "kernel", "outputs_grad"):
                weights += [c.weight(f"{one}_scale", dtype=FLOATING), c.weight(f"{one}_amax_history", history, dtype=FLOATING)]
        return replace(derived, weights=weights)
    if name in ("gptq", "awq"):
        return _calibrated(c, derived, name, argument)
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
    if c.version == (3, 2):  # it numbers a scale for the place behind a bias, whether or not there is one
        scales = [replace(one, key="vars/2") for one in scales]
    return replace(derived, weights=[*found, *scales], note=f"quantised to {mode}")


def _packed(c: Config, spec: WeightSpec, name: str, argument: str) -> tuple[WeightSpec, list[WeightSpec]]:
    """A quantised kernel and the scales that belong to it."""
    table = spec.role in _TABLES
    reverse = spec.role == "reverse_embeddings"
    dims = spec.dims
    if name == "int4":
        at = 0 if reverse or (not table and c.version is not None and c.version < (3, 14)) else len(dims) - 1
        dims = (*dims[:at], _half(dims[at]), *dims[at + 1 :])
    packed = replace(spec, dims=dims, dtype="int8", trainable=False, logical=spec.dims if name == "int4" else None)
    block = _stated_block(c) or (int(argument) if re.fullmatch(r"-?\d{1,9}", argument) else -1)
    if c.type == "EinsumDense" and name == "int4":
        return _packed_einsum(c, spec, block)
    if c.type == "EinsumDense":
        return packed, [c.weight("kernel_scale", *_einsum_scale(c, spec.dims), trainable=False, dtype=FLOATING)]
    kept, grouped = (spec.dims[0], spec.dims[1]) if table and not reverse else (spec.dims[1], spec.dims[0])
    if table and c.version == (3, 2):  # the one version that scales a table per feature
        kept = spec.dims[1]
    if name == "int8" or block <= 0:
        return packed, [c.weight(f"{spec.role}_scale", kept, trainable=False, dtype=FLOATING)]
    blocks = _groups(grouped, block)
    shape = (kept, blocks) if table and not reverse else (blocks, kept)
    scales = [c.weight(f"{spec.role}_{word}", *shape, trainable=False, dtype=None if reverse else dtype) for word, dtype in _SCALES]
    return packed, scales if reverse else [*scales, c.weight("g_idx", grouped, trainable=False, dtype="float32")]


def _stated_block(c: Config) -> int | None:
    """The block size of the layer's own `quantization_config`, which goes before that of its policy; -1 is none.

    Source: `keras/src/quantizers/quantization_config.py`, `get_block_size_for_layer`.
    """
    entry = c.get("quantization_config")
    config = entry.get("config") if isinstance(entry, Mapping) and entry.get("class_name") == "Int4QuantizationConfig" else None
    size = config.get("block_size", 0) if isinstance(config, Mapping) else 0
    return -1 if size is None else size or None if isinstance(size, int) and not isinstance(size, bool) else None


def _rows_and_columns(c: Config, spec: WeightSpec) -> tuple[Dim, Dim]:
    """A kernel of an EinsumDense as a matrix: contracted axes by kept ones."""
    _, kernel, right, _ = equation_parts(str(c.get("equation")))
    rows, columns = const(1), const(1)
    for letter, one in zip(kernel, spec.dims, strict=True):
        if letter in right:
            columns = columns * one
        else:
            rows = rows * one
    return rows, columns


def _packed_einsum(c: Config, spec: WeightSpec, block: int) -> tuple[WeightSpec, list[WeightSpec]]:
    """Four-bit kernels of an EinsumDense, which Keras flattens to a matrix before it packs them; until 3.13 it did not."""
    if c.version is not None and c.version < (3, 14):
        _, kernel, right, _ = equation_parts(str(c.get("equation")))
        at = next((axis for axis, letter in enumerate(kernel) if letter not in right), 0)
        dims = (*spec.dims[:at], _half(spec.dims[at]), *spec.dims[at + 1 :])
        packed = replace(spec, dims=dims, dtype="int8", trainable=False, logical=spec.dims)
        return packed, [c.weight("kernel_scale", *_einsum_scale(c, spec.dims), trainable=False, dtype=FLOATING)]
    rows, columns = _rows_and_columns(c, spec)
    packed = replace(spec, dims=(rows, _half(columns)), dtype="int8", trainable=False, logical=spec.dims)
    if block <= 0:
        return packed, [c.weight("kernel_scale", columns, trainable=False, dtype=FLOATING)]
    groups = _groups(rows, block)
    scales = [c.weight(f"kernel_{word}", groups, columns, trainable=False, dtype=dtype) for word, dtype in _SCALES]
    return packed, [*scales, c.weight("g_idx", rows, trainable=False, dtype="float32")]


def _calibrated(c: Config, derived: Derived, name: str, argument: str) -> Derived:
    """GPTQ and AWQ: the kernel transposed in whole bytes, two numbers to each where they have four bits, scales by groups of inputs."""
    bits, _, size = argument.partition("/")
    kernel = next((one for one in derived.weights if one.role == "kernel"), None)
    if kernel is None or (c.type == "EinsumDense" and len(kernel.dims) not in (2, 3)):
        return derived
    rows, columns = kernel.dims if c.type == "Dense" else _matrix(kernel)
    width = _half(columns) if bits == "4" else columns
    block = int(size) if size.isdecimal() else -1
    groups = _groups(rows, block) if block > 0 else const(1)
    found = [one for one in derived.weights if one is not kernel]  # the bias comes first
    found.append(replace(kernel, dims=(width, rows), dtype="uint8", trainable=False, logical=kernel.dims if bits == "4" else None))
    found.append(c.weight("kernel_scale", columns, groups, trainable=False, dtype=FLOATING))
    found.append(c.weight("kernel_zero" if c.type == "Dense" else "zero_point", columns, groups, trainable=False, dtype="uint8"))
    if name == "awq":
        found.append(c.weight("awq_scales", rows, trainable=False, dtype=FLOATING))
    found.append(c.weight("g_idx", rows, trainable=False, dtype="float32"))
    return replace(derived, weights=found, note=f"quantised to {name}/{argument}")


def _matrix(kernel: WeightSpec) -> tuple[Dim, Dim]:
    """A kernel of an EinsumDense as these methods see it: a projection from its widest axis, or to it."""
    if len(kernel.dims) == 2:
        return kernel.dims[0], kernel.dims[1]
    first, second, third = kernel.dims
    sizes = [one.value or 0 for one in kernel.dims]
    return (first, second * third) if sizes.index(max(sizes)) == 0 else (first * second, third)


def _half(one: Dim) -> Dim:
    return dim(f"⌈{one}/2⌉", _divided_up(one, 2), "dtype policy")


def _groups(one: Dim, size: int) -> Dim:
    return dim(f"⌈{one}/{size}⌉", _divided_up(one, size), "dtype policy")


def _divided_up(one: Dim, by: int) -> int | None:
    return None if one.value is None else -(-one.value // by)


def _einsum_scale(c: Config, dims: tuple[Dim, ...]) -> list[Dim]:
    """The kernel's extents in the order of the output, 1 where an axis is contracted."""
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
        kept = spec.dtype if spec.dtype == "int8" else FLOATING  # merging computes in the policy's compute type
        weights[at] = replace(spec, trainable=False, dtype=kept)
        for role, dims in ((f"lora_{spec.role}_a", (*full[:-1], r)), (f"lora_{spec.role}_b", (r, full[-1]))):
            weights.append(c.weight(role, *dims, dtype=FLOATING, added=True, key=f"vars/{role}"))
        break
    return replace(derived, weights=weights)
