"""Weights without a configuration: what their names and shapes prove of the layers that they belong to.

A kernel of rank 2 with a bias as long as its last dimension is what a Dense layer holds; one that stands in a group which
Keras named `dense_3` is one. All dimensions are read off the weights, so that every account here is `inferred` at best.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from modelscan.formula import Dim, const, dim
from modelscan.layers.keras.doubts import contradiction, gaps, unlike_statistics
from modelscan.layers.keras.names import snake_case
from modelscan.layers.keras.templates import AXES, CLASSES, proved
from modelscan.model import Claim, Kind, Layer, Model, Observation, WeightSpec

_RATIOS = {1: "SimpleRNN", 3: "GRU", 4: "LSTM"}
_KERNELS = {2: "Dense", 3: "Conv1D", 4: "Conv2D", 5: "Conv3D"}

_WITHOUT_PRODUCTS = {"BatchNormalization", "Embedding"}


def inferred(model: Model) -> Model:
    """The model with types and specs where the weights prove them; the rest stays unknown."""
    doubts: list[Observation] = []
    layers = tuple(_layer(one, doubts) for one in model.layers)
    return replace(model, layers=layers, observations=(*model.observations, *doubts), trainable_known=False)


def _layer(layer: Layer, doubts: list[Observation]) -> Layer:
    claims = [claim for claim in layer.claims if claim.tensor.kind is Kind.WEIGHT]
    if not claims:
        return replace(layer, specs=())
    doubts.extend(gaps(layer))
    certain = _certain_class(layer)
    doubt = contradiction(layer, certain, claims) if certain is not None else None
    if doubt is None and _class_of(layer.path.rsplit("/", 1)[-1]) == "Normalization":
        doubt = unlike_statistics(layer, claims)
    if doubt is not None:
        doubts.append(doubt)
    found = _of_scopes(layer, claims)
    if found is None:
        return layer
    kind, specs = found
    kept: dict[str, WeightSpec] = {}
    for claim in claims:
        kept.setdefault(specs[id(claim)].role, specs[id(claim)])
    return replace(
        layer,
        type=kind or layer.type,
        specs=tuple(kept.values()),
        claims=tuple(replace(claim, role=specs[id(claim)].role) for claim in claims),
        positions=None,
        extra_macs=0 if kind in _WITHOUT_PRODUCTS else None,  # nothing tells over how many positions it is applied
    )


Found = tuple[str | None, dict[int, WeightSpec]] | None
"""A layer's class if it is told, and the spec of each claim by its identity."""


def _of_scopes(layer: Layer, claims: Sequence[Claim]) -> Found:
    """A layer whose parts are each proved: the cells of a recurrence, the projections of an attention, the layer in a wrapper."""
    told = _class_of(layer.path.rsplit("/", 1)[-1]) or _class_of(layer.name)
    scopes: dict[str, dict[str, Claim]] = {}
    for claim in claims:
        scope, word = _place(claim)
        scopes.setdefault(scope, {})[word] = claim
    if sum(map(len, scopes.values())) != len(claims):
        return None
    beside, copies = _kept_beside(scopes)
    specs: dict[int, WeightSpec] = dict(beside)
    kinds: list[str] = []
    for scope, words in scopes.items():
        left = {word: claim for word, claim in words.items() if id(claim) not in beside and id(claim) not in copies}
        if not left:
            continue
        last = scope.rsplit("/", 1)[-1]
        proof = _single(layer, told if last in ("", "cell") or len(scopes) == 1 else None, _class_of(last), left)
        if proof is None:
            return None
        kinds.append(proof[0])
        prefix = f"{scope}/" if len(scopes) > 1 and scope else ""
        specs.update({id(left[word]): replace(spec, role=f"{prefix}{spec.role}") for word, spec in proof[1].items()})
    if len(kinds) == 1 and not beside and (told is None or (told in CLASSES.values() and told != "EinsumDense")):
        told = kinds[0]  # a name may say what the weights do not
    return told, specs | {copy: specs[original] for copy, original in copies.items()}


def _certain_class(layer: Layer) -> str | None:
    """The class that both the group and the name written in it tell, where the name is one that Keras gave and not the group's own."""
    group = layer.path.rsplit("/", 1)[-1]
    kind = _class_of(group)
    return kind if layer.name != group and _class_of(layer.name) == kind else None


def _place(claim: Claim) -> tuple[str, str]:
    """The part of a layer that a weight lies in, and its own word or number there."""
    scope, _, word = claim.key.rpartition("/")
    if scope == "vars" or scope.endswith("/vars"):
        return scope[:-4].rstrip("/"), word
    return scope, _last(claim)


