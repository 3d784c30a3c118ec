"""From Keras 2's metadata and the object graph to blocks and claims: which variables belong to which layer.

A layer's own list `variables` names its weights in the order of `layer.weights`; the variables' names are those of an HDF5 file
of the same model, so that the Keras catalogue pairs them the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelscan.errors import UnreadableFile
from modelscan.formats.keras.blocks import BlockReader
from modelscan.formats.keras.listing import layers_of
from modelscan.limits import Limits
from modelscan.model import Claim, Kind, Layer, Observation, StoredTensor
from modelscan.program import KerasNode, SavedObject
from modelscan.topology import Block, BlockKind

_UNNAMED = re.compile(r"Variable(?:_\d+)?")
"""What TensorFlow calls a variable that its author gave no name."""
LEFT_OVER = "(model)"
"""The row of variables that belong to no layer."""
_NOTES = frozenset(
    {
        "keras_api",
        "variables",
        "trainable_variables",
        "non_trainable_variables",
        "regularization_losses",
        "signatures",
        "optimizer",
        "loss",
        "metrics",
        "_metrics",
        "compiled_metrics",
    }
)
"""Children that are no part of a model's structure."""
_HOLDERS = frozenset(
    {
        "Bidirectional",
        "ConvLSTM1D",
        "ConvLSTM2D",
        "ConvLSTM3D",
        "GRU",
        "LSTM",
        "MultiHeadAttention",
        "RNN",
        "SimpleRNN",
        "SpectralNormalization",
        "StackedRNNCells",
        "TimeDistributed",
    }
)
"""Layers of Keras' own that hold layers; any other class that does is its author's, and its layers are told instead."""


@dataclass
class _Reading:
    objects: tuple[SavedObject, ...]
    nodes: Mapping[int, KerasNode]
    tensors: Mapping[str, StoredTensor]
    taken: set[str] = field(default_factory=set)
    claims: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    edges: dict[int, str] = field(default_factory=dict)
    """By object number, the attribute that holds the object."""

    def __post_init__(self) -> None:
        """Notes the attributes."""
        for one in self.objects:
            for name, child in one.children.items():
                if not name.isdecimal() and name not in _NOTES:
                    self.edges.setdefault(child, name)

    def claim(self, number: int, tensor: StoredTensor) -> Claim:
        """A variable by its name (`dense/kernel`); by the attribute that holds it where it was given none."""
        variable = self.objects[number].variable
        name = (variable.name if variable is not None else "").removesuffix(":0")
        if not name or _UNNAMED.fullmatch(name):
            name = self.edges.get(number) or name or tensor.name.partition("/.ATTRIBUTES")[0]
        return Claim(tensor, name, trainable=variable.trainable if variable is not None else None)

    def layers_below(self, number: int) -> Iterator[tuple[str, int]]:
        """Layer objects that an object holds, each once, with the names that they have there; lists and dictionaries are looked through."""
        seen = {number}
        stack = [iter(self.objects[number].children.items())]
        while stack:
            item = next(stack[-1], None)
            if item is None:
                stack.pop()
                continue
            name, child = item
            if child in seen or name in _NOTES or not 0 <= child < len(self.objects):
                continue
            seen.add(child)
            if child in self.nodes:
                yield name, child
            elif self.objects[child].kind == "user_object" and self.objects[child].variable is None:
                stack.append(iter(self.objects[child].children.items()))

    def claims_of(self, number: int, rest: bool = False) -> tuple[Claim, ...]:
        """The variables of a layer that are its weights, in the order of `layer.weights`.

        A variable that several layers hold is claimed by each of them: one object in two places is counted once, but is missing nowhere.

        Args:
            number: the layer's object.
            rest: whether only what no layer has claimed before is wanted: of a model, what is not its layers'.
        """
        found = []
        seen: set[str] = self.taken if rest else set()
        for one in self.variables_of(number):
            tensor = self.tensors.get(self.objects[one].key or "")
            if tensor is not None and tensor.kind is Kind.WEIGHT and tensor.name not in seen:
                seen.add(tensor.name)
                found.append(self.claim(one, tensor))
        self.taken.update(one.tensor.name for one in found)
        return tuple(found)

    def variables_of(self, number: int) -> list[int]:
        """Object numbers of a layer's variables, as its list `variables` has them, else as they are found below it."""
        listed = self.objects[number].children.get("variables")
        if listed is not None and 0 <= listed < len(self.objects) and self.objects[listed].children:
            entries = [(int(name), child) for name, child in self.objects[listed].children.items() if name.isdecimal()]
            return [child for _, child in sorted(entries) if 0 <= child < len(self.objects)]
        found: dict[int, None] = {}
        stack, seen = [number], {number}
        while stack:
            one = self.objects[stack.pop()]
            for name, child in one.children.items():
                if child in seen or name in _NOTES or not 0 <= child < len(self.objects):
                    continue
                seen.add(child)
                if self.objects[child].variable is not None:
                    found[child] = None
                else:
                    stack.append(child)
        return list(found)


