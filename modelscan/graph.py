"""The operator graph of a format that stores one (ONNX, TensorFlow), as frozen data without any payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelscan.model import StoredTensor, TensorInfo


@dataclass(frozen=True, slots=True)
class Node:
    """One operator call."""

    name: str
    op: str
    domain: str = ""
    """`""` is the format's standard domain."""
    inputs: tuple[str, ...] = ()
    """Value names; an empty string is an omitted optional input."""
    outputs: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Plain values: int, float, str, bytes, tuples of these, `StoredTensor` for a tensor attribute."""
    graphs: Mapping[str, Graph] = field(default_factory=dict)
    """Bodies by attribute name (`then_branch`, `body`)."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the exporter noted: module classes, scopes."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in file order with the values and tensors of one scope."""

    name: str = ""
    nodes: tuple[Node, ...] = ()
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    values: Mapping[str, TensorInfo] = field(default_factory=dict)
    """Declared or inferred type and shape by value name."""
    declared: Mapping[str, TensorInfo] = field(default_factory=dict)
    """Of the inner values, those whose type or shape the file itself states (`value_info`), before any inference."""
    initializers: Mapping[str, StoredTensor] = field(default_factory=dict)
    """Stored tensors by the value name they define in this scope."""
    contents: Mapping[str, tuple[int | float, ...]] = field(default_factory=dict)
    """Elements of small constant tensors by value name (shapes, axes), flattened."""
