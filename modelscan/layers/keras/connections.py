"""Whether the calls and outputs that a functional graph of Keras 3 uses are there.

Source: `keras/src/models/functional.py`, `functional_from_config`: a tensor is output `index` of call `call` of a layer, both counted
from 0 among the calls that the file lists. In the lists of inputs and outputs the creation of a functional model counts as its first call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelscan.layers.keras.deriving import Result
from modelscan.layers.keras.operations import yields_one
from modelscan.layers.keras.registry import KERAS_CLASSES, Shapes
from modelscan.topology import Block, BlockKind, TensorRef, references

_UNCERTAIN = frozenset({"Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention", "RNN"})
"""Classes whose number of outputs an argument given by position, or an unknown cell, changes."""


def misdirected(model: Block, results: Mapping[str, Result], yielded: Mapping[str, Shapes]) -> Iterator[tuple[str, str | None]]:
    """What a model refers to that is not there, each with the path of the layer that does so.

    Args:
        model: a functional one.
        results: of its blocks, by path.
        yielded: the shapes that each block's declaration gives, by name, before anything was filled in.
    """
    blocks = {one.name: one for one in model.blocks}
    counts = {one.name: _outputs(one, results.get(one.path), yielded.get(one.name, ())) for one in model.blocks}
    for block in model.blocks:
        for one in references(tuple((call.args, call.kwargs) for call in block.calls)):
            problem = _problem(one, blocks, counts)
            if problem is not None:
                yield f"{block.name} is called on {problem}", block.path
    for word, listed in (("input", model.inputs), ("output", model.outputs)):
        for one in listed:
            problem = _problem(one, blocks, counts)
            if problem is not None:
                yield f"the model's {word} is {problem}", model.path or None


def _problem(one: TensorRef, blocks: Mapping[str, Block], counts: Mapping[str, int | None]) -> str | None:
    if one.block not in blocks:
        return None  # told elsewhere
    block, outputs = blocks[one.block], counts[one.block]
    calls = max(len(block.calls), 1)
    if not -calls <= one.call < calls + (bool(block.blocks) or block.class_name not in KERAS_CLASSES):
        return f"an output of call {one.call} of {one.block!r}, which is called {calls} times"
    if outputs is not None and not -outputs <= one.index < outputs:
        return f"output {one.index} of {one.block!r}, which has {outputs}"
    return None


def _outputs(block: Block, result: Result | None, shapes: Shapes) -> int | None:
    """How many tensors a block yields, None where that is not certain."""
    if block.blocks:
        return len(block.outputs) or None if block.kind is BlockKind.FUNCTIONAL else 1
    if block.kind is BlockKind.OPERATION:
        return 1 if yields_one(block.class_name) else None
    if block.class_name == "RNN" and (block.module or "").startswith("keras.") and block.config.get("return_state") is False:
        return 1  # whatever its cell is
    certain = block.class_name in KERAS_CLASSES and block.class_name not in _UNCERTAIN
    if not certain or result is None or result.specs is None or not shapes or None in shapes:
        return None
    return len(shapes)
