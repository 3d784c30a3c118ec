"""Where a graph repeats itself: runs of nodes that come again after the same number of nodes."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from operator import attrgetter, eq, sub
from typing import Any

from modelscan.graph import Graph, Node
from modelscan.model import StoredTensor
from modelscan.records import record

_LAGS = 4
"""Occurrences of a node that may stand in one block and still tell its length."""
_TRIED = 6
"""Lengths of a block that are tried."""
_said = attrgetter("shape", "dtype", "encoding", "nbytes")
"""What copies have in common of a stored tensor, beside whether it lies in the file itself."""
NUMBERS = re.compile(r"([0-9]+)")


@record(frozen=True, slots=True)
class Run:
    """Copies of a block, one behind the other."""

    start: int
    period: int
    """Nodes of the block."""
    count: int

    @property
    def end(self) -> int:
        """The first node behind it."""
        return self.start + self.count * self.period

    def saves(self, kept: int) -> int:
        """Nodes that need not be looked at when `kept` copies stay."""
        return (self.count - kept) * self.period


def longest(graph: Graph) -> list[Run]:
    """Runs of nodes that agree in operator, attributes and the types of stored tensors; the longest first."""
    keys = _keys(graph)
    places: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    gaps: Counter[int] = Counter()
    for alike in places.values():
        for lag in range(1, min(_LAGS, len(alike) - 1) + 1):
            gaps.update(map(sub, alike[lag:], alike))
    found = []
    for period, _ in gaps.most_common(_TRIED):
        same = bytes(map(eq, keys, keys[period:]))
        length = max(map(len, same.split(b"\0")))
        start = same.rindex(b"\1" * length)
        found.append(_aligned(graph, start, start + length + period, period))
    return sorted(found, key=lambda run: (-run.count * run.period, run.period))


def _keys(graph: Graph) -> list[int]:
    """A number for each node, the same for nodes that may be copies of each other."""
    known: dict[tuple[Any, ...], int] = {}
    sorts: dict[tuple[Any, ...], int] = {}
    told = [_said(tensor) if tensor.file is None else (_said(tensor),) for tensor in graph.initializers.values()]
    kinds = dict(zip(graph.initializers, [sorts.setdefault(one, len(sorts)) for one in told], strict=True))
    kinds[""] = -1
    get = kinds.get
    return [
        known.setdefault((node.op, node.domain, len(node.outputs), _attributes(node), *map(get, node.inputs)), len(known))
        for node in graph.nodes
    ]


def _attributes(node: Node) -> tuple[Any, ...]:
    if not node.attributes and not node.metadata and not node.overload:
        return ()
    plain = [
        (name, (_said(value), value.file is None) if isinstance(value, StoredTensor) else repr(value))
        for name, value in node.attributes.items()
    ]
    return node.overload, tuple(node.metadata), tuple(plain)


def _aligned(graph: Graph, start: int, end: int, period: int) -> Run:
    """The run in `[start, end)`, begun where names begin to count: a block is one module, not the end of one and the head of the next."""
    count = (end - start) // period
    middle = start + count // 2 * period
    told: list[tuple[int, str]] = []
    for place in range(max(start, middle - period), min(middle + period, end - period)):
        one, other = (NUMBERS.split(graph.nodes[at].name) for at in (place, place + period))
        number = next((a for a, b in zip(one, other, strict=False) if a != b), None)
        if number is not None:
            told.append((place, number))
    turns = [place for (_, before), (place, number) in pairwise(told) if number != before and place >= middle]
    begin = start + (turns[0] - start) % period if len(turns) == 1 else start
    return Run(begin, period, (end - begin) // period)
