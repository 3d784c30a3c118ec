"""Shape rules of the operators that general inference does not know: com.microsoft, quantised forms, Einsum."""

from __future__ import annotations

from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.axes import ONE, UNKNOWN, Axes, Axis, broadcast
from modelscan.layers.onnx.einsum import parsed
from modelscan.layers.onnx.flow import Call
from modelscan.layers.onnx.shape_rules import convolved, matmul, windows
from modelscan.layers.onnx.shapes import RULES, Shapes, axis_of, elementwise, fixed, rule, same, with_last

SAME = words(
    "BiasAdd BiasDropout BiasGelu BiasSoftmax BitmaskBiasDropout BitmaskDropout CausalConvWithState DequantizeBFP DequantizeLinear "
    "DequantizeWithOrder FastGelu GatedRMSNorm Gelu GemmaRotaryEmbedding GroupNorm MoE QLinearLeakyRelu QLinearSigmoid QLinearSoftmax "
    "QMoE QOrderedGelu QOrderedLayerNormalization QuantizeBFP QuantizeLinear QuantizeWithOrder QuickGelu RotaryEmbedding SkipGroupNorm "
    "Trilu"
)
RULES.update(dict.fromkeys((f"com.microsoft:{name}" for name in SAME), same))
RULES["DynamicQuantizeLinear"] = same
RULES.update(dict.fromkeys((f"ai.onnx.ml:{name}" for name in words("Imputer Normalizer Scaler")), same))


@rule("com.microsoft:SkipLayerNormalization", "com.microsoft:SkipSimplifiedLayerNormalization")
def _skip_norm(shapes: Shapes, call: Call) -> list[Axes | None]:
    x = shapes.input(call, 0)
    return [x, None, None, x]


