"""The names that people gave their layers, as exporters carry them: scopes, module classes, parameter names.

In order of trust: what `torch.onnx` notes beside a node (its module's class and path), slashes in node names (TorchScript,
TensorFlow), and the names of the weights (a PyTorch state_dict, TensorFlow variables).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from modelscan.layers.onnx.flow import Call, Flow
from modelscan.records import record

SCOPES, CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
NAMESPACE = "namespace"
LONGEST = 4096
"""Characters of a metadata value that are looked at."""
DEEPEST = 32
"""Levels of a scope that are kept."""
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_WRAPPERS = frozenset(("StatefulPartitionedCall", "PartitionedCall", "ReadVariableOp", "resource"))
_FUSIONS = re.compile(r"^Conv(?:Bn|Add|Mul)Fusion_(?:W|B|BN_B|Add_B|Mul_B)_")
"""What ONNX Runtime's optimiser puts before the names of weights that it folds."""
_KEY = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_FUSED = "fused "
"""What it puts before the name of an operator into which it takes an activation."""
_SUFFIXES = re.compile(
    r"(?:weight|bias|kernel|gamma|beta|running_mean|running_var|moving_mean|moving_variance|weight_[a-z]h_l\d+\w*|bias_[a-z]h_l\d+\w*|"
    r"in_proj_weight|in_proj_bias|embeddings?|scale|zero_point|MatMul|BiasAdd|Conv2D|ReadVariableOp)(?:_[A-Za-z]*quantized|_Q4|_scale|_zp)?",
    re.IGNORECASE,
)


@record(frozen=True, slots=True)
class Place:
    """Where a call stands in its author's program."""

    scope: tuple[str, ...]
    """Names of the modules around it, outermost first."""
    classes: tuple[str | None, ...]
    """Their classes, as far as the file tells; as many as names."""
    leaf: str
    told: bool = True
    """Whether the file itself gives the scope."""
    rooted: bool = False
    """Whether the scope begins with the model's own name."""


def place_of(call: Call) -> Place:
    """The place of one call by its own name and metadata."""
    metadata = call.node.metadata
    if metadata:
        found = _listed(metadata.get(SCOPES), metadata.get(CLASSES)) or _namespace(metadata.get(NAMESPACE))
        if found is not None:
            return found
    name = call.node.name.partition(";")[0].removeprefix(_FUSED)
    above, _, leaf = name.rpartition("/")
    if not leaf or leaf in _WRAPPERS:
        parts = _parts(name)
        return _beside(parts[:-1], parts[-1], name) if parts else Place((), (), call.node.title(call.index), False)
    return _beside(_parts(above)[: DEEPEST - 1], leaf, name) if above else Place((), (), leaf, False)


@lru_cache(maxsize=4096)
def _parts(name: str) -> tuple[str, ...]:
    """The levels of a name with slashes; the operators of one module share them."""
    return tuple([part for part in name.split("/") if part and part not in _WRAPPERS][:DEEPEST])


def _beside(scope: tuple[str, ...], leaf: str, name: str) -> Place:
    return Place(scope, (None,) * len(scope), leaf, True, not name.startswith("/")) if scope else Place((), (), leaf, False)


def _listed(scopes: str | None, classes: str | None) -> Place | None:
    """`['', 'encoder', 'encoder.fc', 'linear']` with `['Model', 'Encoder', 'torch.nn…Linear', 'aten.linear.default']`."""
    if not scopes:
        return None
    names = [a or b for a, b in _QUOTED.findall(scopes[:LONGEST])]
    kinds = [a or b for a, b in _QUOTED.findall((classes or "")[:LONGEST])]
    return _modules(names, kinds)


def _namespace(text: str | None) -> Place | None:
    """`: Model/encoder: Encoder/encoder.fc: torch.nn.modules.linear.Linear/linear: aten.linear.default`."""
    if not text:
        return None
    pairs = [part.partition(": ") for part in text[:LONGEST].split("/")]
    return _modules([name for name, _, _ in pairs], [kind for _, _, kind in pairs])


