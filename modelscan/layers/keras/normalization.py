"""Normalisation layers."""

from __future__ import annotations

from modelscan.formula import Dim, const, dim
from modelscan.layers.keras.registry import BadConfigError, Config, Derived, layer
from modelscan.model import WeightSpec


def _axes(c: Config) -> list[int]:
    """The axes that a layer keeps apart, one or more."""
    axes = c.axes("axis", -1)
    if not axes:
        raise BadConfigError("axis is an empty list")
    return _without_batch(c, axes)


def _without_batch(c: Config, axes: tuple[int, ...]) -> list[int]:
    """The axes, none of which may be that of a batch whose size is not given: no weight can have its extent."""
    if c.input and c.input[0] is None and any(axis in (0, -len(c.input)) for axis in axes):
        raise BadConfigError("axis is that of the batch, which has no fixed size")
    return list(axes)


@layer("BatchNormalization", "SyncBatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2")
def batch_normalization(c: Config) -> Derived:
    """Scale, shift and two running statistics per channel: 4 × channels. tf.keras writes `axis` as a list."""
    axes = _axes(c)
    if len(axes) == 1:
        dims: tuple[Dim, ...] = (c.from_input("channels", axes[0]),)
    elif c.input is None:
        dims = (dim("channels", None),)
    else:
        kept = {axis % len(c.input) for axis in axes}
        dims = tuple(c.from_input(f"inputs_{axis}", axis) if axis in kept else const(1) for axis in range(len(c.input)))
    raised = c.dtype in ("float16", "bfloat16") and (c.version or (0, 0)) < (3, 0)  # tf.keras keeps float32 in a layer of half precision
    dtype = None if raised else c.dtype
    weights = []
    if c.flag("scale", True):
        weights.append(c.weight("gamma", *dims, multiplied=False, dtype=dtype))
    if c.flag("center", True):
        weights.append(c.weight("beta", *dims, dtype=dtype))
    for role in ("moving_mean", "moving_variance"):
        weights.append(c.weight(role, *dims, trainable=False, dtype=dtype))
    if c.flag("renorm", False):
        for role in ("moving_stddev", "renorm_mean", "renorm_stddev"):
            weights.append(c.weight(role, *dims, trainable=False, dtype=dtype))
    return Derived(weights, c.inputs[:1] or (None,), 0)


_SORTED = (3, 14)
"""Version since which `build` of the layers over axes sorts these; before, a weight has their extents in the order that is written."""


def _over_axes(c: Config, role: str, also: str | None) -> list[WeightSpec]:
    """Weights over the normalised axes, which today's Keras sorts as they are written, negative ones first."""
    axes = sorted(_axes(c)) if (c.version or (0, 0)) >= _SORTED else _axes(c)
    if c.input is None:
        dims: tuple[Dim, ...] = (dim("channels", None),) if len(axes) == 1 else ()
    else:
        dims = tuple(c.from_input("channels" if len(axes) == 1 else f"inputs_{axis % len(c.input)}", axis) for axis in axes)
    return [c.weight(name, *dims) for name in (role, also) if name]


@layer("LayerNormalization")
def layer_normalization(c: Config) -> Derived:
    """Scale and shift over the normalised axes; only a scale with `rms_scaling`."""
    rms = c.flag("rms_scaling", False)
    weights = _over_axes(
        c,
        "gamma" if c.flag("scale", True) or rms else "",
        "beta" if c.flag("center", True) and not rms else None,
    )
    return Derived([one for one in weights if one.role], c.inputs[:1] or (None,), 0)


@layer("RMSNormalization")
def rms_normalization(c: Config) -> Derived:
    """A scale over the normalised axes."""
    return Derived(_over_axes(c, "scale", None), c.inputs[:1] or (None,), 0)


@layer("GroupNormalization")
def group_normalization(c: Config) -> Derived:
    """Scale and shift per channel, however many groups."""
    channels = c.from_input("channels", _axes(c)[0])
    groups = c.integer("groups", -1, least=-1)
    if channels.value is not None and groups != -1 and (groups < 1 or channels.value % groups):
        raise BadConfigError(f"{channels.value} channels cannot be split into {groups} groups")
    weights = [c.weight(role, channels) for role, name in (("gamma", "scale"), ("beta", "center")) if c.flag(name, True)]
    return Derived(weights, c.inputs[:1] or (None,), 0)


@layer("Normalization")
def normalization(c: Config) -> Derived:
    """Mean and variance over the kept axes, and a counter; none of them trained, none if they are given."""
    axes = _without_batch(c, c.axes("axis", None if "axis" in c.values else -1))
    if c.get("mean") is not None or c.get("variance") is not None:
        return Derived((), c.inputs[:1] or (None,), 0)
    if c.input is None:
        dims: tuple[Dim, ...] = tuple(dim(f"inputs_{one}", None) for one in axes)
    else:
        kept = sorted(one % len(c.input) for one in axes)
        dims = tuple(c.from_input(f"inputs_{one}", one) for one in kept)
    weights = [c.weight(role, *dims, trainable=False) for role in ("mean", "variance")]
    weights.append(c.weight("count", trainable=False, dtype=None))
    return Derived(weights, c.inputs[:1] or (None,), 0)
