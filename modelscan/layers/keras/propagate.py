"""Shapes through a Keras model: every block derived once, in the order that its calls allow.

Nothing recurses over the length of a model; only models in models do, and the reader has bounded that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from modelscan.layers.keras.connections import misdirected
from modelscan.layers.keras.deriving import Deriver, Result, as_shape, built_shape
from modelscan.layers.keras.modern import declared_input
from modelscan.layers.keras.registry import Shapes
from modelscan.model import Observation, Shape
from modelscan.topology import Block, BlockKind, Call, TensorRef, references

Key = tuple[str, int]


@dataclass
class Propagation:
    """Results by block path, gathered over the whole tree."""

    deriver: Deriver
    results: dict[str, Result] = field(default_factory=dict)

    def model(self, block: Block, inputs: Shapes, source: str) -> Shapes:
        """Derive everything below a model for given inputs; its outputs."""
        if block.kind is BlockKind.SEQUENTIAL:
            return self._sequential(block, inputs, source)
        return _Functional(self, block, inputs, source).run()

    def block(self, block: Block, call: Call | None, inputs: Shapes, keywords: Mapping[str, Shape | None], source: str) -> Shapes:
        """Derive one block for one call; the first call's result is the one that is kept."""
        if block.blocks:
            outputs = self.model(block, inputs, source)
            result = Result(outputs=outputs, inputs=inputs)
        else:
            result = self.deriver.block(block, call, inputs, keywords, source)
        kept = self.results.setdefault(block.path, result)
        if kept is not result:
            kept.calls.append(result.outputs)
        return result.outputs

    def _sequential(self, block: Block, inputs: Shapes, source: str) -> Shapes:
        current, witness = inputs, source
        rest = list(block.blocks)
        if rest and rest[0].class_name == "InputLayer":
            first = rest.pop(0)
            declared = declared_input(first.config)
            if declared is not None and (not current or current[0] is None):
                current, witness = (declared,), "declared input"
            self.results.setdefault(first.path, Result(outputs=current))
        if (not current or current[0] is None) and rest:
            current, witness = self._start(block, rest[0])
        waiting = self._is_waiting(block)
        for one, following in zip_longest(rest, rest[1:]):
            current = self.block(one, None, current, {}, witness)
            witness = f"output of {one.name}"
            result = self.results[one.path]
            result.waiting |= waiting and one.build_config is None
            if current == (None,) and following is not None and (built := built_shape(following)) is not None:
                current, witness = (built,), "build configuration"  # what is yielded is what the next layer was built for
                result.outputs = current
        return current

    def _is_waiting(self, block: Block) -> bool:
        """Whether a Sequential of Keras 3 had not been built when it was saved: one that is has an input layer and tells its shape."""
        version = self.deriver.version
        has_input = bool(block.blocks) and block.blocks[0].class_name == "InputLayer"
        built = has_input or block.config.get("build_input_shape") or (block.build_config or {}).get("input_shape")
        return version is not None and version >= (3, 0) and not built

    def _start(self, block: Block, first: Block) -> tuple[Shapes, str]:
        """The input of a Sequential without an InputLayer: what its first layer, or its build, tells."""
        seen = 0
        inner = first
        while seen < 100:
            declared = declared_input(inner.config)
            if declared is not None:
                return (declared,), "declared input"
            if not inner.blocks:
                break
            inner, seen = inner.blocks[0], seen + 1
        for shape in (built_shape(block), built_shape(first), as_shape(block.config.get("build_input_shape"))):
            if shape is not None:
                return (shape,), "build configuration"
        return (None,), source_unknown()


def source_unknown() -> str:
    """The witness text that stands where no shape is known; it is never shown, since no dimension comes from it."""
    return "unknown input"


