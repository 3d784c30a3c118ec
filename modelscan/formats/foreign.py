"""What a file is instead: everything that people save under a model's name and that is no model of ours."""

from __future__ import annotations

import re
import zlib

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GGUF", "a GGUF file (llama.cpp)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (4, b"ORTM", "an ONNX Runtime (.ort) FlatBuffer"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"\x7fELF", "an ELF executable"),
    (0, b"\xfd7zXZ\x00", "an xz-compressed file"),
    (0, b"BZh", "a bzip2-compressed file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard-compressed file"),
    (0, b"\x93NUMPY", "a NumPy array (.npy)"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
    (0, b"PAR1", "a Parquet file"),
)
"""Offset, bytes and name, from the formats' own specifications."""
_WRAPPERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b\x08", "a gzip-compressed file in which no SavedModel was found; unpack it and scan what is inside"),
    (257, b"ustar", "a tar archive in which no SavedModel was found; unpack it and scan what is inside"),
    (0, b"PK\x03\x04", "a zip archive in which neither a Keras model nor a SavedModel was found; unpack it and scan what is inside"),
    (0, b"MZ", "a Windows executable, not a format that modelscan reads"),
)
"""Looked for after no format has recognised the file: too short to be sure, or legal around a model."""

_LFS = re.compile(
    rb"\Aversion https://git-lfs\.github\.com/spec/v\d+\r?\n(?:ext-[^\n]*\n)*oid ([a-z0-9]+:[0-9a-f]+)\r?\nsize (\d+)\r?\n", re.ASCII
)
_HTML = re.compile(rb"\A\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_PICKLE = re.compile(rb"\A\x80[\x02-\x05](?:\x95.{8}|[\]}(c\x8cXUK)q])", re.DOTALL)
_BINARY = "modelscan reads the binary form"
_MODELS_AS_TEXT: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\A<\s*ir_version\s*:"), f"an ONNX model in ONNX's text syntax; {_BINARY}, which `onnx.save` writes"),
    (re.compile(rb"\Air_version\s*:"), f"an ONNX model as protobuf text; {_BINARY}, which `onnx.save` writes"),
    (re.compile(rb'\A\{\s*"(?:ir_version|irVersion)"'), f"an ONNX model as JSON; {_BINARY}, which `onnx.save` writes"),
    (re.compile(rb"\A(?:saved_model_schema_version\s*:|meta_graphs\s*\{)"), f"a SavedModel's program as protobuf text; {_BINARY} (.pb)"),
    (
        re.compile(rb"\Anode\s*\{[^{}]*\bop\s*:"),
        f"a TensorFlow graph as protobuf text; {_BINARY}, which `tf.io.write_graph(..., as_text=False)` writes",
    ),
    (re.compile(rb"^layers?\s*\{", re.MULTILINE), "a Caffe network as protobuf text, not a format that modelscan reads"),
    (re.compile(rb"^flavors\s*:\s*$", re.MULTILINE), "the description of an MLflow model; scan its folder, where the model itself lies"),
)
"""Looked for at the beginning of a text, behind its comments."""
_PROTOBUF_TEXT = re.compile(rb"\A\w+\s*[:{<]")
_PROTOBUF_TEXT_SUFFIXES = (".pbtxt", ".prototxt", ".textproto", ".txtpb", ".onnxtxt", ".onnxtext")
"""Those that `onnx.serialization` and TensorFlow know."""
_COMMENTS = re.compile(rb"\A(?:\s*#[^\n]*(?:\n|\Z))*\s*")
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
"""Byte order marks, with which text editors begin."""
_ENOUGH = 20
"""Instructions of a pickle after which there is no doubt; a shorter one must come to its end."""
_PICKLE_MARKS = frozenset({"GLOBAL", "INST", "PUT", "BINPUT", "REDUCE", "BUILD", "MARK"})
_TEXT = bytes({7, 8, 9, 10, 12, 13, 27} | set(range(32, 256)))


