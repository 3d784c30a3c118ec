"""The same threats in other clothes: by content instead of by name, in headers that disagree, in HDF5's newer layouts; and what is legal there."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests.fuzz.mutate import signed
from tests.hostile.exhibit import (
    BAD,
    CLEAN,
    DENSE_CONFIG,
    DENSE_WEIGHTS,
    METADATA,
    Exhibit,
    arrays,
    bad,
    clean,
    keras_zip,
    legacy_h5,
    weights_h5,
    write,
)
from tests.hostile.keras_files import python_lambda, with_layers

TEXT_PICKLE = b"cos\nsystem\n(S'id'\ntR."
"""Protocol 0: letters and line ends only. It is never loaded."""

# --- what a file is, whatever it is called -------------------------------------------------------------------------------------


def called(name: str, rule: str, file: str, data: bytes) -> None:
    """Registers a file of these bytes."""
    BAD.append(Exhibit(name, rule, lambda folder: write(folder / file, data)))


called("pickled_as_text_onnx", "pickle-file", "model.onnx", TEXT_PICKLE)
called("pickled_as_text_h5", "pickle-file", "model.h5", pickle.dumps({"w": [1.0] * 9}, protocol=0))
called("pickled_and_compressed", "pickle-file", "model.h5", zlib.compress(pickle.dumps({"w": print}, protocol=4)))
called("plain_text_in_utf_16", "text-file", "model.onnx", "some text, and nothing more\n".encode("utf-16"))
called("web_page_in_utf_16", "html-file", "model.h5", "<!DOCTYPE html><html><body>404</body></html>".encode("utf-16"))
called("json_text_with_a_mark", "json-file", "model.keras", b"\xef\xbb\xbf" + b'{"layers": []}')
called(
    "lfs_pointer_with_other_line_ends",
    "git-lfs-pointer",
    "model.keras",
    b"version https://git-lfs.github.com/spec/v1\r\noid sha256:" + b"4d" * 32 + b"\r\nsize 123\r\n",
)


def with_member(name: str, rule: str, member: str, data: bytes) -> None:
    """Registers an archive with one more member."""
    BAD.append(Exhibit(name, rule, lambda folder: keras_zip(folder / "model.keras", extra=[(member, data)])))


with_member("pickle_member_by_content", "pickle-member", "assets/lookup/vocabulary.txt", pickle.dumps({"a": print}, protocol=2))
with_member("pickle_member_as_text", "pickle-member", "assets/notes.bin", TEXT_PICKLE)
with_member("unexpected_program_by_content", "unexpected-member", "assets/data.bin", b"\x7fELF\x02\x01\x01" + bytes(60))


# --- headers that disagree -----------------------------------------------------------------------------------------------------------


def patched(name: str, rule: str, edit: Callable[[bytearray], None]) -> None:
    """Registers an archive with changed bytes."""

    def build(folder: Path) -> Path:
        path = keras_zip(folder / "model.keras")
        data = bytearray(path.read_bytes())
        edit(data)
        return write(path, bytes(data))

    BAD.append(Exhibit(name, rule, build))


def _second_header(data: bytearray) -> int:
    """Of `config.json`: its local header."""
    return data.index(b"PK\x03\x04", 10)


def _size_lies(data: bytearray) -> None:
    at = _second_header(data)
    data[at + 18 : at + 26] = struct.pack("<II", 5, 5)


def _method_lies(data: bytearray) -> None:
    at = _second_header(data)
    data[at + 8 : at + 10] = struct.pack("<H", 8)


def _crc_lies(data: bytearray) -> None:
    at = data.rindex(b"PK\x01\x02")
    data[at + 16] ^= 1


def _patch_of_what_is_nowhere(data: bytearray) -> None:
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rindex(signature) + flags] |= 0x20


def _reaches_into_the_next(data: bytearray) -> None:
    """The first member has the second one in it, as its header and the directory say alike."""
    size = data.index(b"PK\x01\x02") - data.index(b"PK\x03\x04", 10) - 100
    for signature, at in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
        begin = data.index(signature) + at
        data[begin : begin + 8] = struct.pack("<II", size, size)


def _beyond_the_end(data: bytearray) -> None:
    """Both headers state more bytes than there are."""
    for signature, at in ((b"PK\x03\x04", 18), (b"PK\x01\x02", 20)):
        begin = data.rindex(signature) + at
        data[begin : begin + 8] = struct.pack("<II", 1 << 30, 1 << 30)


def second_config(name: str, rule: str, member: str | zipfile.ZipInfo, change: tuple[bytes, bytes] | None = None) -> None:
    """Registers an archive with a harmless configuration, and one with a Lambda that some readers find under the same name."""

    def build(folder: Path) -> Path:
        evil = json.dumps(with_layers(python_lambda()))
        path = keras_zip(folder / "model.keras", extra=[(member, evil)])
        return path if change is None else write(path, path.read_bytes().replace(*change))

    BAD.append(Exhibit(name, rule, build))


def _called_otherwise() -> zipfile.ZipInfo:
    """`notes.txt`, which a Unicode path in its extra field calls `config.json`."""
    info = zipfile.ZipInfo("notes.txt")
    path = struct.pack("<BL", 1, zlib.crc32(b"notes.txt")) + b"config.json"
    info.extra = struct.pack("<HH", 0x7075, len(path)) + path
    return info


second_config("member_with_a_zero_in_its_name", "damaged-archive", "config.json_.txt", (b"config.json_", b"config.json\0"))
second_config("lambda_in_a_member_with_a_zero_in_its_name", "lambda-code", "config.json_.txt", (b"config.json_", b"config.json\0"))
second_config("member_with_a_name_in_its_extra_field", "damaged-archive", _called_otherwise())
patched("member_that_is_a_patch", "damaged-archive", _patch_of_what_is_nowhere)
patched("member_within_another", "damaged-archive", _reaches_into_the_next)
patched("member_beyond_the_end", "damaged-archive", _beyond_the_end)
patched("member_with_another_size_inside", "damaged-archive", _size_lies)
patched("member_with_another_method_inside", "damaged-archive", _method_lies)
patched("crc_of_weights", "wrong-crc", _crc_lies)


# --- HDF5 ------------------------------------------------------------------------------------------------------------------------


def _claiming_gigabytes(data: bytes) -> bytes:
    """With an attribute whose text of five letters claims to have 1.6 GB."""
    heap = data.index(b"GCOL")
    assert data.count(struct.pack("<IQ", 5, heap)) == 1
    return data.replace(struct.pack("<IQ", 5, heap), struct.pack("<IQ", 0x61746164, heap))


def _name_it(file: h5py.File) -> None:
    file["layers/dense/vars"].attrs["name"] = "dense"


@bad("malformed-hdf5")
def hdf5_attribute_of_gigabytes(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", weights=_claiming_gigabytes(weights_h5(DENSE_WEIGHTS, _name_it)))


def dense_h5(edit: Callable[[h5py.File], None] | None = None, **options: object) -> bytes:
    """The weights of the Dense layer in a file of other options."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        group = file.create_group("layers/dense/vars")
        group["0"], group["1"] = arrays((4, 3), (3,))
        if edit is not None:
            edit(file)
    return buffer.getvalue()


