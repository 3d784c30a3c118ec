"""Shapes of values as far as the program's own statements tell, for the operations whose operands have to fit one another.

What is followed: declared shapes of placeholders, variables, constants and arguments, handles into functions, and the operations that
layers are made of. Everything else is unknown, and unknown fits everything. Source: tensorflow/core/framework/common_shape_fns.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from modelscan.formats.tensorflow.definitions import definition
from modelscan.formats.tensorflow.wiring import Body, Notes, look
from modelscan.model import Shape, shape_text
from modelscan.program import Constant, Operation

_SAME = frozenset(
    (
        "Identity ReadVariableOp Cast StopGradient PreventGradient CheckNumerics Snapshot Enter RefEnter Switch RefSwitch Relu Relu6 Elu "
        "Selu LeakyRelu Softplus Softsign Sigmoid Tanh Softmax LogSoftmax Exp Log Log1p Expm1 Neg Abs Sign Sqrt Rsqrt Square Erf Floor "
        "Ceil Round Sin Cos Reciprocal Inv LogicalNot ZerosLike OnesLike LRN Dequantize FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3"
    ).split()
)
"""Operations whose first output has the shape of their first input."""
_BROADCAST = frozenset(
    (
        "Add AddV2 Sub Mul RealDiv Div DivNoNan FloorDiv Maximum Minimum Pow SquaredDifference Greater GreaterEqual Less LessEqual "
        "LogicalAnd LogicalOr"
    ).split()
)
_DECLARED = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "VarHandleOp", "Variable", "VariableV2"})
_OLD = frozenset({"Placeholder", "Variable"})
"""Their shape `()` may mean that nothing is known."""
_POOLS = frozenset({"MaxPool", "AvgPool"})
_REDUCTIONS = frozenset({"Mean", "Sum", "Max", "Min", "Prod"})
_JUDGED = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2D", "DepthwiseConv2dNative", "BiasAdd"})
_KEPT = 64
"""Elements of a constant that may steer a shape."""
Sizes = tuple[int | None, ...]
"""A shape of TensorFlow's: none of its dimensions has a name."""


def sizes_of(shape: Shape | None) -> Sizes | None:
    """A shape of the vocabulary as one of TensorFlow's."""
    return None if shape is None else tuple(one if isinstance(one, int) else None for one in shape)


class ContradictionError(Exception):
    """Two operands that no execution lets pass."""


class Shapes:
    """One pass over a body in the order of its values.

    Attributes:
        known: shapes by reference, as the nodes write it.
        numbers: the elements of integers that may steer a shape, by the name of their node.
        constants: nodes that hold a tensor, with the type that they state of it.
    """

    def __init__(self, body: Body, given: Mapping[str, Sizes | None], stated: bool) -> None:
        """`given` has the shapes of a function's arguments, of a handle that of its variable.

        `stated` tells whether the loader holds nodes to what they state of their outputs (`_output_shapes`).
        """
        self.body = body
        self.stated = stated
        self.known: dict[str, Sizes | None] = {name: shape for name, shape in given.items() if shape is not None}
        self.numbers: dict[str, Sizes] = {}
        self._several: dict[str, Mapping[str, object]] = {}
        self.constants: list[tuple[Operation, Constant, str | None]] = []

    def run(self, order: Sequence[Operation], notes: Notes) -> None:
        """Go through the nodes; what contradicts itself is noted, and its result unknown."""
        for node in order:
            rule = _RULES.get(node.op)
            if rule is None or node.op in self.body.graph.functions:
                continue
            try:
                shape = rule(self, node)
                if self.stated and node.op in _JUDGED and shape is not None:
                    shape = _held(shape, _listed(look(node, "_output_shapes"), 0))
            except ContradictionError as error:
                place = self.body.place(node.name)
                notes.add("operand-shapes", f"{node.op} at {place}: {error}", place, node.offset)
                continue
            if shape is not None:
                for reference in self._outputs(node):
                    self.known[reference] = shape

    def _outputs(self, node: Operation) -> list[str]:
        """How others refer to the outputs of a node that have the shape of the first."""
        count = 2 if node.op in ("Switch", "RefSwitch") else 1
        if self.body.function is None:
            return [node.name if not place else f"{node.name}:{place}" for place in range(count)]
        known = definition(node.op)
        return [f"{node.name}:{one.name}:0" for one in known.outputs[:count]] if known is not None else []

    def of(self, node: Operation, place: int) -> Sizes | None:
        """The shape of an input."""
        if place >= len(node.inputs):
            return None
        reference = node.inputs[place]
        if self.body.function is None:
            reference = reference.removesuffix(":0")
        if reference in self.known:
            return self.known[reference]
        found = self.known[reference] = self._told(reference) if self.stated else None
        return found

    def values(self, node: Operation, place: int) -> Sizes | None:
        """The elements of an input that is a constant, or is put together of some."""
        return self.numbers.get(node.inputs[place].partition(":")[0]) if place < len(node.inputs) else None

    def _told(self, reference: str) -> Sizes | None:
        """What the node that makes a value states of its shape."""
        name, *rest = reference.split(":")
        node = self.body.nodes.get(name)
        if node is None or name in self.body.arguments or not rest[-1:] or not rest[-1].isdecimal():
            return None if node is None or rest or name in self.body.arguments else _listed(look(node, "_output_shapes"), 0)
        known = definition(node.op)
        if self.body.function is not None and (known is None or not known.outputs or known.outputs[0].name != rest[0]):
            return None
        if name not in self._several:
            self._several[name] = look(node, "_output_shapes")
        return _listed(self._several[name], int(rest[-1][:9]))


