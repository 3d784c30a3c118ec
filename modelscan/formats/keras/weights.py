"""The weights of a Keras 3 file in their three containers (one HDF5 member, shards with an index, npz), and the model they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.keras.document import parse_json
from modelscan.formats.keras.listing import layers_of
from modelscan.formats.keras.mapping import TreeMapping, tree_layers
from modelscan.formats.keras.store import Store, read_store
from modelscan.formats.keras.zipped import Archive
from modelscan.limits import Limits
from modelscan.model import Layer, Model, Observation, StoredTensor
from modelscan.source import Source
from modelscan.topology import Block, BlockKind

HDF5, INDEX, NPZ = "model.weights.h5", "model.weights.json", "model.weights.npz"
_SMALL = 4 << 20
"""Bytes of weights that cost nothing to read."""


def of_archive(archive: Archive, artifact: Artifact, limits: Limits, seen: list[Observation]) -> Store | None:
    """What the archive stores, None (and an observation) when it has no weights that can be read."""
    try:
        if HDF5 in archive.members:
            source, start = archive.open(HDF5)
            _check_crc(archive, HDF5, source, artifact, seen)
            return _hdf5(source, start, HDF5, limits, seen)
        if INDEX in archive.members:
            return _shards_of(parse_json(archive.read(INDEX, limits.json_bytes), INDEX, limits, seen), archive, artifact, limits, seen)
        if NPZ in archive.members:
            from modelscan.formats.keras.npz import npz_store

            source, start = archive.open(NPZ)
            _check_crc(archive, NPZ, source, artifact, seen)
            return npz_store(source, start, NPZ, limits, seen)
    except UnreadableFile as error:
        seen.append(Observation(error.kind, str(error), offset=error.offset, where=" > ".join(error.where) or None))
        return None
    seen.append(Observation("missing-weights", f"{artifact.name} holds no weights: no {HDF5}, {INDEX} or {NPZ} among its members"))
    return None


def _check_crc(archive: Archive, name: str, source: Source, artifact: Artifact, seen: list[Observation]) -> None:
    """Of a whole member, where values are read anyway or it is small: Keras reads it to its end and fails on a wrong checksum."""
    whole = source.size == archive.members[name].size
    if whole and (artifact.options.values or source.size <= _SMALL):
        try:
            archive.check_crc(name, source)
        except UnreadableFile as error:
            seen.append(Observation(error.kind, str(error), offset=error.offset, where=name))


def _hdf5(source: Source, start: int | None, member: str | None, limits: Limits, seen: list[Observation]) -> Store:
    store = read_store(source, start or 0, member, limits, seen)
    return store if start is not None else _without_offsets(store)


def _without_offsets(store: Store) -> Store:
    """Of a compressed member: its tensors lie in no place of the file."""
    from dataclasses import replace

    store.tensors = {name: replace(one, offset=None, encoding="hdf5") for name, one in store.tensors.items()}
    return store


def _shards_of(index: Any, archive: Archive, artifact: Artifact, limits: Limits, seen: list[Observation]) -> Store:
    """All shards that the index names, as one tree."""
    files = shard_names(index)
    whole = Store(0, 0, INDEX)
    for name in files:
        if name not in archive.members:
            seen.append(Observation("missing-shard", f"the index names the shard {name}, which is not there", where=INDEX))
            continue
        source, start = archive.open(name)
        _check_crc(archive, name, source, artifact, seen)
        merge(whole, _hdf5(source, start, name, limits, seen))
    return whole


def shard_names(index: Any) -> list[str]:
    """The shard files of an index `{"weight_map": {path: [files]}}`, each once, sorted."""
    table = index.get("weight_map") if isinstance(index, Mapping) else None
    if not isinstance(table, Mapping):
        raise UnreadableFile("malformed-config", "the weights index has no weight_map", where=(INDEX,))
    names: set[str] = set()
    for value in table.values():
        names.update(one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))
    return sorted(names)


def merge(whole: Store, part: Store) -> None:
    """Add a shard's tensors and attributes; a group may begin in one shard and go on in the next."""
    whole.tensors.update(part.tensors)
    for path, values in part.attributes.items():
        whole.attributes.setdefault(path, {}).update(values)


def model(
    block: Block | None,
    store: Store | None,
    format: str,
    producer: Mapping[str, str],
    facts: Mapping[str, Any],
    seen: list[Observation],
    limits: Limits,
) -> Model:
    """The model of a configuration, of a weights tree, or of both."""
    del limits  # the readers of both have kept to them
    tensors: tuple[StoredTensor, ...] = tuple(store.tensors.values()) if store is not None else ()
    mapped = block is not None and block.kind in (BlockKind.SEQUENTIAL, BlockKind.FUNCTIONAL)
    if block is not None and mapped:
        claims = dict(TreeMapping(store, seen).map(block)) if store is not None else {}
        layers = layers_of(block, claims, producer.get("version"))
        left = claims.get("", ())
        if left:
            layers = (*layers, Layer("(model)", "(model)", "?", claims=left))
    else:
        layers = tuple(
            Layer(_layer_name(store, path), path or "(model)", "?", claims=claims)
            for path, claims in (tree_layers(store.tensors) if store is not None else {}).items()
        )
    return Model(
        format=format,
        catalogue="keras",
        name=block.name if block is not None else None,
        model_type=block.class_name if block is not None else "weights",
        producer=producer,
        layers=layers,
        tensors=tensors,
        observations=tuple(seen),
        graph=block if mapped else None,
        facts=facts,
        trainable_known=mapped,
    )


def _layer_name(store: Store | None, path: str) -> str:
    """The name that Keras 3.6 and later write beside the weights, else the last part of the group's path."""
    written = store.attributes.get(f"{path}/vars", {}).get("name") if store is not None else None
    if isinstance(written, bytes):
        written = written.decode("utf-8", "replace")
    return written if isinstance(written, str) and written else path.rsplit("/", 1)[-1] or "(model)"
