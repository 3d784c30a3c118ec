"""The variables of a program with what it says of them: author's name, declared shape, trainable or not, what uses them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelscan.layers.tensorflow.trace import Trace, Use
from modelscan.limits import Limits
from modelscan.model import Kind, Model, Shape, StoredTensor
from modelscan.program import MetaGraph, Program, SavedObject

PRODUCTS: Mapping[str, int] = {
    "MatMul": 1,
    "BatchMatMul": 1,
    "BatchMatMulV2": 1,
    "BatchMatMulV3": 1,
    "SparseTensorDenseMatMul": 3,
    "SparseMatMul": 1,
    "Einsum": 1,
    "Conv2D": 1,
    "Conv3D": 1,
    "Conv": 1,
    "DepthwiseConv2dNative": 1,
    "Conv2DBackpropInput": 1,
    "Conv2DBackpropInputV2": 1,
    "Conv3DBackpropInput": 1,
    "Conv3DBackpropInputV2": 1,
    "Dilation2D": 1,
    "_FusedMatMul": 1,
    "_FusedConv2D": 1,
    "QuantizedMatMul": 1,
    "QuantizedConv2D": 1,
}
"""Operations that multiply an activation with a kernel, and the input that holds the kernel."""
LOOKUPS = frozenset(
    (
        "ResourceGather ResourceGatherNd Gather GatherV2 GatherNd SparseSegmentSum SparseSegmentMean SparseSegmentSqrtN "
        "SparseSegmentSumWithNumSegments SparseSegmentMeanWithNumSegments SparseSegmentSqrtNWithNumSegments"
    ).split()
)
"""Operations that take rows of a table, their first input."""
SUMS = frozenset(("BiasAdd", "BiasAddV1", "Add", "AddV2", "Sub"))
NORMS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "_FusedBatchNormEx"))
_WORDS: Mapping[str, str] = {
    "weights": "kernel",
    "biases": "bias",
    "w": "kernel",
    "b": "bias",
    "depthwise_weights": "depthwise_kernel",
    "pointwise_weights": "pointwise_kernel",
}
_ATTRIBUTE = "/.ATTRIBUTES/"
_GENERIC = re.compile(r"(?:resource_|resourcevariable_|ref)?variable(?:_\d+)?|const(?:_\d+)?", re.IGNORECASE)


@dataclass
class Weight:
    """One variable, or a constant that was one."""

    tensor: StoredTensor
    name: str
    """The author's: `dense/kernel`; the object path or node name where there is none."""
    declared: Shape | None = None
    """What the program states of its shape; None where only the stored tensor has one."""
    trainable: bool | None = None
    uses: list[Use] = field(default_factory=list)

    @property
    def scope(self) -> str:
        """What stands before the last part of the name."""
        return self.name.rpartition("/")[0]

    @property
    def word(self) -> str:
        """The last part of the name, without a number that made it unique and without Keras 3's underscore."""
        return re.sub(r"_\d+$", "", self.name.rpartition("/")[2]).lstrip("_") or "variable"

    @property
    def part(self) -> str:
        """The last part of the name as Keras calls such a weight, where TF 1's libraries and Sonnet have another word."""
        return _WORDS.get(self.word, self.word)

    @property
    def first(self) -> int:
        """Where it is used first, in the order of the program; far away when it is not used."""
        return min((use.order for use in self.uses), default=1 << 62)

    def used_as(self, operations: Mapping[str, int] | frozenset[str]) -> Use | None:
        """The first use by one of these operations, as the input that a mapping names."""
        for use in self.uses:
            if use.op in operations and (not isinstance(operations, Mapping) or operations[use.op] == use.place):
                return use
        return None


def weights(model: Model, limits: Limits) -> list[Weight]:
    """All stored weights that count, in the order in which the program uses them."""
    program: Program = model.program
    tensors = {one.name: one for one in model.tensors if one.kind is Kind.WEIGHT and one.name not in program.copies}
    found = {name: Weight(one, _plain(name)) for name, one in tensors.items()}
    if program.checkpoint is not None:
        for trackable in program.checkpoint.objects:
            for key in trackable.keys.values():
                if key in found and trackable.full_name:
                    found[key].name = _best(trackable.full_name, key)
    for graph in program.metagraphs:
        _declare(graph, found, program)
    _tell_apart(found)
    for graph in program.metagraphs[:1]:
        _trace(graph, found, tensors, program, limits)
    return sorted(found.values(), key=lambda one: one.first)


def _tell_apart(found: dict[str, Weight]) -> None:
    """Variables that their author gave one name go by their path in the object graph, if that says more than a number in a list."""
    names = Counter(one.name for one in found.values())
    for key, one in found.items():
        if names[one.name] > 1 and not _plain(key).rpartition("/")[2].isdecimal():
            one.name = _plain(key)


def _declare(graph: MetaGraph, found: dict[str, Weight], program: Program) -> None:
    """What the object graph and the variables' own nodes say."""
    for one in graph.objects:
        key = one.key
        if one.variable is not None and key in found:
            weight = found[key]
            weight.name = _best(one.variable.name, key)
            weight.declared = weight.declared or one.variable.shape
            weight.trainable = one.variable.trainable
    for listed, switch in _switches(graph.objects).items():
        key = program.copies.get(listed, listed)
        if key in found:
            found[key].trainable = switch
    trainable = {one.name.partition(":")[0] for one in graph.collections.get("trainable_variables", ())}
    every = {one.name.partition(":")[0]: one for name in graph.collections for one in graph.collections[name]}
    nodes = {one.name: one for one in graph.nodes} if graph.variable_keys and not graph.objects else {}
    for node, key in graph.variable_keys.items():
        if key not in found or node not in nodes:
            continue
        shape = nodes[node].attributes.get("shape")
        if node in every and every[node].full_name:
            shape = every[node].full_shape
        elif found[key].tensor.name != node:
            shape = None
        found[key].declared = shape if isinstance(shape, tuple) else None
        found[key].trainable = node in trainable if node in every else None


def _switches(objects: tuple[SavedObject, ...]) -> dict[str, bool]:
    """What Keras' `export` says of a frozen layer: the model's lists leave its variables out, which themselves claim to be trainable."""
    found: dict[str, bool] = {}
    for name, switch in (("non_trainable_variables", False), ("trainable_variables", True)):
        listed = objects[0].children.get(name) if objects else None
        for number in objects[listed].children.values() if listed is not None and 0 <= listed < len(objects) else ():
            key = objects[number].key if 0 <= number < len(objects) else None
            if key is not None:
                found[key] = switch
    return found


def _trace(graph: MetaGraph, found: dict[str, Weight], tensors: Mapping[str, StoredTensor], program: Program, limits: Limits) -> None:
    keys: dict[str, str] = {}
    for node, key in graph.variable_keys.items():
        keys[node] = program.copies.get(key, key)
    constants = frozenset(name for name in tensors if program.checkpoint is None or name not in program.checkpoint.entries)
    trace = Trace(graph, keys, constants, program.copies, limits)
    trace.run()
    for key, uses in trace.uses.items():
        if key in found:
            found[key].uses = uses


def _best(name: str, key: str) -> str:
    """The author's name if it says anything, else the path in the object graph."""
    plain = name.partition(":")[0]
    path = _plain(key)
    if "/" in plain or (plain and not _GENERIC.fullmatch(plain) and "/" not in path):
        return plain
    return path


def _plain(key: str) -> str:
    return key.partition(_ATTRIBUTE)[0]