class _Functional:
    """One pass over a functional graph."""

    def __init__(self, propagation: Propagation, model: Block, inputs: Shapes, source: str) -> None:
        self.propagation = propagation
        self.model = model
        self.inputs = inputs
        self.source = source
        self.blocks = {block.name: block for block in model.blocks}
        self.done: dict[Key, Shapes] = {}
        self.firsts = _first_calls(model)
        self.declared = _declared(model.blocks)
        self.given = {(one.block, 0) for one in model.inputs if one.block in self.blocks}
        self.noted: set[Observation] = set()
        self.yielded: dict[str, Shapes] = {}
        """What the declarations give for each block's first call."""

    def run(self) -> Shapes:
        for word, listed in (("input", self.model.inputs), ("output", self.model.outputs)):
            for missing in sorted({one.block for one in listed} - set(self.blocks)):
                text = f"the model's {word} is that of {missing!r}, which is no layer here"
                self.propagation.deriver.observations.append(Observation("malformed-config", text, layer=self.model.path or None))
        for index, reference in enumerate(self.model.inputs):
            if index < len(self.inputs) and self.inputs[index] is not None:
                self.done[reference.block, 0] = (self.inputs[index],)
        for block in self.model.blocks:
            for call in range(max(1, len(block.calls))):
                self._resolve((block.name, call))
        if self.propagation.deriver.keras_3:
            for text, path in misdirected(self.model, self.propagation.results, self.yielded):
                self._observe(Observation("malformed-config", text, layer=path))
        return tuple(self._shape(reference) for reference in self.model.outputs) or (None,)

    def _resolve(self, target: Key) -> None:
        """Derive a call after all that it depends on, without recursion; a cycle is noted and cut."""
        stack: list[Key] = [target]
        open_calls: set[Key] = set()
        while stack:
            key = stack[-1]
            if key in self.done and not self._is_given(key):
                stack.pop()
                continue
            needed = [one for one in self._needs(key) if one not in self.done]
            blocked = [one for one in needed if one in open_calls]
            if blocked:
                self._note("graph-cycle", f"{key[0]} depends on its own output through {blocked[0][0]}", key[0])
                for one in blocked:
                    self.done[one] = (None,)
                continue
            if needed and key not in open_calls:
                open_calls.add(key)
                stack.extend(needed)
                continue
            stack.pop()
            open_calls.discard(key)
            self._derive(key)

    def _is_given(self, key: Key) -> bool:
        """Whether it is an input whose shape the caller gave: it still has to be derived once, for its row."""
        return key in self.given and self.blocks[key[0]].path not in self.propagation.results

    def _needs(self, key: Key) -> Iterator[Key]:
        block = self.blocks[key[0]]
        if key[1] < len(block.calls):
            call = block.calls[key[1]]
            for reference in references((call.args, call.kwargs)):
                if reference.block in self.blocks:
                    yield self._key(reference)

    def _key(self, reference: TensorRef) -> Key:
        """The call that a reference means; an index past the last one means the last one."""
        last = max(len(self.blocks[reference.block].calls) - 1, 0)
        return reference.block, min(max(reference.call - self.firsts.get(reference.block, 0), 0), last)

    def _derive(self, key: Key) -> None:
        block = self.blocks[key[0]]
        call = block.calls[key[1]] if key[1] < len(block.calls) else None
        given = self.done.get(key)
        inputs: Shapes = given or ()
        keywords: dict[str, Shape | None] = {}
        source = self.source if given else "declared input"
        if call is not None:
            found = list(references(call.args))
            inputs = tuple(self._shape(one) for one in found)
            keywords = {name: self._shape(one) for name, value in call.kwargs.items() for one in references(value)}
            source = f"output of {found[0].block}" if found else source
            for one in references((call.args, call.kwargs)):
                if one.block not in self.blocks:
                    self._note(
                        "malformed-config", f"{block.name} is called on the output of {one.block!r}, which is no layer here", block.name
                    )
        outputs = self.propagation.block(block, call, inputs, keywords, source)
        self.yielded.setdefault(block.name, outputs)
        self.done[key] = self._completed(key, outputs)

    def _completed(self, key: Key, outputs: Shapes) -> Shapes:
        """Unknown outputs filled in from what the consumers' tensors declare; known ones held against it."""
        declared = self._places(key, len(outputs))
        if not declared:
            return outputs
        found = list(outputs) + [None] * (max(declared) + 1 - len(outputs))
        for index, shape in declared.items():
            mine = found[index]
            if mine is None:
                found[index] = shape
                self._fill(key, index, shape)
            elif len(mine) != len(shape) or any(a is not None and b is not None and a != b for a, b in zip(mine, shape, strict=True)):
                if _is_padded(self.blocks[key[0]], mine, shape):
                    found[index] = shape
                    continue
                text = f"{key[0]} yields {mine} by its configuration, the file declares {shape}"
                self._note("declared-shape-mismatch", text, key[0])
        return tuple(found)

    def _places(self, key: Key, known: int) -> dict[int, Shape]:
        """What the consumers declare of a call's outputs, by place; a negative one counts from the end of those `known`, as in Python."""
        found: dict[int, Shape] = {}
        most = self.propagation.deriver.limits.outputs
        for index, shape in self.declared.get(key, {}).items():
            place = index + known if index < 0 else index
            if 0 <= place < most:
                found.setdefault(place, shape)
            else:
                self._note("malformed-config", f"output {index} of {key[0]} is used, which no layer can have", key[0])
        return found

    def _fill(self, key: Key, index: int, shape: Shape) -> None:
        result = self.propagation.results.get(self.blocks[key[0]].path)
        if result is not None and key[1] == 0:
            outputs = list(result.outputs) + [None] * (index + 1 - len(result.outputs))
            outputs[index] = shape
            result.outputs = tuple(outputs)

    def _shape(self, reference: TensorRef) -> Shape | None:
        if reference.block not in self.blocks:
            return reference.shape
        outputs = self.done.get(self._key(reference), ())
        known = outputs[reference.index] if 0 <= reference.index < len(outputs) else None
        return known if known is not None else reference.shape

    def _note(self, kind: str, text: str, name: str) -> None:
        self._observe(Observation(kind, text, layer=self.blocks[name].path))

    def _observe(self, seen: Observation) -> None:
        if seen not in self.noted:
            self.noted.add(seen)
            self.propagation.deriver.observations.append(seen)