def _listed(attributes: Mapping[str, object], place: int) -> Sizes | None:
    shapes = attributes.get("_output_shapes")
    found = shapes[place] if isinstance(shapes, tuple) and place < len(shapes) else None
    return sizes_of(found) if isinstance(found, tuple) else None


def _held(shape: Sizes, stated: Sizes | None) -> Sizes:
    """What a result is by its operands and by its own statement."""
    if stated is None:
        return shape
    text = f"its result is {shape_text(shape)} by its operands and {shape_text(stated)} by its own statement"
    if len(shape) != len(stated):
        raise ContradictionError(text)
    return tuple(_agree(one, other, text) for one, other in zip(shape, stated, strict=True))


def _agree(one: int | None, other: int | None, text: str) -> int | None:
    """What a dimension is by two statements."""
    if one is not None and other is not None and one != other:
        raise ContradictionError(f"{text}, {one:,} and {other:,}")
    return other if one is None else one


def _ranked(shape: Sizes | None, rank: int, text: str) -> Sizes:
    """A shape of so many dimensions; one that is not known has as many unknown ones."""
    if shape is None:
        return (None,) * rank
    if len(shape) != rank:
        raise ContradictionError(f"{text} is {shape_text(shape)}, {rank} dimensions are asked for")
    return shape


def _same(shapes: Shapes, node: Operation) -> Sizes | None:
    return shapes.of(node, 0)


def _declared(shapes: Shapes, node: Operation) -> Sizes | None:
    found = look(node, "shape").get("shape")
    return sizes_of(found) if isinstance(found, tuple) and (found or node.op not in _OLD) else None


def _constant(shapes: Shapes, node: Operation) -> Sizes | None:
    attributes = look(node, "value", "dtype")
    tensor, dtype = attributes.get("value"), attributes.get("dtype")
    if not isinstance(tensor, Constant):
        return None
    shapes.constants.append((node, tensor, dtype if isinstance(dtype, str) else None))
    if tensor.values is not None and len(tensor.values) <= _KEPT and all(isinstance(one, int) for one in tensor.values):
        shapes.numbers[node.name] = tensor.values
    return tensor.shape


def _pack(shapes: Shapes, node: Operation) -> Sizes | None:
    """A shape that is put together of numbers, some of them known."""
    if len(node.inputs) <= _KEPT and all(shapes.of(node, place) in (None, ()) for place in range(len(node.inputs))):
        parts = (shapes.values(node, place) for place in range(len(node.inputs)))
        shapes.numbers[node.name] = tuple(part[0] if part is not None and len(part) == 1 else None for part in parts)
    return None


def _matmul(shapes: Shapes, node: Operation) -> Sizes | None:
    attributes = look(node, "transpose_a", "transpose_b")
    turned = attributes.get("transpose_a", False), attributes.get("transpose_b", False)
    if not isinstance(turned[0], bool) or not isinstance(turned[1], bool):
        return None
    a, b = _ranked(shapes.of(node, 0), 2, "the first operand"), _ranked(shapes.of(node, 1), 2, "the second operand")
    a, b = a[::-1] if turned[0] else a, b[::-1] if turned[1] else b
    _agree(a[1], b[0], "the dimensions that are summed over have to be equal")
    return a[0], b[1]


def _batch_matmul(shapes: Shapes, node: Operation) -> Sizes | None:
    attributes = look(node, "adj_x", "adj_y")
    turned = attributes.get("adj_x", False), attributes.get("adj_y", False)
    a, b = shapes.of(node, 0), shapes.of(node, 1)
    if a is None or b is None or not isinstance(turned[0], bool) or not isinstance(turned[1], bool):
        return None
    if len(a) < 2 or len(b) < 2:
        raise ContradictionError(f"the operands are {shape_text(a)} and {shape_text(b)}, two dimensions are asked for at least")
    rows, inner = a[:-3:-1] if turned[0] else a[-2:]
    again, columns = b[:-3:-1] if turned[1] else b[-2:]
    _agree(inner, again, "the dimensions that are summed over have to be equal")
    return (*_broadcast(a[:-2], b[:-2]), rows, columns)


def _conv(shapes: Shapes, node: Operation) -> Sizes | None:
    """Channels of the input have to be a multiple of those of the filter, of a depthwise one the same."""
    layout = look(node, "data_format").get("data_format", "NHWC")
    if layout not in ("NHWC", "NCHW"):
        return None
    x, kernel = _ranked(shapes.of(node, 0), 4, "the input"), _ranked(shapes.of(node, 1), 4, "the filter")
    axis = 3 if layout == "NHWC" else 1
    given, wanted = x[axis], kernel[2]
    if node.op == "Conv2D":
        if given is not None and wanted is not None and (not wanted or given % wanted):
            raise ContradictionError(f"{given:,} channels of the input are no multiple of the {wanted:,} of the filter")
        made = kernel[3]
    else:
        wanted = _agree(given, wanted, "input and filter have to have the same channels")
        made = None if wanted is None or kernel[3] is None else wanted * kernel[3]
    return (x[0], None, None, made) if axis == 3 else (x[0], made, None, None)