@rule("com.microsoft:QLinearAdd", "com.microsoft:QLinearMul")
def _qlinear_binary(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [broadcast([shapes.input(call, 0), shapes.input(call, 3)])]


@rule("com.microsoft:BiasSplitGelu")
def _split_gelu(shapes: Shapes, call: Call) -> list[Axes | None]:
    x = shapes.input(call, 0)
    last = axis_of(shapes, call, 0, -1)
    return [with_last(x, Axis(last.static // 2 if last.static is not None else None, last.source))]


@rule("com.microsoft:FusedConv")
def _fused_conv(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [convolved(shapes.input(call, 0), shapes.input(call, 1), call)]


@rule("QLinearConv", "com.microsoft:QLinearConv")
def _qlinear_conv(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, w = shapes.input(call, 0), shapes.input(call, 3)
    if call.integer("channels_last", 0):
        return [_channels_last(x, w, call)]
    return [convolved(x, w, call)]


@rule("com.microsoft:NhwcConv", "com.microsoft:NhwcFusedConv")
def _nhwc_conv(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [_channels_last(shapes.input(call, 0), shapes.input(call, 1), call)]


def _channels_last(x: Axes | None, w: Axes | None, call: Call) -> Axes | None:
    made = None if x is None else convolved((x[0], x[-1], *x[1:-1]), w, call)
    return None if made is None else (made[0], *made[2:], made[1])


@rule("com.microsoft:QLinearAveragePool", "com.microsoft:NhwcMaxPool")
def _pool(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, sizes = shapes.input(call, 0), call.integers("kernel_shape")
    last = call.node.op == "NhwcMaxPool" or bool(call.integer("channels_last", 0))
    if x is None or sizes is None or len(x) != len(sizes) + 2:
        return [None]
    kernel = tuple(fixed(size) for size in sizes)
    return [(x[0], *windows(x[1:-1], kernel, call), x[-1]) if last else (*x[:2], *windows(x[2:], kernel, call))]


@rule("com.microsoft:QLinearGlobalAveragePool")
def _global_pool(shapes: Shapes, call: Call) -> list[Axes | None]:
    x = shapes.input(call, 0)
    if x is None:
        return [None]
    ones = tuple(ONE for _ in x[2:])
    return [(x[0], *ones, x[-1]) if call.integer("channels_last", 0) else (*x[:2], *ones)]


@rule("com.microsoft:QLinearConcat")
def _qlinear_concat(shapes: Shapes, call: Call) -> list[Axes | None]:
    parts = [shapes.of(value) for value in call.inputs[2::3]]
    known = [part for part in parts if part is not None]
    axis = call.integer("axis", 0)
    if (
        not known
        or len(known) < len(parts)
        or any(len(part) != len(known[0]) for part in known)
        or not -len(known[0]) <= axis < len(known[0])
    ):
        return [None]
    sizes = [part[axis].static for part in known]
    whole = None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)
    return [tuple(Axis(whole, UNKNOWN.source) if n == axis % len(known[0]) else one for n, one in enumerate(known[0]))]


def turned(call: Call, axes: Axes | None, operand: str) -> Axes | None:
    """An operand (`A` or `B`) of a fused product as it is multiplied: first axis moved behind the batch axes, last two swapped."""
    if axes is None or len(axes) < 2:
        return axes
    if call.integer(f"transBatch{operand}", 0):
        axes = (*axes[1:-1], axes[0], axes[-1])
    return (*axes[:-2], axes[-1], axes[-2]) if call.integer(f"trans{operand}", 0) else axes


@rule("com.microsoft:FusedMatMul", "com.microsoft:TransposeMatMul", "com.microsoft:FusedMatMulActivation")
def _fused_matmul(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [matmul(turned(call, shapes.input(call, 0), "A"), turned(call, shapes.input(call, 1), "B"))]


@rule("com.microsoft.nchwc:ReorderInput", "com.microsoft.nchwc:ReorderOutput")
def _reordered(shapes: Shapes, call: Call) -> list[Axes | None]:
    """Into and out of blocks of channels: the first fills the last block up, the second says how many channels there are."""
    x, channels = shapes.input(call, 0), call.attribute("channels")
    if x is None or len(x) != 4 or call.integer("channels_last", 0):
        return [None]
    return [(x[0], fixed(channels) if isinstance(channels, int) else UNKNOWN, *x[2:])]


@rule(*(f"com.microsoft:{name}" for name in words("DynamicQuantizeMatMul MatMulIntegerToFloat MatMulInteger16")))
def _matmul(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [matmul(shapes.input(call, 0), shapes.input(call, 1))]


@rule("QLinearMatMul")
def _qlinear_matmul(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [matmul(shapes.input(call, 0), shapes.input(call, 3))]


@rule("com.microsoft:FusedGemm", "com.microsoft:GemmFastGelu", "com.microsoft:GemmFloat8", "com.microsoft:QGemm")
def _gemm(shapes: Shapes, call: Call) -> list[Axes | None]:
    kernel = 3 if call.node.op == "QGemm" else 1
    rows = axis_of(shapes, call, 0, 1 if call.integer("transA", 0) else 0)
    if call.node.op == "GemmFastGelu":
        return [matmul(shapes.input(call, 0), shapes.input(call, 1))]
    return [(rows, axis_of(shapes, call, kernel, 0 if call.integer("transB", 0) else 1))]


@rule(*(f"com.microsoft:{name}" for name in words("MatMulNBits MatMulBnb4 MatMulNBitsMlp MatMulNBitsQLoRA")))
def _nbits(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [with_last(shapes.input(call, 0), fixed(call.integer("N", 0) or None))]


@rule("com.microsoft:MatMulNBitsQkv")
def _nbits_qkv(shapes: Shapes, call: Call) -> list[Axes | None]:
    x = shapes.input(call, 0)
    q, kv = fixed(call.integer("Nq", 0) or None), fixed(call.integer("Nkv", 0) or None)
    return [with_last(x, q), with_last(x, kv), with_last(x, kv), x]


@rule("com.microsoft:GatherBlockQuantized")
def _gather_blocks(shapes: Shapes, call: Call) -> list[Axes | None]:
    data, index, axis = shapes.input(call, 0), shapes.input(call, 1), call.integer("gather_axis", 0)
    if data is None or index is None or not -len(data) <= axis < len(data):
        return [None]
    dtype = shapes.dtypes[call.inputs[0]]
    packed = 8 // max(call.integer("bits", 4), 1) if dtype == "uint8" else 1
    deep = (*data[:-1], Axis(data[-1].static * packed if data[-1].static is not None else None, data[-1].source))
    axis %= len(data)
    return [(*deep[:axis], *index, *deep[axis + 1 :])]


@rule("com.microsoft:EmbedLayerNormalization", "com.microsoft:QEmbedLayerNormalization")
def _embed(shapes: Shapes, call: Call) -> list[Axes | None]:
    ids = shapes.input(call, 0)
    if not ids:
        return [None]
    made = (*ids, axis_of(shapes, call, 2, -1))
    return [made, (ids[0],), made]


@rule(*(f"com.microsoft:{name}" for name in words("Attention QAttention PackedAttention LongformerAttention DecoderMaskedSelfAttention")))
def _attention(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, sizes = shapes.input(call, 0), call.integers("qkv_hidden_sizes")
    if sizes is not None and len(sizes) == 3:
        return [with_last(x, fixed(sizes[2]))]
    packed = axis_of(shapes, call, 1, -1)
    return [with_last(x, Axis(packed.static // 3 if packed.static is not None else None, packed.source))]


@rule("com.microsoft:MultiHeadAttention", "com.microsoft:PackedMultiHeadAttention", "com.microsoft:DecoderMaskedMultiHeadAttention")
def _multi_head(shapes: Shapes, call: Call) -> list[Axes | None]:
    q, v = shapes.input(call, 0), shapes.input(call, 2)
    if q is None:
        return [None]
    if len(q) == 5:
        heads, size = q[2].static, q[4].static
        return [(q[0], q[1], Axis(heads * size if heads is not None and size is not None else None, q[4].source))]
    if v is not None and len(v) == 4:
        heads, size = v[1].static, v[3].static
        return [with_last(q, Axis(heads * size if heads is not None and size is not None else None, v[3].source))]
    return [with_last(q, v[-1] if v else UNKNOWN)]


@rule("com.microsoft:GroupQueryAttention", "com.microsoft:SparseAttention")
def _group_query(shapes: Shapes, call: Call) -> list[Axes | None]:
    q, k = shapes.input(call, 0), shapes.input(call, 1)
    if q is None or k is not None:
        return [q]
    heads, shared, width = call.integer("num_heads", 0), call.integer("kv_num_heads", 0), q[-1].static
    whole = heads + 2 * shared
    return [with_last(q, Axis(width // whole * heads if width is not None and whole > 0 else None, q[-1].source))]


@rule("com.microsoft:RelativePositionBias")
def _relative(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [(ONE, axis_of(shapes, call, 0, 1), UNKNOWN, UNKNOWN)]


@rule("com.microsoft:DynamicQuantizeLSTM")
def _quantised_lstm(shapes: Shapes, call: Call) -> list[Axes | None]:
    return RULES["LSTM"](shapes, call)


@rule("Einsum")
def _einsum(shapes: Shapes, call: Call) -> list[Axes | None]:
    equation = parsed(call.attribute("equation"), [shapes.of(value) for value in call.inputs])
    if equation is None:
        return [None]
    sizes: dict[str, Axis] = {}
    for letters, value in zip(equation.inputs, call.inputs, strict=True):
        for letter, axis in zip(letters, shapes.of(value) or (), strict=False):
            if letter not in sizes or sizes[letter].static in (None, 1):
                sizes[letter] = axis
    return [tuple(sizes.get(letter, UNKNOWN) for letter in equation.output)]


__all__ = ["elementwise", "turned"]
