"""Whether a folder, file or archive is a SavedModel, a checkpoint or a GraphDef.

By structure: none of them has a magic number at its beginning. A checkpoint index has one at its end.
"""

from __future__ import annotations

from itertools import islice

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.tensorflow import proto
from modelscan.formats.tensorflow.table import FOOTER, MAGIC
from modelscan.source import Source, Tree
from modelscan.wire import LENGTH, VARINT, Wire

SAVED_MODEL, TEXT_MODEL, CHUNKED_MODEL = "saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"
VARIABLES = "variables/variables"
_LOOKED_AT = 64
_INDEX_HEAD = b"\0\0"
"""An index begins with the entry of the empty key: nothing shared, nothing more."""
_HEADER_LENGTH = 64


def detect(artifact: Artifact) -> bool:
    """Whether the artifact is one of TensorFlow's."""
    if artifact.source is None:
        return is_saved_model_folder(artifact.folder)
    if is_archive(artifact):
        from modelscan.formats.tensorflow.archive import holds_model

        return holds_model(artifact)
    return is_index(artifact) or is_saved_model(artifact.source) or is_graph_def(artifact.source)


def is_saved_model_folder(tree: Tree) -> bool:
    """Whether a folder holds a program or the variables of one."""
    return any(is_there(tree, name) for name in (SAVED_MODEL, TEXT_MODEL, CHUNKED_MODEL, f"{VARIABLES}.index"))


def is_there(tree: Tree, name: str) -> bool:
    """Whether a folder has a file of this name."""
    try:
        return tree.size(name) is not None
    except UnreadableFile:
        return True  # a link that leads out of the folder is there, and said when it is opened


def is_archive(artifact: Artifact) -> bool:
    """Whether the file is a zip, a tar or a gzip-compressed tar."""
    return artifact.head.startswith((b"PK\x03\x04", b"\x1f\x8b\x08")) or artifact.head[257:262] == b"ustar"


def is_index(artifact: Artifact) -> bool:
    """A checkpoint index, whole by its magic number, or cut off by its name and first entry."""
    source = artifact.source
    if source is None:
        return False
    if source.size >= FOOTER and source.read(source.size - 8, 8) == MAGIC:
        return True
    head = artifact.head
    return artifact.name.endswith(".index") and head[:2] == _INDEX_HEAD and head[2:3] < bytes([_HEADER_LENGTH]) and head[3:4] in b"\x08\x1a"


def is_saved_model(source: Source) -> bool:
    """A schema version, then MetaGraphs."""
    wire = Wire(source, overrun=lambda error: None)
    metas = 0
    try:
        for number, kind, value, length in islice(wire.fields(), _LOOKED_AT):
            if (number, kind) == (proto.SAVED_MODEL_SCHEMA, VARINT) and value < 1 << 16:
                continue
            if (number, kind) != (proto.SAVED_MODEL_META_GRAPH, LENGTH) or not _is_meta_graph(
                wire, value, min(value + length, source.size)
            ):
                return False
            metas += 1
    except UnreadableFile:
        pass  # what came before it decides
    return metas > 0


def _is_meta_graph(wire: Wire, start: int, end: int) -> bool:
    some = False
    for number, kind, value, length in islice(wire.fields(start, end), _LOOKED_AT):
        if not proto.META_INFO <= number <= proto.META_OBJECTS or kind != LENGTH:
            return False
        if number == proto.META_GRAPH:
            return length == 0 or _is_graph(wire, value, min(value + length, end))
        some = True
    return some


def is_graph_def(source: Source) -> bool:
    """Nodes, a library of functions, versions."""
    return source.size > 0 and _is_graph(Wire(source, overrun=lambda error: None), 0, source.size)


def _is_graph(wire: Wire, start: int, end: int) -> bool:
    """Whether the fields are those of a graph, with a first node that has a name and an operator."""
    known = {proto.GRAPH_NODE: LENGTH, proto.GRAPH_LIBRARY: LENGTH, proto.GRAPH_VERSION: VARINT, proto.GRAPH_VERSIONS: LENGTH}
    some = False
    try:
        for number, kind, value, length in islice(wire.fields(start, end), _LOOKED_AT):
            if known.get(number) != kind:
                return False
            if number == proto.GRAPH_NODE:
                return _is_node(wire, value, min(value + length, end))
            some = some or number == proto.GRAPH_LIBRARY
    except UnreadableFile:
        pass  # what came before it decides
    return some


def _is_node(wire: Wire, start: int, end: int) -> bool:
    texts: dict[int, bytes] = {}
    for number, kind, value, length in islice(wire.fields(start, end), _LOOKED_AT):
        if not proto.NODE_NAME <= number <= 7 or kind != LENGTH:
            return False
        if number in (proto.NODE_NAME, proto.NODE_OP):
            if not 0 < length <= 4096 or value + length > end:
                return False
            texts[number] = wire.read(value, length)
    op = texts.get(proto.NODE_OP, b"")
    return proto.NODE_NAME in texts and op.replace(b">", b"").replace(b"_", b"").replace(b".", b"").isalnum() and op.isascii()
