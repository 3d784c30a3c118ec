"""How Keras-like layers call one another: what a reader makes of a configuration, whatever Keras version wrote it.

The reader (`formats.keras`) turns the three generations of `inbound_nodes` into `Call`s; the catalogue (`layers.keras`)
propagates shapes along them. A `Block` is a model or a layer; models hold blocks, wrappers hold theirs in `config`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from modelscan.model import Shape
from modelscan.records import record


class BlockKind(StrEnum):
    """What a block is."""

    LAYER = "layer"
    SEQUENTIAL = "sequential"
    FUNCTIONAL = "functional"
    SUBCLASSED = "subclassed"
    """A model whose configuration has no layers: only `build_config` and the weight tree tell of its inside."""
    OPERATION = "operation"
    """An operation between tensors (Keras 3 `ops.Add`, Keras 2 `TFOpLambda`): in the graph, not in `model.layers`."""


@record(frozen=True, slots=True)
class TensorRef:
    """Output `index` of call `call` of a block."""

    block: str
    """Name within the same model."""
    call: int = 0
    index: int = 0
    shape: Shape | None = None
    """As the file declares it (Keras 3), None where it does not."""
    dtype: str | None = None


@record(frozen=True, slots=True)
class Call:
    """One use of a block: positional and keyword arguments, `TensorRef`s in any nesting of tuples and dicts, or plain values."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@record(frozen=True, slots=True)
class Block:
    """A model or layer as its configuration describes it."""

    name: str
    path: str
    """The `Layer.path` of the same block; `""` for the outermost model."""
    class_name: str
    """As the file states it; legacy names are not translated here."""
    kind: BlockKind
    module: str | None = None
    """`keras.layers`, `builtins`, a package of the author's; None in files older than Keras 2.13."""
    registered_name: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    build_config: Mapping[str, Any] | None = None
    calls: tuple[Call, ...] = ()
    """In the order of `inbound_nodes`; empty in a Sequential, where each block feeds the next."""
    blocks: tuple[Block, ...] = ()
    """The layers of a model, in the order of the configuration."""
    inputs: tuple[TensorRef, ...] = ()
    """`input_layers` of a functional model, flattened in order."""
    outputs: tuple[TensorRef, ...] = ()
    """`output_layers`, flattened in order."""
    wrapped: Mapping[str, Block] = field(default_factory=dict)
    """Whole models that a wrapper holds, by the hyperparameter that they stand in (`layer`, `backward_layer`)."""
    shared_id: int | None = None
    """`shared_object_id` of Keras 3: entries with the same number are one object, made once."""

    @property
    def trainable(self) -> bool:
        """Its own switch."""
        return self.config.get("trainable", True) is not False


def frozen_as_a_whole(model: Block, version: str | None) -> bool:
    """Whether the switch of an outermost model freezes all that is in it.

    Only that of a functional one of Keras 3 does (`keras/src/models/functional.py`, `functional_from_config`); `Sequential.from_config`
    and tf.keras pass over it.
    """
    return model.kind is BlockKind.FUNCTIONAL and not model.trainable and not (version or "").startswith(("0.", "1", "2."))


def references(value: Any) -> Iterator[TensorRef]:
    """All tensors in a structure of tuples and dictionaries, in order."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, TensorRef):
            yield one
        elif isinstance(one, tuple):
            stack.extend(reversed(one))
        elif isinstance(one, Mapping):
            stack.extend(reversed(list(one.values())))
