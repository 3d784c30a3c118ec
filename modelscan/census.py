"""How often a graph calls each operator, in all scopes, functions viewed as what they do."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import Any

from modelscan.graph import Graph

_MOST = 10_000
_called = attrgetter("domain", "op")


def operators(graph: Any) -> dict[str, int]:
    """Calls by operator, `domain.Operator` outside the standard domain; the most frequent ones where a file has no end of them."""
    if not isinstance(graph, Graph):
        return {}
    counts: Counter[tuple[str, str]] = Counter()
    for _, scope in (graph.inlined or graph).scopes():
        counts.update(map(_called, scope.nodes))
    named = Counter({f"{domain}.{op}" if domain else op: count for (domain, op), count in counts.items()})
    return dict(sorted(named.most_common(_MOST)))
