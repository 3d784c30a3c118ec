"""What each entry of a checkpoint is there for: weights, the optimizer's state, counters and seeds.

An object graph tells it by reachability: what can only be reached through an optimizer is the optimizer's. Without one (TF 1), names
do: a slot's is that of its variable and the optimizer's name behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from modelscan.model import Kind
from modelscan.program import Entry, SavedObject, Trackable

_SLOT = "/.OPTIMIZER_SLOT/"
_ATTRIBUTE = re.compile(r"/\.ATTRIBUTES/([^/]+)$")
_OPTIMIZER_EDGE = re.compile(r"(?:^|_)(?:optimizer|opt)s?(?:_?\d+)?$", re.IGNORECASE)
_OPTIMIZER_CHILDREN = (frozenset({"_iterations", "_learning_rate"}), frozenset({"iter", "learning_rate"}))
"""What the optimizers of Keras (since 2.11, and before) have below them."""
_STATE_EDGES = frozenset({"save_counter", "_state_var", "seed_generator_state", "step", "global_step", "epoch"})
_STATE_NAMES = re.compile(r"(?:^|/)(?:global_step|save_counter|seed_generator_state|current_loss_scale|good_steps)(?:_\d+)?$")
_TF1_OPTIMIZER = re.compile(r"(?:^|/)beta[12]_power(?:_\d+)?$|^training(?:_\d+)?/(?!.*/(?:kernel|bias)$)")
_TF1_SLOT = re.compile(
    r"(?:Adam|AdamW|LazyAdam|AdaMax|Nadam|Momentum|RMSProp|RMSprop|Adagrad|AdagradDA|Adadelta|Ftrl|Lamb|LAMB|adam_[mv]|ExponentialMovingAverage)(?:_\d+)?$"
)


def kinds(entries: Mapping[str, Entry], stored: Sequence[Trackable], objects: Sequence[SavedObject] = ()) -> dict[str, Kind]:
    """The kind of every entry.

    Args:
        entries: of the index.
        stored: the checkpoint's own object graph, empty where there is none.
        objects: the program's, whose user objects say what they are.
    """
    found = {key: _by_name(entry, entries) for key, entry in entries.items()}
    if stored:
        found.update(_by_reach(stored))
    elif objects:
        found.update(_by_reach(_as_trackables(objects)))
    names = {key: one.full_name for one in stored for key in one.keys.values()}
    names |= {one.key: one.variable.name for one in objects if one.key is not None and one.variable is not None}
    for key, entry in entries.items():
        own = Kind.STATE if _STATE_NAMES.search(names.get(key, "")) else _fixed(key, entry)
        if own is not None:
            found[key] = own
    return found


def _as_trackables(objects: Sequence[SavedObject]) -> tuple[Trackable, ...]:
    """The program's object graph in the checkpoint's terms, where that of the checkpoint cannot be read."""
    return tuple(Trackable(one.children, {"VARIABLE_VALUE": one.key} if one.key else {}, slots=one.slots) for one in objects)


def _fixed(key: str, entry: Entry) -> Kind | None:
    """What the key or type alone decides."""
    if _SLOT in key:
        return Kind.OPTIMIZER
    if entry.dtype in ("string", "variant", "resource"):
        return Kind.STATE
    attribute = _ATTRIBUTE.search(key)
    if attribute and attribute[1] != "VARIABLE_VALUE":
        return Kind.CONSTANT  # the keys and values of a lookup table
    last = key[: attribute.start()].rpartition("/")[2] if attribute else key
    if last in _STATE_EDGES or _STATE_NAMES.search(last if attribute else key):
        return Kind.STATE
    return None


def _by_name(entry: Entry, entries: Mapping[str, Entry]) -> Kind:
    """TF 1: `dense/kernel/Adam` beside `dense/kernel` of the same shape is a slot of it."""
    if _TF1_OPTIMIZER.search(entry.key):
        return Kind.OPTIMIZER
    base, _, last = entry.key.rpartition("/")
    owner = entries.get(base)
    if owner is not None and owner.shape == entry.shape and (_TF1_SLOT.match(last) or entry.shape):
        return Kind.OPTIMIZER
    if _TF1_SLOT.match(last) and owner is not None:
        return Kind.OPTIMIZER
    return Kind.WEIGHT


def _by_reach(stored: Sequence[Trackable]) -> dict[str, Kind]:
    """By the object graph: weights are what the root reaches without going through an optimizer or Keras' own notes."""
    found: dict[str, Kind] = {}
    slots = {slot.variable for one in stored for slot in one.slots}
    optimizers = {node for one in stored for name, node in one.children.items() if _OPTIMIZER_EDGE.search(name)}
    optimizers |= {
        number for number, one in enumerate(stored) if one.slots or any(wanted <= one.children.keys() for wanted in _OPTIMIZER_CHILDREN)
    }
    notes = {
        node for one in stored for name, node in one.children.items() if name in ("keras_api", "metrics", "_metrics", "compiled_metrics")
    }
    optimizers.discard(0)
    plain = _reached(stored, {0}, optimizers | notes)
    state = _reached(stored, notes, optimizers | plain)
    for number, one in enumerate(stored):
        kind = Kind.OPTIMIZER if number in slots else Kind.WEIGHT if number in plain else Kind.STATE if number in state else Kind.OPTIMIZER
        for key in one.keys.values():
            if kind is Kind.WEIGHT or key not in found:
                found[key] = kind
    return found


def _reached(stored: Sequence[Trackable], roots: Iterable[int], closed: set[int]) -> set[int]:
    """Objects that the roots reach by edges without entering a closed one."""
    pending = [node for node in roots if node < len(stored)]
    found = set(pending)
    while pending:
        for node in stored[pending.pop()].children.values():
            if node not in found and node not in closed and node < len(stored):
                found.add(node)
                pending.append(node)
    return found
