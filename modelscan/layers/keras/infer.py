"""Weights without a configuration: what their names and shapes prove of the layers that they belong to.

A kernel of rank 2 with a bias as long as its last dimension is what a Dense layer holds; one that stands in a group which
Keras named `dense_3` is one. All dimensions are read off the weights, so that every account here is `inferred` at best.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from modelscan.formula import Dim, const, dim
from modelscan.model import Claim, Kind, Layer, Model, WeightSpec

_RATIOS = {1: "SimpleRNN", 3: "GRU", 4: "LSTM"}
_KERNELS = {2: "Dense", 3: "Conv1D", 4: "Conv2D", 5: "Conv3D"}

_WITHOUT_PRODUCTS = {"BatchNormalization", "Embedding"}


def inferred(model: Model) -> Model:
    """The model with types and specs where the weights prove them; the rest stays unknown."""
    return replace(model, layers=tuple(_layer(one) for one in model.layers), trainable_known=False)


def _layer(layer: Layer) -> Layer:
    claims = [claim for claim in layer.claims if claim.tensor.kind is Kind.WEIGHT]
    if not claims:
        return replace(layer, specs=())
    by_name = {_last(claim): claim for claim in claims}
    if len(by_name) != len(claims):
        return layer
    if all(re.fullmatch(r"\d+", name) for name in by_name):
        by_name = _by_number(layer, claims)
    for prove in (_batch_norm, _recurrent, _by_gate, _embedding, _kernel):
        found = prove(layer, by_name)
        if found is not None:
            kind, specs = found
            roles = {id(by_name[name]): spec for name, spec in specs.items()}
            if len(roles) != len(claims):
                continue
            ordered = tuple(roles[id(claim)] for claim in claims)
            return replace(
                layer,
                type=kind,
                specs=ordered,
                claims=tuple(replace(claim, role=roles[id(claim)].role) for claim in claims),
                positions=None,
                extra_macs=0 if kind in _WITHOUT_PRODUCTS else None,  # nothing tells over how many positions it is applied
            )
    return layer


def _last(claim: Claim) -> str:
    """The weight's own word: the end of its name, without Keras 1's layer prefix."""
    word = claim.key.rsplit("/", 1)[-1]
    for old, new in (
        ("_running_mean", "moving_mean"),
        ("_running_std", "moving_variance"),
        ("_gamma", "gamma"),
        ("_beta", "beta"),
        ("_W", "kernel"),
        ("_U", "recurrent_kernel"),
        ("_b", "bias"),
    ):
        if word.endswith(old):
            return new
    return re.sub(r"_\d+$", "", word)


def _by_number(layer: Layer, claims: Sequence[Claim]) -> dict[str, Claim]:
    """Roles by Keras 3's group name and number, for the classes whose order of weights is plain."""
    name = re.sub(r"_\d+$", "", layer.path.rsplit("/", 1)[-1])
    in_cell = all(claim.key.startswith("cell/") for claim in claims)
    ordered = sorted(claims, key=lambda claim: int(claim.key.rsplit("/", 1)[-1]))
    if in_cell or name in ("lstm", "gru", "simple_rnn"):
        roles: tuple[str, ...] = ("kernel", "recurrent_kernel", "bias")
    elif name == "batch_normalization":
        roles = ("gamma", "beta", "moving_mean", "moving_variance")
        if len(claims) != 4:
            return {}
    elif name in ("layer_normalization", "group_normalization"):
        roles = ("gamma", "beta")
    elif name == "embedding":
        roles = ("embeddings",)
    else:
        roles = ("kernel", "bias")
    return dict(zip(roles, ordered, strict=False)) if len(ordered) <= len(roles) else {}


Proof = tuple[str, dict[str, WeightSpec]] | None


def _size(name: str, value: int) -> Dim:
    return dim(name, value)


