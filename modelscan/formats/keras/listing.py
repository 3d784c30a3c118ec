"""From the Block tree and the claims found for each block to the flat list of layers, in the order of `model.summary()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelscan.model import Claim, Layer
from modelscan.topology import Block, BlockKind, TensorRef


def layers_of(model: Block, claims: Mapping[str, tuple[Claim, ...]], version: str | None) -> tuple[Layer, ...]:
    """All layers below `model`; nested models are containers followed by their layers.

    Which weights are trainable is said by the switches of the layers themselves. Setting a model's switch sets those of its layers, and
    these are what loading restores; the model's own counts only for an outermost functional one of Keras 3
    (`keras/src/models/functional.py`, `functional_from_config`; `Sequential.from_config` and tf.keras pass over it).

    Args:
        model: the outermost block.
        claims: what is stored for each block, by path; the outermost model's own under `""`.
        version: the writer's version of Keras.
    """
    frozen = model.kind is BlockKind.FUNCTIONAL and not _trainable(model) and not (version or "").startswith(("0.", "1", "2."))
    return tuple(_below(model, claims, 0, not frozen))


def _below(model: Block, claims: Mapping[str, tuple[Claim, ...]], depth: int, trainable: bool) -> Iterator[Layer]:
    paths = {block.name: block.path for block in model.blocks}
    previous: str | None = None
    for index, block in enumerate(model.blocks):
        if model.kind is BlockKind.SEQUENTIAL and index == 0 and block.class_name == "InputLayer":
            continue
        follows = (previous,) if previous and model.kind is BlockKind.SEQUENTIAL else ()
        inbound = tuple(_inbound(block, paths)) if model.kind is BlockKind.FUNCTIONAL else follows
        previous = block.path
        own = trainable and (_trainable(block) or bool(block.blocks))
        yield Layer(
            name=block.name,
            path=block.path,
            type=block.class_name,
            depth=depth,
            inbound=inbound,
            config=block.config,
            claims=claims.get(block.path, ()),
            container=bool(block.blocks),
            trainable=own,
        )
        if block.blocks:
            yield from _below(block, claims, depth + 1, trainable)


def _trainable(block: Block) -> bool:
    return block.config.get("trainable", True) is not False


def _inbound(block: Block, paths: Mapping[str, str]) -> list[str]:
    found: dict[str, None] = {}
    pending: list[object] = [value for call in block.calls for value in (*call.args, *call.kwargs.values())]
    while pending:
        value = pending.pop(0)
        if isinstance(value, TensorRef):
            if value.block in paths:
                found[paths[value.block]] = None
        elif isinstance(value, tuple):
            pending = [*value, *pending]
        elif isinstance(value, Mapping):
            pending = [*value.values(), *pending]
    return list(found)
