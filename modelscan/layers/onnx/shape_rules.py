"""Shape rules of the standard operators, as far as they carry evidence or are followed by operators without one."""

from __future__ import annotations

from math import ceil

from modelscan.layers.onnx import amounts
from modelscan.layers.onnx.arity import words
from modelscan.layers.onnx.axes import FREE, ONE, UNKNOWN, Axes, Axis, added, broadcast, origin, product, total
from modelscan.layers.onnx.flow import NONE, Call
from modelscan.layers.onnx.shapes import RULES, Shapes, axis_of, elementwise, fixed, rule, same, with_last
from modelscan.layers.onnx.views import normalised, operand

UNARY = words(
    "Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh CumSum Dropout Elu Erf Exp "
    "Floor Gelu GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization "
    "LeakyRelu Log LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg Not PRelu QuantizeLinear DequantizeLinear "
    "RMSNormalization Reciprocal Relu Round ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh SimplifiedLayerNormalization "
    "Softmax Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu RotaryEmbedding Scatter TensorScatter"
)
BROADCASTING = words(
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow Sub "
    "Sum Where Xor"
)
RULES.update(dict.fromkeys(UNARY, same))
RULES.update(dict.fromkeys(BROADCASTING, elementwise))


@rule("MatMul", "MatMulInteger")
def _matmul(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [matmul(shapes.input(call, 0), shapes.input(call, 1))]


def matmul(a: Axes | None, b: Axes | None) -> Axes | None:
    """The rule of numpy: vectors lose their axis, everything before the last two is broadcast."""
    if not a or not b:
        return None
    columns: Axes = (b[-1],) if len(b) > 1 else ()
    rows: Axes = (a[-2],) if len(a) > 1 else ()
    front = broadcast([a[:-2], b[:-2]])
    return None if front is None else (*front, *rows, *columns)


@rule("Gemm")
def _gemm(shapes: Shapes, call: Call) -> list[Axes | None]:
    rows = axis_of(shapes, call, 0, 1 if call.integer("transA", 0) else 0)
    return [(rows, axis_of(shapes, call, 1, 0 if call.integer("transB", 0) else 1))]


@rule("Conv", "ConvInteger", "DeformConv", "com.microsoft.nchwc:Conv")
def _conv(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [convolved(shapes.input(call, 0), shapes.input(call, 1), call)]


def convolved(x: Axes | None, w: Axes | None, call: Call) -> Axes | None:
    """`[N, C, spatial…]` by a kernel `[O, C/g, k…]`."""
    if x is None or w is None or len(x) != len(w) or len(x) < 3:
        return None
    sizes = call.integers("kernel_shape")
    kernel = tuple(fixed(size) for size in sizes) if sizes is not None and len(sizes) == len(w) - 2 else w[2:]
    return (x[0], w[0], *windows(x[2:], kernel, call))


def windows(spatial: Axes, kernel: Axes, call: Call) -> Axes:
    """Output sizes of a sliding window over spatial axes."""
    count = len(spatial)
    strides = numbers_of(call, "strides", count, 1)
    dilations = numbers_of(call, "dilations", count, 1)
    pads = numbers_of(call, "pads", 2 * count, 0)
    mode = call.attribute("auto_pad", "NOTSET")
    up = ceil if call.integer("ceil_mode", 0) else int
    made = []
    for place, axis in enumerate(spatial):
        size, k, stride = axis.static, kernel[place].static, strides[place]
        if size is None or k is None or stride < 1:
            same_size = mode in ("SAME_UPPER", "SAME_LOWER") and stride == 1
            made.append(axis if same_size else Axis(None, origin((axis, kernel[place]))))
            continue
        reach = dilations[place] * (k - 1) + 1
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            length = -(-size // stride)
        else:
            padding = pads[place] + pads[place + count] if mode == "NOTSET" else 0
            length = up((size + padding - reach) / stride) + 1
            if up is ceil and (length - 1) * stride >= size + pads[place]:
                length -= 1
        made.append(Axis(max(length, 0), origin((axis, kernel[place]))))
    return tuple(made)


def numbers_of(call: Call, name: str, count: int, default: int) -> tuple[int, ...]:
    """A list attribute of a window (`strides`, `pads`), or its default for every axis."""
    stated = call.integers(name)
    return stated if stated is not None and len(stated) == count else (default,) * count


@rule("ConvTranspose")
def _conv_transpose(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, w = shapes.input(call, 0), shapes.input(call, 1)
    if x is None or w is None or len(x) != len(w) or len(x) < 3:
        return [None]
    count, group = len(x) - 2, call.integer("group", 1)
    out = Axis(w[1].static * group, w[1].source) if w[1].static is not None else UNKNOWN
    stated = call.integers("output_shape")
    if stated is not None and len(stated) in (count, count + 2):
        return [(x[0], out, *(fixed(size) for size in stated[-count:]))]
    sizes = call.integers("kernel_shape")
    kernel = tuple(fixed(size) for size in sizes) if sizes is not None and len(sizes) == count else w[2:]
    strides, dilations = numbers_of(call, "strides", count, 1), numbers_of(call, "dilations", count, 1)
    pads, extra = numbers_of(call, "pads", 2 * count, 0), numbers_of(call, "output_padding", count, 0)
    spatial = []
    for place, axis in enumerate(x[2:]):
        size, k = axis.static, kernel[place].static
        if size is None or k is None:
            spatial.append(Axis(None, axis.source))
        elif call.attribute("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
            spatial.append(Axis(size * strides[place], axis.source))
        else:
            reach = dilations[place] * (k - 1) + 1
            length = strides[place] * (size - 1) + extra[place] + reach - pads[place] - pads[place + count]
            spatial.append(Axis(length, origin((axis, kernel[place]))))
    return [(x[0], out, *spatial)]


@rule("MaxPool", "AveragePool", "LpPool", "com.microsoft.nchwc:MaxPool", "com.microsoft.nchwc:AveragePool")
def _pool(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, sizes = shapes.input(call, 0), call.integers("kernel_shape")
    if x is None or sizes is None or len(x) != len(sizes) + 2:
        return [None]
    made = (*x[:2], *windows(x[2:], tuple(fixed(size) for size in sizes), call))
    return [made, made]


@rule(*words("GlobalAveragePool GlobalMaxPool GlobalLpPool com.microsoft.nchwc:GlobalAveragePool com.microsoft.nchwc:GlobalMaxPool"))
def _global_pool(shapes: Shapes, call: Call) -> list[Axes | None]:
    x = shapes.input(call, 0)
    return [None if x is None else (*x[:2], *(ONE for _ in x[2:]))]


@rule("Reshape")
def _reshape(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, target = shapes.input(call, 0), reshape_target(shapes, call)
    if target is None:
        return [None]
    made: list[Axis] = []
    for place, axis in enumerate(target):
        if axis.static == 0 and not call.integer("allowzero", 0):
            made.append(x[place] if x is not None and place < len(x) else UNKNOWN)
        else:
            made.append(axis if axis.static != -1 else UNKNOWN)
    rest = [place for place, axis in enumerate(target) if axis.static == -1]
    if len(rest) == 1:
        made[rest[0]] = _remainder(x, made, rest[0])
    return [tuple(made)]


def reshape_target(shapes: Shapes, call: Call) -> Axes | None:
    """The sizes that a Reshape asks for, 0 and -1 included."""
    stated = call.integers("shape")
    if stated is not None:
        return tuple(Axis(size, FREE) for size in stated)
    return amounts.of(shapes, call.inputs[1]) if len(call.inputs) > 1 else None


def _remainder(x: Axes | None, made: list[Axis], place: int) -> Axis:
    """The size that -1 stands for: what the axes that are the same on both sides leave over."""
    if x is None:
        return UNKNOWN
    before, after = list(x), [axis for number, axis in enumerate(made) if number != place]
    for axis in [axis for axis in after if axis.static is None]:
        if axis in before:
            before.remove(axis)
            after.remove(axis)
    whole, rest = total(before), total(after)
    if whole is None or rest is None or rest == 0 or whole % rest:
        open_sizes = [axis for axis in before if axis.static is None]
        alone = rest is not None and len(open_sizes) == 1 and total(a for a in before if a.static is not None) == rest
        return open_sizes[0] if alone else UNKNOWN
    return Axis(whole // rest, origin(before))


@rule("Shape")
def _shape(shapes: Shapes, call: Call) -> list[Axes | None]:
    held = amounts.of(shapes, call.outputs[0])
    x = shapes.input(call, 0)
    whole = "start" not in call.node.attributes and "end" not in call.node.attributes
    return [(fixed(len(held)),) if held is not None else (fixed(len(x)),) if x is not None and whole else (UNKNOWN,)]


@rule("Size")
def _size(_: Shapes, __: Call) -> list[Axes | None]:
    return [()]


@rule("Flatten")
def _flatten(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, axis = shapes.input(call, 0), call.integer("axis", 1)
    if x is None:
        return [None]
    axis = axis + len(x) if axis < 0 else axis
    return [(product(x[:axis]) if axis else ONE, product(x[axis:]))]


@rule("Transpose")
def _transpose(shapes: Shapes, call: Call) -> list[Axes | None]:
    x = shapes.input(call, 0)
    order = call.integers("perm") or tuple(reversed(range(len(x or ()))))
    if x is None or sorted(order) != list(range(len(x))):
        return [None]
    return [tuple(x[axis] for axis in order)]


@rule("Unsqueeze")
def _unsqueeze(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, axes = shapes.input(call, 0), operand(shapes.flow, call, 1, "axes")
    rank = len(x or ()) + len(axes or ())
    front = normalised(axes, rank) if axes is not None and x is not None else None
    if front is None or x is None:
        return [None]
    left = iter(x)
    return [tuple(ONE if axis in front else next(left) for axis in range(rank))]


@rule("Squeeze")
def _squeeze(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, axes = shapes.input(call, 0), operand(shapes.flow, call, 1, "axes")
    computed = axes is None and len(call.inputs) > 1 and call.inputs[1] != NONE
    if x is None or computed or (axes is None and any(axis.static is None for axis in x)):
        return [None]
    front = normalised(axes, len(x)) if axes is not None else tuple(n for n, axis in enumerate(x) if axis.static == 1)
    return [None if front is None else tuple(axis for n, axis in enumerate(x) if n not in front)]


@rule("Concat")
def _concat(shapes: Shapes, call: Call) -> list[Axes | None]:
    parts = [shapes.of(value) for value in call.inputs]
    known = [part for part in parts if part is not None]
    if not known or any(len(part) != len(known[0]) for part in known):
        return [None]
    axis = call.integer("axis", 0)
    if not -len(known[0]) <= axis < len(known[0]):
        return [None]
    axis %= len(known[0])
    sizes = [part[axis] if part is not None else UNKNOWN for part in parts]
    whole = Axis(sum(one.static or 0 for one in sizes), origin(sizes)) if all(one.static is not None for one in sizes) else UNKNOWN
    return [tuple(whole if n == axis else _alike([part[n] for part in known]) for n in range(len(known[0])))]


def _alike(axes: list[Axis]) -> Axis:
    """The best told of axes that must be equal."""
    static = [axis for axis in axes if axis.static is not None]
    return next((axis for axis in static if axis.source == FREE), static[0]) if static else axes[0]


@rule("Split")
def _split(shapes: Shapes, call: Call) -> list[Axes | None]:
    x = shapes.input(call, 0)
    axis = call.integer("axis", 0)
    if x is None or not -len(x) <= axis < len(x):
        return []
    axis = axis % len(x)
    sizes = operand(shapes.flow, call, 1, "split")
    count = len(call.outputs)
    full = x[axis].static
    if sizes is None and full is not None and len(call.inputs) < 2 and count > 0 and full % count == 0:
        sizes = (full // count,) * count
        source = x[axis].source
    else:
        source = FREE
    if sizes is None:
        return [tuple(UNKNOWN if n == axis else one for n, one in enumerate(x)) for _ in call.outputs]
    return [tuple(Axis(size, source) if n == axis else one for n, one in enumerate(x)) for size in sizes]


@rule("Slice")
def _slice(shapes: Shapes, call: Call) -> list[Axes | None]:
    x = shapes.input(call, 0)
    starts, ends = operand(shapes.flow, call, 1, "starts"), operand(shapes.flow, call, 2, "ends")
    if x is None:
        return [None]
    axes = operand(shapes.flow, call, 3, "axes")
    if axes is None and len(call.inputs) > 3 and call.inputs[3] != NONE:
        return [tuple(Axis(None, one.source) for one in x)]
    if starts is None or ends is None:
        touched = normalised(axes, len(x)) if axes is not None else tuple(range(len(x)))
        return [tuple(Axis(None, one.source) if n in (touched or range(len(x))) else one for n, one in enumerate(x))]
    front = normalised(axes if axes is not None else tuple(range(len(starts))), len(x))
    steps = operand(shapes.flow, call, 4, "steps") or (1,) * len(starts)
    if front is None or not len(front) == len(starts) == len(ends) == len(steps) or 0 in steps:
        return [None]
    made = list(x)
    for axis, start, end, step in zip(front, starts, ends, steps, strict=True):
        size = x[axis].static
        whole = start == 0 and end >= 2**31 - 1 and step == 1
        made[axis] = x[axis] if whole else Axis(None if size is None else len(range(size)[slice(start, end, step)]), x[axis].source)
    return [tuple(made)]


@rule("Gather")
def _gather(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, index, axis = shapes.input(call, 0), shapes.input(call, 1), call.integer("axis", 0)
    if x is None or index is None or not -len(x) <= axis < len(x):
        return [None]
    axis = axis % len(x)
    return [(*x[:axis], *index, *x[axis + 1 :])]


@rule("Pad")
def _pad(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, pads = shapes.input(call, 0), operand(shapes.flow, call, 1, "pads")
    if x is None:
        return [None]
    touched = normalised(operand(shapes.flow, call, 3, "axes") or tuple(range(len(x))), len(x))
    if pads is None or touched is None or len(pads) != 2 * len(touched):
        return [tuple(Axis(None, one.source) for one in x)]
    grown = {axis: pads[n] + pads[n + len(touched)] for n, axis in enumerate(touched)}
    return [tuple(added(one, grown.get(n, 0)) if grown.get(n, 0) else one for n, one in enumerate(x))]


@rule(*("Reduce" + kind for kind in words("L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare")), "ArgMax", "ArgMin")
def _reduce(shapes: Shapes, call: Call) -> list[Axes | None]:
    x = shapes.input(call, 0)
    if x is None:
        return [None]
    if call.op.startswith("Arg"):
        axes: tuple[int, ...] | None = (call.integer("axis", 0),)
    else:
        axes = operand(shapes.flow, call, 1, "axes")
        if axes is None and len(call.inputs) > 1 and call.inputs[1] != NONE:
            return [None]
    if not axes and call.integer("noop_with_empty_axes", 0):
        return [x]
    front = normalised(axes, len(x)) if axes else tuple(range(len(x)))
    if front is None:
        return [None]
    if call.integer("keepdims", 1):
        return [tuple(ONE if n in front else one for n, one in enumerate(x))]
    return [tuple(one for n, one in enumerate(x) if n not in front)]


@rule("LSTM", "GRU", "RNN")
def _recurrent(shapes: Shapes, call: Call) -> list[Axes | None]:
    time_first = not call.integer("layout", 0)
    steps, batch = (axis_of(shapes, call, 0, n) for n in ((0, 1) if time_first else (1, 0)))
    stated = call.attribute("hidden_size")
    hidden = fixed(stated) if isinstance(stated, int) else axis_of(shapes, call, 2, 2)
    directions = fixed(2 if call.attribute("direction") == "bidirectional" else 1)
    if time_first:
        return [(steps, directions, batch, hidden), (directions, batch, hidden), (directions, batch, hidden)]
    return [(batch, steps, directions, hidden), (batch, directions, hidden), (batch, directions, hidden)]


@rule("Expand")
def _expand(shapes: Shapes, call: Call) -> list[Axes | None]:
    target = amounts.of(shapes, call.inputs[1]) if len(call.inputs) > 1 else None
    return [None if target is None else broadcast([shapes.input(call, 0), target])]


@rule("ConstantOfShape")
def _filled(shapes: Shapes, call: Call) -> list[Axes | None]:
    return [amounts.of(shapes, call.inputs[0]) if call.inputs else None]


@rule("Tile")
def _tile(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, times = shapes.input(call, 0), amounts.of(shapes, call.inputs[1]) if len(call.inputs) > 1 else None
    if x is None or times is None or len(x) != len(times):
        return [None if x is None else tuple(Axis(None, axis.source) for axis in x)]
    return [tuple(axis if one.static == 1 else product((axis, one)) for axis, one in zip(x, times, strict=True))]


@rule("DepthToSpace", "SpaceToDepth")
def _depth_space(shapes: Shapes, call: Call) -> list[Axes | None]:
    x, block = shapes.input(call, 0), call.integer("blocksize", 0)
    if x is None or len(x) != 4 or block < 1:
        return [None]
    deeper = call.op == "SpaceToDepth"
    grow, shrink = (block * block, block) if deeper else (block, block * block)
    sizes = [axis.static for axis in x[1:]]
    channels = None if sizes[0] is None else sizes[0] * grow if deeper else sizes[0] // shrink
    plane = [None if size is None else size // shrink if deeper else size * grow for size in sizes[1:]]
    return [(x[0], *(Axis(size, axis.source) for size, axis in zip((channels, *plane), x[1:], strict=True)))]


@rule("Attention")
def _attention(shapes: Shapes, call: Call) -> list[Axes | None]:
    q, v = shapes.input(call, 0), shapes.input(call, 2)
    if not q or not v or len(q) != len(v):
        return [None]
    if len(q) == 4:
        return [with_last(q, v[-1])]
    heads, shared = call.integer("q_num_heads", 0), call.integer("kv_num_heads", 0)
    width = v[-1].static
    if width is None or heads < 1 or shared < 1:
        return [with_last(q, UNKNOWN)]
    return [with_last(q, Axis(width // shared * heads, v[-1].source))]
