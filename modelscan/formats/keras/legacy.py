"""Whole models and weights in the HDF5 layout of Keras 1 and 2, which Keras 3 still writes on request.

Source: `keras/src/legacy/saving/legacy_h5_format.py`. A group per layer with the attribute `weight_names`; attributes beyond
64,512 bytes are split into `layer_names0`, `layer_names1`, …
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from modelscan.formats.keras.store import Store, kind_of
from modelscan.model import Claim, Kind, Layer, Observation, StoredTensor
from modelscan.topology import Block

TOP_LEVEL = "top_level_model_weights"
"""The group of weights that belong to the model itself and to none of its layers."""


def names_attribute(attributes: Mapping[str, Any], name: str) -> list[str]:
    """The values of a possibly split attribute, decoded."""
    if name in attributes:
        return [_decoded(one) for one in _flat(attributes[name])]
    found: list[str] = []
    part = 0
    while f"{name}{part}" in attributes:
        found.extend(_decoded(one) for one in _flat(attributes[f"{name}{part}"]))
        part += 1
    return found


def text_attribute(attributes: Mapping[str, Any], name: str) -> str | None:
    """A single text attribute, decoded; None if it is absent or something else."""
    value = attributes.get(name)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _flat(value: Any) -> Iterable[Any]:
    return value.ravel().tolist() if hasattr(value, "ravel") else [value] if isinstance(value, str | bytes) else value or []


def _decoded(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


class LegacyWeights:
    """The layer groups below one root (`model_weights`, or the file itself for weights alone)."""

    def __init__(self, store: Store, root: str, seen: list[Observation]) -> None:
        self.store = store
        self.root = root
        self.seen = seen
        self.groups: dict[str, tuple[Claim, ...]] = {}
        prefix = f"{root}/" if root else ""
        listed = names_attribute(store.attributes.get(root, {}), "layer_names")
        self._listed = frozenset(listed)
        by_group = self._by_group(prefix)
        self._note_list(listed, prefix)
        for name in [*listed, *(name for name in by_group if name not in set(listed))]:
            path = f"{prefix}{name}"
            weights = names_attribute(store.attributes.get(path, {}), "weight_names")
            self.groups[name] = self._claims(path, weights, by_group.get(name, []))

    def _note_list(self, listed: list[str], prefix: str) -> None:
        """What Keras, which goes through the list, does not find or finds twice."""
        for name, times in Counter(listed).items():
            if f"{prefix}{name}" not in self.store.attributes:
                self._note(name, f"lists {name}, which is not there")
            elif times > 1:
                self._note(name, f"lists {name} {times:,} times")

    def _note(self, name: str, problem: str) -> None:
        text = f"layer_names of {self.root or 'the file'} {problem}"
        self.seen.append(Observation("missing-dataset", text, layer=name, tensor=f"{self.root}/{name}"))

    def _by_group(self, prefix: str) -> dict[str, list[StoredTensor]]:
        """The datasets by the layer group they lie in; a layer's name may hold slashes, so the longest listed name wins."""
        listed = set(names_attribute(self.store.attributes.get(self.root, {}), "layer_names"))
        found: dict[str, list[StoredTensor]] = {}
        for path, tensor in self.store.tensors.items():
            if not path.startswith(prefix) or kind_of(path) is not Kind.WEIGHT:
                continue
            parts = path[len(prefix) :].split("/")
            name = next(("/".join(parts[:n]) for n in range(len(parts) - 1, 0, -1) if "/".join(parts[:n]) in listed), parts[0])
            found.setdefault(name, []).append(tensor)
        return found

    def _claims(self, path: str, names: list[str], there: list[StoredTensor]) -> tuple[Claim, ...]:
        claims, used = [], set()
        for name in names:
            tensor = self.store.tensors.get(f"{path}/{name}")
            if tensor is None:
                text = f"weight_names of {path} lists {name}, which is not there"
                self.seen.append(Observation("missing-dataset", text, layer=path.rsplit("/", 1)[-1], tensor=f"{path}/{name}"))
                continue
            used.add(tensor.name)
            claims.append(Claim(tensor, name.removesuffix(":0")))
        for tensor in there:
            if tensor.name not in used:
                claims.append(Claim(tensor, tensor.name[len(path) + 1 :].removesuffix(":0")))
        return tuple(claims)

    def for_blocks(self, model: Block) -> dict[str, tuple[Claim, ...]]:
        """Claims by block path; the weights of the model itself go under `""`."""
        self._note_swaps({block.name for block in model.blocks})
        claims: dict[str, tuple[Claim, ...]] = {}
        left = dict(self.groups)
        for block in model.blocks:
            found = left.pop(block.name, ())
            if found and block.name not in self._listed:
                self._note(block.name, f"does not list {block.name}, whose group holds weights: Keras passes over it")
            if block.blocks:
                claims.update(_distributed(block, found))
            else:
                claims[block.path] = found
        own = left.get(TOP_LEVEL, ())
        if own:
            claims[""] = own
        return claims  # what another group holds belongs to no layer of the configuration, and nobody claims it

    def _note_swaps(self, names: set[str]) -> None:
        """Two groups that hold each other's weights. One alone proves nothing: a layer keeps its weights' names when it is renamed."""
        told = {name: _owner(claims, names) for name, claims in self.groups.items()}
        if not any(told.values()):  # TensorFlow 1 made a scope's name unique by a number: `conv2d_3_1/kernel`
            told = {name: _owner(claims, names, numbered=True) for name, claims in self.groups.items()}
            pairs = sum(owner != name and told.get(owner or "") == name for name, owner in told.items()) // 2
            if sum(owner == name for name, owner in told.items()) < pairs:
                return  # the numbers mean something else here
        for name, owner in told.items():
            if owner is not None and owner != name and told.get(owner) == name and name < owner:
                text = f"the group {name} holds weights named after {owner}, and the group {owner} those of {name}"
                self.seen.append(Observation("group-name-mismatch", text, layer=name, tensor=f"{self.root}/{name}"))

    def as_layers(self) -> tuple[Layer, ...]:
        """The groups themselves, for weights without a configuration."""
        return tuple(Layer(name, name, "?", claims=claims) for name, claims in self.groups.items())