def keras_model(
    objects: tuple[SavedObject, ...], keras: Sequence[KerasNode], tensors: Sequence[StoredTensor], limits: Limits, seen: list[Observation]
) -> tuple[Block, tuple[Layer, ...]] | None:
    """The model that Keras' metadata describe, with what is stored for each of its layers; None when they describe none."""
    root = next((one for one in keras if one.node == 0), None)
    if root is None or not objects:
        return None
    reading = _Reading(objects, {one.node: one for one in keras if one.node and one.identifier != "_tf_keras_metric"}, _named(tensors))
    try:
        block = _block(reading, root, limits, seen)
    except UnreadableFile as error:
        seen.append(Observation(error.kind, str(error), offset=error.offset, where=root.path or None))
        return None
    if block is None:
        return None
    layers = layers_of(block, reading.claims, "2")  # Keras 3 writes no such metadata
    left = [(number, one.key) for number, one in enumerate(objects) if one.key is not None and one.key not in reading.taken]
    rest = [reading.claim(number, tensor) for number, key in left if (tensor := reading.tensors.get(key)) is not None]
    own = tuple(claim for claim in rest if claim.tensor.kind is Kind.WEIGHT)
    return block, (*layers, Layer(LEFT_OVER, LEFT_OVER, "?", claims=own)) if own else layers


def _named(tensors: Sequence[StoredTensor]) -> dict[str, StoredTensor]:
    return {one.name: one for one in tensors}


def _block(reading: _Reading, root: KerasNode, limits: Limits, seen: list[Observation]) -> Block | None:
    config = root.metadata.get("config")
    if isinstance(config, Mapping) and isinstance(config.get("layers"), list):
        block = BlockReader(limits, seen).model(_entry(root))
        _claim(reading, block, 0)
        return block
    members = [one for one in _members(reading, 0, limits) if _is_built(reading, one)]
    if not members:
        return None
    entry = {
        "class_name": root.metadata.get("class_name") or "Model",
        "config": {"layers": [_entry(reading.nodes[one]) for one in members]},
    }
    block = replace(BlockReader(limits, seen).model(entry), kind=BlockKind.SUBCLASSED, name=str(root.metadata.get("name") or "model"))
    for one, member in zip(block.blocks, members, strict=False):
        _claim_one(reading, one, member)
    return block


def _members(reading: _Reading, number: int, limits: Limits) -> Iterator[int]:
    """The layers of a model without a configuration; a class of the author's that holds layers is looked into."""
    stack: list[list[int]] = [[child for _, child in reversed(list(reading.layers_below(number)))]]
    found: set[int] = set()
    while stack and len(found) < limits.layers:
        if not stack[-1]:
            stack.pop()
            continue
        one = stack[-1].pop()
        if one in found:
            continue
        found.add(one)
        node = reading.nodes[one]
        inner = [] if _is_whole(node) else [child for _, child in reversed(list(reading.layers_below(one)))]
        if inner and len(stack) < limits.nesting:
            stack.append(inner)
        elif isinstance(node.metadata.get("class_name"), str):
            yield one


def _is_built(reading: _Reading, number: int) -> bool:
    """Whether a layer was ever called: one that was not has neither weights nor an input shape, and is only an attribute."""
    return reading.nodes[number].metadata.get("build_input_shape") is not None or bool(reading.variables_of(number))


def _is_whole(node: KerasNode) -> bool:
    """Whether a node's configuration tells of all that is below it."""
    config = node.metadata.get("config")
    nested = isinstance(config, Mapping) and isinstance(config.get("layers"), list)
    return nested or node.metadata.get("class_name") in _HOLDERS


def _entry(node: KerasNode) -> dict[str, Any]:
    """A node in the form of an entry of `model_config`."""
    data = _plain(node.metadata)
    config = data.get("config")
    entry: dict[str, Any] = {"class_name": data.get("class_name") or "Model", "config": config if isinstance(config, Mapping) else {}}
    if isinstance(data.get("name"), str):
        entry["name"] = data["name"]
    if isinstance(data.get("build_input_shape"), list):
        entry["build_config"] = {"input_shape": data["build_input_shape"]}
    return entry


def _plain(value: Any) -> Any:
    """The JSON without its marks for tuples and shapes: `{'class_name': 'TensorShape', 'items': [None, 7]}` is `[None, 7]`.

    The depth of what is read has been bounded by the parser.
    """
    if isinstance(value, Mapping):
        if value.get("class_name") in ("__tuple__", "TensorShape") and isinstance(value.get("items"), list):
            return [_plain(one) for one in value["items"]]
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _claim(reading: _Reading, model: Block, number: int) -> None:
    """Claims for all layers of a model whose configuration lists them; a layer's object is the one that Keras gave its name."""
    by_name: dict[str, int] = {}
    for _, child in reading.layers_below(number):
        name = reading.nodes[child].metadata.get("name")
        if isinstance(name, str):
            by_name.setdefault(name, child)
    for block in model.blocks:
        if block.name in by_name:
            _claim_one(reading, block, by_name[block.name])


def _claim_one(reading: _Reading, block: Block, number: int) -> None:
    if block.blocks:
        _claim(reading, block, number)
    claims = reading.claims_of(number, rest=bool(block.blocks))
    if claims:
        reading.claims[block.path] = claims
