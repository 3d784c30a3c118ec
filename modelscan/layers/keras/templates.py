"""What layers of a known class hold, written so that names and shapes of stored weights can be held against it without a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from modelscan.formula import Dim, const, dim
from modelscan.layers.keras.names import snake_case
from modelscan.model import Claim, WeightSpec

AXES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("kernel_length",),
    2: ("kernel_height", "kernel_width"),
    3: ("kernel_depth", "kernel_height", "kernel_width"),
}
"""Names of the axes of a window, by how many it has."""

_RECURRENT = "kernel: inputs {n}*units; recurrent_kernel: units {n}*units; bias?: {n}*units"
_CONVOLUTION = "kernel: window inputs filters; bias?: filters"
_TRANSPOSED = "kernel: window filters inputs; bias?: filters"
_DEPTHWISE = "kernel: window inputs depth_multiplier; bias?: inputs*depth_multiplier"
_SEPARABLE = "depthwise_kernel: window inputs depth_multiplier; pointwise_kernel: ones inputs*depth_multiplier filters; bias?: filters"
_CONVOLVED = "kernel: window inputs 4*filters; recurrent_kernel: window filters 4*filters; bias?: 4*filters"
_SCALED = "gamma?: any; beta?: any"
_TEXTS: dict[str, str] = {
    "Dense": "kernel: inputs units; bias?: units",
    "EinsumDense": "kernel: any",
    "Embedding": "embeddings: input_dim output_dim",
    "ReversibleEmbedding": "embeddings: input_dim output_dim; reverse_embeddings?: output_dim input_dim",
    "BatchNormalization": "gamma?: channels; beta?: channels; moving_mean-: channels; moving_variance-: channels",
    "LayerNormalization": _SCALED,
    "GroupNormalization": _SCALED,
    "RMSNormalization": "scale: any",
    "Normalization": "mean-: any; variance-: any; count-:",
    "PReLU": "alpha: any",
    "Attention": "scale:; concat_score_weight?:",
    "AdditiveAttention": "scale: features",
    "SimpleRNN": _RECURRENT.format(n=1),
    "LSTM": _RECURRENT.format(n=4),
    "GRU": _RECURRENT.format(n=3).replace("bias?: 3*units", "bias?: 2 3*units"),
    "STFTSpectrogram": "real_kernel: frame_length 1 bins; imag_kernel?: frame_length 1 bins",
    **{f"{kind}{rank}D": text for rank in (1, 2, 3) for kind, text in (("Conv", _CONVOLUTION), ("ConvLSTM", _CONVOLVED))},
    **{f"Conv{rank}DTranspose": _TRANSPOSED for rank in (1, 2, 3)},
    **{f"DepthwiseConv{rank}D": _DEPTHWISE for rank in (1, 2)},
    **{f"SeparableConv{rank}D": _SEPARABLE for rank in (1, 2)},
    **{f"{kind}Cell": _RECURRENT.format(n=n) for kind, n in (("SimpleRNN", 1), ("LSTM", 4))},
    "GRUCell": _RECURRENT.format(n=3).replace("bias?: 3*units", "bias?: 2 3*units"),
}
"""Class → its weights in the order of an archive: `role: dimensions`, `?` where it may be left out, `-` where it is not trained.

