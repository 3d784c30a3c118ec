"""Backward rules of com.microsoft and quantised operators."""

from __future__ import annotations

from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.axes import FREE
from modelscan.layers.onnx.demand_rules import matmul
from modelscan.layers.onnx.demands import RULES, Demands, backward, from_axis, next_input, same, title
from modelscan.layers.onnx.evidence import ATTRIBUTE, Evidence
from modelscan.layers.onnx.flow import Call
from modelscan.layers.onnx.shape_rules_contrib import SAME
from modelscan.layers.onnx.shapes import axis_of

RULES.update(dict.fromkeys((f"com.microsoft:{name}" for name in SAME), same))


def _contrib(names: str) -> list[str]:
    return [f"com.microsoft:{name}" for name in words(names)]


@backward(*_contrib("BiasGelu FastGelu BiasAdd BiasDropout BitmaskBiasDropout"))
def _bias(demands: Demands, call: Call) -> None:
    if len(call.inputs) > 1:
        next_input(demands, call, 0, -1, (1, -1))
    same(demands, call)


@backward(*_contrib("SkipLayerNormalization SkipSimplifiedLayerNormalization"))
def _skip_norm(demands: Demands, call: Call) -> None:
    for position in (0, 1):
        next_input(demands, call, position, -1, (2, 0))
    same(demands, call)


@backward(*_contrib("QLinearAdd QLinearMul"))
def _binary(demands: Demands, call: Call) -> None:
    """Operands at inputs 0 and 3."""
    if len(call.inputs) < 4:
        return
    pair = (call.inputs[0], call.inputs[3])
    full = demands.rank(call.outputs[0])
    for value, other in (pair, pair[::-1]):
        axes, beside = demands.shapes.of(value), demands.shapes.of(other)
        for back in range(1, len(axes or ()) + 1):
            if axes is None or full is None or axes[-back].source == FREE or axes[-back].size == 1:
                continue
            demands.hand(call.outputs[0], full - back, value, -back)
            if beside is not None and len(beside) >= back and (beside[-back].static or 0) > 1:
                demands.want(value, -back, from_axis(beside[-back], f"{call.node.op} with", demands.flow.names[other]))


@backward(*_contrib("QLinearAveragePool QLinearGlobalAveragePool NhwcMaxPool"))
def _pool(demands: Demands, call: Call) -> None:
    last = call.node.op == "NhwcMaxPool" or bool(call.integer("channels_last", 0))
    for axis in (0, -1 if last else 1):
        demands.hand(call.outputs[0], axis, call.inputs[0], axis)


@backward(*_contrib("QLinearConv"))
def _conv(demands: Demands, call: Call) -> None:
    axis = -1 if call.integer("channels_last", 0) else 1
    next_input(demands, call, 0, axis, (3, 1), max(call.integer("group", 1), 1))


@backward(*_contrib("NhwcConv NhwcFusedConv"))
def _nhwc_conv(demands: Demands, call: Call) -> None:
    next_input(demands, call, 0, -1, (1, 1), max(call.integer("group", 1), 1))


@backward(*_contrib("DynamicQuantizeMatMul MatMulIntegerToFloat MatMulInteger16"))
def _product(demands: Demands, call: Call) -> None:
    matmul(demands, call, 0, 1)


@backward(*_contrib("FusedMatMul TransposeMatMul FusedMatMulActivation"))
def _fused_product(demands: Demands, call: Call) -> None:
    inner_a, inner_b = (_inner(demands, call, place) for place in (0, 1))
    if inner_a is not None and inner_b is not None:
        next_input(demands, call, 0, inner_a, (1, inner_b))
        next_input(demands, call, 1, inner_b, (0, inner_a))


def _inner(demands: Demands, call: Call, place: int) -> int | None:
    """The axis of an operand of a fused product that is summed over, counted from the front; None where the rank is not known."""
    axes, name = demands.shapes.input(call, place), "AB"[place]
    if axes is None or len(axes) < 2:
        return None
    moved = 0 if call.integer(f"transBatch{name}", 0) else len(axes) - 2
    return moved if bool(call.integer(f"trans{name}", 0)) is (place == 0) else len(axes) - 1


@backward(*_contrib("QGemm"))
def _gemm(demands: Demands, call: Call) -> None:
    next_input(demands, call, 0, 0 if call.integer("transA", 0) else 1, (3, 1 if call.integer("transB", 0) else 0))


@backward(*_contrib("MatMulNBits MatMulBnb4 MatMulNBitsMlp MatMulNBitsQkv MatMulNBitsQLoRA"))
def _packed(demands: Demands, call: Call) -> None:
    depth = call.attribute("K")
    if isinstance(depth, int):
        demands.want(call.inputs[0], -1, Evidence(depth, "attribute K of", FREE, ATTRIBUTE, title(call)))


@backward(*_contrib("Attention QAttention PackedAttention LongformerAttention DecoderMaskedSelfAttention"))
def _attention(demands: Demands, call: Call) -> None:
    next_input(demands, call, 0, -1, (1, 0))


@backward(*_contrib("MultiHeadAttention DecoderMaskedMultiHeadAttention"))
def _multi_head(demands: Demands, call: Call) -> None:
    """Query and key have one width where both are plain sequences; the result has the values'."""
    ranks = [demands.rank(value) for value in call.inputs[:3]]
    if ranks[:2] == [3, 3]:
        for value, other in ((0, 1), (1, 0)):
            axis = axis_of(demands.shapes, call, other, -1)
            demands.want(call.inputs[value], -1, from_axis(axis, "attention with", demands.flow.names[call.inputs[other]]))
    if len(ranks) > 2 and ranks[2] == 3:
        demands.hand(call.outputs[0], -1, call.inputs[2], -1)


@backward(*_contrib("QLinearConcat"))
def _concat(demands: Demands, call: Call) -> None:
    rank, axis = demands.rank(call.outputs[0]), call.integer("axis", 0)
    for value in call.inputs[2::3]:
        for other in range(rank or 0):
            if rank is not None and other != axis % rank:
                demands.hand(call.outputs[0], other, value, other)