@bad("malformed-hdf5")
def hdf5_attribute_of_gigabytes_in_a_new_layout(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", weights=signed(_claiming_gigabytes(dense_h5(_name_it, libver="latest"))))


@bad("hdf5-link-cycle")
def hdf5_link_cycle_in_a_new_layout(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        file["layers/dense/vars/up"] = file["layers"]

    return write(folder / "model.weights.h5", dense_h5(edit, libver="latest"))


@bad("hdf5-external-storage")
def hdf5_external_storage_behind_a_user_block(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        file["layers/dense/vars"].create_dataset("2", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])

    return write(folder / "model.weights.h5", dense_h5(edit, userblock_size=1024, libver="latest"))


@bad("hdf5-object-dtype")
def hdf5_weights_of_records(folder: Path) -> Path:
    with h5py.File(folder / "model.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (4, 3), dtype=[("a", "f4"), ("b", "i8")])
        file["layers/dense/vars/1"] = np.zeros(3, "f4")
    return folder / "model.weights.h5"


# --- legal ------------------------------------------------------------------------------------------------------------------------


def members() -> tuple[tuple[str, bytes], ...]:
    """Of a healthy archive."""
    return ("metadata.json", METADATA.encode()), ("config.json", json.dumps(DENSE_CONFIG).encode()), ("model.weights.h5", dense_h5())


@clean
def zip64_throughout(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        for name, data in members():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(data)
    return folder / "model.keras"


class _Pipe(io.RawIOBase):
    """A stream that cannot go back: the writer of an archive puts the sizes behind the data."""

    def __init__(self, file: io.BufferedWriter) -> None:
        self.file = file

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self.file.write(data)  # type: ignore[arg-type]


@clean
def zip_written_to_a_pipe(folder: Path) -> Path:
    with open(folder / "model.keras", "wb") as file, zipfile.ZipFile(_Pipe(file), "w") as archive:  # type: ignore[arg-type]
        for name, data in members():
            archive.writestr(name, data)
    return folder / "model.keras"


@clean
def zip_with_a_comment(folder: Path) -> Path:
    path = keras_zip(folder / "model.keras", extra=[("assets/", b""), ("assets/lookup/vocabulary.txt", b"a\nb\n")])
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"made by hand"
    return path


for _method, _name in ((zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "lzma")):
    CLEAN.append(Exhibit(f"members_in_{_name}", None, lambda folder, to=_method: keras_zip(folder / "model.keras", compression=to)))


def _thirty_attributes(file: h5py.File) -> None:
    _name_it(file)
    for number in range(30):
        file["layers/dense/vars"].attrs[f"note{number}"] = f"text {number}"


for _name, _options, _edit in (
    ("newest_layout", {"libver": "latest"}, _name_it),
    ("layout_of_1_8", {"libver": ("v108", "v108")}, _name_it),
    ("creation_order", {"track_order": True}, _name_it),
    ("many_attributes", {"libver": "latest"}, _thirty_attributes),
    ("user_block", {"userblock_size": 1024}, _name_it),
):
    CLEAN.append(
        Exhibit(
            f"hdf5_{_name}",
            None,
            lambda folder, edit=_edit, options=_options: write(folder / "model.weights.h5", dense_h5(edit, **options)),
        )
    )


@clean
def weights_of_the_other_byte_order(folder: Path) -> Path:
    values = {path: tuple(one.astype(">f4") for one in found) for path, found in DENSE_WEIGHTS.items()}
    return keras_zip(folder / "model.keras", weights=weights_h5(values))


@clean
def names_of_variable_length(folder: Path) -> Path:
    def edit(file: h5py.File) -> None:
        group = file["model_weights/dense"]
        group.attrs.create("weight_names", ["dense/kernel:0", "dense/bias:0"], dtype=h5py.string_dtype())

    return legacy_h5(folder / "model.h5", edit=edit)