`window` stands for any number of spatial axes, `ones` for as many of extent 1, `any` for any dimensions, the same in each weight.
"""
_OTHER = {
    "GRU": _RECURRENT.format(n=3),
    "GRUCell": _RECURRENT.format(n=3),
    **{f"DepthwiseConv{rank}D": _DEPTHWISE.replace("kernel", "depthwise_kernel", 1) for rank in (1, 2)},
}
"""A second form that other versions or options have."""
_TO_BYTES = {
    "Dense": (
        "kernel-: inputs units; bias?: units; kernel_scale-: units",
        "kernel-: inputs packed; bias?: units; kernel_scale-: units",
        "kernel-: inputs packed; bias?: units; kernel_scale-: groups units; kernel_zero-: groups units; g_idx-: inputs",
        "bias?: units; kernel-: packed inputs; kernel_scale-: units sets; kernel_zero?-: units sets; awq_scales?-: inputs; g_idx-: inputs",
    ),
    "Embedding": (
        "embeddings-: input_dim packed; embeddings_scale-: input_dim",
        "embeddings-: input_dim packed; embeddings_scale-: input_dim groups; embeddings_zero-: input_dim groups; g_idx-: output_dim",
    ),
}
"""Forms of layers that are quantised to bytes, in which the kernel is of a type of one byte."""
_FLOAT8 = "; ".join(f"{one}_scale:; {one}_amax_history: length" for one in ("inputs", "kernel", "outputs_grad"))

Part = tuple[str, tuple[str, ...], bool, bool]
"""Role, dimensions, whether it may be left out, whether it is trained."""


def _parsed(text: str) -> tuple[Part, ...]:
    found = []
    for part in text.split(";"):
        name, _, dims = part.partition(":")
        name = name.strip()
        found.append((name.strip("?-"), tuple(dims.split()), "?" in name, "-" not in name))
    return tuple(found)


CLASSES: dict[str, str] = {snake_case(name): name for name in _TEXTS}
"""Class by the name that Keras gives its groups, and its layers by default."""
_TEMPLATES = {name: tuple(_parsed(one) for one in (text, _OTHER.get(name)) if one) for name, text in _TEXTS.items()}
_TEMPLATES["Dense"] += (_parsed(f"{_TEXTS['Dense']}; {_FLOAT8}"),)
MOST = {
    name: max(len(parts) for parts in forms)
    for name, forms in _TEMPLATES.items()
    if name not in ("EinsumDense", "Attention", "AdditiveAttention", "Normalization", "PReLU", "STFTSpectrogram")
}
"""How many weights a layer of a class has at most, for those classes whose names stand for what they are."""
_OF_BYTES = {name: tuple(map(_parsed, texts)) for name, texts in _TO_BYTES.items()}


def proved(kind: str, found: Mapping[str, Claim]) -> dict[str, WeightSpec] | None:
    """Specs by the given keys (roles, or numbers in the order of an archive) if the weights are those of a layer of class `kind`."""
    numbered = all(key.isdecimal() for key in found)
    ordered = sorted(found, key=int) if numbered else list(found)
    bytewise = any(claim.tensor.dtype in ("int8", "uint8") for claim in found.values())
    for template in _OF_BYTES.get(kind, ()) if bytewise else _TEMPLATES[kind]:
        for parts in _choices(template, len(ordered)):
            if numbered:
                keys = dict(zip((part[0] for part in parts), ordered, strict=True))
            elif {part[0] for part in parts} == set(ordered):
                keys = {name: name for name in ordered}
            else:
                continue
            specs = _solved(parts, [found[keys[part[0]]].tensor.shape for part in parts])
            if specs is not None:
                return {keys[spec.role]: spec for spec in specs}
    return None


def _choices(template: Sequence[Part], count: int) -> Iterator[list[Part]]:
    """The template's weights with as many of the optional ones left out as leaves `count`; the last ones are left out first."""
    optional = [index for index, part in enumerate(template) if part[2]]
    excess = len(template) - count
    if 0 <= excess <= len(optional):
        for left_out in combinations(reversed(optional), excess):
            yield [part for index, part in enumerate(template) if index not in left_out]


def _solved(parts: Sequence[Part], shapes: Sequence[tuple[int, ...]]) -> list[WeightSpec] | None:
    """The parts with every symbol read off the shapes, None if they do not agree in it."""
    dims = []
    for (_, words, _, _), shape in zip(parts, shapes, strict=True):
        row = [one for word in words for one in _dims(word, len(shape) - len(words) + 1)]
        if len(row) != len(shape):
            return None
        dims.append(row)
    while True:
        told = {
            solution[0]: solution[1]
            for row, shape in zip(dims, shapes, strict=True)
            for one, size in zip(row, shape, strict=True)
            if (solution := one.solve(size)) is not None
        }
        if not told:
            break
        dims = [[one.bind(told) for one in row] for row in dims]
    if any(tuple(one.value for one in row) != shape for row, shape in zip(dims, shapes, strict=True)):
        return None
    return [WeightSpec(role, tuple(row), trainable=trained) for (role, _, _, trained), row in zip(parts, dims, strict=True)]


def _dims(word: str, several: int) -> Iterator[Dim]:
    if word == "ones":
        yield from (const(1) for _ in range(several))
    elif word == "window":
        yield from (dim(name, None) for name in AXES.get(several, tuple(f"kernel_{axis}" for axis in range(several))))
    elif word == "any":
        yield from (dim("channels" if several == 1 else f"inputs_{axis}", None) for axis in range(several))
    else:
        found = const(1)
        for factor in word.split("*"):
            found = found * (int(factor) if factor.isdecimal() else dim(factor, None))
        yield found
