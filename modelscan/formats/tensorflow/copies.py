"""What Keras 3's `export` stores beside the model's own list of variables: each one that its functions use a second time.

The exported object lists the variables of the model under `variables` and those that its functions use under `_all_variables`, each
list with objects and entries of its own. Source: keras/src/export/saved_model_export_archive.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modelscan.program import Entry, MetaGraph, SavedObject

_OWN, _USED = "variables", "_all_variables"


@dataclass(slots=True)
class Copies:
    """The entries that are no weights of their own."""

    copies: dict[str, str] = field(default_factory=dict)
    """Entry that holds a variable once more → the entry that counts."""
    state: set[str] = field(default_factory=set)
    """Entries of variables that functions use and the model does not list among its own: what a stateful layer remembers."""


def second_copies(graph: MetaGraph, entries: Mapping[str, Entry]) -> Copies:
    """The copies of one program.

    Variables may share name, shape and value (every bias of zeros), but not within one list: those of the two lists pair one to one,
    alike in everything first, then where only the value differs.
    """
    found = Copies()
    root = graph.objects[0] if graph.objects else None
    if root is None or not {_OWN, _USED} <= root.children.keys():
        return found
    own = {one.key: one for name, number in root.children.items() if name != _USED for one in _listed(graph, number)}
    left = [one for one in _listed(graph, root.children[_USED]) if one.key not in own]
    for alike in (_same, _similar):
        waiting: dict[object, list[str]] = {}
        taken = set(found.copies.values())
        for key, one in reversed(own.items()):
            if key is not None and key not in taken:
                waiting.setdefault(alike(one, entries), []).append(key)
        rest = []
        for one in left:
            partners = waiting.get(alike(one, entries))
            if partners and one.key is not None:
                found.copies[one.key] = partners.pop()
            else:
                rest.append(one)
        left = rest
    found.state = {one.key for one in left if one.key is not None and one.variable is not None and not one.variable.trainable}
    return found


def _listed(graph: MetaGraph, number: int) -> Iterator[SavedObject]:
    """The stored variables of a list, in its order."""
    if not 0 <= number < len(graph.objects):
        return
    for child in graph.objects[number].children.values():
        one = graph.objects[child] if 0 <= child < len(graph.objects) else None
        if one is not None and one.variable is not None and one.key is not None:
            yield one


def _similar(one: SavedObject, entries: Mapping[str, Entry]) -> tuple[object, ...]:
    """Name, type and shape."""
    entry = entries.get(one.key or "")
    name = one.variable.name if one.variable is not None else ""
    return (name, entry.dtype, entry.shape, entry.nbytes) if entry is not None else (name,)


def _same(one: SavedObject, entries: Mapping[str, Entry]) -> tuple[object, ...]:
    """And the value."""
    entry = entries.get(one.key or "")
    return (*_similar(one, entries), entry.crc32c if entry is not None else None)
