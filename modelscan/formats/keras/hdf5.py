"""HDF5 files of Keras: whole models of Keras 1 to 3, weights alone in the old layout, and Keras 3's `.weights.h5`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.errors import ConfigError, UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.keras import weights
from modelscan.formats.keras.blocks import BlockReader
from modelscan.formats.keras.document import parse_json
from modelscan.formats.keras.legacy import LegacyWeights, text_attribute
from modelscan.formats.keras.listing import layers_of
from modelscan.formats.keras.mapping import CONTAINERS
from modelscan.formats.keras.objects import note_objects
from modelscan.formats.keras.store import SIGNATURE, Store, read_store, superblock_end
from modelscan.limits import Limits
from modelscan.model import Layer, Model, Observation, StoredTensor
from modelscan.source import LocalFile, Source, parent_folder
from modelscan.topology import Block, BlockKind


def detect(artifact: Artifact) -> bool:
    """An HDF5 superblock at byte 0, 512, 1,024 or a further doubling, or an index of Keras 3 shards."""
    if artifact.source is None:
        return False
    if artifact.head.startswith(SIGNATURE) or (artifact.head.lstrip().startswith(b"{") and b'"weight_map"' in artifact.head):
        return artifact.head.startswith(SIGNATURE) or artifact.name.endswith(".weights.json")
    return superblock_end(artifact.source) is not None


def read(artifact: Artifact, limits: Limits) -> Model:
    """The model of an HDF5 file; with `ReadOptions.config`, that of an architecture file and its weights."""
    if artifact.source is None:
        raise UnreadableFile("not-a-regular-file", "a folder is no HDF5 file")
    seen: list[Observation] = []
    index = artifact.name.endswith(".json")
    store = _shards(artifact, limits, seen) if index else read_store(artifact.source, 0, None, limits, seen)
    top = store.attributes.get("", {})
    given = _given_config(artifact, limits, seen)
    config = given if given is not None else _document(top, "model_config", limits, seen)
    block = None
    if config is not None:
        try:
            block = BlockReader(limits, seen).model(config)
        except UnreadableFile as error:
            seen.append(Observation(error.kind, str(error), where="model_config"))
    facts: dict[str, Any] = {"training_config": _document(top, "training_config", limits, seen)}
    note_objects(config, "model_config", seen)
    note_objects(facts["training_config"], "training_config", seen)
    has_weights_group = any(path == "model_weights" or path.startswith("model_weights/") for path in (*store.attributes, *store.tensors))
    root = "model_weights" if has_weights_group else ""
    groups = store.attributes.get(root, {})
    producer = _producer(top, groups, config)
    facts["keras_version"] = producer.get("version")
    if "model_config" in top and not has_weights_group:
        seen.append(Observation("missing-weights", "the file has a configuration and no group model_weights"))
    if _is_tree(store) and not has_weights_group:
        return weights.model(block, store, "keras-weights", producer, facts, seen, limits)
    if not groups and block is None:
        return _foreign_tree(store, producer, facts, seen, limits)
    legacy = LegacyWeights(store, root, seen)
    if block is None or block.kind not in (BlockKind.SEQUENTIAL, BlockKind.FUNCTIONAL):
        return _without_graph(block, legacy, store, "keras-weights" if block is None else "keras-h5", producer, facts, seen)
    return _with_graph(block, legacy, store, producer, facts, seen)


def _is_tree(store: Store) -> bool:
    """Keras 3's layout: `vars` groups with numbered datasets below `layers` or an attribute of the model."""
    if any(name.startswith("layer_names") for name in store.attributes.get("", {})):
        return False  # the older layout; its layers may have any name
    return any("vars" in path.replace("\\", "/").split("/") for path in store.tensors) or any(
        name in store.attributes for name in CONTAINERS
    )


def _foreign_tree(store: Store, producer: Mapping[str, str], facts: Mapping[str, Any], seen: list[Observation], limits: Limits) -> Model:
    """HDF5 of another origin: its datasets are listed, nothing is claimed of them."""
    if not store.tensors:
        seen.append(Observation("missing-weights", "the HDF5 file holds neither a Keras configuration nor any dataset"))
    else:
        seen.append(Observation("not-keras", "the HDF5 file has no mark of Keras; its datasets are listed as they are"))
    return weights.model(None, store, "keras-weights", producer, facts, seen, limits)