def _modules(names: list[str], kinds: list[str]) -> Place | None:
    names = names[:DEEPEST]
    if not names:
        return None
    kinds = [*kinds, *[""] * len(names)][: len(names)]
    scope: list[str] = []
    classes: list[str | None] = []
    outer = ""
    for name, kind in zip(names[:-1], kinds[:-1], strict=True):
        short = name[len(outer) + 1 :] if outer and name.startswith(outer + ".") else name
        if short.strip(": "):
            scope.append(short)
            classes.append(kind or None)
            outer = name
    return Place(tuple(scope), tuple(classes), names[-1] or "op", told=bool(scope))


def of_weight(name: str) -> Place | None:
    """The module that a weight's name tells of: `layer1.0.conv1.weight`, `model/dense/kernel:0`; None for a made-up name."""
    name = name.partition(";")[0].partition(":")[0] if "::" not in name else ""
    name = _FUSIONS.sub("", name) if "Fusion_" in name else name
    separator = "/" if "/" in name else "."
    parts = [part for part in name.split(separator) if part and part not in _WRAPPERS]
    if len(parts) < 2:
        return None
    if separator == ".":
        parts.pop()
    while len(parts) > 1 and _SUFFIXES.fullmatch(parts[-1]):
        parts.pop()
    parts = parts[:DEEPEST]
    return Place(tuple(parts), (None,) * len(parts), "", rooted=separator == "/")


def is_key(name: str) -> bool:
    """Whether a name can be a key of a PyTorch state_dict; exporters give what they make up other forms (`onnx::Add_1`, `/Constant_1`)."""
    return _KEY.fullmatch(name) is not None


def refined(place: Place, weight: Place) -> Place:
    """A place made more exact by the module that a layer's weight belongs to.

    `self_attn` with a weight `self_attn.out_proj.weight` is `self_attn/out_proj`; a convolution that stands where the
    normalisation was that was folded into it (`bn1`, weight `conv1.weight`) is `conv1`.
    """
    named = ".".join(weight.scope)
    above = dotted(place.scope[:-1])
    around = dotted(place.scope)
    if place.classes and "BatchNorm" in (place.classes[-1] or "") and named != around:
        inner = named.removeprefix(f"{above}." if above else "")
        return _inside(place, place.scope[:-1], inner) if "." not in inner else place
    inner = named.removeprefix(f"{around}.")
    if inner == named or any(part.startswith("_") or part == "parametrizations" for part in inner.split(".")):
        return place
    return _inside(place, place.scope, inner)


def agreed(place: Place, scopes: Mapping[str, tuple[str, ...]]) -> Place:
    """The place that a weight's name tells (`layer/0/dense`) with the scopes that nodes tell (`layer.0`), found by their dotted form."""
    for length in range(len(place.scope), 0, -1):
        told = scopes.get(".".join(place.scope[:length]))
        if told is not None:
            scope = (*told, *place.scope[length:])
            return replace(place, scope=scope, classes=(None,) * len(scope))
    return place


def _inside(place: Place, scope: tuple[str, ...], inner: str) -> Place:
    parts = tuple(inner.split("."))
    return replace(place, scope=(*scope, *parts), classes=(*place.classes[: len(scope)], *(None for _ in parts)))


def dotted(scope: tuple[str, ...]) -> str:
    """The scope as a state_dict writes it; TorchScript repeats the parent's name in that of a numbered child (`layers/layers.0`)."""
    parts: list[str] = []
    for part in scope:
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)


def short(kind: str) -> str:
    """A module class as people write it: `torch.nn.Linear` for `torch.nn.modules.linear.Linear`, else the class without its packages."""
    parts = kind.split(".")
    return ("torch.nn." if parts[:3] == ["torch", "nn", "modules"] else "") + parts[-1]


def enclosing(flow: Flow, call: Call) -> tuple[str, ...]:
    """Names of the control-flow bodies around a call, outermost first."""
    found: list[str] = []
    owner = call.owner
    while owner >= 0 and len(found) < 2 * DEEPEST:
        one = flow.owners[owner]
        parts = [part for part in one.node.title(one.number).split("/") if part]
        found.append(one.branch)
        found.extend(reversed(parts))
        owner = one.parent
    return tuple(reversed(found))
