"""Files that are not what they say, or not whole: the same wrongs for every format."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

from tests.hostile.exhibit import (
    BAD,
    DENSE_WEIGHTS,
    Exhibit,
    bad,
    dense,
    input_layer,
    keras_zip,
    legacy_h5,
    sequential,
    weights_h5,
    write,
)
from tests.hostile.onnx_files import gemm_model

SUFFIXES = (".onnx", ".keras", ".h5", ".pb")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d7a" * 16 + "\nsize 132735411\n"


def _every_suffix(name: str, rule: str, data: bytes) -> None:
    for suffix in SUFFIXES:
        BAD.append(Exhibit(f"{name}_{suffix[1:]}", rule, lambda folder, suffix=suffix: write(folder / f"model{suffix}", data)))


_every_suffix("empty", "empty-file", b"")
_every_suffix("lfs_pointer", "git-lfs-pointer", POINTER.encode())
_every_suffix("web_page", "html-file", b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n")
_every_suffix("json_text", "json-file", json.dumps({"error": "Repository not found"}).encode())
_every_suffix("plain_text", "text-file", b"Please download the weights from the release page.\n" * 3)
_every_suffix("pickled", "pickle-file", pickle.dumps({"weights": [1.0, 2.0, 3.0]}, protocol=4))
_every_suffix("png", "foreign-format", b"\x89PNG\r\n\x1a\n" + bytes(64))
_every_suffix("zeros", "unknown-format", bytes(4096))


def _cut(name: str, suffix: str, whole: bytes, rule: str) -> None:
    for share in (30, 60, 90, 99):
        data = whole[: len(whole) * share // 100]
        BAD.append(Exhibit(f"{name}_cut_at_{share}", rule, lambda folder, data=data: write(folder / f"model{suffix}", data)))


def _made(build: object) -> bytes:
    """The bytes that a builder writes."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return build(Path(folder) / "whole").read_bytes()  # type: ignore[operator]


_cut("keras", ".keras", _made(keras_zip), "truncated-archive")
_cut("h5", ".h5", _made(legacy_h5), "truncated-hdf5")
_cut("onnx", ".onnx", gemm_model().SerializeToString(), "truncated-file")


@bad("not-a-regular-file")
def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "model.onnx")
    return folder / "model.onnx"


@bad("not-a-regular-file")
def device(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to("/dev/zero")
    return folder / "model.onnx"


@bad("wrong-suffix")
def keras_archive_called_onnx(folder: Path) -> Path:
    return keras_zip(folder / "model.onnx")


@bad("wrong-suffix")
def onnx_called_keras(folder: Path) -> Path:
    return write(folder / "model.keras", gemm_model().SerializeToString())


@bad("foreign-format")
def pytorch_archive(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "model.h5", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1]))
        archive.writestr("archive/version", "3\n")
    return folder / "model.h5"


@bad("foreign-format")
def gguf(folder: Path) -> Path:
    return write(folder / "model.onnx", b"GGUF\x03\x00\x00\x00" + bytes(200))


@bad("foreign-format")
def tflite(folder: Path) -> Path:
    return write(folder / "model.pb", b"\x1c\x00\x00\x00TFL3" + bytes(200))


@bad("foreign-format")
def safetensors(folder: Path) -> Path:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return write(folder / "model.h5", len(header).to_bytes(8, "little") + header + bytes(8))


@bad("foreign-format")
def gzipped_h5(folder: Path) -> Path:
    return write(folder / "model.h5", gzip.compress(_made(legacy_h5)))


@bad("trailing-bytes")
def zip_with_bytes_behind(folder: Path) -> Path:
    path = keras_zip(folder / "model.keras")
    return write(path, path.read_bytes() + b"MZ" + bytes(4000))


@bad("trailing-bytes")
def zip_with_bytes_in_front(folder: Path) -> Path:
    path = keras_zip(folder / "model.keras")
    return write(path, b"\x7fELF" + bytes(1000) + path.read_bytes())


@bad("trailing-bytes")
def hdf5_with_bytes_behind(folder: Path) -> Path:
    path = legacy_h5(folder / "model.h5")
    return write(path, path.read_bytes() + b"#!/bin/sh\n" + bytes(500))


# --- the archive itself ----------------------------------------------------------------------------------------------------


