"""The `.keras` archive: a zip of `config.json`, `metadata.json` and a weights file, read in place.

Source: `keras/src/saving/saving_lib.py`. The weights are a stored member: a window of the archive is an HDF5 file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.keras import weights
from modelscan.formats.keras.blocks import BlockReader
from modelscan.formats.keras.document import parse_json
from modelscan.formats.keras.objects import note_objects
from modelscan.formats.keras.zipped import Archive
from modelscan.limits import Limits
from modelscan.model import Model, Observation, Severity, StoredTensor
from modelscan.source import Source

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


def detect(artifact: Artifact) -> bool:
    """A zip archive with a Keras member in it, or one that is cut before its directory and called `.keras`."""
    if artifact.source is None or not _starts_like_zip(artifact):
        return False
    seen: list[Observation] = []
    try:
        names = set(Archive(artifact.source, Limits(), seen).members)
    except UnreadableFile:
        return artifact.name.endswith(".keras")
    if names & {CONFIG, WEIGHTS, "model.weights.npz", "model.weights.json"}:
        return True
    if any(name.endswith(("/data.pkl", "data.pkl")) for name in names):
        raise UnreadableFile("foreign-format", "a PyTorch archive (pickles in a zip), not a format that modelscan reads")
    return artifact.name.endswith(".keras") and "saved_model.pb" not in {name.rsplit("/", 1)[-1] for name in names}


def _starts_like_zip(artifact: Artifact) -> bool:
    """A local header or an empty archive at the start; self-extracting ones have their header further on."""
    head = artifact.head
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return True
    source = artifact.source
    tail = source.read(max(0, source.size - 22), min(22, source.size)) if source is not None else b""
    return artifact.name.endswith(".keras") and tail.startswith(b"PK\x05\x06")


def read(artifact: Artifact, limits: Limits) -> Model:
    """The model of a `.keras` archive.

    Raises:
        UnreadableFile: when neither a configuration nor weights can be read.
    """
    if artifact.source is None:
        raise UnreadableFile("not-a-regular-file", "a folder is no .keras archive")
    seen: list[Observation] = []
    archive = Archive(artifact.source, limits, seen)
    archive.note_members(seen)
    archive.note_contents(seen, {CONFIG, METADATA, WEIGHTS, "model.weights.npz", "model.weights.json"})
    metadata = _document(archive, METADATA, limits, seen)
    config = _document(archive, CONFIG, limits, seen)
    note_objects(config, CONFIG, seen)
    version = _version(metadata, seen)
    block = None
    if config is not None:
        try:
            block = BlockReader(limits, seen).model(config)
        except UnreadableFile as error:
            seen.append(Observation(error.kind, str(error.inside(CONFIG)), where=CONFIG))
    elif CONFIG in archive.members and not any(one.where == CONFIG for one in seen):
        seen.append(Observation("malformed-config", f"{CONFIG} is null", where=CONFIG))
    elif CONFIG not in archive.members:
        seen.append(Observation("missing-config", f"the archive has no {CONFIG}: nothing tells which layers the weights belong to"))
    stored = weights.of_archive(archive, artifact, limits, seen)
    if block is None and stored is None:
        first = next((one for one in seen if one.severity is None and one.kind != "trailing-bytes"), None)
        raise UnreadableFile(first.kind if first else "missing-config", first.message if first else "no configuration and no weights")
    facts: dict[str, Any] = {"keras_version": version, "members": sorted(archive.members)}
    if isinstance(config, dict):
        facts["compile_config"] = config.get("compile_config")
    producer = {"framework": "Keras"} | ({"version": version} if isinstance(version, str) else {})
    return weights.model(block, stored, "keras", producer, facts, seen, limits)


def _version(metadata: Any, seen: list[Observation]) -> str | None:
    """The writer's version as the archive states it."""
    found = metadata.get("keras_version") if isinstance(metadata, dict) else None
    if found is None or isinstance(found, str):
        return found
    seen.append(Observation("malformed-config", f"keras_version is {found!r:.60}, no text", where=METADATA, severity=Severity.LOW))
    return None


def _document(archive: Archive, name: str, limits: Limits, seen: list[Observation]) -> Any:
    if name not in archive.members:
        return None
    try:
        return parse_json(archive.read(name, limits.json_bytes), name, limits, seen)
    except UnreadableFile as error:
        seen.append(Observation(error.kind, str(error), offset=error.offset, where=name))
        return None


def blocks(artifact: Artifact, tensor: StoredTensor, limits: Limits) -> Iterator[memoryview]:
    """See `formats.Format.blocks`."""
    from modelscan.formats.keras.payloads import hdf5_blocks

    def members(of: Artifact, bounds: Limits) -> list[tuple[Source, int]]:
        assert of.source is not None  # noqa: S101 - it was read
        archive = Archive(of.source, bounds, [])
        names = [name for name in archive.members if name.endswith(".weights.h5")]
        return [(source, start or 0) for source, start in map(archive.open, names)]

    return hdf5_blocks(artifact, tensor, limits, members)