def _owner(claims: tuple[Claim, ...], names: set[str], numbered: bool = False) -> str | None:
    """The one layer that all weight names of a group begin with, None if there is no such layer."""
    scopes = [[re.sub(r"_\d+$", "", part) if numbered else part for part in claim.key.split("/")[:-1]] for claim in claims]
    found = {next((part for part in scope if part in names), None) for scope in scopes}
    return next(iter(found)) if len(found) == 1 else None


def _distributed(container: Block, claims: tuple[Claim, ...]) -> dict[str, tuple[Claim, ...]]:
    """The weights of a nested model to its layers, by the layer names in the weights' own names.

    Where one weight names no layer, or more than one, nothing is guessed: all stay with the container, in their order, and
    the catalogue lines them up with what the layers should hold.
    """
    leaves: dict[str, list[Block]] = {}
    pending = list(container.blocks)
    while pending:
        block = pending.pop(0)
        if block.blocks:
            pending = [*block.blocks, *pending]
        else:
            leaves.setdefault(block.name, []).append(block)
    found: dict[str, list[Claim]] = {}
    for claim in claims:
        parts = claim.key.split("/")
        hits = [(index, part) for index, part in enumerate(parts[:-1]) if part in leaves]
        if not hits or len(leaves[hits[0][1]]) != 1 or len({part for _, part in hits}) != 1:
            return {container.path: claims}
        index, name = hits[-1]
        key = "/".join(parts[index + 1 :])
        found.setdefault(leaves[name][0].path, []).append(Claim(claim.tensor, key))
    return {path: tuple(one) for path, one in found.items()}
