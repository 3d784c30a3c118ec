"""Which calls become rows of the summary, weightless ones included, and who feeds whom."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelscan.layers.onnx.axes import Axes
from modelscan.layers.onnx.flow import NONE, SCOPE, Call, words
from modelscan.layers.onnx.names import Place, enclosing, of_weight, place_of
from modelscan.layers.onnx.site import Found, Setting

ACTIVATIONS = frozenset(
    words(
        "Celu Clip Elu Erf Gelu HardSigmoid HardSwish LeakyRelu LogSoftmax Mish PRelu Relu Selu Shrink Sigmoid Softmax Softplus "
        "Softsign Swish Tanh ThresholdedRelu com.microsoft:FastGelu com.microsoft:Gelu com.microsoft:QuickGelu com.microsoft:QLinearSigmoid "
        "com.microsoft:QLinearLeakyRelu"
    )
)
BOOKKEEPING = frozenset(
    words(
        "Cast CastLike Constant ConstantOfShape Expand EyeLike Gather GatherElements GatherND Identity NonZero OneHot Range Reshape "
        "ScatterND ScatterElements Shape Size Slice Split Squeeze Tile Transpose Unsqueeze DequantizeLinear QuantizeLinear "
        "DynamicQuantizeLinear com.microsoft:DequantizeLinear com.microsoft:QuantizeLinear Dropout Trilu IsNaN IsInf Not And Or Xor Equal "
        "Less Greater LessOrEqual GreaterOrEqual Where Loop If Scan SequenceAt SequenceInsert SequenceConstruct SequenceEmpty SequenceLength Optional "
        "OptionalGetElement OptionalHasElement Floor Ceil Round Sign Mod CumSum Neg Abs Sqrt Pow Reciprocal Sub Div Min Max Exp Log "
        "ReduceProd ReduceMax ReduceMin"
    )
)
"""Operators that are no layer to anybody; of an opaque graph nothing else may be left, so they are shown where they are all there is."""
COMMON = frozenset(words("Add Mul Concat Sum"))
"""Layers between activations, bookkeeping between integers."""
FANNED = 16
"""Sources kept of a value that bookkeeping put together."""


@dataclass(slots=True)
class Row:
    """One line of the summary."""

    order: int
    """Of the first call."""
    type: str
    calls: list[Call]
    place: Place
    found: Found | None = None
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    activations: list[str] = field(default_factory=list)
    path: str = ""
    module: bool = False
    """Whether it took the name of a scope of its own."""


def rows(setting: Setting, found: list[Found]) -> list[Row]:
    """The layers that were recognised and the weightless calls that mean something, in graph order."""
    made = [_of_layer(setting, one) for one in found]
    owned = {call.index for row in made for call in row.calls} | setting.taken
    left = [call for call in setting.flow.calls if call.index not in owned and call.node.domain != SCOPE]
    shown = [call for call in left if _is_layer(setting, call)]
    if not made and not shown:
        shown = [call for call in left if call.op != "Constant"]
    made.extend(_of_call(setting, call) for call in shown)
    made.sort(key=lambda row: row.order)
    _place(setting, made)
    return made


def _is_layer(setting: Setting, call: Call) -> bool:
    if call.op in BOOKKEEPING or (call.outputs and all(value in setting.views for value in call.outputs)):
        return False
    if call.op in COMMON and call.outputs and call.outputs[0] != NONE:
        dtype = setting.shapes.dtypes[call.outputs[0]]
        axes: Axes | None = setting.shapes.of(call.outputs[0])
        if dtype in ("int64", "bool") or (axes is not None and len(axes) == 0):
            return False
    return True


def _of_layer(setting: Setting, found: Found) -> Row:
    calls = sorted([found.call, *found.fused], key=lambda call: call.index)
    place = place_of(found.call)
    if not place.told:
        place = _by_weights(setting, found) or place
    return Row(found.call.index, found.type, calls, place, found, found.inputs, (found.output,))


def _by_weights(setting: Setting, found: Found) -> Place | None:
    """The module that the names of the layer's tensors tell of."""
    for draft in found.drafts:
        view = setting.views.get(draft.value)
        for piece in view.pieces if view is not None else ():
            place = of_weight(setting.flow.names[piece.value])
            if place is not None:
                return place
    return None


def _of_call(setting: Setting, call: Call) -> Row:
    inputs = tuple(value for value in call.inputs if value != NONE and value not in setting.views)
    return Row(call.index, call.node.op or "?", [call], place_of(call), None, inputs, call.outputs)


def _place(setting: Setting, made: list[Row]) -> None:
    """Rows without a scope of their own stand in their control-flow body, or beside the layer before them."""
    told = [row for row in made if row.place.told or row.place.scope]
    first = {row.place.scope[:1] for row in told if row.place.rooted}
    strip = len(first) == 1 and all(len(row.place.scope) > 1 for row in told)
    before: Place | None = None
    for row in made:
        place = row.place
        if place.told or place.scope:
            scope, classes = place.scope, place.classes
            if place.leaf == "":
                scope, classes, leaf = scope[:-1], classes[:-1], scope[-1]
            else:
                leaf = place.leaf
            if strip and place.rooted:
                scope, classes = scope[1:], classes[1:]
            row.place = Place(scope, classes, leaf, place.told)
            if not place.told:
                before = row.place
            continue
        around = enclosing(setting.flow, row.calls[0])
        if around:
            row.place = Place(around, (None,) * len(around), place.leaf, told=False)
        elif before is not None and row.found is None:
            row.place = Place(before.scope, before.classes, place.leaf, told=False)


def sources(setting: Setting, made: list[Row]) -> dict[int, tuple[int, ...]]:
    """For every value, the rows (by number) that it comes from, straight or through bookkeeping."""
    owner = {call.index: number for number, row in enumerate(made) for call in row.calls}
    found: dict[int, tuple[int, ...]] = {}
    for call in setting.flow.calls:
        number = owner.get(call.index)
        if number is None:
            parts = dict.fromkeys(one for value in call.inputs for one in found.get(value, ()))
            come: tuple[int, ...] = tuple(parts)[:FANNED]
        else:
            come = (number,)
        if come:
            for value in call.outputs:
                if value != NONE:
                    found[value] = found.get(value, come) if number is None else come
    return found


def inbound(made: list[Row], number: int, found: dict[int, tuple[int, ...]]) -> list[int]:
    """The rows that feed a row."""
    row = made[number]
    taken = dict.fromkeys(value for call in row.calls for value in call.inputs if value != NONE)
    return [one for one in dict.fromkeys(source for value in taken for source in found.get(value, ())) if one != number]
