"""What a file is instead of a model, in words that tell what to do with it."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

import modelscan


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "text")
    return buffer.getvalue()


def tarred(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (zipped("models/notes.txt"), "a zip archive in which neither a Keras model nor a SavedModel was found"),
        (tarred("models/notes.txt"), "a tar archive in which no SavedModel was found"),
        (gzip.compress(b"text"), "a gzip-compressed file in which no SavedModel was found"),
    ],
    ids=["zip", "tar", "gzip"],
)
def test_an_archive_without_a_model_says_so(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "models.bin"
    path.write_bytes(content)
    (found,) = modelscan.inspect(path).findings
    assert (found.code, found.message) == ("FIL016", f"{told}; unpack it and scan what is inside")
