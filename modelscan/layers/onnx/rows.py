"""Which calls become rows of the summary, weightless ones included, and who feeds whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from modelscan.layers.onnx.arity import PARAMETERS, words
from modelscan.layers.onnx.axes import Axes
from modelscan.layers.onnx.catalogue.chains import by_scalar
from modelscan.layers.onnx.flow import NONE, SCOPE, Call
from modelscan.layers.onnx.names import Place, agreed, dotted, enclosing, is_key, of_weight, place_of, refined
from modelscan.layers.onnx.site import Found, Setting
from modelscan.layers.onnx.views import AT_EXPORT

ACTIVATIONS = frozenset(
    words(
        "Celu Clip Elu Erf Gelu HardSigmoid HardSwish LeakyRelu LogSoftmax Mish PRelu Relu Selu Shrink Sigmoid Softmax Softplus "
        "Softsign Swish Tanh ThresholdedRelu com.microsoft:FastGelu com.microsoft:Gelu com.microsoft:QuickGelu "
        "com.microsoft:QLinearSigmoid com.microsoft:QLinearLeakyRelu"
    )
)
BOOKKEEPING = frozenset(
    words(
        "Cast CastLike Constant ConstantOfShape Expand EyeLike Gather GatherElements GatherND Identity NonZero OneHot Range Reshape "
        "ScatterND ScatterElements Shape Size Slice Split Squeeze Tile Transpose Unsqueeze DequantizeLinear QuantizeLinear "
        "DynamicQuantizeLinear com.microsoft:DequantizeLinear com.microsoft:QuantizeLinear Dropout Trilu IsNaN IsInf Not And Or Xor Equal "
        "Less Greater LessOrEqual GreaterOrEqual Where Loop If Scan SequenceAt SequenceInsert SequenceConstruct SequenceEmpty "
        "SequenceLength Optional "
        "OptionalGetElement OptionalHasElement Floor Ceil Round Sign Mod CumSum Neg Abs Sqrt Pow Reciprocal Sub Div Min Max Exp Log "
        "ReduceProd ReduceMax ReduceMin com.microsoft.nchwc:ReorderInput com.microsoft.nchwc:ReorderOutput"
    )
)
"""Operators that are no layer to anybody; of an opaque graph nothing else may be left, so they are shown where they are all there is."""
COMMON = frozenset(words("Add Mul Concat Sum Flatten"))
"""Layers between activations, bookkeeping between integers."""
BARE = frozenset(words("Add Sub Mul Div Pow Max Min Table Buffer"))
"""Layers that are but one operator with a tensor."""
FOLDED = "a BatchNormalization is folded in: of its four vectors, the kernel's scale and this bias are left"
"""Where an exporter puts a layer in the place of the normalisation behind it."""
MERGED = frozenset(("in_proj_weight", "in_proj_bias"))
"""What PyTorch's attention calls its three projections in one; they have no module of their own."""
SHORTER = {"RotaryEmbedding": "rotary"}
"""What a layer goes by that is made of several operators, where that is not its type."""
NEAR = 4
"""Nameless operators that are passed over to one with a name."""
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
    if call.op in BOOKKEEPING or (call.outputs and setting.inert.issuperset(call.outputs)):  # what is static is inert
        return False
    if by_scalar(setting, call) is not None:
        return False
    if call.op in COMMON and call.outputs and call.outputs[0] != NONE:
        dtype = setting.shapes.dtypes[call.outputs[0]]
        axes: Axes | None = setting.shapes.of(call.outputs[0])
        if dtype in ("int32", "int64", "uint64", "bool") or (axes is not None and len(axes) == 0):
            return False
    return True


def _of_layer(setting: Setting, found: Found) -> Row:
    calls = sorted([found.call, *found.fused], key=lambda call: call.index) if found.fused else [found.call]
    place = place_of(found.call)
    if found.fused and not found.counted:
        place = replace(place, leaf=SHORTER.get(found.type, found.type.lower()))
    if place.classes and "BatchNorm" in (place.classes[-1] or "") and found.type.startswith(("Conv", "Dense")):
        found.note = FOLDED
    named = _by_weights(setting, found)
    if named is not None:
        if not place.told:
            place = Place(named.scope, named.classes, place.leaf, named.told, named.rooted)
        elif not named.rooted:
            place = refined(place, named)
    own = _own_name(setting, found)
    if own is not None:
        place = replace(place, leaf=own)
    # A recurrent layer of which only the last state is used leaves its first output out.
    outputs = (found.output,) if found.output != NONE else tuple([value for value in found.call.outputs if value != NONE])
    return Row(found.call.index, found.type, calls, place, found, found.inputs, outputs)


def _own_name(setting: Setting, found: Found) -> str | None:
    """The name that the author gave the one tensor of an operator, where its layer has no module: `pos_embed` for an addition."""
    names = [setting.flow.names[value].rsplit(".", 1)[-1] for value in found.values if value != NONE]
    if found.type == "Dense" and MERGED & set(names):
        return "in_proj"
    view = setting.views.get(found.values[0]) if found.type in BARE and len(found.values) == 1 else None
    if view is None or len(view.pieces) != 1:
        return None
    name = setting.flow.names[view.pieces[0].value]
    told = setting.flow.kinds.get(view.pieces[0].value, AT_EXPORT) != AT_EXPORT or found.call.node.name.startswith("/")
    return name.rsplit(".", 1)[-1] if told and is_key(name) else None


