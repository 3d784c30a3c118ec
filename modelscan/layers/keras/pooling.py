"""Pooling layers."""

from __future__ import annotations

from modelscan.layers.keras.convolution import assembled, padding_of, spatial, window
from modelscan.layers.keras.registry import Config, Derived, layer


def _pool(rank: int, c: Config) -> Derived:
    c.rank(rank + 2)
    if c.input is None:
        return Derived((), (None,), 0)
    size = c.integers("pool_size", rank, 2, least=1)
    stride = c.integers("strides", rank, least=1) if c.get("strides") is not None else size
    sizes = spatial(c.input, c.channels_first)
    out = tuple(window(n, k, s, padding_of(c)) for n, k, s in zip(sizes, size, stride, strict=True))
    channels = c.input[1] if c.channels_first else c.input[-1]
    return Derived((), (assembled(c.input, out, channels, c.channels_first),), 0)


def _global(rank: int, c: Config) -> Derived:
    c.rank(rank + 2)
    if c.input is None:
        return Derived((), (None,), 0)
    channels = c.input[1] if c.channels_first else c.input[-1]
    if not c.flag("keepdims", False):
        return Derived((), ((c.input[0], channels),), 0)
    return Derived((), (assembled(c.input, (1,) * rank, channels, c.channels_first),), 0)


def _adaptive(rank: int, c: Config) -> Derived:
    c.rank(rank + 2)
    if c.input is None:
        return Derived((), (None,), 0)
    channels = c.input[1] if c.channels_first else c.input[-1]
    out = c.integers("output_size", rank, least=1)
    return Derived((), (assembled(c.input, out, channels, c.channels_first),), 0)


for _rank in (1, 2, 3):
    for _kind, _short in (("Max", "Max"), ("Average", "Avg")):
        layer(f"{_kind}Pooling{_rank}D", f"{_short}Pool{_rank}D")(lambda c, rank=_rank: _pool(rank, c))  # type: ignore[misc]
        layer(f"Global{_kind}Pooling{_rank}D", f"Global{_short}Pool{_rank}D")(lambda c, rank=_rank: _global(rank, c))  # type: ignore[misc]
        layer(f"Adaptive{_kind}Pooling{_rank}D")(lambda c, rank=_rank: _adaptive(rank, c))  # type: ignore[misc]
