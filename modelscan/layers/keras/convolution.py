"""Convolutions of one to three dimensions: plain, transposed, depthwise, separable, and over time."""

from __future__ import annotations

from modelscan.formula import Dim, dim
from modelscan.layers.keras.registry import BadConfigError, Config, Derived, layer
from modelscan.model import Shape, WeightSpec

_AXES = {1: ("kernel_length",), 2: ("kernel_height", "kernel_width"), 3: ("kernel_depth", "kernel_height", "kernel_width")}


def kernel_dims(c: Config, rank: int) -> list[Dim]:
    """The window's extents."""
    sizes = c.integers("kernel_size", rank, least=1)
    return [c.stated(name, size, "kernel_size") for name, size in zip(_AXES[rank], sizes, strict=True)]


def channel_axis(c: Config, rank: int) -> int:
    """Of the channels in an input of `rank` spatial dimensions; checks the input's rank."""
    c.rank(rank + 2)
    return 1 if c.channels_first else -1


def window(length: int | str | None, kernel: int, stride: int, padding: str, dilation: int = 1) -> int | None:
    """Output length of a sliding window; source: `keras/src/ops/operation_utils.py`, `compute_conv_output_shape`."""
    if not isinstance(length, int):
        return None
    if padding == "valid":
        return (length - (kernel - 1) * dilation - 1) // stride + 1
    return -(-length // stride)


def spatial(shape: Shape, first: bool) -> tuple[int | str | None, ...]:
    """The spatial part of a shape."""
    return shape[2:] if first else shape[1:-1]


def assembled(shape: Shape, sizes: tuple[int | None, ...], channels: int | str | None, first: bool) -> Shape:
    """Batch, spatial dimensions and channels in the order of the data format."""
    return (shape[0], channels, *sizes) if first else (shape[0], *sizes, channels)


def padding_of(c: Config) -> str:
    """`valid`, `same` or `causal`, as Keras spells it in any version."""
    return str(c.get("padding", "valid")).lower()


def convolved(c: Config, rank: int, channels: int | None) -> Shape | None:
    """Output shape of a convolution with the configuration's window."""
    if c.input is None:
        return None
    kernel, stride = c.integers("kernel_size", rank, least=1), c.integers("strides", rank, 1, least=1)
    dilation = c.integers("dilation_rate", rank, 1, least=1)
    sizes = spatial(c.input, c.channels_first)
    out = tuple(window(n, k, s, padding_of(c), d) for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True))
    if any(size is not None and size < 1 for size in out):
        raise BadConfigError(f"a window of {kernel} does not fit into an input of {c.input}")
    return assembled(c.input, out, channels, c.channels_first)


def out_positions(c: Config, output: Shape | None) -> int | None:
    """Spatial positions of the output."""
    return None if output is None else c.positions(output, (1,) if c.channels_first else (-1,))


def _check_steps(c: Config, rank: int) -> None:
    """What Keras 3 refuses when a convolution is made; source: `BaseConv`, `BaseConvTranspose` and `ConvLSTM` in `keras/src/layers/`."""
    version = c.version or (0, 0)
    strides, dilation = c.integers("strides", rank, 1, least=1), c.integers("dilation_rate", rank, 1, least=1)
    if version >= (3, 0) and max(strides) > 1 and max(dilation) > 1:
        raise BadConfigError(f"strides {strides} and dilation_rate {dilation} do not go together")
    extra = c.integers("output_padding", rank, least=0) if c.get("output_padding") is not None else ()
    if version >= _STRICT and any(more >= step for more, step in zip(extra, strides, strict=False)):
        raise BadConfigError(f"output_padding {extra} is not less than strides {strides}")


_STRICT = (3, 15)
"""Version since which an output padding is known to be checked against the strides."""


def _with_bias(c: Config, weights: list[WeightSpec], *dims: Dim) -> None:
    if c.flag("use_bias", True):
        weights.append(c.weight("bias", *dims))


