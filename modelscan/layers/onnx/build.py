"""From what was recognised to the vocabulary: specs with witnesses and claims, piece by piece of what is stored."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

from modelscan.dtypes import is_float
from modelscan.formula import Dim, Symbol
from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.evidence import Extent
from modelscan.layers.onnx.flow import NONE, Flow
from modelscan.layers.onnx.site import Draft, Found, Setting
from modelscan.layers.onnx.views import FIXED, PARAMETER, Piece, Sizes, View, settled
from modelscan.model import Claim, Kind, StoredTensor, WeightSpec
from modelscan.naming import free

ONE_TYPE = frozenset(
    words(
        "Add Conv ConvTranspose Div GRU Gemm InstanceNormalization LSTM MatMul Max Mean Min Mul PRelu RNN Sub Sum com.microsoft:Attention "
        "com.microsoft:BiasGelu com.microsoft:FastGelu com.microsoft:FusedConv com.microsoft:FusedGemm com.microsoft:FusedMatMul "
        "com.microsoft:SkipLayerNormalization"
    )
)
"""Operators whose definition has one type for activations and weights."""


_counted = attrgetter("counted")
_STATISTICS = frozenset(("mean", "variance"))
"""Roles of running statistics: buffers, but weights of their layer that no gradient changes."""


def tell(setting: Setting, found: Found) -> None:
    """Makes specs and claims of a layer's drafts, each of which is dropped then: a large model has tens of megabytes of them."""
    found.values = tuple([draft.value for draft in found.drafts])
    found.counted = any(map(_counted, found.drafts))
    if found.known:
        found.specs, found.claims = _weights(setting, found)
    else:
        found.claims = _unexplained(setting, found)
        found.drafts.clear()


def _weights(setting: Setting, found: Found) -> tuple[tuple[WeightSpec, ...], tuple[Claim, ...]]:
    """The specs and claims of a layer, of which no draft is left."""
    specs: list[WeightSpec] = []
    claims: list[Claim] = []
    roles: dict[str, int] = {}
    wanted = _dtype(setting, found)
    drafts = found.drafts
    drafts.reverse()
    while drafts:
        draft = drafts.pop()
        view = draft.view or setting.views.get(draft.value)
        if view is None:
            role = free(draft.role, roles)
            dims = _dims(draft.extents, ())
            dtype = (draft.dtype or "float32") if draft.embedded else None
            specs.append(WeightSpec(role, dims, dtype=dtype, trainable=None, multiplied=draft.multiplied, embedded=draft.embedded))
            continue
        view = settled(view, setting.flow)
        parted = len(view.pieces) > 1
        boxes: set[tuple[Sizes, Sizes]] = set()
        for number, piece in enumerate(view.pieces, start=1):
            role = free(f"{draft.role}_{number}" if parted else draft.role, roles)
            dtype = draft.dtype or (wanted if view.dtype is not None and draft.counted else None)
            spec = _spec(setting, draft, view, piece, role, dtype)
            if parted or setting.flow.kinds:  # of what makes the same elements together, only one is multiplied with
                fixed = draft.role not in _STATISTICS and _is_fixed(setting.flow, piece, parted)
                again = parted and (piece.start, piece.extent) in boxes
                spec = replace(spec, counted=spec.counted and not fixed, multiplied=spec.multiplied and not again)
                boxes.add((piece.start, piece.extent))
            specs.append(spec)
            claims.append(_claim(setting.flow, piece, role, spec.counted, draft.value))
        for name, value in dict.fromkeys(view.extras) if view.extras else ():
            role = free(f"{draft.role}_{name}", roles)
            tensor = setting.flow.tensors[value]
            if tensor is not None:
                kind = setting.flow.kinds.get(value)
                learned = draft.counted and name == "factor" and kind not in FIXED and (tensor.elements > 1 or kind == PARAMETER)
                dims = _factor(tensor, view, draft, value) if learned else tuple(Dim((), size) for size in tensor.shape)
                specs.append(WeightSpec(role, dims, trainable=None, counted=learned))
                claims.append(Claim(tensor.of_kind(Kind.WEIGHT if learned else Kind.CONSTANT), setting.flow.names[value], role))
    return tuple(specs), tuple(claims)