@bad("missing-config")
def keras_without_config(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", without=("config.json",))


@bad("missing-weights")
def keras_without_weights(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", without=("model.weights.h5",))


def _damaged(member: str):
    def build(folder: Path) -> Path:
        path = keras_zip(folder / "model.keras")
        data = bytearray(path.read_bytes())
        with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
            info = archive.getinfo(member)
        start = info.header_offset + 30 + len(member)
        data[start + info.file_size // 2] ^= 0x01
        return write(path, bytes(data))

    return build


BAD.append(Exhibit("crc_of_config", "wrong-crc", _damaged("config.json")))
BAD.append(Exhibit("crc_of_metadata", "wrong-crc", _damaged("metadata.json")))


@bad("encrypted-member")
def encrypted_member(folder: Path) -> Path:
    path = keras_zip(folder / "model.keras")
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(signature)
        while place >= 0:
            data[place + at] |= 1
            place = data.find(signature, place + 4)
    return write(path, bytes(data))


@bad("damaged-archive")
def member_with_another_name_inside(folder: Path) -> Path:
    """The directory says `config.json`, the member itself `c0nfig.json`: readers differ in whom they believe."""
    path = keras_zip(folder / "model.keras")
    return write(path, path.read_bytes().replace(b"config.json", b"c0nfig.json", 1))


@bad("duplicate-member")
def duplicate_config(folder: Path) -> Path:
    other = json.dumps(sequential(input_layer(4), dense("dense", 3, 4), name="other"))
    return keras_zip(folder / "model.keras", extra=[("config.json", other)])


for _name, _member in (
    ("climbing", "../../etc/cron.d/job"),
    ("absolute", "/etc/passwd"),
    ("drive", "C:\\Windows\\system.ini"),
    ("backslash", "..\\..\\evil"),
):
    BAD.append(
        Exhibit(
            f"member_{_name}",
            "member-escape",
            lambda folder, member=_member: keras_zip(folder / "model.keras", extra=[(member, "x")]),
        )
    )


@bad("member-link")
def member_symlink(folder: Path) -> Path:
    info = zipfile.ZipInfo("assets/link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return keras_zip(folder / "model.keras", extra=[(info, "/etc/passwd")])


for _member in ("payload.py", "lib/native.so", "run.sh", "tool.exe"):
    BAD.append(
        Exhibit(
            f"unexpected_{_member.rsplit('.', 1)[1]}",
            "unexpected-member",
            lambda folder, member=_member: keras_zip(folder / "model.keras", extra=[(member, "import os")]),
        )
    )


@bad("pickle-member")
def pickle_member(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", extra=[("assets/state.pkl", pickle.dumps([1]))])


@bad("limit-exceeded")
def config_bomb(folder: Path) -> Path:
    text = json.dumps(sequential(dense("dense", 3, 4))) + " " * (300 << 20)
    return keras_zip(folder / "model.keras", text, compression=zipfile.ZIP_DEFLATED)


@bad("limit-exceeded")
def weights_bomb(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", weights=weights_h5(DENSE_WEIGHTS) + bytes(400 << 20), compression=zipfile.ZIP_DEFLATED)


# --- JSON ----------------------------------------------------------------------------------------------------------------------


@bad("malformed-json")
def config_is_no_json(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", "{'class_name': 'Sequential'}")


@bad("malformed-json")
def config_is_cut(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", json.dumps(sequential(dense("dense", 3, 4)))[:-40])


@bad("limit-exceeded")
def config_nested_100000_deep(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", '{"config": ' + "[" * 100_000 + "]" * 100_000 + "}")


@bad("duplicate-json-key")
def config_with_duplicate_keys(folder: Path) -> Path:
    text = json.dumps(sequential(input_layer(4), dense("dense", 3, 4)))
    return keras_zip(folder / "model.keras", text.replace('"units": 3', '"units": 300, "units": 3'))


@bad("malformed-config")
def config_is_a_list(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", [1, 2, 3])


@bad("malformed-config")
def layers_are_text(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", {"class_name": "Sequential", "config": {"name": "s", "layers": "dense"}})


@bad("malformed-config")
def layer_is_a_number(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", sequential(input_layer(4), 7))  # type: ignore[arg-type]


@bad("invalid-hyperparameter")
def units_are_negative(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", sequential(input_layer(4), dense("dense", -3, 4)))


@bad("invalid-hyperparameter")
def units_are_text(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", sequential(input_layer(4), dense("dense", "three", 4)))  # type: ignore[arg-type]


@bad("malformed-json")
def legacy_config_is_no_json(folder: Path) -> Path:
    return legacy_h5(folder / "model.h5", "not json at all")


@bad("missing-config")
def metadata_missing(folder: Path) -> Path:
    return keras_zip(folder / "model.keras", without=("config.json", "metadata.json"))