def _conv(rank: int, c: Config) -> Derived:
    """filters × (window × channels / groups + 1)."""
    axis = channel_axis(c, rank)
    _check_steps(c, rank)
    filters, groups = c.dim("filters"), c.integer("groups", 1)
    channels = c.size(axis)
    if channels is not None and channels % groups:
        raise BadConfigError(f"{channels} channels cannot be split into {groups} groups")
    name = "channels" if groups == 1 else "channels/groups"
    inner = dim(name, None if channels is None else channels // groups, None if channels is None else c.source)
    weights = [c.weight("kernel", *kernel_dims(c, rank), inner, filters, multiplied=True)]
    _with_bias(c, weights, filters)
    output = convolved(c, rank, filters.value)
    return Derived(weights, (output,), out_positions(c, output))


def _transposed(rank: int, c: Config) -> Derived:
    """window × filters × channels + filters: the output's channels come first in the kernel."""
    axis = channel_axis(c, rank)
    _check_steps(c, rank)
    filters = c.dim("filters")
    weights = [c.weight("kernel", *kernel_dims(c, rank), filters, c.from_input("channels", axis), multiplied=True)]
    _with_bias(c, weights, filters)
    if c.input is None:
        return Derived(weights, (None,))
    kernel, stride = c.integers("kernel_size", rank, least=1), c.integers("strides", rank, 1, least=1)
    dilation = c.integers("dilation_rate", rank, 1, least=1)
    extra = c.integers("output_padding", rank, least=0) if c.get("output_padding") is not None else (None,) * rank
    sizes = spatial(c.input, c.channels_first)
    same = padding_of(c) == "same"
    out = tuple(_grown(n, k, s, d, e, same) for n, k, s, d, e in zip(sizes, kernel, stride, dilation, extra, strict=True))
    output = assembled(c.input, out, filters.value, c.channels_first)
    return Derived(weights, (output,), c.positions(c.input, (axis,)))


def _grown(n: int | str | None, kernel: int, stride: int, dilation: int, extra: int | None, same: bool) -> int | None:
    """Output length of a transposed convolution; source: `keras/src/backend/common/backend_utils.py`."""
    if not isinstance(n, int):
        return None
    kernel = (kernel - 1) * dilation + 1
    if extra is None:
        return n * stride if same else (n - 1) * stride + max(kernel, stride)
    return (n - 1) * stride + (kernel % 2 if same else kernel) + extra


def _depthwise(rank: int, c: Config) -> Derived:
    """channels × depth_multiplier × (window + 1)."""
    axis = channel_axis(c, rank)
    channels, multiplier = c.from_input("channels", axis), c.dim("depth_multiplier", 1)
    weights = [c.weight("kernel", *kernel_dims(c, rank), channels, multiplier, multiplied=True)]
    _with_bias(c, weights, channels * multiplier)
    output = convolved(c, rank, (channels * multiplier).value)
    return Derived(weights, (output,), out_positions(c, output))


def _separable(rank: int, c: Config) -> Derived:
    """A depthwise convolution, then a pointwise one."""
    axis = channel_axis(c, rank)
    filters, channels, multiplier = c.dim("filters"), c.from_input("channels", axis), c.dim("depth_multiplier", 1)
    unit = [Dim()] * rank
    weights = [
        c.weight("depthwise_kernel", *kernel_dims(c, rank), channels, multiplier, multiplied=True),
        c.weight("pointwise_kernel", *unit, channels * multiplier, filters, multiplied=True),
    ]
    _with_bias(c, weights, filters)
    output = convolved(c, rank, filters.value)
    return Derived(weights, (output,), out_positions(c, output))


def _conv_lstm(rank: int, c: Config) -> Derived:
    """4 × filters × (window × (channels + filters) + 1); source: `keras/src/layers/rnn/conv_lstm.py`."""
    c.rank(rank + 3)
    _check_steps(c, rank)
    axis = 2 if c.channels_first else -1
    filters, window_dims = c.dim("filters"), kernel_dims(c, rank)
    weights = [
        c.weight("kernel", *window_dims, c.from_input("channels", axis), 4 * filters, multiplied=True),
        c.weight("recurrent_kernel", *window_dims, filters, 4 * filters, multiplied=True),
    ]
    _with_bias(c, weights, 4 * filters)
    if c.input is None:
        return Derived(_in_cell(weights), (None,))
    from dataclasses import replace

    step = replace(c, inputs=((c.input[0], *c.input[2:]),))
    state = convolved(step, rank, filters.value)
    assert state is not None  # noqa: S101 - the input is known
    output = (state[0], c.input[1], *state[1:]) if c.flag("return_sequences", False) else state
    states = (state, state) if c.flag("return_state", False) else ()
    spots, time = out_positions(step, state), c.input[1]
    return Derived(_in_cell(weights), (output, *states), spots * time if spots is not None and isinstance(time, int) else None)


def _in_cell(weights: list[WeightSpec]) -> list[WeightSpec]:
    from dataclasses import replace

    return [replace(spec, key=f"cell/vars/{index}") for index, spec in enumerate(weights)]


for _rank in (1, 2, 3):
    for _names, _declare in (
        ((f"Conv{_rank}D", f"Convolution{_rank}D"), _conv),
        ((f"Conv{_rank}DTranspose", f"Convolution{_rank}DTranspose"), _transposed),
        ((f"DepthwiseConv{_rank}D",), _depthwise),
        ((f"SeparableConv{_rank}D", f"SeparableConvolution{_rank}D"), _separable),
        ((f"ConvLSTM{_rank}D",), _conv_lstm),
    ):
        layer(*_names)(lambda c, rank=_rank, declare=_declare: declare(rank, c))  # type: ignore[misc]
