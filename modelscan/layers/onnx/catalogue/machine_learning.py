"""Models of ai.onnx.ml, whose numbers stand in attributes: linear models, support vectors, scalers, tree ensembles."""

from __future__ import annotations

from modelscan.layers.onnx.evidence import Extent, Quantity, extent
from modelscan.layers.onnx.flow import NONE
from modelscan.layers.onnx.site import Draft, Found, Site, layer


def _value(site: Site, name: str) -> object:
    """A list attribute, or the tensor attribute that has its numbers in double precision."""
    return site.call.attribute(name, site.call.attribute(f"{name}_as_tensor"))


def _length(site: Site, name: str) -> int | None:
    """Elements of a list attribute; of a tensor attribute its size."""
    value = _value(site, name)
    if isinstance(value, tuple):
        return len(value)
    elements = getattr(value, "elements", None)
    return elements if isinstance(elements, int) else None


def _listed(site: Site, quantity: Quantity, name: str, divisor: int = 1) -> Quantity:
    """Notes that a list has as many elements as a quantity says."""
    count = _length(site, name)
    if count and divisor > 0 and count % divisor == 0:
        quantity.attribute(name, count // divisor)
    return quantity


def _dtype(site: Site, name: str) -> str:
    """Element type of an attribute: a list of floats is of 32 bits each (`AttributeProto.floats`)."""
    dtype = getattr(_value(site, name), "dtype", None)
    return dtype if isinstance(dtype, str) else "float32"


def _held(site: Site, role: str, *dims: Extent, multiplied: bool = False, name: str | None = None) -> Draft:
    """A weight whose values stand in an attribute."""
    return Draft(role, NONE, dims, multiplied, dtype=_dtype(site, name or role), embedded=True)


def _found(site: Site) -> Found:
    return Found(site.call.node.op, site.call, output=site.output, inputs=site.call.inputs[:1])


@layer("ai.onnx.ml:LinearClassifier", "ai.onnx.ml:LinearRegressor")
def linear(site: Site) -> Found | None:
    """Coefficients `[targets, features]`, one intercept per target."""
    count = _length(site, "coefficients")
    if not count:
        return None
    targets = Quantity("targets")
    if site.call.node.op == "LinearRegressor":
        targets.attribute("targets", site.call.attribute("targets", 1))
    intercepts = _length(site, "intercepts")
    _listed(site, targets, "intercepts")
    size = targets.settled() or 1
    features = Quantity("features").activation(site.axis(0, -1), site.name(0))
    if count % size == 0:
        features.attribute("coefficients", count // size)
    found = _found(site)
    found.drafts.append(_held(site, "coefficients", extent(targets), extent(features), multiplied=True))
    if intercepts:
        found.drafts.append(_held(site, "intercepts", extent(targets)))
    found.positions = 1
    return found


@layer("ai.onnx.ml:Scaler")
def scaler(site: Site) -> Found | None:
    """One offset and one scale per feature, or one for all."""
    found = _found(site)
    for role in ("offset", "scale"):
        if _length(site, role):
            features = _listed(site, Quantity("features"), role)
            found.drafts.append(_held(site, role, extent(features)))
    return found if found.drafts else None


@layer("ai.onnx.ml:SVMClassifier", "ai.onnx.ml:SVMRegressor")
def support_vectors(site: Site) -> Found | None:
    """Support vectors `[vectors, features]`, coefficients, rho; no support vectors make it a linear model."""
    found = _found(site)
    vectors = Quantity("vectors").attribute("n_supports", site.call.attribute("n_supports"))
    per_class = site.call.integers("vectors_per_class")
    if per_class is not None:
        vectors.attribute("vectors_per_class", sum(per_class))
    for role in ("support_vectors", "coefficients", "rho", "prob_a", "prob_b"):
        count = _length(site, role)
        if not count:
            continue
        rows = vectors.settled()
        if role == "support_vectors" and rows and count % rows == 0:
            features = Quantity("features").activation(site.axis(0, -1), site.name(0)).attribute(role, count // rows)
            found.drafts.append(_held(site, role, extent(vectors), extent(features)))
        else:
            found.drafts.append(_held(site, role, extent(_listed(site, Quantity(f"{role}_length"), role))))
    return found if found.drafts else None


@layer("ai.onnx.ml:TreeEnsembleClassifier", "ai.onnx.ml:TreeEnsembleRegressor", "ai.onnx.ml:TreeEnsemble")
def trees(site: Site) -> Found | None:
    """A threshold per split node, a value per leaf: what the training chose."""
    modes = site.call.attribute("nodes_modes")
    found = _found(site)
    if isinstance(modes, tuple):
        leaves = sum(mode in ("LEAF", b"LEAF") for mode in modes)
        splits = Quantity("split_nodes").attribute("nodes_modes", len(modes) - leaves)
        found.config["trees"] = len(set(site.call.integers("nodes_treeids") or ()))
        found.config["nodes"] = len(modes)
    else:
        splits = _listed(site, Quantity("split_nodes"), "nodes_splits")
        found.config["trees"] = _length(site, "tree_roots")
    if splits.settled():
        found.drafts.append(_held(site, "thresholds", extent(splits), name="nodes_values" if isinstance(modes, tuple) else "nodes_splits"))
    for name in ("class_weights", "target_weights", "leaf_weights", "base_values"):
        if _length(site, name):
            found.drafts.append(_held(site, name, extent(_listed(site, Quantity(name), name))))
    found.note = "thresholds and leaf values stand in attributes"
    return found if found.drafts else None
