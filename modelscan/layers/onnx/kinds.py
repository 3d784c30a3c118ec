"""Element types behind operators that general inference does not know, and operands of com.microsoft that must have one type.

The tables say of ONNX Runtime's schemas (`docs/ContribOperators.md`) which inputs have the type parameter of the first output.
"""

from __future__ import annotations

from collections.abc import Iterable

from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.flow import NONE, SCOPE, Call, Flow
from modelscan.model import Observation

CONTRIB = "com.microsoft"
_ALIKE = {
    "0": "GroupNorm NhwcMaxPool QOrderedGelu QOrderedLayerNormalization QuickGelu Gelu "
    "RelativePositionBias Trilu MatMulFpQ4 BitmaskDropout GatherND Inverse Irfft Rfft TorchEmbedding Unique ExpandDims UnfoldTensor",
    "1": "DequantizeLinear QLinearConcat",
    "2": "GatherBlockQuantized QuantizeLinear",
    "7": "QLinearConv",
    "0 1": "BiasGelu BiasSoftmax BiasSplitGelu FastGelu FusedMatMul FusedMatMulActivation TransposeMatMul CDist ComplexMul ComplexMulConj",
    "0 2": "MatMulBnb4",
    "0 1 2": "BiasAdd BiasDropout BitmaskBiasDropout FusedGemm GatedRMSNorm GemmFastGelu NhwcConv",
    "0 2 3": "RotaryEmbedding",
    "0 2 4": "DynamicQuantizeMatMul QLinearAveragePool QLinearGlobalAveragePool QLinearLeakyRelu QLinearReduceMean QLinearSigmoid "
    "QLinearSoftmax",
    "0 2 5": "MatMulNBits",
    "0 2 6": "QOrderedMatMul",
    "0 3 4": "SkipGroupNorm",
    "1 2 3": "WordConvEmbedding",
    "2 3 4": "QAttention",
    "2 3 6": "MatMulIntegerToFloat",
    "0 1 2 3": "CausalConvWithState FusedConv NhwcFusedConv SkipSimplifiedLayerNormalization",
    "0 1 2 5": "PackedAttention",
    "0 1 2 3 4": "SkipLayerNormalization",
    "0 1 2 3 6": "PackedMultiHeadAttention",
    "0 1 2 4 5": "Attention DecoderMaskedSelfAttention",
    "0 2 3 5 7": "QLinearAdd QLinearMul",
    "2 3 4 5 6": "EmbedLayerNormalization",
    "8 9 10 11 12": "QEmbedLayerNormalization",
    "0 1 2 3 4 5": "GatedRelativePositionBias LongformerAttention",
    "0 1 2 3 4 9 10": "SparseAttention",
    "0 1 2 3 4 6 7": "DecoderAttention",
    "0 1 2 3 5 6 7": "MultiHeadAttention",
    "0 1 2 4 5 6 10": "DecoderMaskedMultiHeadAttention",
    "0 1 2 4 5 7 8": "MatMulNBitsMlp",
    "0 1 2 7 8 14 15": "GroupQueryAttention",
    "0 3 5 6 7 8 10": "DynamicQuantizeLSTM",
    "0 1 2 3 4 5 6 7": "MoE",
    "0 1 2 4 5 7 8 10 11": "MatMulNBitsQkv",
}
ALIKE: dict[str, tuple[int, ...]] = {
    f"{CONTRIB}:{name}": tuple(map(int, places.split())) for places, names in _ALIKE.items() for name in words(names)
}
"""By operator: the inputs that have the type of the first output."""
_EIGHT = frozenset(("int8", "uint8"))
_PACKED = frozenset(("uint8", "int32"))
_SMALL = frozenset(words("int4 uint4 uint8 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float4_e2m1fn"))
_INTEGERS: dict[str, tuple[tuple[int, ...], frozenset[str]]] = {
    "DequantizeLinear": ((0, 2), _EIGHT | {"int16", "uint16", "int32", "int4", "uint4"}),
    "DynamicQuantizeLSTM": ((1, 2), _EIGHT),
    "DynamicQuantizeMatMul": ((1, 3), _EIGHT),
    "GatherBlockQuantized": ((0,), _SMALL),
    "MatMulBnb4": ((1,), frozenset(("uint8",))),
    "MatMulIntegerToFloat": ((0, 1), _EIGHT),
    "MatMulNBits": ((1,), _PACKED),
    "QAttention": ((0, 1), _EIGHT),
    "QEmbedLayerNormalization": ((2, 3, 4, 5, 6), _EIGHT),
    "QGemm": ((0, 2, 3, 5), _EIGHT),
    "QLinearAdd": ((0, 2, 3, 5, 7), _EIGHT),
    "QLinearConv": ((0, 2, 3, 5, 7), _EIGHT),
    "QLinearMul": ((0, 2, 3, 5, 7), _EIGHT),
}
ALIKE.update(dict.fromkeys((f"com.microsoft.nchwc:{name}" for name in words("AveragePool MaxPool ReorderInput ReorderOutput")), (0,)))
ALIKE["com.microsoft.nchwc:Conv"] = (0, 1, 2, 3)
INTEGERS: dict[str, tuple[tuple[tuple[int, ...], frozenset[str]], ...]] = {f"{CONTRIB}:{name}": (held,) for name, held in _INTEGERS.items()}
"""By operator: the inputs that hold quantised numbers, and the types that these can have."""
_OFFSETS = frozenset(words("uint8 float32 float16 bfloat16"))
INTEGERS[f"{CONTRIB}:GatherBlockQuantized"] += (((2,), frozenset(words("float32 float16 bfloat16"))),)
INTEGERS[f"{CONTRIB}:MatMulNBits"] += (((3,), _OFFSETS),)
_GROUPS = {
    "DynamicQuantizeLSTM": ((1, 2, 9, 11),),
    "DynamicQuantizeMatMul": ((1, 3),),
    "GatherBlockQuantized": ((0, 3),),
    "MatMulIntegerToFloat": ((0, 4), (1, 5)),
    "QAttention": ((0, 6), (1, 7)),
    "QGemm": ((0, 2), (3, 5)),
    "QLinearConv": ((0, 2), (3, 5)),
}
GROUPS = {f"{CONTRIB}:{name}": groups for name, groups in _GROUPS.items()}
"""By operator: further inputs that have one type, a quantised operand and its zero point."""
CHECKED = ALIKE.keys() | INTEGERS.keys() | GROUPS.keys()
"""Operators whose operands are looked at."""
_QGEMM, _ZERO_POINT = f"{CONTRIB}:QGemm", 8
_FIXED = {"MatMulInteger16": "int32", "MulInteger": "int32", "QuantizeWithOrder": "int8", "IsAllFinite": "bool"}
KEEPING = frozenset(
    words(
        "Abs Add AveragePool BatchNormalization Ceil Clip Concat Conv ConvTranspose CumSum DepthToSpace Div Dropout Elu Erf Exp Expand "
        "Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool GroupNormalization HardSigmoid HardSwish "
        "Identity InstanceNormalization LeakyRelu Log LogSoftmax MatMul Max MaxPool Mean Min Mul Neg PRelu Pad Pow "
        "RMSNormalization Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize Selu Sigmoid "
        "Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Swish Tanh Tile Transpose Unsqueeze"
    )
)
"""Standard operators whose results, all of those that a layer hands on, have the type of their first input."""
SIMPLIFIED = "SimplifiedLayerNormalization"
"""Of ONNX Runtime, but in the standard domain."""
BY_OPERAND = {"DequantizeLinear": 1, "QuantizeLinear": 2, "LayerNormalization": 1, SIMPLIFIED: 1}
"""Operators whose result has the type of another operand; that of a norm's scale, since the runtime has them mixed."""
PAIRS = frozenset(words("Add Div MatMul Max Mean Min Mul Sub Sum"))
"""Of these, operators that have one type for their second input, too."""
KIND = "declared-shape"


