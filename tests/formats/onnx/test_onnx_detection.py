"""What is taken for ONNX: by structure, as the format has no magic number."""

from __future__ import annotations

import random

import pytest

from modelscan.formats.onnx import detect
from tests.corpus import corpus
from tests.formats.onnx.onnx_models import artifact, dense


def test_models_and_what_is_left_of_them() -> None:
    data = dense().SerializeToString()
    assert detect(artifact(data, name="whatever.bin"))
    assert detect(artifact(data[:-50], name="whatever.bin"))
    assert detect(artifact(data[:40], name="whatever.bin"))
    assert detect(artifact(data + b"\x00\x00", name="whatever.bin"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08",
        b"\x08\x07",
        b"<html><body>not found</body></html>",
        b'{"a": 1}',
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"PK\x03\x04" + bytes(100),
        b"\x80\x04\x95" + bytes(100),
        bytes(1000),
        b"\x0a\x05hello",
        b"\x3a\x00",
        b"\x18\x00\x00\x00ORTM" + bytes(100),
    ],
)
def test_other_content(data: bytes) -> None:
    assert not detect(artifact(data, name="model.bin"))


def test_random_bytes() -> None:
    chance = random.Random(7)
    assert not any(detect(artifact(chance.randbytes(200), name="model.bin")) for _ in range(5_000))


@pytest.mark.corpus
@pytest.mark.parametrize("folder", ["tf", "keras"])
def test_no_file_of_another_format(folder: str) -> None:
    from modelscan.formats import open_artifact

    files = [path for path in corpus(folder).rglob("*") if path.is_file() and path.suffix not in (".tsv", ".json", ".md")]
    assert len(files) > 100
    assert not [path for path in files if detect(open_artifact(str(path)))]
