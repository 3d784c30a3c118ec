"""Which layer of one model is which of the other: by path, by name, else by what they hold and the order they stand in."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher

from modelscan.model import Account, Verdict
from modelscan.records import record

Pair = tuple[Account, Account]

_MOST_COMPARED = 4_000_000
"""Cells of the table that an alignment by order may fill; beyond it, equals are paired first come, first served."""

_FAMILIES = (
    ("batchnorm", "normalisation"),
    ("normalization", "normalisation"),
    ("conv", "convolution"),
    ("dense", "matrix"),
    ("linear", "matrix"),
    ("gemm", "matrix"),
    ("matmul", "matrix"),
    ("lstm", "recurrent"),
    ("gru", "recurrent"),
    ("rnn", "recurrent"),
    ("embedding", "table"),
    ("gather", "table"),
    ("attention", "attention"),
)
"""Words in the types of several frameworks that mean the same kind of layer."""


@record(frozen=True, slots=True)
class Alignment:
    """Layers in pairs, and those that stand in one model only."""

    pairs: tuple[Pair, ...]
    removed: tuple[Account, ...]
    added: tuple[Account, ...]


def align(before: Sequence[Account], after: Sequence[Account]) -> Alignment:
    """Within one format: the path decides, then an unambiguous name and type, then equal content in equal order."""
    old, new = list(before), list(after)
    pairs = list(_by_key(old, new, lambda one: one.layer.path))
    pairs += _by_key(old, new, lambda one: (one.layer.name, one.layer.type))
    pairs += _by_order(old, new, _content)
    return _alignment(pairs, before, after)


def align_across(before: Sequence[Account], after: Sequence[Account]) -> Alignment:
    """Across formats: layers with weights only. What they hold and the order decide, then the name, then the kind.

    Exporters number the layers anew, so that a `dense_1` may be another one's `dense`: a name counts only where the content
    has not decided.
    """
    old, new = _units(before), _units(after)
    first = (tuple(old), tuple(new))
    pairs = list(_by_order(old, new, _elements))
    split = [expanded for one in old for expanded in _expanded(one, before)], [part for one in new for part in _expanded(one, after)]
    if (len(split[0]), len(split[1])) != (len(old), len(new)):
        old, new = split
        first = (tuple(pair[0] for pair in pairs) + tuple(old), tuple(pair[1] for pair in pairs) + tuple(new))
        pairs += _by_order(old, new, _elements)
    pairs += _by_key(old, new, lambda one: one.layer.name.lower())
    pairs += _by_order(old, new, _family)
    return _alignment(pairs, *first)


def _alignment(pairs: list[Pair], before: Sequence[Account], after: Sequence[Account]) -> Alignment:
    old, new = {id(one[0]) for one in pairs}, {id(one[1]) for one in pairs}
    place = {id(one): index for index, one in enumerate(after)}
    return Alignment(
        tuple(sorted(pairs, key=lambda pair: place[id(pair[1])])),
        tuple(one for one in before if id(one) not in old),
        tuple(one for one in after if id(one) not in new),
    )


def _units(accounts: Sequence[Account]) -> list[Account]:
    """The outermost layers and scopes that hold parameters, except those of the whole model that hold everything."""
    found: list[Account] = []
    inside: int | None = None
    for one in accounts:
        if inside is not None and one.layer.depth > inside:
            continue
        inside = None
        if not one.parameters and one.verdict in (Verdict.EMPTY, Verdict.MATCH):
            continue
        found.append(one)
        if one.layer.container:
            inside = one.layer.depth
    return found


def _expanded(one: Account, accounts: Sequence[Account]) -> list[Account]:
    """A scope as the layers with parameters that stand in it; a layer as itself."""
    if not one.layer.container:
        return [one]
    prefix = f"{one.layer.path}/"
    return [part for part in accounts if not part.layer.container and part.parameters and part.layer.path.startswith(prefix)]


def _by_key(old: list[Account], new: list[Account], key: Callable[[Account], Hashable]) -> Iterator[Pair]:
    """Pairs of those whose key is the same and unambiguous on both sides; takes them out of the lists."""
    theirs: dict[Hashable, list[Account]] = defaultdict(list)
    mine: dict[Hashable, list[Account]] = defaultdict(list)
    for one in new:
        theirs[key(one)].append(one)
    for one in old:
        mine[key(one)].append(one)
    pairs = [(found[0], theirs[name][0]) for name, found in mine.items() if len(found) == 1 == len(theirs.get(name, ()))]
    _take(old, new, pairs)
    yield from pairs


def _by_order(old: list[Account], new: list[Account], key: Callable[[Account], Hashable]) -> Iterator[Pair]:
    """Pairs of equal keys that keep their order; takes them out of the lists."""
    mine, theirs = [key(one) for one in old], [key(one) for one in new]
    pairs = [(old[i], new[j]) for i, j in _common(mine, theirs)]
    _take(old, new, pairs)
    yield from pairs


def _take(old: list[Account], new: list[Account], pairs: Sequence[Pair]) -> None:
    taken = {id(one) for pair in pairs for one in pair}
    old[:] = [one for one in old if id(one) not in taken]
    new[:] = [one for one in new if id(one) not in taken]


def _common(mine: Sequence[Hashable], theirs: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Index pairs of equal keys, both rising."""
    start, least = 0, min(len(mine), len(theirs))
    while start < least and mine[start] == theirs[start]:
        yield start, start
        start += 1
    end = 0
    while end < least - start and mine[-1 - end] == theirs[-1 - end]:
        end += 1
        yield len(mine) - end, len(theirs) - end
    middle, other = mine[start : len(mine) - end], theirs[start : len(theirs) - end]
    if len(middle) * len(other) <= _MOST_COMPARED:
        for i, j, length in SequenceMatcher(None, middle, other, autojunk=False).get_matching_blocks():
            yield from ((start + i + step, start + j + step) for step in range(length))
        return
    waiting: dict[Hashable, deque[int]] = defaultdict(deque)
    for j, one in enumerate(other):
        waiting[one].append(j)
    for i, one in enumerate(middle):
        if waiting[one]:
            yield start + i, start + waiting[one].popleft()


def _content(one: Account) -> Hashable:
    """Type and formula with its numbers."""
    return (one.layer.type, one.layer.container, one.formula.numeric if one.formula is not None else None, one.parameters)


def _elements(one: Account) -> Hashable:
    """The count, which survives transposing and concatenating."""
    return one.parameters


def _family(one: Account) -> Hashable:
    """What kind of layer it is, whichever framework says so."""
    kind = one.layer.type.lower()
    return next((family for word, family in _FAMILIES if word in kind), kind)
