"""From the Block tree and the claims found for each block to the flat list of layers, in the order of `model.summary()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelscan.model import Claim, Layer
from modelscan.topology import Block, BlockKind, TensorRef, frozen_as_a_whole


def layers_of(model: Block, claims: Mapping[str, tuple[Claim, ...]], version: str | None) -> tuple[Layer, ...]:
    """All layers below `model`; nested models are containers followed by their layers.

    Which weights are trainable is said by the switches of the layers themselves. Setting a model's switch sets those of its layers, and
    these are what loading restores; see `topology.frozen_as_a_whole` for the one model whose own counts.

    Args:
        model: the outermost block.
        claims: what is stored for each block, by path; the outermost model's own under `""`.
        version: the writer's version of Keras.
    """
    return tuple(_below(model, claims, 0, not frozen_as_a_whole(model, version)))


def _below(model: Block, claims: Mapping[str, tuple[Claim, ...]], depth: int, trainable: bool) -> Iterator[Layer]:
    paths = {block.name: block.path for block in model.blocks}
    previous: str | None = None
    for index, block in enumerate(model.blocks):
        if model.kind is BlockKind.SEQUENTIAL and index == 0 and block.class_name == "InputLayer":
            continue
        follows = (previous,) if previous and model.kind is BlockKind.SEQUENTIAL else ()
        inbound = tuple(_inbound(block, paths)) if model.kind is BlockKind.FUNCTIONAL else follows
        previous = block.path
        own = trainable and (block.trainable or bool(block.blocks))
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