def refuse_foreign(artifact: Artifact) -> None:
    """Raise `UnreadableFile` naming what the file is, if its first bytes tell that it is none of our formats."""
    head = _plain(artifact.head)
    if not head:
        raise UnreadableFile("empty-file", f"{artifact.name} is empty")
    pointer = _LFS.match(head)
    if pointer:
        oid, size = pointer[1].decode(), int(pointer[2])
        raise UnreadableFile("git-lfs-pointer", f"a Git LFS pointer to {oid}, {size:,} bytes, instead of the file itself")
    if _HTML.match(head):
        raise UnreadableFile("html-file", "a web page instead of a model")
    for offset, signature, name in () if _ends_like_zip(artifact) else _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            raise UnreadableFile("foreign-format", f"{name}, not a format that modelscan reads")
    if head.startswith(b"\x80") and is_pickle(head):
        raise UnreadableFile("pickle-file", "a Python pickle; it runs code when loaded and was not unpickled")
    if _is_safetensors(head, artifact):
        raise UnreadableFile("foreign-format", "a safetensors file, not a format that modelscan reads")


def name_text(artifact: Artifact) -> None:
    """Raise for text and wrappers, after no format has recognised the file; protobuf and textual formats come before this."""
    head = _plain(artifact.head)
    if is_pickle(head):
        raise UnreadableFile("pickle-file", "a Python pickle; it runs code when loaded and was not unpickled")
    if head[:1] == b"\x78" and is_pickle(_inflated(head)):
        raise UnreadableFile("pickle-file", "a compressed Python pickle (joblib); it runs code when loaded and was not unpickled")
    for offset, signature, name in _WRAPPERS:
        if head[offset : offset + len(signature)] == signature:
            raise UnreadableFile("foreign-format", name)
    if head.translate(None, _TEXT) or head.startswith(b"\x89"):
        return
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return
    _name_model(_COMMENTS.sub(b"", head, count=1), artifact.name)
    if head.lstrip()[:1] in (b"{", b"["):
        raise UnreadableFile("json-file", "JSON text, not a model file; an architecture is read together with its weights (--config)")
    first = head.decode("utf-8", "replace").strip().splitlines()
    raise UnreadableFile("text-file", f"plain text, not a model: {first[0][:80]!r}" if first else "blank text, not a model")


def _name_model(text: bytes, name: str) -> None:
    """Raise for the text form of a model, and for what is written about one."""
    for beginning, told in _MODELS_AS_TEXT:
        if beginning.search(text):
            raise UnreadableFile("text-file", told)
    if name.lower().endswith(_PROTOBUF_TEXT_SUFFIXES) and _PROTOBUF_TEXT.match(text):
        raise UnreadableFile("text-file", f"protobuf text; if it is a model, {_BINARY}")


def is_pickle(head: bytes) -> bool:
    """Whether these first bytes are instructions of a pickle, of any protocol; they are listed, never carried out."""
    if head.startswith(b"\x80"):
        return bool(_PICKLE.match(head))
    from pickletools import genops

    seen: list[str] = []
    try:
        for one, _, _ in genops(head):
            seen.append(one.name)
            if len(seen) == _ENOUGH:
                break
    except ValueError:  # no instruction, or an argument that is none
        return False
    return len(seen) >= 3 and (seen[-1] == "STOP" or len(seen) == _ENOUGH) and not _PICKLE_MARKS.isdisjoint(seen)


def _plain(head: bytes) -> bytes:
    """The same as UTF-8 without a byte order mark, where it is text that begins with one."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            try:
                return head[len(mark) :][: len(head) & ~1].decode(encoding, "strict" if len(head) & 1 == 0 else "ignore").encode()
            except UnicodeError:
                return head
    return head


def _inflated(head: bytes) -> bytes:
    """The beginning of what a zlib stream holds."""
    try:
        return zlib.decompressobj().decompress(head, len(head))
    except zlib.error:
        return b""


def _ends_like_zip(artifact: Artifact) -> bool:
    """Whether an archive's end record closes the file: what stands before it does not tell what the file is."""
    source = artifact.source
    return source is not None and source.size > 22 and source.read(source.size - 22, 4) == b"PK\x05\x06"


def _is_safetensors(head: bytes, artifact: Artifact) -> bool:
    """Eight bytes of little-endian header length, then JSON; see the format's specification."""
    if len(head) < 10 or head[8:9] != b"{" or artifact.source is None:
        return False
    return 2 <= int.from_bytes(head[:8], "little") <= artifact.source.size - 8 and head[9:10] in b'"}'
