"""Layers that are gone from Keras 3: sources are Keras 1.2.2 and 2.15."""

from __future__ import annotations

from modelscan.formula import Dim, dim
from modelscan.layers.keras.convolution import assembled, kernel_dims, padding_of, spatial, window
from modelscan.layers.keras.registry import BadConfigError, Config, Derived, layer
from modelscan.model import WeightSpec


def _local(rank: int, c: Config) -> Derived:
    """A kernel per output position, stored in one of three forms (`implementation`)."""
    c.rank(rank + 2)
    filters, implementation = c.dim("filters"), c.integer("implementation", 1)
    if c.input is None:
        return Derived([c.weight("kernel", dim("elements", None))], (None,))
    sizes = spatial(c.input, c.channels_first)
    kernel, stride = c.integers("kernel_size", rank, least=1), c.integers("strides", rank, 1, least=1)
    out = tuple(window(n, k, s, padding_of(c)) for n, k, s in zip(sizes, kernel, stride, strict=True))
    channels = c.from_input("channels", 1 if c.channels_first else -1)
    places = [dim(name, size, c.source if size is not None else None) for name, size in zip(_OUT[rank], out, strict=True)]
    everywhere = Dim()
    for one in places:
        everywhere = everywhere * one
    inner = channels
    for one in kernel_dims(c, rank):
        inner = one * inner
    if implementation == 1:
        weights = [c.weight("kernel", everywhere, inner, filters, multiplied=True)]
    elif implementation == 2:
        before = [
            dim(f"input_{name}", size if isinstance(size, int) else None, c.source) for name, size in zip(_OUT[rank], sizes, strict=True)
        ]
        ends = ([channels, *before], [filters, *places]) if c.channels_first else ([*before, channels], [*places, filters])
        weights = [c.weight("kernel", *ends[0], *ends[1])]
    else:
        taps = _taps(sizes, kernel, stride, padding_of(c))
        weights = [c.weight("kernel", c.stated("taps", taps, "kernel_size") * channels * filters)]
    if c.flag("use_bias", True):
        weights.append(c.weight("bias", *places, filters))
    return Derived(weights, (assembled(c.input, out, filters.value, c.channels_first),), 1 if implementation == 1 else None)


_OUT = {1: ("output_length",), 2: ("output_height", "output_width")}


def _taps(sizes: tuple[int | str | None, ...], kernel: tuple[int, ...], stride: tuple[int, ...], padding: str) -> int | None:
    """Pairs of input and output positions that a window connects."""
    total = 1
    for n, k, s in zip(sizes, kernel, stride, strict=True):
        if not isinstance(n, int):
            return None
        count = window(n, k, s, padding)
        if count is None or count > 1 << 20:
            raise BadConfigError(f"an input of {n} positions")
        before = 0 if padding == "valid" else k // 2
        along = 0
        for position in range(count):
            start = position * s - before
            along += max(0, min(n, start + k) - max(0, start))
        total *= along
    return total


for _rank in (1, 2):
    layer(f"LocallyConnected{_rank}D")(lambda c, rank=_rank: _local(rank, c))  # type: ignore[misc]


@layer("Highway")
def highway(c: Config) -> Derived:
    """Two square kernels with biases: transform and carry gate."""
    size = c.from_input("inputs", -1)
    weights = [c.weight("W", size, size, multiplied=True), c.weight("W_carry", size, size, multiplied=True)]
    if c.flag("use_bias", True):
        weights += [c.weight("b", size), c.weight("b_carry", size)]
    return Derived(weights, c.inputs[:1], 1)


@layer("MaxoutDense")
def maxout_dense(c: Config) -> Derived:
    """The maximum over `nb_feature` Dense layers."""
    features, units = c.dim("nb_feature", 4), c.dim("output_dim")
    weights = [c.weight("W", features, c.from_input("inputs", -1), units, multiplied=True)]
    if c.flag("use_bias", True):
        weights.append(c.weight("b", features, units))
    return Derived(weights, c.replace_last(units.value), 1)


def _per_element(c: Config, *roles: str) -> Derived:
    shape = c.input
    shared = set(c.get("shared_axes") or ())
    dims: list[Dim] = []
    if shape is None:
        dims = [dim("elements", None)]
    else:
        dims = [Dim() if axis in shared else c.from_input(f"inputs_{axis}", axis) for axis in range(1, len(shape))]
    weights: list[WeightSpec] = [c.weight(role, *dims) for role in roles]
    return Derived(weights, c.inputs[:1] or (None,), 0)


@layer("ParametricSoftplus")
def parametric_softplus(c: Config) -> Derived:
    """alpha × log(1 + exp(beta × x)), both learned per element."""
    return _per_element(c, "alpha", "beta")


@layer("SReLU")
def srelu(c: Config) -> Derived:
    """Four learned slopes and thresholds per element."""
    return _per_element(c, "t_left", "a_left", "t_right", "a_right")


@layer("RandomFourierFeatures")
def random_fourier_features(c: Config) -> Derived:
    """A fixed random projection with a scale that may be trained. Archives list the scale first: it is made as a trainable weight."""
    units = c.dim("output_dim")
    return Derived(
        [
            c.weight("kernel_scale", dim("one", 1, "definition"), trainable=c.flag("trainable", False)),
            c.weight("unscaled_kernel", c.from_input("inputs", -1), units, trainable=False, multiplied=True),
            c.weight("bias", units, trainable=False),
        ],
        c.replace_last(units.value),
        1,
    )
