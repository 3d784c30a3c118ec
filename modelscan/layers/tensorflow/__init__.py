"""The TensorFlow catalogue: what the variables of a program are weights of.

Where Keras left its metadata, its own catalogue tells; elsewhere the operations do that the variables end at, and for a checkpoint
without a program what names and shapes prove.
"""

from __future__ import annotations

from dataclasses import replace

from modelscan.layers import keras
from modelscan.layers.keras.infer import inferred
from modelscan.layers.tensorflow.grouping import Group, grouped
from modelscan.layers.tensorflow.recognise import as_layer, recognised
from modelscan.layers.tensorflow.weights import Weight, weights
from modelscan.limits import Limits
from modelscan.model import Claim, Kind, Layer, Model, StoredTensor
from modelscan.topology import Block

__all__ = ["derive"]

DEEPEST = 32
"""Scopes that are told apart; what a name has beyond stays its last part."""


def derive(model: Model, limits: Limits) -> Model:
    """The model with its layers, from Keras' configuration or from the program itself."""
    derived = _from_keras(model, limits) if isinstance(model.graph, Block) else _from_program(model, limits)
    return _with_copies(derived)


def _from_keras(model: Model, limits: Limits) -> Model:
    """By Keras' configuration; what is inside a layer of the author's own, the program tells."""
    derived = keras.derive(model, limits)
    if not any(_is_unknown(one) for one in derived.layers):
        return derived
    by_key = {one.tensor.name: one for one in weights(model, limits)}
    return replace(derived, layers=tuple(part for one in derived.layers for part in (_opened(one, by_key) if _is_unknown(one) else (one,))))


def _is_unknown(layer: Layer) -> bool:
    return layer.specs is None and bool(layer.claims) and not layer.container


def _opened(layer: Layer, found: dict[str, Weight]) -> list[Layer]:
    """A layer without a formula as the layers that it is made of; as it is where the program does not tell of all of its weights."""
    members = [found[claim.tensor.name] for claim in layer.claims if claim.tensor.name in found]
    groups = grouped(members)
    drafts = [recognised(group) for group in groups]
    if len(members) != len(layer.claims) or any(draft is None for draft in drafts):
        return [layer]
    parts = []
    for group, draft in zip(groups, drafts, strict=True):
        _, inner, rest = f"/{group.path}/".partition(f"/{layer.name}/")
        name = (rest if inner else group.path).strip("/") or layer.name
        parts.append(as_layer(group, draft, name, layer.depth + 1, f"{layer.path}/{name}"))
    if len(parts) == 1:
        return [replace(layer, specs=parts[0].specs, claims=parts[0].claims, positions=parts[0].positions, extra_macs=0)]
    return [replace(layer, container=True, claims=(), specs=None), *(replace(one, trainable=layer.trainable) for one in parts)]


def _from_program(model: Model, limits: Limits) -> Model:
    found = weights(model, limits)
    by_key = {one.tensor.name: one for one in found}
    layers = tuple(_layers(grouped(found)))
    if not model.program.metagraphs or not any(one.uses for one in found):
        proved = inferred(replace(model, layers=layers)).layers
        layers = tuple(_told(one, by_key) if one.specs is not None else one for one in proved)
    return replace(model, layers=layers, trainable_known=all(one.trainable is not None for one in found))


def _told(layer: Layer, found: dict[str, Weight]) -> Layer:
    """What names proved, with what the file says of each variable's being trained."""
    trainable = {claim.role: found[claim.tensor.name].trainable for claim in layer.claims}
    specs = tuple(replace(spec, trainable=trainable.get(spec.role)) for spec in layer.specs or ())
    return replace(layer, specs=specs, trainable=True) if not layer.container else layer


def _layers(groups: list[Group]) -> list[Layer]:
    """The groups below their scopes; a scope that all share is the model's own and not shown."""
    parts = [group.path.split("/", DEEPEST) for group in groups]
    shared = len({one[0] for one in parts}) == 1 and all(len(one) > 1 for one in parts)
    made: dict[str, list[Layer]] = {}
    order: list[str] = []
    for group, names in zip(groups, parts, strict=True):
        scope = names[1:] if shared else names
        top = scope[0]
        if top not in made:
            made[top] = []
            order.append(top)
        made[top].append(as_layer(group, recognised(group), scope[-1], len(scope) - 1, "/".join(scope)))
    return [one for top in order for one in _below_scopes(made[top])]


def _below_scopes(layers: list[Layer]) -> list[Layer]:
    """Layers with a container before the first one of each scope; those of one scope stand together."""
    found: list[Layer] = []
    children: dict[str, list[Layer | str]] = {}
    known = {one.path for one in layers}
    noted: set[str] = set()
    for one in layers:
        child: Layer | str = one
        scopes = one.path.split("/", DEEPEST)[:-1]
        while True:
            outer = "/".join(scopes)
            children.setdefault(outer, []).append(child)
            if outer in noted or not outer:
                break
            noted.add(outer)
            child = outer
            scopes.pop()
    stack: list[Layer | str] = list(reversed(children.get("", [])))
    while stack:
        item = stack.pop()
        if isinstance(item, Layer):
            found.append(item)
            continue
        if item not in known:
            found.append(Layer(item.rpartition("/")[2], item, "Scope", item.count("/"), container=True))
        stack.extend(reversed(children[item]))
    return found


def _with_copies(model: Model) -> Model:
    """The second entries of variables beside the ones that count (Keras 3's `export` stores each twice)."""
    copies: dict[str, list[str]] = {}
    for second, first in model.program.copies.items():
        copies.setdefault(first, []).append(second)
    if not copies:
        return model
    tensors: dict[str, StoredTensor] = {one.name: one for one in model.tensors if one.kind is Kind.WEIGHT}

    def completed(layer: Layer) -> Layer:
        more = [
            replace(claim, tensor=tensors[name], copy=True)
            for claim in layer.claims
            for name in copies.get(claim.tensor.name, ())
            if name in tensors
        ]
        claims: tuple[Claim, ...] = (*layer.claims, *more)
        return replace(layer, claims=claims) if more else layer

    return replace(model, layers=tuple(completed(one) for one in model.layers))
