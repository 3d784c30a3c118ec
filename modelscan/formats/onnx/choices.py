"""Attributes that can only have certain values: names out of a list, numbers within bounds.

No schema says them, so onnx's checker passes everything; ONNX Runtime refuses what is not in these tables when it makes its kernels.
What it takes although the standard does not name it (the empty `auto_pad`, activations in any case) is in them, and what it never
looks at (`approximate` of Gelu, `reduction` of the losses) is not.
References: the operators' definitions (https://onnx.ai/onnx/operators/); each table was tried with ONNX Runtime 1.32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelscan.graph import Node


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DIRECTION = {"direction": _names("forward reverse bidirectional")}
_AUTO_PAD = {"auto_pad": _names("NOTSET VALID SAME_UPPER SAME_LOWER") | {""}}
_TRANSFORM = {"post_transform": _names("NONE SOFTMAX LOGISTIC SOFTMAX_ZERO PROBIT")}
_ACTIVATIONS = _names("Relu Tanh Sigmoid Affine LeakyRelu ThresholdedRelu ScaledTanh HardSigmoid Elu Softsign Softplus")
_ANY_CASE = frozenset(name.lower() for name in _ACTIVATIONS)
_PER_DIRECTION = {"LSTM": 3, "GRU": 2, "RNN": 1}
"""Activations of each direction."""
_LINEAR_GRID = 20
"""Opset since which GridSample calls its modes as Resize does."""

_CHOICES: dict[str, dict[str, frozenset[str]]] = {
    **dict.fromkeys("AveragePool Conv ConvInteger ConvTranspose LpPool MaxPool QLinearConv".split(), _AUTO_PAD),
    **dict.fromkeys(_PER_DIRECTION, _DIRECTION),
    "BitShift": {"direction": _names("LEFT RIGHT")},
    "DepthToSpace": {"mode": _names("DCR CRD")},
    "GridSample": {"padding_mode": _names("zeros border reflection")},
    "Pad": {"mode": _names("constant reflect edge wrap")},
    "Resize": {
        "mode": _names("nearest linear cubic"),
        "coordinate_transformation_mode": _names(
            "half_pixel half_pixel_symmetric pytorch_half_pixel align_corners asymmetric tf_half_pixel_for_nn tf_crop_and_resize"
        ),
        "keep_aspect_ratio_policy": _names("stretch not_larger not_smaller"),
    },
    "TfIdfVectorizer": {"mode": _names("TF IDF TFIDF")},
    "Upsample": {"mode": _names("nearest linear cubic")},
    **dict.fromkeys("LinearClassifier LinearRegressor SVMClassifier SVMRegressor TreeEnsembleClassifier".split(), _TRANSFORM),
    "TreeEnsembleRegressor": {**_TRANSFORM, "aggregate_function": _names("SUM AVERAGE MIN MAX")},
    "Normalizer": {"norm": _names("MAX L1 L2")},
}


def problems(node: Node, since: int) -> Iterator[str]:
    """What a node's attributes say that no attribute of that name can say; `since` is the version of the operator."""
    for name, possible in _CHOICES.get(node.op, {}).items():
        value = node.attributes.get(name)
        if isinstance(value, str) and value not in possible:
            yield _none_of(name, value, possible)
    more = _MORE.get(node.op)
    if more is not None:
        yield from more(node, since)


def _none_of(name: str, value: str, possible: frozenset[str]) -> str:
    return f"attribute {name} is {value!r:.60}, none of {', '.join(sorted(possible - {''}))}"


def _numbers(value: Any) -> tuple[int, ...] | None:
    return value if isinstance(value, tuple) and all(isinstance(one, int) for one in value) else None


def _recurrent(node: Node, _since: int) -> Iterator[str]:
    """A recurrent layer: its width, without which no runtime allocates it; its functions by name, one set for each direction."""
    if "hidden_size" not in node.attributes:
        yield "attribute hidden_size is missing"
    stated = node.attributes.get("activations")
    if not isinstance(stated, tuple) or not stated:
        return
    directions = 2 if node.attributes.get("direction") == "bidirectional" else 1
    right = directions * _PER_DIRECTION[node.op]
    if len(stated) != right:
        yield f"{len(stated)} activations, {right} are right"
    for name in stated:
        if isinstance(name, str) and not (name in _ACTIVATIONS or (node.op != "RNN" and name.lower() in _ANY_CASE)):
            yield _none_of("activations", name, _ACTIVATIONS)
            return


def _grid(node: Node, since: int) -> Iterator[str]:
    possible = _names("nearest linear cubic" if since >= _LINEAR_GRID else "nearest bilinear bicubic")
    value = node.attributes.get("mode")
    if isinstance(value, str) and value not in possible:
        yield _none_of("mode", value, possible)


def _rounding(node: Node, _since: int) -> Iterator[str]:
    """How Resize rounds, which is looked at for nearest neighbours alone; an empty text is the default."""
    possible, value = _names("round_prefer_floor round_prefer_ceil floor ceil"), node.attributes.get("nearest_mode")
    if value and isinstance(value, str) and value not in possible and node.attributes.get("mode", "nearest") == "nearest":
        yield _none_of("nearest_mode", value, possible)


def _padding(node: Node, _since: int) -> Iterator[str]:
    """A window that would lie in the padding altogether."""
    kernel, pads = _numbers(node.attributes.get("kernel_shape")), _numbers(node.attributes.get("pads"))
    if kernel and pads and len(pads) == 2 * len(kernel):
        for pad, size in zip(pads, (*kernel, *kernel), strict=True):
            if pad >= size or pad < 0:
                yield f"pads {pad} beside a window of {size}"
                return


def _pooling(node: Node, _since: int) -> Iterator[str]:
    possible, value = _names("avg max"), node.attributes.get("mode")
    if isinstance(value, str) and value.lower() not in possible:
        yield _none_of("mode", value, possible)


def _norm(node: Node, _since: int) -> Iterator[str]:
    p = node.attributes.get("p", 2)
    if isinstance(p, int) and p not in (1, 2):
        yield f"attribute p is {p}, 1 and 2 are possible"


def _odd(node: Node, _since: int) -> Iterator[str]:
    size = node.attributes.get("size", 1)
    if isinstance(size, int) and (size < 1 or size % 2 == 0):
        yield f"attribute size is {size}, an odd number is right"


_MORE: Mapping[str, Callable[[Node, int], Iterator[str]]] = {
    **dict.fromkeys(_PER_DIRECTION, _recurrent),
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), _padding),
    "GridSample": _grid,
    "LRN": _odd,
    "LpNormalization": _norm,
    "Resize": _rounding,
    "RoiAlign": _pooling,
}