def _bias(shapes: Shapes, node: Operation) -> Sizes | None:
    x, (length,) = shapes.of(node, 0), _ranked(shapes.of(node, 1), 1, "the bias")
    layout = look(node, "data_format").get("data_format", "NHWC")
    if x is None or layout not in ("NHWC", "NCHW"):
        return None
    if len(x) < 2:
        raise ContradictionError(f"the value is {shape_text(x)}, two dimensions are asked for at least")
    axis = len(x) - 1 if layout == "NHWC" else 1 if len(x) < 4 else len(x) - 3
    size = _agree(x[axis], length, "value and bias have to have the same length")
    return (*x[:axis], size, *x[axis + 1 :])


def _broadcast(a: Sizes, b: Sizes) -> Sizes:
    found: list[int | None] = []
    rank = max(len(a), len(b))
    for one, other in zip((1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b), strict=True):
        if one == 1 or other == 1:
            found.append(other if one == 1 else one)
        else:
            found.append(_agree(one, other, f"{shape_text(a)} and {shape_text(b)} do not go together"))
    return tuple(found)


def _elementwise(shapes: Shapes, node: Operation) -> Sizes | None:
    a, b = shapes.of(node, 0), shapes.of(node, 1)
    return None if a is None or b is None else _broadcast(a, b)


def _reshape(shapes: Shapes, node: Operation) -> Sizes | None:
    wanted, given = shapes.values(node, 1), shapes.of(node, 0)
    if wanted is None:
        return None
    found = tuple(None if one is None or one < 0 else one for one in wanted)
    sizes = [one for one in given or () if one is not None]
    if given is None or len(sizes) != len(given) or found.count(None) > 1:
        return found
    others = prod(one for one in found if one is not None)
    if None not in found:
        return found
    return tuple(prod(sizes) // others if one is None and others else one for one in found)


def _concat(shapes: Shapes, node: Operation) -> Sizes | None:
    axis = shapes.values(node, len(node.inputs) - 1)
    parts = [shapes.of(node, place) for place in range(len(node.inputs) - 1)]
    if axis is None or len(axis) != 1 or axis[0] is None or any(one is None for one in parts) or not parts:
        return None
    ranks = {len(one) for one in parts if one is not None}
    rank = ranks.pop()
    if ranks or not -rank <= axis[0] < rank:
        return None
    along = [one[axis[0]] for one in parts if one is not None]
    whole = None if None in along else sum(one for one in along if one is not None)
    first = next(one for one in parts if one is not None)
    return tuple(whole if place == axis[0] % rank else None if place == 0 else one for place, one in enumerate(first))


def _pool(shapes: Shapes, node: Operation) -> Sizes | None:
    x, layout = shapes.of(node, 0), look(node, "data_format").get("data_format", "NHWC")
    if x is None or len(x) != 4 or layout not in ("NHWC", "NCHW"):
        return None
    return (x[0], None, None, x[3]) if layout == "NHWC" else (x[0], x[1], None, None)


def _reduced(shapes: Shapes, node: Operation) -> Sizes | None:
    x, axes, keep = shapes.of(node, 0), shapes.values(node, 1), look(node, "keep_dims").get("keep_dims", False)
    if x is None or axes is None or any(one is None or not -len(x) <= one < len(x) for one in axes):
        return None
    gone = {one % len(x) for one in axes if one is not None}
    return tuple(1 if place in gone else one for place, one in enumerate(x) if keep or place not in gone)


def _transposed(shapes: Shapes, node: Operation) -> Sizes | None:
    x, order = shapes.of(node, 0), shapes.values(node, 1)
    if x is None or order is None or sorted(one for one in order if one is not None) != list(range(len(x))):
        return None
    return tuple(x[one] for one in order if one is not None)


def _rows(shapes: Shapes, node: Operation) -> Sizes | None:
    """Rows of a table: the table is a variable's handle, its first input."""
    table, which = shapes.of(node, 0), shapes.of(node, 1)
    return (*which, *table[1:]) if table and which is not None and not look(node, "batch_dims").get("batch_dims", 0) else None


_Rule = Callable[[Shapes, Operation], Sizes | None]
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(_BROADCAST, _elementwise),
    **dict.fromkeys(_DECLARED, _declared),
    **dict.fromkeys(_POOLS, _pool),
    **dict.fromkeys(_REDUCTIONS, _reduced),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _batch_matmul),
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative"), _conv),
    "BiasAdd": _bias,
    "ConcatV2": _concat,
    "Const": _constant,
    "MatMul": _matmul,
    "Pack": _pack,
    "Reshape": _reshape,
    "ResourceGather": _rows,
    "Transpose": _transposed,
}