def _is_fixed(flow: Flow, piece: Piece, parted: bool) -> bool:
    """Whether these numbers are no weights wherever they are used: buffers by the exporter's word (a filter bank, random features).

    Quantised weights are kept as buffers, too, and made numbers of at run time; only beside others that are used with them, the word
    stands for all buffers, and masks are none either.
    """
    tensor = flow.tensors[piece.value]
    if tensor is None:
        return False
    if flow.kinds.get(piece.value) in FIXED:
        return parted or is_float(tensor.dtype)
    return parted and tensor.dtype == "bool"


def _dtype(setting: Setting, found: Found) -> str | None:
    """The element type that an operator wants of its weights because it wants one of all that it takes."""
    if found.call.op not in ONE_TYPE:
        return None
    for value in found.call.inputs:
        if value != NONE and value not in setting.views:
            return setting.shapes.dtypes[value]
    return None


def _unexplained(setting: Setting, found: Found) -> tuple[Claim, ...]:
    """The stored tensors of an operator without a formula."""
    claims = []
    for draft in found.drafts:
        view = setting.views.get(draft.value)
        for piece in view.pieces if view is not None else ():
            claims.append(_claim(setting.flow, piece, None, draft.counted, draft.value))
    return tuple(claims)


def _spec(setting: Setting, draft: Draft, view: View, piece: Piece, role: str, dtype: str | None) -> WeightSpec:
    own = (piece.value,)
    dims = _dims(draft.extents, own)
    if len(draft.extents) == len(view.shape) and piece.extent != view.shape:
        dims = tuple(
            one if size == full else _share(extent, size, full, own)
            for one, extent, size, full in zip(dims, draft.extents, piece.extent, view.shape, strict=True)
        )
    logical = None if draft.logical is None else _dims(draft.logical, own)
    return WeightSpec(role, dims, dtype, None, setting.flow.names[piece.value], draft.multiplied, logical, draft.counted)


def _dims(extents: tuple[Extent, ...], own: tuple[int, ...]) -> tuple[Dim, ...]:
    return tuple([one.dim(own) for one in extents])


def _share(extent: Extent, size: int, full: int, own: tuple[int, ...]) -> Dim:
    """The dimension of a piece that is one of several along this axis."""
    times = full // size if size and full % size == 0 else 0
    if times and extent.coefficient % times == 0:
        return Extent(extent.quantities, extent.coefficient // times).dim(own)
    left = [one for one in extent.quantities if one.settled() != times]
    if times and len(left) == len(extent.quantities) - 1:
        return Extent(tuple(left), extent.coefficient).dim(own)
    whole = extent.size
    name = " × ".join(one.name for one in extent.quantities) or "size"
    attested = times and whole == full and all(symbol.witness for symbol in extent.dim(own).symbols)
    return Dim((Symbol(f"{name}/{times}" if times else f"part of {name}", size, f"{times} equal parts" if attested else None),))


def _factor(tensor: StoredTensor, view: View, draft: Draft, own: int) -> tuple[Dim, ...]:
    """The dimensions of what a weight is multiplied with before its use: those of the weight that it meets, where it meets them."""
    lead = len(view.shape) - len(tensor.shape)
    dims = []
    for place, size in enumerate(tensor.shape):
        axis = lead + place if lead >= 0 and view.shape[lead + place] == size else None
        axis = next((number for number, whole in enumerate(view.shape) if whole == size), None) if axis is None else axis
        if size == 1:
            dims.append(Dim((), 1))
        elif axis is not None and len(draft.extents) == len(view.shape):
            dims.append(draft.extents[axis].dim((own,)))
        else:
            dims.append(Dim((Symbol(f"size_{place + 1}", size, None if axis is None else f"{draft.role} beside it"),)))
    return tuple(dims)


def _claim(flow: Flow, piece: Piece, role: str | None, counted: bool, value: int) -> Claim:
    tensor = flow.tensors[piece.value]
    if tensor is None:
        raise LookupError(f"value {piece.value} holds no tensor")
    seen = None if piece.extent == tensor.shape else piece.extent
    kind = Kind.WEIGHT if counted else Kind.CONSTANT
    tensor = tensor.of_kind(kind)
    return Claim(tensor, flow.names[value if value != NONE else piece.value], role, False, seen, piece.part or None)