def _first_calls(model: Block) -> dict[str, int]:
    """Number of the first listed call of each nested model, where it is not 0: tf.keras counts a model's own creation as a call.

    It does so for those that were made with their inputs (`_should_skip_first_node` in `keras/engine/functional.py`), which a reference
    past the last call proves.
    """
    nested = {block.name: len(block.calls) for block in model.blocks if block.blocks}
    most = dict.fromkeys(nested, 0)
    for one in (*references(tuple((call.args, call.kwargs) for block in model.blocks for call in block.calls)), *model.outputs):
        if one.block in most:
            most[one.block] = max(most[one.block], one.call)
    return {name: 1 for name, calls in nested.items() if calls and most[name] == calls}


def _declared(blocks: Iterable[Block]) -> dict[Key, dict[int, Shape]]:
    """What Keras 3 files say of each call's outputs, at the places where they are consumed."""
    found: dict[Key, dict[int, Shape]] = {}
    for block in blocks:
        for call in block.calls:
            for one in references((call.args, call.kwargs)):
                if one.shape is not None:
                    found.setdefault((one.block, one.call), {})[one.index] = one.shape
    return found


def _is_padded(block: Block, mine: Shape, declared: Shape) -> bool:
    """Whether an output padding explains the shape of a transposed convolution: Keras before 3.15 does not write that argument."""
    if not block.class_name.endswith("Transpose") or "output_padding" in block.config or len(mine) != len(declared):
        return False
    strides = block.config.get("strides", 1)
    most = max((one for one in (strides if isinstance(strides, list) else [strides]) if isinstance(one, int)), default=1)
    return all(
        a == b or (isinstance(a, int) and isinstance(b, int) and abs(b - a) < max(most, 2)) for a, b in zip(mine, declared, strict=True)
    )