def _by_weights(setting: Setting, found: Found) -> Place | None:
    """The module that the names of the layer's tensors tell of."""
    for value in found.values:
        view = setting.views.get(value)
        for piece in view.pieces if view is not None else ():
            place = of_weight(setting.flow.names[piece.value])
            if place is not None:
                return Place(place.scope, place.classes, place.leaf, False, place.rooted)
    return None


def _of_call(setting: Setting, call: Call) -> Row:
    views = setting.views
    inputs = tuple([value for value in call.inputs if value != NONE and value not in views])
    return Row(call.index, call.node.op or "?", [call], place_of(call), None, inputs, call.outputs)


def _place(setting: Setting, made: list[Row]) -> None:
    """Rows without a scope of their own stand beside the layer before them, or in their control-flow body."""
    _align(made)
    told = [row for row in made if row.place.scope]
    roots = {row.place.scope[0] for row in told if row.place.rooted}
    strip = len(roots) == 1 and all(len(row.place.scope) > 1 for row in told) and len({row.place.scope[1] for row in told}) > 1
    before: dict[int, Place] = {}
    places: dict[int, Place] = {}
    scoped = any(call.node.metadata or "/" in call.node.name for call in setting.flow.calls)
    for row in made:
        place, body = row.place, row.calls[0].owner
        if place.scope:
            if strip and place.rooted:
                place = replace(place, scope=place.scope[1:], classes=place.classes[1:])
            if not place.told:
                before[body] = replace(place, scope=place.scope[:-1], classes=place.classes[:-1])
            row.place = place
        elif scoped and (near := _between(setting, row, places)) is not None:
            cut = int(strip and near.rooted)
            row.place = replace(near, scope=near.scope[cut:], classes=near.classes[cut:], leaf=place.leaf)
        elif body in before and row.found is None:
            row.place = replace(before[body], leaf=place.leaf)
        else:
            around = enclosing(setting.flow, row.calls[0])
            if around or place.classes:
                row.place = replace(place, scope=around, classes=(None,) * len(around))


def _align(made: list[Row]) -> None:
    """Places by the names of weights join the scopes that the nodes themselves tell."""
    scopes: dict[str, tuple[str, ...]] = {}
    by_weight = []
    for row in made:
        if row.place.told:
            scopes.setdefault(dotted(row.place.scope), row.place.scope)
        elif row.place.scope:
            by_weight.append(row)
    if not by_weight or not scopes:
        return
    for scope in tuple(scopes.values()):
        for length in range(1, len(scope)):
            scopes.setdefault(dotted(scope[:length]), scope[:length])
    for row in by_weight:
        row.place = agreed(row.place, scopes)


def _between(setting: Setting, row: Row, places: dict[int, Place]) -> Place | None:
    """The innermost scope that at least two of a call's neighbours stand in, where their names tell one; `places` keeps those of calls."""
    call = row.calls[0]
    near = [_told(setting, value, places, back=True) for value in dict.fromkeys(call.inputs) if value not in setting.views]
    near += [_told(setting, value, places, back=False) for value in row.outputs]
    known = [place for place in near if place is not None]
    if not known:
        return None
    votes: dict[tuple[str, ...], int] = {}
    for place in known:
        for depth in range(1 + place.rooted, len(place.scope) + 1):
            votes[place.scope[:depth]] = votes.get(place.scope[:depth], 0) + 1
    agreed = max((scope for scope, count in votes.items() if count > 1), key=len, default=())
    if not agreed:
        return None
    place = next(one for one in known if one.scope[: len(agreed)] == agreed)
    return Place(agreed, place.classes[: len(agreed)], "", told=False, rooted=place.rooted)


def _told(setting: Setting, value: int, places: dict[int, Place], *, back: bool) -> Place | None:
    """The scope of the nearest call before or behind a value that has one."""
    for _ in range(NEAR):
        if value == NONE:
            return None
        number = setting.flow.producer[value] if back else next((call for call, _ in setting.flow.uses[value]), NONE)
        if number == NONE:
            return None
        call = setting.flow.calls[number]
        place = places.get(number)
        if place is None:
            place = places[number] = place_of(call)
        if place.told and place.scope:
            return place
        value = next(iter(call.inputs if back else call.outputs), NONE)
    return None


def sources(setting: Setting, made: list[Row]) -> dict[int, tuple[int, ...]]:
    """For every value, the rows (by number) that it comes from, straight or through bookkeeping."""
    owner = {call.index: number for number, row in enumerate(made) for call in row.calls}
    found: dict[int, tuple[int, ...]] = {}
    for call in setting.flow.calls:
        number = owner.get(call.index)
        if number is None:
            parts = dict.fromkeys(one for value in _carrying(call) for one in found.get(value, ()))
            come: tuple[int, ...] = tuple(parts)[:FANNED]
        else:
            come = (number,)
        if come:
            for value in call.outputs:
                if value != NONE:
                    found[value] = found.get(value, come) if number is None else come
    return found


def _carrying(call: Call) -> Sequence[int]:
    """The inputs whose elements a call passes on; a shape or an index tells nothing of where values come from."""
    if call.op in ("Shape", "Size"):
        return ()
    steering = PARAMETERS.get(call.op)
    if steering is None:
        return call.inputs if NONE not in call.inputs else [value for value in call.inputs if value != NONE]
    return [value for place, value in enumerate(call.inputs) if value != NONE and place not in steering]


def inbound(made: list[Row], number: int, found: dict[int, tuple[int, ...]]) -> list[int]:
    """The rows that feed a row."""
    feeding = dict.fromkeys([one for call in made[number].calls for value in _carrying(call) for one in found.get(value, ())])
    feeding.pop(number, None)
    return list(feeding)