def _kept_beside(scopes: dict[str, dict[str, Claim]]) -> tuple[dict[int, WeightSpec], dict[int, int]]:
    """What layers keep beside the weights of their parts, and which claims are copies of which.

    That is the vector of a spectral norm with a second kernel, and the frequencies of words.
    """
    found: dict[int, WeightSpec] = {}
    copies: dict[int, int] = {}
    own = scopes.get("", {})
    inner = [words for scope, words in scopes.items() if scope.split("/")[0] == "layer"]
    if set(own) == {"0", "1"} and len(inner) == 1 and inner[0]:
        kernel, last = own["0"], own["0"].tensor.shape[-1:]
        first = inner[0][min(inner[0])]
        if first.tensor.shape == kernel.tensor.shape and own["1"].tensor.shape == (1, *last):
            found[id(own["1"])] = WeightSpec("vector_u", (const(1), _size("features", last[0])), trainable=False)
            copies[id(kernel)] = id(first)
    for words in scopes.values():
        for word, claim in words.items():
            if word == "idf_weights" and len(claim.tensor.shape) == 1:
                size = _size("vocabulary", claim.tensor.shape[0])
                found[id(claim)] = WeightSpec("idf_weights", (size,), trainable=False, counted=False)
            elif word == "vector_u" and len(claim.tensor.shape) == 2 and claim.tensor.shape[0] == 1:
                features = _size("features", claim.tensor.shape[1])
                found[id(claim)] = WeightSpec("vector_u", (const(1), features), trainable=False)
    return found, copies


def _class_of(name: str) -> str | None:
    """The class that a group or layer is called after, as Keras does by default."""
    base = re.sub(r"_\d+$", "", name)
    return CLASSES.get(base) or _HOLDERS.get(base)


_HOLDERS = {
    snake_case(name): name
    for name in (
        "Bidirectional TimeDistributed RNN StackedRNNCells MultiHeadAttention GroupedQueryAttention SpectralNormalization "
        "TextVectorization StringLookup IntegerLookup Sequential Functional Model"
    ).split()
}
"""Classes whose weights are those of what they hold."""


def _single(layer: Layer, outer: str | None, own: str | None, found: dict[str, Claim]) -> tuple[str, dict[str, WeightSpec]] | None:
    """One part with weights of its own: by the class that its group or that of the layer is called after, else by what shapes prove."""
    for kind in (own, outer):
        specs = proved(kind, found) if kind is not None and kind in CLASSES.values() else None
        if kind is not None and specs is not None:
            return kind.removesuffix("Cell"), specs
    numbered = all(word.isdecimal() for word in found)
    by_role = _by_number(found) if numbered else found
    words = {id(claim): word for word, claim in found.items()}
    for prove in (_batch_norm, _recurrent, _by_gate, _embedding, _kernel):
        proof = prove(layer, by_role)
        if proof is not None and len(proof[1]) == len(found):
            return proof[0], {words[id(by_role[role])]: spec for role, spec in proof[1].items()}
    for kind in _BY_WORDS if not numbered else ():
        specs = proved(kind, found)
        if specs is not None:
            return kind, specs
    return None


_BY_WORDS = ("SeparableConv2D", "DepthwiseConv2D", "Normalization", "PReLU", "ConvLSTM2D")
"""Classes that the names of their weights tell."""


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


def _by_number(found: dict[str, Claim]) -> dict[str, Claim]:
    """Roles by the numbers of an archive, where no name tells the class: as many weights as common classes have, in their order."""
    ordered = [found[word] for word in sorted(found, key=int)]
    shapes = [claim.tensor.shape for claim in ordered]
    if len(set(shapes)) == 1 and len(shapes[0]) == 1 and len(shapes) in (2, 4):
        roles: tuple[str, ...] = ("gamma", "beta", "moving_mean", "moving_variance")
    elif len(shapes) == 3 or (len(shapes) == 2 and len(shapes[0]) == len(shapes[1]) == 2):
        roles = ("kernel", "recurrent_kernel", "bias")
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
    window = [_size(name, size) for name, size in zip(AXES[len(shape) - 2], shape[:-2], strict=True)]
    inputs, outputs = _size("inputs", shape[-2]), _size("units" if len(shape) == 2 else "filters", shape[-1])
    bias = found["bias"].tensor.shape if "bias" in found else (shape[-1],)
    if bias == (shape[-1],):
        dims: tuple[Dim, ...] = (outputs,)
    elif bias == (shape[0],) and len(shape) == 4 and _is_keras_1(found):  # Theano's order: filters, channels, window
        window = [_size(name, size) for name, size in zip(AXES[2], shape[2:], strict=True)]
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
