"""Shapes of all values, forward through the flat graph, each axis with its origin.

On top of what the reader brings (general inference and the file's own declarations), rules for the operators that general
inference does not know (com.microsoft, quantised ones) and for those that matter as evidence: an axis that was read off a
weight says so, and never attests that same weight.
"""

from __future__ import annotations

from collections.abc import Callable

from modelscan.layers.onnx import amounts, kinds
from modelscan.layers.onnx.axes import FREE, OPAQUE, UNKNOWN, Axes, Axis, broadcast, merged, possible, told
from modelscan.layers.onnx.flow import NONE, Call, Flow
from modelscan.layers.onnx.steps import INDIRECT, follow
from modelscan.layers.onnx.views import View, stored_views

Rule = Callable[["Shapes", Call], "list[Axes | None]"]
CARRY = "·scope:carry"
TURNS = 3
"""Times that shapes are worked out anew because the state of a loop changes its own; nested loops need one each."""
_STATED = frozenset(("ConstantOfShape", "ConvTranspose", "Expand", "Pad", "Reshape", "Split", "Tile"))
"""Operators whose results have the sizes that somebody states, or what is left of them: they can come to less than nothing."""
RULES: dict[str, Rule] = {}
"""By operator, filled by the `rule` decorator in the modules of shape rules."""


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Registers a shape rule for operators; contrib ones are written with their domain."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, function))
        return function

    return register


class Shapes:
    """The axes and element types of every value, and on the way the views of stored tensors and small computed integers."""

    def __init__(self, flow: Flow) -> None:
        self.flow, self.views = flow, stored_views(flow)
        self.amounts: dict[int, amounts.Amounts] = {}
        self.axes: list[Axes | None] = [None] * len(flow.names)
        self.dtypes: list[str | None] = [info.dtype if info is not None else None for info in flow.infos]
        self.computed: dict[int, Axes] = {}
        """What the rules made of a value, before declarations were merged in: what a declaration can contradict."""
        self.told: dict[int, str] = {}
        """Element types that follow from operators general inference does not know, by value."""
        self.contrib: list[Call] = []
        """Calls of com.microsoft's operators."""
        self.noted: list[int] = []
        """Values whose contents the rules found."""
        self.varying: dict[int, frozenset[int] | None] = {}
        """States of loops with the axes that change from turn to turn; None where even the rank does."""
        for value, tensor in enumerate(flow.tensors):
            if tensor is not None:
                self.dtypes[value] = tensor.dtype
        self._begin()

    def _begin(self) -> None:
        """What is known of values that no call makes."""
        flow = self.flow
        for value in self.noted:
            flow.contents.forget(value)
        self.noted.clear()
        self.contrib.clear()
        self.amounts.clear()
        self.computed.clear()
        self.axes = [None] * len(flow.names)
        for value, tensor in enumerate(flow.tensors):
            if tensor is not None:
                self.axes[value] = tuple([Axis(size, value) for size in tensor.shape])
        for value, sparse in flow.sparse.items():
            self.axes[value] = tuple(Axis(size, value) for size in sparse.shape)
        for value in range(len(flow.names)):
            if self.axes[value] is None and flow.producer[value] == NONE:
                self.axes[value] = self._known(value)

    def of(self, value: int) -> Axes | None:
        """The axes of a value, None when not even the rank is known or the value is omitted."""
        return self.axes[value] if value != NONE else None

    def input(self, call: Call, position: int) -> Axes | None:
        """The axes of an input, None when it is unknown or omitted."""
        inputs = call.inputs
        return self.axes[value] if position < len(inputs) and (value := inputs[position]) != NONE else None

    def propagate(self) -> None:
        """Fills in the outputs of all calls, in order; again where a loop's state turns out to change its shape."""
        self._pass()
        for _ in range(TURNS):
            before = dict(self.varying)
            self._note_varying()
            if self.varying == before:
                return
            self._begin()
            self._pass()

    def _note_varying(self) -> None:
        for call in self.flow.calls:
            if call.op != CARRY:
                continue
            handed, state = (self.axes[value] for value in call.inputs)
            if handed is None or state is None:
                continue
            name, held = call.inputs[1], self.varying.get(call.inputs[1], frozenset())
            if len(handed) != len(state) or held is None:
                self.varying[name] = None
                continue
            changed = {place for place, (a, b) in enumerate(zip(handed, state, strict=True)) if b.size is not None and a.size != b.size}
            if changed - held:
                self.varying[name] = held | changed

    def _pass(self) -> None:
        flow, views, axes, computed = self.flow, self.views, self.axes, self.computed
        for call in flow.calls:
            inputs, outputs, op = call.inputs, call.outputs, call.op
            if inputs and (inputs[0] in views or op in INDIRECT):
                follow(flow, call, views)
            function = RULES.get(op)
            made = function(self, call) if function is not None and outputs else ()
            for number, value in enumerate(outputs):
                if value == NONE or axes[value] is not None:
                    continue
                mine = made[number] if number < len(made) else None
                if mine is None and value in views:
                    mine = _of_view(views[value])
                if mine is not None:
                    computed[value] = mine = possible(mine) if op in _STATED else mine
                axes[value] = merged(mine, self._known(value))
            if op in amounts.FOLLOWED:
                amounts.follow(self, call)
            if self.told or call.node.domain or op == kinds.SIMPLIFIED:
                kinds.follow(call, self.dtypes, self.told)
                if op in kinds.CHECKED:
                    self.contrib.append(call)

    def _known(self, value: int) -> Axes | None:
        """What the file declares, completed by what the reader's inference found."""
        info, stated = self.flow.infos[value], self.flow.declared[value]
        return told(None if stated is None else stated.shape, None if info is None else info.shape)


def _of_view(view: View) -> Axes:
    sources = {piece.value for piece in view.pieces}
    source = sources.pop() if len(sources) == 1 else OPAQUE
    return tuple(Axis(size, source) for size in view.shape)


def elementwise(shapes: Shapes, call: Call) -> list[Axes | None]:
    """All inputs broadcast together; by the rule of old opsets to the shape of the first."""
    if "broadcast" in call.node.attributes:
        return [shapes.input(call, 0)]
    return [broadcast([shapes.of(value) for value in call.inputs if value != NONE])]


def same(shapes: Shapes, call: Call) -> list[Axes | None]:
    """The first output has the shape of the first input."""
    return [shapes.input(call, 0)]


def with_last(axes: Axes | None, last: Axis) -> Axes | None:
    """The axes with another last one."""
    return None if not axes else (*axes[:-1], last)


def axis_of(shapes: Shapes, call: Call, position: int, axis: int) -> Axis:
    """One axis of an input, UNKNOWN where that is not known."""
    axes = shapes.input(call, position)
    if axes is None or not -len(axes) <= axis < len(axes):
        return UNKNOWN
    return axes[axis]


def fixed(size: int | None) -> Axis:
    """A size that an attribute or a definition gives."""
    return Axis(size, FREE)