def follow(call: Call, dtypes: list[str | None], told: dict[int, str]) -> None:
    """Notes in `told` which type the results of a call have, where that follows from operators that general inference does not know."""
    if call.node.domain == SCOPE or not call.outputs:
        return
    if call.node.domain:
        made = _result(call, dtypes, told)
        results = call.outputs[:1]
    elif call.op in BY_OPERAND:
        place = BY_OPERAND[call.op]
        value = call.inputs[place] if place < len(call.inputs) else NONE
        made = (told.get(value) or dtypes[value]) if value != NONE else None
        results = call.outputs[:1]
    elif told and call.op in KEEPING:
        made = next((told[value] for value in call.inputs[: 2 if call.op in PAIRS else 1] if value in told), None)
        results = call.outputs if call.op == "Split" else call.outputs[:1]
    else:
        return
    if made is None:
        return
    for value in results:
        if value != NONE:
            told[value] = made
            dtypes[value] = made


def _result(call: Call, dtypes: list[str | None], told: dict[int, str]) -> str | None:
    places = ALIKE.get(call.op)
    if call.op == _QGEMM:  # quantised again where it is told how, numbers otherwise
        given = len(call.inputs) > _ZERO_POINT and call.inputs[_ZERO_POINT] != NONE
        return next((dtype for _, dtype in _types(call, (_ZERO_POINT,), dtypes, told)), None) if given else "float32"
    if places is None:
        return _FIXED.get(call.node.op) if call.node.domain == CONTRIB else None
    known = [dtype for _, dtype in _types(call, places, dtypes, told)]
    if not known and call.op.endswith(":QuantizeLinear") and len(call.inputs) < places[0] + 1:
        return "uint8"
    return known[0] if known and all(one == known[0] for one in known) else None