def _batch_norm(layer: Layer, found: dict[str, Claim]) -> Proof:
    """gamma, beta and running statistics, all of one length."""
    del layer
    known = {"gamma", "beta", "moving_mean", "moving_variance"}
    if not found or not set(found) <= known or not ({"moving_mean", "moving_variance"} <= set(found) or set(found) <= {"gamma", "beta"}):
        return None
    shapes = {claim.tensor.shape for claim in found.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        return None
    size = _size("channels", next(iter(shapes))[0])
    kind = "BatchNormalization" if "moving_mean" in found else "LayerNormalization"
    return kind, {name: WeightSpec(name, (size,), trainable="moving" not in name) for name in found}


def _recurrent(layer: Layer, found: dict[str, Claim]) -> Proof:
    """A recurrent kernel of (units, gates × units): 1 gate for SimpleRNN, 3 for GRU, 4 for LSTM."""
    del layer
    if not {"kernel", "recurrent_kernel"} <= set(found) <= {"kernel", "recurrent_kernel", "bias"}:
        return None
    inner, outer = found["recurrent_kernel"].tensor.shape, found["kernel"].tensor.shape
    if len(inner) != 2 or len(outer) != 2 or not inner[0] or inner[1] % inner[0] or outer[1] != inner[1]:
        return None
    gates = inner[1] // inner[0]
    if gates not in _RATIOS:
        return None
    units = _size("units", inner[0])
    specs = {
        "kernel": WeightSpec("kernel", (_size("inputs", outer[0]), gates * units)),
        "recurrent_kernel": WeightSpec("recurrent_kernel", (units, gates * units)),
    }
    if "bias" in found:
        shape = found["bias"].tensor.shape
        if shape == (2, gates * inner[0]):
            specs["bias"] = WeightSpec("bias", (const(2), gates * units))
        elif len(shape) == 1 and inner[0] and shape[0] in (gates * inner[0], 2 * gates * inner[0]):
            specs["bias"] = WeightSpec("bias", (shape[0] // inner[0] * units,))
        else:
            return None
    return _RATIOS[gates], specs


def _by_gate(layer: Layer, found: dict[str, Claim]) -> Proof:
    """Keras 1's one array per gate: `W_i`, `U_i`, `b_i` for the gates of an LSTM or GRU."""
    del layer
    for kind, gates in (("LSTM", "icfo"), ("GRU", "zrh")):
        names = {f"{word}_{gate}" for word in "WUb" for gate in gates}
        words = {name: next((one for one in names if name == one or name.endswith(f"_{one}")), "") for name in found}
        if set(words.values()) != names or len(found) != len(names):
            continue
        by_word = {word: found[name] for name, word in words.items()}
        shape = by_word[f"W_{gates[0]}"].tensor.shape
        if len(shape) != 2:
            return None
        inputs, units = _size("inputs", shape[0]), _size("units", shape[1])
        dims: dict[str, tuple[Dim, ...]] = {"W": (inputs, units), "U": (units, units), "b": (units,)}
        specs = {name: WeightSpec(word, dims[word[0]]) for name, word in words.items()}
        fitting = all(spec.shape == found[name].tensor.shape for name, spec in specs.items())
        return (kind, specs) if fitting else None
    return None


def _embedding(layer: Layer, found: dict[str, Claim]) -> Proof:
    del layer
    if set(found) != {"embeddings"} or len(found["embeddings"].tensor.shape) != 2:
        return None
    rows, columns = found["embeddings"].tensor.shape
    return "Embedding", {"embeddings": WeightSpec("embeddings", (_size("input_dim", rows), _size("output_dim", columns)))}


def _kernel(layer: Layer, found: dict[str, Claim]) -> Proof:
    """A kernel of rank 2 to 5 with a bias as long as its output; a transposed or depthwise one tells itself by that length."""
    if not {"kernel"} <= set(found) <= {"kernel", "bias"}:
        return None
    shape = found["kernel"].tensor.shape
    kind = _KERNELS.get(len(shape))
    if kind is None:
        return None
    window = [_size(name, size) for name, size in zip(_AXES[len(shape) - 2], shape[:-2], strict=True)]
    inputs, outputs = _size("inputs", shape[-2]), _size("units" if len(shape) == 2 else "filters", shape[-1])
    bias = found["bias"].tensor.shape if "bias" in found else (shape[-1],)
    if bias == (shape[-1],):
        dims: tuple[Dim, ...] = (outputs,)
    elif bias == (shape[0],) and len(shape) == 4 and _is_keras_1(found):  # Theano's order: filters, channels, window
        window = [_size(name, size) for name, size in zip(_AXES[2], shape[2:], strict=True)]
        filters = _size("filters", shape[0])
        specs = {"kernel": WeightSpec("kernel", (filters, _size("inputs", shape[1]), *window)), "bias": WeightSpec("bias", (filters,))}
        return kind, specs
    elif bias == (shape[-2],) and len(shape) > 2:
        kind, dims = f"{kind}Transpose", (inputs,)
    elif bias == shape[-2:] and len(shape) == 3:  # the heads of an attention layer, and what each of them has
        units = (_size("units_1", shape[1]), _size("units_2", shape[2]))
        specs = {"kernel": WeightSpec("kernel", (_size("inputs", shape[0]), *units)), "bias": WeightSpec("bias", units)}
        return "EinsumDense", specs
    elif bias == (shape[-2] * shape[-1],) and len(shape) in (3, 4):
        kind, dims = f"Depthwise{kind}", (inputs * outputs,)
    else:
        return None
    del layer
    specs = {"kernel": WeightSpec("kernel", (*window, inputs, outputs))}
    if "bias" in found:
        specs["bias"] = WeightSpec("bias", dims)
    return kind, specs


def _is_keras_1(found: dict[str, Claim]) -> bool:
    """Names such as `convolution2d_1_W`."""
    return found["kernel"].key.removesuffix(":0").endswith("_W")


_AXES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("kernel_length",),
    2: ("kernel_height", "kernel_width"),
    3: ("kernel_depth", "kernel_height", "kernel_width"),
}
