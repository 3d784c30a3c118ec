"""Objects with so many attributes that HDF5 keeps them in a heap: honest ones are read, lengths beyond the file are not."""

import re
import struct
from dataclasses import replace

import h5py
import numpy as np
import pytest

import modelscan
from modelscan.formats.keras import hdf5attr
from modelscan.limits import DEFAULT

MASK = (1 << 32) - 1


def rotated(value, by):
    return (value << by | value >> (32 - by)) & MASK


def checksum(data):
    """Jenkins' lookup3, with which HDF5 seals its metadata."""
    a = b = c = (0xDEADBEEF + len(data)) & MASK
    at = 0
    while len(data) - at > 12:
        words = struct.unpack_from("<3I", data, at)
        a, b, c = (one + word & MASK for one, word in zip((a, b, c), words, strict=True))
        for by in (4, 6, 8, 16, 19, 4):
            a = (a - c & MASK) ^ rotated(c, by)
            c = c + b & MASK
            a, b, c = b, c, a
        at += 12
    words = struct.unpack("<3I", data[at:].ljust(12, b"\0"))
    a, b, c = (one + word & MASK for one, word in zip((a, b, c), words, strict=True))
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - rotated(b, by)) & MASK
        a, b, c = b, c, a
    return b


def written(path, attributes, texts=0, lists=0):
    """A weights file whose root has so many texts, and so many lists of so many texts."""
    with h5py.File(path, "w", libver="latest") as file:
        file.create_group("layers/dense/vars").create_dataset("0", data=np.ones((3, 2), "f4"))
        for index in range(attributes):
            file.attrs[f"a{index:03}"] = f"text{index:04}"
        for index in range(lists):
            file.attrs[f"list{index}"] = np.array([f"text{one:04}" for one in range(texts)], h5py.string_dtype())
    return path


def lengthened(path, length):
    """One element of each attribute is said to be so long, and the blocks that they stand in are sealed anew."""
    data = bytearray(path.read_bytes())
    for heap in re.finditer(b"GCOL", bytes(data)):
        for found in re.finditer(re.escape(struct.pack("<IQ", 8, heap.start())), bytes(data)):
            struct.pack_into("<I", data, found.start(), length)
    for block in re.finditer(b"FHDB", path.read_bytes()):
        start, original = block.start(), path.read_bytes()
        for at in range(start + 14, start + 22):
            for size in (512, 1024, 2048, 4096):
                stated = original[at : at + 4]
                if struct.pack("<I", checksum(original[start:at] + bytes(4) + original[at + 4 : start + size])) == stated:
                    data[at : at + 4] = struct.pack("<I", checksum(bytes(data[start:at]) + bytes(4) + bytes(data[at + 4 : start + size])))
    path.write_bytes(data)


def grave(path):
    return [one.message for one in modelscan.inspect(path).findings if one.severity != "info"]


HONEST = {"few": (3, 0, 0), "texts": (20, 0, 0), "many": (200, 0, 0), "lists": (9, 40, 3), "long": (9, 300, 3), "longer": (9, 300, 30)}


@pytest.mark.parametrize("name", HONEST)
def test_honest_attributes_are_read(tmp_path, name, monkeypatch):
    path = written(tmp_path / "model.weights.h5", *HONEST[name])
    problems = []
    excess = hdf5attr.excess

    def measured(*arguments):
        problems.append(excess(*arguments))
        return problems[-1]

    monkeypatch.setattr("modelscan.formats.keras.library.excess", measured)
    assert grave(path) == []
    assert len(problems) >= HONEST[name][0]
    assert set(problems) == {None}


@pytest.mark.parametrize("name", ["texts", "lists", "long", "longer"])
def test_lengths_beyond_the_file_are_said_and_not_read(tmp_path, name):
    path = written(tmp_path / "model.weights.h5", *HONEST[name])
    lengthened(path, 400_000_000)
    assert any("400,000,000" in one for one in grave(path))
    assert not any("cannot be read" in one for one in grave(path))  # by the library, which would have made room for it


def test_what_is_not_found_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5attr, "contents", lambda read, address: iter(()))
    path = written(tmp_path / "model.weights.h5", *HONEST["texts"])
    assert len([one for one in grave(path) if "was not read" in one]) == 20


def test_the_number_of_attributes_of_one_object_is_bounded(tmp_path):
    """To look into the heap for each of them takes the square of their number."""
    path = written(tmp_path / "many.weights.h5", 60)
    assert not modelscan.inspect(path).findings
    report = modelscan.inspect(path, limits=replace(DEFAULT, hdf5_attributes=50))
    assert [(one.code, "60 attributes; the first 50" in one.message) for one in report.findings] == [("FIL005", True)]
    assert report.parameters.total == 6
