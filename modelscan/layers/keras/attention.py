"""Attention layers; source: `keras/src/layers/attention/`."""

from __future__ import annotations

from modelscan.formula import Dim, dim
from modelscan.layers.keras.registry import BadConfigError, Config, Derived, keyed, layer
from modelscan.model import Shape, WeightSpec


@layer("Attention")
def attention(c: Config) -> Derived:
    """Dot-product attention: a scale if asked for, and a weight of the concatenated scores."""
    weights = []
    if c.flag("use_scale", False):
        weights.append(c.weight("scale"))
    if c.get("score_mode") == "concat":
        weights.append(c.weight("concat_score_weight"))
    return Derived(weights, _attended(c), 0, None)


@layer("AdditiveAttention")
def additive_attention(c: Config) -> Derived:
    """Bahdanau attention: a scale per feature of the query."""
    weights = [c.weight("scale", c.from_input("query_features", -1))] if c.flag("use_scale", True) else []
    return Derived(weights, _attended(c), 0, None)


def _attended(c: Config) -> tuple[Shape | None, ...]:
    """The query's shape with the value's features; the scores behind it if they are returned."""
    if len(c.inputs) < 2 or c.inputs[0] is None or c.inputs[1] is None:
        return (None,)
    query, value = c.inputs[0], c.inputs[1]
    c.checked(query, 2), c.checked(value, 2)
    version = c.version or (0, 0)
    output = query if version == (3, 0) else (*query[:-1], value[-1])
    if not c.arguments.get("return_attention_scores") or (3, 0) <= version < _SCORED["Attention"]:
        return (output,)
    scores = (*query[:2], value[1]) if (3, 0) <= version < (3, 15) else (*query[:-1], value[-2])
    return output, scores


_SCORED = {"Attention": (3, 8), "MultiHeadAttention": (3, 4), "GroupedQueryAttention": (3, 15)}
"""Version of Keras 3 since which a graph holds the returned scores (`compute_output_spec`); before, a symbolic call yields one tensor."""


def _sources(c: Config) -> tuple[Shape | None, Shape | None, Shape | None]:
    """Query, value and key, given by position or by keyword; the key is the value where it is left out."""
    given = list(c.inputs)
    query = given[0] if given else c.keywords.get("query")
    value = given[1] if len(given) > 1 else c.keywords.get("value")
    key = given[2] if len(given) > 2 else c.keywords.get("key", value)
    return query, value, key if key is not None else value


def _features(c: Config, name: str, shape: Shape | None) -> Dim:
    size = shape[-1] if shape else None
    return dim(name, size, c.source) if isinstance(size, int) else dim(name, None)


@layer("MultiHeadAttention")
def multi_head_attention(c: Config) -> Derived:
    """Four projections: query, key, value and output, each with a bias unless it is switched off."""
    query, value, key = (c.checked(one, 2) for one in _sources(c))
    heads = c.dim("num_heads", symbol="heads")
    key_dim = c.dim("key_dim")
    value_dim = c.stated("value_dim", c.integer("value_dim", c.integer("key_dim")), "value_dim")
    if value_dim.value == key_dim.value:
        value_dim = key_dim
    parts: list[tuple[str, list[Dim], list[Dim]]] = [
        ("query", [_features(c, "query_features", query), heads, key_dim], [heads, key_dim]),
        ("key", [_features(c, "key_features", key), heads, key_dim], [heads, key_dim]),
        ("value", [_features(c, "value_features", value), heads, value_dim], [heads, value_dim]),
    ]
    if c.flag("use_gate", False):
        parts.insert(2, ("gate", [_features(c, "query_features", query), heads, value_dim], [heads, value_dim]))
    target = c.get("output_shape")
    if target is None:
        features = [_features(c, "query_features", query)]
    else:
        listed = list(target) if isinstance(target, list | tuple) else [target]
        if not all(isinstance(one, int) for one in listed):
            raise BadConfigError(f"output_shape is {target!r}")
        features = [c.stated(f"outputs_{index}" if len(listed) > 1 else "outputs", one, "output_shape") for index, one in enumerate(listed)]
    parts.append(("attention_output", [heads, value_dim, *features], features))
    weights = _projections(c, parts)
    output = None if query is None else (*query[:-1], *(one.value for one in features))
    length = c.positions(query) if query is not None else None
    other = c.positions(value) if value is not None else None
    scores = _score_macs(heads, key_dim, value_dim, length, other)
    results: tuple[Shape | None, ...] = (output,)
    version = c.version or (0, 0)
    silent = (3, 0) <= version < _SCORED["MultiHeadAttention"]
    if c.arguments.get("return_attention_scores") and not silent and query is not None and value is not None:
        # Keras 3 declares the scores with the query's length on both axes (`MultiHeadAttention.compute_output_spec`)
        declared = (query[1], query[1]) if version >= (3, 0) else (*query[1:-1], *value[1:-1])
        results = (output, (query[0], heads.value, *declared))
    return Derived(weights, results, length if length == other else None, scores)


def _score_macs(heads: Dim, key_dim: Dim, value_dim: Dim, length: int | None, other: int | None) -> int | None:
    """Products of queries with keys and of scores with values."""
    if None in (heads.value, key_dim.value, value_dim.value, length, other):
        return None
    return heads.value * length * other * (key_dim.value + value_dim.value)  # type: ignore[operator]


def _projections(c: Config, parts: list[tuple[str, list[Dim], list[Dim]]], private: bool = False) -> list[WeightSpec]:
    """Kernel and bias of each projection, in the group that Keras 3 stores it in (`query_dense`; tf-keras: `_query_dense`)."""
    weights: list[WeightSpec] = []
    bias = c.flag("use_bias", True)
    for name, kernel, biases in parts:
        own = [c.weight(f"{name}/kernel", *kernel, multiplied=True)]
        if bias:
            own.append(c.weight(f"{name}/bias", *biases))
        group = "output_dense" if name == "attention_output" else f"{name}_dense"
        weights.extend(keyed(own, f"{'_' if private else ''}{group}/vars"))
    return weights


@layer("GroupQueryAttention", "GroupedQueryAttention")
def grouped_query_attention(c: Config) -> Derived:
    """Query heads share key and value heads in groups."""
    query, value, key = (c.checked(one, 3) for one in _sources(c))
    head = c.dim("head_dim")
    queries, keys = c.dim("num_query_heads", symbol="query_heads"), c.dim("num_key_value_heads", symbol="key_value_heads")
    features = _features(c, "query_features", query)
    parts = [
        ("query", [features, queries, head], [queries, head]),
        ("key", [_features(c, "key_features", key), keys, head], [keys, head]),
        ("value", [_features(c, "value_features", value), keys, head], [keys, head]),
    ]
    if c.flag("use_gate", False):
        parts.insert(2, ("gate", [features, queries, head], [queries, head]))
    parts.append(("attention_output", [queries, head, features], [features]))
    length = c.positions(query) if query is not None else None
    other = c.positions(value) if value is not None else None
    results: tuple[Shape | None, ...] = (query,)
    silent = (c.version or (0, 0)) < _SCORED["GroupedQueryAttention"]
    if c.arguments.get("return_attention_scores") and not silent and query is not None and value is not None:
        results = (query, (query[0], queries.value, query[1], value[1]))
    weights = _projections(c, parts, private=True)
    return Derived(weights, results, length if length == other else None, _score_macs(queries, head, head, length, other))
