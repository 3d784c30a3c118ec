"""Attributes of ai.onnx.ml operators against one another: lists that must be equally long, numbers of nodes and features that exist.

What is told is what ONNX Runtime refuses (its kernels in `core/providers/cpu/ml`): at load, or with the first input.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.flow import Call
from modelscan.layers.onnx.shapes import Shapes, axis_of

MOST = 250_000
"""Nodes of a tree ensemble up to which each one's children are looked for."""
_TREES = words("nodes_nodeids nodes_treeids nodes_modes nodes_featureids nodes_values nodes_truenodeids nodes_falsenodeids")
_SPLITS = words("nodes_featureids nodes_splits nodes_modes nodes_truenodeids nodes_falsenodeids nodes_trueleafs nodes_falseleafs")
_LABELS = words("classlabels_strings classlabels_ints classlabels_int64s")


def length(call: Call, name: str) -> int:
    """Elements of a list, or of the tensor that has its numbers in double precision; 0 where neither is given."""
    for one in (name, f"{name}_as_tensor"):
        value = call.attribute(one)
        count = len(value) if isinstance(value, tuple) else getattr(value, "elements", 0)
        if count:
            return int(count)
    return 0


def contradiction(shapes: Shapes, call: Call) -> str | None:
    """The first thing that an operator states and that cannot be."""
    width = axis_of(shapes, call, 0, -1).static
    return next(_problems(call, width), None)


def _problems(call: Call, width: int | None) -> Iterator[str]:
    match call.node.op:
        case "TreeEnsembleClassifier" | "TreeEnsembleRegressor":
            kind = "class" if call.node.op.endswith("Classifier") else "target"
            yield from _unequal(call, _TREES)
            yield from _unequal(call, tuple(f"{kind}_{part}" for part in ("ids", "nodeids", "treeids", "weights")))
            yield from _trees(call, width)
        case "TreeEnsemble":
            yield from _unequal(call, _SPLITS)
            yield from _unequal(call, ("leaf_targetids", "leaf_weights"))
            yield from _flat_trees(call, width)
        case "LinearClassifier" | "LinearRegressor":
            yield from _linear(call, width)
        case "SVMClassifier" | "SVMRegressor":
            yield from _vectors(call, width)
        case "Scaler":
            yield from _unequal(call, ("scale", "offset"))
            yield from _per_feature(call, ("scale", "offset"), width)
        case "Imputer":
            yield from _per_feature(call, ("imputed_value_floats", "imputed_value_int64s"), width)


def _unequal(call: Call, names: tuple[str, ...]) -> Iterator[str]:
    """Lists of one length, of those that are given."""
    counts = {name: count for name in names if (count := length(call, name))}
    for name, count in counts.items():
        first = next(iter(counts))
        if count != counts[first]:
            yield f"{name} has {count:,} elements, {first} has {counts[first]:,}"


def _per_feature(call: Call, names: tuple[str, ...], width: int | None) -> Iterator[str]:
    for name in names:
        count = length(call, name)
        if width is not None and count not in (0, 1, width):
            yield f"{name} has {count:,} elements for {width:,} features"


def _features(call: Call, width: int | None) -> Iterator[str]:
    features = call.integers("nodes_featureids")
    if features and width is not None and not 0 <= max(features) < width:
        yield f"feature {max(features):,} is asked for, and there are {width:,}"


def _trees(call: Call, width: int | None) -> Iterator[str]:
    yield from _features(call, width)
    lists = [call.integers(f"nodes_{name}") for name in ("treeids", "nodeids", "truenodeids", "falsenodeids")]
    modes = call.attribute("nodes_modes")
    trees, nodes, yes, no = (one or () for one in lists)
    if not isinstance(modes, tuple) or not 0 < len(nodes) <= MOST or any(len(one) != len(nodes) for one in (trees, yes, no, modes)):
        return
    known = set(zip(trees, nodes, strict=True))
    for tree, node, mode, children in zip(trees, nodes, modes, zip(yes, no, strict=True), strict=True):
        if mode in ("LEAF", b"LEAF"):
            continue
        lost = next((child for child in children if (tree, child) not in known), None)
        if lost is not None:
            yield f"node {node} of tree {tree} leads to node {lost}, which does not exist"
            return


def _flat_trees(call: Call, width: int | None) -> Iterator[str]:
    yield from _features(call, width)
    nodes, leaves = length(call, "nodes_featureids"), length(call, "leaf_weights")
    for side in ("true", "false"):
        ids, ends = call.integers(f"nodes_{side}nodeids") or (), call.integers(f"nodes_{side}leafs") or ()
        for child, leaf in zip(ids[:MOST], ends, strict=False):
            if not 0 <= child < (leaves if leaf else nodes):
                yield f"a node leads to {'leaf' if leaf else 'node'} {child}, which does not exist"
                return
    roots = call.integers("tree_roots") or ()
    if any(not 0 <= root < nodes for root in roots):
        yield "a tree begins at a node that does not exist"


def _linear(call: Call, width: int | None) -> Iterator[str]:
    """Coefficients `[targets, features]`; a classifier of two classes may have but one row."""
    count, offsets = length(call, "coefficients"), length(call, "intercepts")
    classifier = call.node.op == "LinearClassifier"
    labels = next((size for name in _LABELS if (size := length(call, name))), 0)
    rows = offsets if classifier else call.integer("targets", 1)
    if classifier and labels and offsets > 1 and labels != offsets:
        yield f"{labels} class labels for {offsets} intercepts"
    if not classifier and offsets and offsets != rows:
        yield f"{offsets} intercepts for {rows} targets"
    if rows < 1 or not count:
        return
    if count % rows:
        yield f"{count:,} coefficients are no multiple of {rows}"
    elif width is not None and count // rows != width:
        yield f"{count:,} coefficients for {rows} targets and {width:,} features"


def _vectors(call: Call, width: int | None) -> Iterator[str]:
    """Support vectors `[vectors, features]`, coefficients `[classes - 1, vectors]`, an offset for each pair of classes."""
    classifier = call.node.op == "SVMClassifier"
    each = call.integers("vectors_per_class") or ()
    vectors = sum(each) if classifier else call.integer("n_supports", 0)
    if vectors < 1:
        return
    held, weights = length(call, "support_vectors"), length(call, "coefficients")
    if held % vectors:
        yield f"{held:,} elements of support vectors are no multiple of {vectors:,}"
    elif width is not None and held // vectors != width:
        yield f"support vectors of {held // vectors:,} features, and there are {width:,}"
    classes = len(each) if classifier else 2
    if weights < (classes - 1) * vectors:
        yield f"{weights:,} coefficients, {(classes - 1) * vectors:,} are needed"
    pairs = classes * (classes - 1) // 2
    if classifier and length(call, "rho") < pairs:
        yield f"rho has {length(call, 'rho')} elements, {pairs} pairs of classes need one each"
    labels = next((size for name in _LABELS if (size := length(call, name))), 0)
    if classifier and labels and labels != classes:
        yield f"{labels} class labels, vectors of {classes} classes"
    yield from _unequal(call, ("prob_a", "prob_b"))


OPERATORS = tuple(
    f"ai.onnx.ml:{name}"
    for name in words(
        "Imputer LinearClassifier LinearRegressor SVMClassifier SVMRegressor Scaler TreeEnsemble TreeEnsembleClassifier "
        "TreeEnsembleRegressor"
    )
)
"""What can be checked."""