def _types(call: Call, places: tuple[int, ...], dtypes: list[str | None], told: dict[int, str]) -> list[tuple[int, str]]:
    """The types of operands that are known to be tensors, with their places."""
    found = []
    for place in places:
        value = call.inputs[place] if place < len(call.inputs) else NONE
        if value == NONE:
            continue
        dtype = told.get(value) or dtypes[value]
        if dtype is not None and "(" not in dtype and " " not in dtype:
            found.append((place, dtype))
    return found


def contradictions(calls: Iterable[Call], dtypes: list[str | None], told: dict[int, str]) -> list[Observation]:
    """Operands of com.microsoft's operators that are not of one type though they must be, or of a type that is not taken there."""
    found = []
    for call in calls:
        if not call.node.domain:
            continue
        problem = _unlike(call, dtypes, told) or _foreign(call, dtypes, told)
        if problem is not None:
            title = call.node.title(call.index)
            found.append(Observation("type-mismatch", f"{call.node.op} {title}: {problem}", layer=title, where=title))
    return found


def _unlike(call: Call, dtypes: list[str | None], told: dict[int, str]) -> str | None:
    for places in (ALIKE.get(call.op, ()), *GROUPS.get(call.op, ())):
        known = _types(call, places, dtypes, told)
        for place, dtype in known[1:]:
            if dtype != known[0][1]:
                return f"input {place} is {dtype}, input {known[0][0]} of the same type is {known[0][1]}"
    return None


def _foreign(call: Call, dtypes: list[str | None], told: dict[int, str]) -> str | None:
    for places, taken in INTEGERS.get(call.op, ()):
        for place, dtype in _types(call, places, dtypes, told):
            if dtype not in taken:
                return f"input {place} is {dtype}, which the operator does not take there"
    return None


def declared(flow: Flow, told: dict[int, str], known: set[str | None]) -> list[Observation]:
    """Declarations of another element type than the operator before them makes."""
    found = []
    for value, made in told.items():
        info, name = flow.declared[value], flow.names[value]
        if info is None or info.dtype in (None, made) or name in known:
            continue
        number = flow.producer[value]
        message = f"{name} is declared {info.dtype}, and {made} follows from {flow.calls[number].node.title(number)}"
        found.append(Observation(KIND, message, tensor=name, where=name))
    return found
