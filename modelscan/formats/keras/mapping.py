"""Which group of a Keras 3 weights tree belongs to which block: one implementation for every version since 2.12.

The rule is Keras' own: a container `layers` numbers its members per class (see `naming`). Since Keras 3.6 each `vars` group
carries the layer's name; where it does, it decides, and a disagreement with the rule is noted: two layers of one class
whose groups were swapped must never look like a match.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.formats.keras.blocks import shared_id
from modelscan.formats.keras.naming import container_names, stored_blocks
from modelscan.formats.keras.store import Store, kind_of
from modelscan.model import Claim, Kind, Observation, StoredTensor
from modelscan.topology import Block

CONTAINER, OLD_CONTAINER = "layers", "_layer_checkpoint_dependencies"
"""The group that holds a model's layers; the second name is that of Keras 2.12 and 2.13."""
CONTAINERS = (CONTAINER, OLD_CONTAINER)


class TreeMapping:
    """Assigns the tensors of a weights tree to the blocks of a model."""

    def __init__(self, store: Store, seen: list[Observation]) -> None:
        places = places_of([*store.tensors, *store.attributes])
        self.tensors = {places[path]: tensor for path, tensor in store.tensors.items()}
        self.attributes = {places[path]: values for path, values in store.attributes.items()}
        self.children = _children([*self.tensors, *self.attributes])
        self.seen = seen
        self.claims: dict[str, tuple[Claim, ...]] = {}
        self.groups: dict[int, tuple[Block, str]] = {}
        """The layers that carry a `shared_object_id`, with their groups."""
        self.held: list[tuple[Block, str, int]] = []
        """Such layers within wrappers: the wrapper, the place within its group, the number."""

    def map(self, model: Block) -> Mapping[str, tuple[Claim, ...]]:
        """Claims by block path."""
        self._model(model, "")
        for wrapper, place, number in self.held:
            self._share(wrapper, place, number)
        own = self._below("", {name for name in self.children.get("", ()) if name != "vars"})
        if own:
            self.claims[""] = own
        return self.claims

    def _model(self, model: Block, prefix: str) -> None:
        container = f"{prefix}{CONTAINER}"
        groups = set(self.children.get(container, ()))
        blocks = stored_blocks(model)
        pairs = self._pairs(blocks, groups)
        by_name = {self._name(f"{container}/{group}"): group for group in groups}
        for block, expected in pairs:
            group = self._checked(block, expected, by_name, container)
            path = f"{container}/{group}"
            if block.blocks:
                self._model(block, f"{path}/")
                own = self._below(path, set(self.children.get(path, ())) - {"vars"})
                if own:
                    self.claims[block.path] = own
            else:
                self.claims[block.path] = self._below(path, set())
                self.held.extend((block, place, number) for place, number in _held(block))
            if block.shared_id is not None:
                self.groups.setdefault(block.shared_id, (block, path))

    def _share(self, wrapper: Block, place: str, number: int) -> None:
        """A layer that stands in the graph and in a wrapper is one object, and stored once: at the first of the two places."""
        if number not in self.groups:
            return
        layer, group = self.groups[number]
        inside = tuple(one for one in self.claims.get(wrapper.path, ()) if one.key.startswith(f"{place}/"))
        outside = self._below(group, set())
        if outside and not inside:
            same = tuple(Claim(one.tensor, f"{place}/{one.key}") for one in outside)
            self.claims[wrapper.path] = (*same, *self.claims.get(wrapper.path, ()))
        elif inside and not outside and not layer.blocks:
            self.claims[layer.path] = tuple(Claim(one.tensor, one.key[len(place) + 1 :]) for one in inside)

    def _pairs(self, blocks: list[Block], groups: set[str]) -> list[tuple[Block, str]]:
        """The variant of the naming rule that finds more of the groups; they differ only for custom classes."""
        best: list[tuple[Block, str]] = []
        most = -1
        for registered, digits in ((False, False), (False, True), (True, False), (True, True)):
            pairs = list(container_names(blocks, digits, registered))
            hits = sum(name in groups for _, name in pairs)
            if hits > most:
                best, most = pairs, hits
            if most == len(pairs):  # nearly always the first
                break
        return best

    def _checked(self, block: Block, expected: str, by_name: Mapping[str | None, str], container: str) -> str:
        """The group of a block: the expected one unless the name that is written there says otherwise."""
        written = self._name(f"{container}/{expected}")
        if written is None or written == block.name or "name" not in block.config:
            return expected
        actual = by_name.get(block.name)
        text = f"the group {container}/{expected} is that of {written!r}, not of {block.name!r}"
        text += f", whose name stands at {container}/{actual}" if actual else ", whose name stands nowhere beside it"
        self.seen.append(Observation("group-name-mismatch", text, layer=block.path, tensor=f"{container}/{expected}"))
        return actual or expected

    def _name(self, path: str) -> str | None:
        value: Any = self.attributes.get(f"{path}/vars", {}).get("name")
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        return value if isinstance(value, str) else None

    def _below(self, path: str, without: set[str]) -> tuple[Claim, ...]:
        """All tensors below a group, those in the named members of it left out."""
        found = []
        pending = [child for child in self.children.get(path, ()) if child not in without]
        stack = [f"{path}/{child}" if path else child for child in reversed(pending)]
        while stack:
            one = stack.pop()
            tensor = self.tensors.get(one)
            if tensor is not None:
                if kind_of(one) is Kind.WEIGHT:
                    found.append(Claim(tensor, one[len(path) + 1 :] if path else one))
            else:
                stack.extend(f"{one}/{child}" for child in reversed(self.children.get(one, ())))
        return tuple(found)


