"""The operator graph of a format that stores one (ONNX, TensorFlow), as frozen data without any payload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from itertools import compress, count
from operator import attrgetter
from typing import Any

from modelscan.model import StoredTensor, TensorInfo
from modelscan.records import record

FunctionKey = tuple[str, str, str]
"""Domain, name and overload of a function: what a node's `domain`, `op` and `overload` are looked up by."""
_bodies = attrgetter("graphs")


@record(frozen=True, slots=True)
class Reference:
    """An attribute value inside a function that stands for the attribute `name` of the call."""

    name: str


@record(frozen=True, slots=True)
class SparseTensor:
    """A tensor stored as its non-zero elements and where they are."""

    values: StoredTensor
    """One-dimensional, a non-zero element each; its name is the value that the tensor defines."""
    indices: StoredTensor
    """`(n,)` linear or `(n, rank)` coordinates."""
    shape: tuple[int, ...]
    """Of the dense tensor."""


@record(frozen=True, slots=True)
class Fill:
    """The tensor of one element that says what ConstantOfShape fills with: a setting of the operator, no stored tensor."""

    dtype: str
    number: int | float | None
    """None for a type that Python has no number for."""


@record(frozen=True, slots=True)
class Node:
    """One operator call."""

    name: str
    """As in the file, often empty; see `title` for one that is not."""
    op: str
    domain: str = ""
    """`""` is the format's standard domain (`ai.onnx` is read as that)."""
    inputs: tuple[str, ...] = ()
    """Value names; an empty string is an omitted optional input."""
    outputs: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Plain values: int, float, str, bytes (strings that are no UTF-8), tuples of these; `StoredTensor` for a tensor,
    `Fill` for one that is a setting, `SparseTensor`, `TensorInfo` for a type, `Reference` inside functions. Bodies are in `graphs`."""
    graphs: Mapping[str, Graph] = field(default_factory=dict)
    """Bodies by attribute name (`then_branch`, `body`); a list of graphs is `name[0]`, `name[1]`, …"""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the exporter noted: module classes, scopes."""
    overload: str = ""
    """Third part of the key of a model-local function."""
    offset: int | None = None
    """Where the node's message lies in the file."""
    nbytes: int = 0
    """Size of that message."""

    def title(self, index: int) -> str:
        """A name for people and paths: the node's own, or operator and place in the graph."""
        return self.name or f"{self.op}_{index}"


@record(frozen=True, slots=True)
class Graph:
    """Nodes in file order with the values and tensors of one scope.

    A value's name is looked up in `inputs`, `initializers`, `sparse`, and the outputs of `nodes`, then in the graph around it.
    """

    name: str = ""
    nodes: tuple[Node, ...] = ()
    inputs: tuple[TensorInfo, ...] = ()
    """Every declared input, also one that an initializer gives a default (`Model.inputs` leaves these out)."""
    outputs: tuple[TensorInfo, ...] = ()
    values: Mapping[str, TensorInfo] = field(default_factory=dict)
    """Type and shape by value name, inputs and outputs included: what inference derived from the inputs alone, completed by
    what the file declares."""
    declared: Mapping[str, TensorInfo] = field(default_factory=dict)
    """Of the inner values, those whose type or shape the file itself states (`value_info`), before any inference."""
    initializers: Mapping[str, StoredTensor] = field(default_factory=dict)
    """Stored tensors by the value name they define in this scope; dense ones, and the values of sparse ones.
    A tensor's own `name` is unique in the model: it carries the path of the scope."""
    contents: Mapping[str, tuple[int | float, ...]] = field(default_factory=dict)
    """Elements of small tensors by value name, initializers and constants alike, flattened; decoded when looked up.
    Not in it: what is larger than `Limits.kept_payload`, lies in another file, is broken or is no number."""
    constants: Mapping[str, StoredTensor] = field(default_factory=dict)
    """Tensors of Constant nodes, whichever attribute holds them, by the value name they define in this scope."""
    sparse: Mapping[str, SparseTensor] = field(default_factory=dict)
    """Sparse initializers and sparse Constant nodes, by the value name they define."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """What the exporter says that stored values were to its program (`PARAMETER`, `BUFFER`, `CONSTANT_TENSOR`), and `FOLDED` for what it
    computed without any parameter; by value name."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    opsets: Mapping[str, int] = field(default_factory=dict)
    """Version by domain; the model's in the root, a function's own in its body."""
    functions: Mapping[FunctionKey, Function] = field(default_factory=dict)
    """Model-local functions, in the root only."""
    inlined: Graph | None = None
    """In the root of a model with functions: the same graph with every call replaced by what the function does (`inline.inline`),
    its values inferred. Layers are read off this one: `graph.inlined or graph`."""
    folded: Any = None
    """In the root of a graph that repeats a block: the same with few copies of it (`repeats.Fold`), its values inferred."""
    training: Mapping[str, Graph] = field(default_factory=dict)
    """Training graphs by path (`training[0]/algorithm`), in the root only."""

    def scopes(self, path: str = "") -> Iterator[tuple[str, Graph]]:
        """This graph and every body below it with its path (`If_3/then_branch`), functions and training graphs not included."""
        stack = [(path, self)]
        while stack:
            place, one = stack.pop()
            yield place, one
            for index in compress(count(), map(_bodies, one.nodes)):
                title = one.nodes[index].title(index)
                base = f"{place}/{title}" if place else title
                stack.extend((f"{base}/{key}", body) for key, body in one.nodes[index].graphs.items())


@record(frozen=True, slots=True)
class Function:
    """A model-local function: a graph with formal inputs, called by nodes of its domain and name."""

    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    graph: Graph
    """Its nodes and constants; no value of it has a shape until it is called."""
    attributes: tuple[str, ...] = ()
    """Names of attributes without default."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overload: str = ""

    @property
    def key(self) -> FunctionKey:
        """What calls look it up by."""
        return (self.domain, self.name, self.overload)