def _producer(top: Mapping[str, Any], groups: Mapping[str, Any], config: Any) -> dict[str, str]:
    version = text_attribute(top, "keras_version") or text_attribute(groups, "keras_version")
    if version is None and isinstance(config, Mapping):
        version = config.get("keras_version") if isinstance(config.get("keras_version"), str) else None
    if version is None and "layer_names" in groups:
        version = "1"  # Keras 1 writes no version; Keras' own loader assumes the same
    if version is None and isinstance(config, Mapping) and "registered_name" in config:
        version = "3"  # `to_json` of Keras 3 writes none; tf-keras, which has the key too, does
    backend = text_attribute(top, "backend") or text_attribute(groups, "backend")
    return {"framework": "Keras"} | ({"version": version} if version else {}) | ({"backend": backend} if backend else {})


def _with_graph(
    block: Block, legacy: LegacyWeights, store: Store, producer: Mapping[str, str], facts: Mapping[str, Any], seen: list[Observation]
) -> Model:
    claims = legacy.for_blocks(block)
    layers = layers_of(block, claims, producer.get("version"))
    if claims.get(""):
        layers = (*layers, Layer("(model)", "(model)", "?", claims=claims[""]))
    return Model(
        "keras-h5",
        "keras",
        block.name,
        block.class_name,
        producer,
        layers=layers,
        tensors=tuple(store.tensors.values()),
        observations=tuple(seen),
        graph=block,
        facts=facts,
    )


def _without_graph(
    block: Block | None,
    legacy: LegacyWeights,
    store: Store,
    format: str,
    producer: Mapping[str, str],
    facts: Mapping[str, Any],
    seen: list[Observation],
) -> Model:
    return Model(
        format,
        "keras",
        block.name if block is not None else None,
        block.class_name if block is not None else "weights",
        producer,
        layers=legacy.as_layers(),
        tensors=tuple(store.tensors.values()),
        observations=tuple(seen),
        facts=facts,
        trainable_known=False,
    )


def _document(attributes: Mapping[str, Any], name: str, limits: Limits, seen: list[Observation]) -> Any:
    if name not in attributes:
        return None
    malformed = "malformed-training-config" if name == "training_config" else "malformed-config"
    text = text_attribute(attributes, name)
    if text is None:
        seen.append(Observation(malformed, f"{name} is no text", where=name))
        return None
    if not _is_utf8(attributes[name]):
        seen.append(Observation(malformed, f"{name} is not UTF-8", where=name))
    try:
        return parse_json(text, name, limits, seen)
    except UnreadableFile as error:
        if name == "training_config":
            seen.append(Observation(malformed, str(error), where=name))
        else:
            seen.append(Observation(error.kind, str(error), offset=error.offset, where=name))
        return None


def _is_utf8(value: bytes | str) -> bool:
    """Whether a text attribute is; h5py gives what it cannot decode as half characters."""
    try:
        value.decode("utf-8") if isinstance(value, bytes) else value.encode("utf-8")
    except UnicodeError:
        return False
    return True


def _given_config(artifact: Artifact, limits: Limits, seen: list[Observation]) -> Any:
    """The architecture that the user named beside the weights."""
    path = artifact.options.config
    if path is None:
        return None
    try:
        source = LocalFile(path)
        return parse_json(source.read(0, min(source.size, limits.json_bytes + 1)), path, limits, seen)
    except UnreadableFile as error:  # not the fault of the weights
        raise ConfigError(f"--config {path}: no architecture: {error}") from error


def _shards(artifact: Artifact, limits: Limits, seen: list[Observation]) -> Store:
    """The shards beside an index file, as one tree."""
    source = artifact.source
    assert source is not None  # noqa: S101 - `read` has refused folders
    index = parse_json(source.read(0, min(source.size, limits.json_bytes + 1)), artifact.name, limits, seen)
    whole = Store(0, 0, None)
    folder = parent_folder(artifact.path)
    for name in weights.shard_names(index):
        if folder.size(name) is None:
            seen.append(Observation("missing-shard", f"the index names the shard {name}, which is not there", where=artifact.name))
            continue
        weights.merge(whole, read_store(folder.open(name), 0, name, limits, seen, beside=name))
    return whole


def blocks(artifact: Artifact, tensor: StoredTensor, limits: Limits) -> Iterator[memoryview]:
    """See `formats.Format.blocks`."""
    from modelscan.formats.keras.payloads import hdf5_blocks

    def files(of: Artifact, bounds: Limits) -> list[tuple[Source, int]]:
        del bounds
        if tensor.file is not None:
            return [(of.folder.open(tensor.file), 0)]
        return [(of.source, 0)] if of.source is not None else []

    return hdf5_blocks(artifact, tensor, limits, files)