def _held(wrapper: Block) -> Iterator[tuple[str, int]]:
    """The layer in a wrapper, or in a wrapper within it: its place in the wrapper's group, and its `shared_object_id`."""
    place, entry = "", wrapper.config.get("layer")
    while isinstance(entry, Mapping):
        place = f"{place}/layer" if place else "layer"
        number = shared_id(entry)
        if number is not None:
            yield place, number
        config = entry.get("config")
        entry = config.get("layer") if isinstance(config, Mapping) else None


def _children(paths: list[str]) -> dict[str, tuple[str, ...]]:
    """Member names of every group, in the order of the file."""
    found: dict[str, dict[str, None]] = {}
    for whole in paths:
        path = whole
        while path:
            above, _, name = path.rpartition("/")
            members = found.setdefault(above, {})
            if name in members:
                break  # and so is everything above
            members[name] = None
            path = above
    return {path: tuple(names) for path, names in found.items()}


def places_of(paths: list[str]) -> dict[str, str]:
    """Each path as Keras 2.14 and later would have written it: slashes, and one numbering of layers.

    Files written on Windows have backslashes. Keras 2.12 and 2.13 listed a layer with weights twice among a model's dependencies
    (`layer_with_weights-0` and `layer-0`, `keras/engine/functional.py`), so that the second `Dense` stands in `dense_2`.
    """
    plain = {path: path.replace("\\", "/") for path in paths}
    if not any(OLD_CONTAINER in path.split("/") for path in plain.values()):
        return plain
    names: dict[str, str] = {}
    for path, members in _children(list(plain.values())).items():
        if path.rsplit("/", 1)[-1] == OLD_CONTAINER:
            names |= {f"{path}/{member}": name for member, name in _renumbered(members).items()}
    found = {}
    for path, clean in plain.items():
        parts = clean.split("/") if clean else []
        new = [names.get("/".join(parts[: at + 1]), part) for at, part in enumerate(parts)]
        found[path] = "/".join(CONTAINER if part == OLD_CONTAINER else part for part in new)
    return found


def _renumbered(members: tuple[str, ...]) -> dict[str, str]:
    """Groups of one class numbered without gaps, in their order."""
    by_class: dict[str, list[tuple[int, str]]] = {}
    for member in members:
        base, _, number = member.rpartition("_")
        numbered = number.isdecimal() and len(number) < 20 and base in members
        by_class.setdefault(base if numbered else member, []).append((int(number) if numbered else 0, member))
    return {
        member: f"{base}_{rank}" if rank else base for base, found in by_class.items() for rank, (_, member) in enumerate(sorted(found))
    }


def tree_layers(tensors: Mapping[str, StoredTensor]) -> dict[str, tuple[Claim, ...]]:
    """The layers that a weights tree without a configuration shows: group path to claims.

    A layer is the group above `vars`; the parts that Keras' own layers split into (an RNN's cell, the two directions of a
    Bidirectional, the projections of an attention) stay with it.
    """
    found: dict[str, list[Claim]] = {}
    for path, tensor in tensors.items():
        if tensor.kind is not Kind.WEIGHT:
            continue
        parts = path.replace("\\", "/").split("/")
        end = parts.index("vars") if "vars" in parts else len(parts) - 1
        while end > 1 and _is_part(parts[end - 1]):
            end -= 1
        group = "/".join(parts[:end])
        found.setdefault(group, []).append(Claim(tensor, "/".join(parts[end:])))
    return {group: tuple(claims) for group, claims in found.items()}


def _is_part(name: str) -> bool:
    return name in ("cell", "cells", "forward_layer", "backward_layer", "layer", "_lookup_layer") or name.lstrip("_") in (
        "query_dense",
        "key_dense",
        "value_dense",
        "output_dense",
        "gate_dense",
    )
