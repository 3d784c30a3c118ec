"""The index of a checkpoint and its shards, from files written byte for byte."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from modelscan import formats
from modelscan.errors import UnreadableFile
from modelscan.formats.tensorflow.bundle import slice_key
from modelscan.formats.tensorflow.table import Table
from modelscan.limits import DEFAULT
from modelscan.model import Kind
from modelscan.program import Extent
from modelscan.source import Bytes
from tests.formats.tensorflow.opened import findings, kinds, read
from tests.hostile.exhibit import field
from tests.hostile.tensorflow_bytes import OBJECT_GRAPH, VALUE, checkpoint, masked_crc, numbers, table, trackable, words

A, B = numbers(np.arange(6, dtype=np.float32).reshape(2, 3)), numbers(np.arange(4, dtype=np.float32))


def bundle(tmp_path, entries=None, **options):
    return checkpoint(tmp_path / "model.ckpt", entries or {"a": A, "b": B}, **options)


def test_entries_and_their_places(tmp_path):
    model = read(bundle(tmp_path, {"a": A, "b": B, "text": words(b"one", b"two")}))
    assert model.format == "checkpoint"
    assert [(one.name, one.shape, one.dtype, one.nbytes, one.offset, one.kind) for one in model.tensors] == [
        ("a", (2, 3), "float32", 24, 0, Kind.WEIGHT),
        ("b", (4,), "float32", 16, 24, Kind.WEIGHT),
        ("text", (2,), "string", len(words(b"one", b"two").data), 40, Kind.STATE),
    ]
    assert model.tensors[0].file == "model.ckpt.data-00000-of-00001"
    assert model.observations == ()


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"a": replace(A, size=20)}, "entry-size"),
        ({"a": replace(A, shape=(2, 4))}, "entry-size"),
        ({"a": replace(A, dtype=99)}, "entry-size"),
        ({"b": replace(B, shard=3, offset=0)}, "entry-out-of-bounds"),
        ({"b": replace(B, offset=30)}, "entry-out-of-bounds"),
        ({"b": replace(B, offset=12), "c": B}, "overlapping-entries"),
        ({"b": replace(B, offset=(1 << 63))}, "entry-out-of-bounds"),
        ({"b": replace(B, shape=(1 << 62, 4))}, "malformed-index"),
        ({"b": replace(B, shape=(1,) * 65)}, "malformed-index"),
    ],
)
def test_an_entry_that_does_not_fit(tmp_path, changed, kind):
    assert kinds(bundle(tmp_path, {"a": A, "b": B, **changed}, shards=4 if changed.get("b", B).shard else 1))[kind] >= 1


def test_bytes_that_belong_to_nothing(tmp_path):
    path = bundle(tmp_path)
    shard = tmp_path / "model.ckpt.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes() + b"more")
    assert kinds(path) == {"unreferenced-bytes": 1}


def test_aligned_entries_are_no_gap(tmp_path):
    far = replace(numbers(np.ones(2, np.float32)), offset=64)
    path = bundle(tmp_path, {"a": A, "c": far})
    shard = tmp_path / "model.ckpt.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes().ljust(72, b"\0"))
    assert kinds(path) == {}


def test_a_shard_that_is_missing_or_cut(tmp_path):
    path = bundle(tmp_path)
    shard = tmp_path / "model.ckpt.data-00000-of-00001"
    whole = shard.read_bytes()
    for size in range(len(whole)):
        shard.write_bytes(whole[:size])
        assert kinds(path)["entry-out-of-bounds"] >= 1
    shard.unlink()
    assert kinds(path) == {"missing-checkpoint-shard": 1}
    assert [one.shape for one in read(path).tensors] == [(2, 3), (4,)]


def test_an_index_cut_at_every_place(tmp_path):
    data = bundle(tmp_path).read_bytes()
    for size in range(len(data)):
        with pytest.raises(UnreadableFile) as error:
            Table(Bytes(data[:size], "x.index"), DEFAULT, [])
        assert error.value.kind == "index-footer"
    (tmp_path / "cut.index").write_bytes(data[:-1])
    assert findings(tmp_path / "cut.index") == ["index-footer"]


def test_every_flipped_bit_of_an_index_is_told(tmp_path):
    path = bundle(tmp_path)
    data = path.read_bytes()
    handles = len(data) - 48
    unused = [at for at in range(handles, len(data) - 8) if not data[at]]  # the padding between the handles and the magic number
    missed = []
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        if not findings(path) and at not in unused:
            missed.append(at)
    assert missed == []


def test_the_checksum_of_a_variable_is_computed_with_the_values(tmp_path):
    path = bundle(tmp_path)
    shard = tmp_path / "model.ckpt.data-00000-of-00001"
    data = bytearray(shard.read_bytes())
    data[30] ^= 4
    shard.write_bytes(bytes(data))
    assert findings(path) == []
    assert findings(path, values=True) == ["entry-crc"]


def test_strings_have_their_checksum_too(tmp_path):
    path = checkpoint(tmp_path / "table.ckpt", {"keys": words(b"first", b"", b"x" * 300), OBJECT_GRAPH: words(b"")})
    assert findings(path, values=True) == []
    shard = tmp_path / "table.ckpt.data-00000-of-00001"
    data = bytearray(shard.read_bytes())
    data[-3] ^= 1
    shard.write_bytes(bytes(data))
    assert findings(path) == []
    assert findings(path, values=True) == ["entry-crc"]


def test_the_object_graph_is_read_and_so_its_checksum_is_always_computed(tmp_path):
    graph = trackable([({"w": 1}, None), ({}, "w" + VALUE)])
    path = checkpoint(tmp_path / "m.ckpt", {"w" + VALUE: numbers(np.ones(3)), OBJECT_GRAPH: words(graph)})
    assert findings(path) == []
    shard = tmp_path / "m.ckpt.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes().replace(b"VARIABLE_VALUE", b"VARIABLE_VALUF"))
    assert "entry-crc" in findings(path)


def sliced(tmp_path, second=(2, 2), rows=(0, 2), missing=False):
    """A variable of four rows in two parts, as a TF 1 partitioner leaves it."""
    whole = np.arange(12, dtype="<f4").reshape(4, 3)
    extents = [Extent((rows[0], 0), (2, 3)), Extent((rows[1], 0), (second[1], 3))]
    index = {b"": field(1, 1) + field(3, field(1, 1))}
    data = b""
    texts = b""
    for extent in extents:
        part = whole[extent.starts[0] : extent.starts[0] + extent.lengths[0]].tobytes()
        dims = field(2, field(1, extent.lengths[0])) + field(2, field(1, 3))
        index[slice_key("emb", extent)] = (
            field(1, 1) + field(2, dims) + field(4, len(data)) + field(5, len(part)) + b"\x35" + struct.pack("<I", masked_crc(part))
        )
        texts += field(
            7, b"".join(field(1, field(1, start) + field(2, length)) for start, length in zip(extent.starts, extent.lengths, strict=True))
        )
        data += part
    if missing:
        index.pop(max(key for key in index if key[:1] == b"\0"))
    index[b"emb"] = field(1, 1) + field(2, field(2, field(1, 4)) + field(2, field(1, 3))) + texts
    (tmp_path / "p.index").write_bytes(table(index))
    (tmp_path / "p.data-00000-of-00001").write_bytes(data)
    return tmp_path / "p.index", whole


def test_keys_of_parts_are_tensorflows():
    """As TensorFlow 2.21 wrote them for partitioned variables of 10 and 6 rows."""
    assert slice_key("emb/table", Extent((0, 0), (4, 300))) == b"\x00emb/table\x00\x01\x01\x02\x80\x84\x80\xc1\x2c"
    assert slice_key("emb/table", Extent((7, 0), (3, 300))) == b"\x00emb/table\x00\x01\x01\x02\x87\x83\x80\xc1\x2c"
    assert slice_key("w2", Extent((0, 35), (6, 35))) == b"\x00w2\x00\x01\x01\x02\x80\x86\xa3\xa3"
    assert slice_key("v", Extent((0,), (-1,))) == b"\x00v\x00\x01\x01\x01\x80\x7f"


def test_a_partitioned_variable_is_put_together(tmp_path):
    path, whole = sliced(tmp_path)
    model = read(path)
    assert [(one.name, one.shape, one.nbytes) for one in model.tensors] == [("emb", (4, 3), 48)]
    assert model.observations == ()
    artifact = formats.open_artifact(str(path))
    data = b"".join(bytes(one) for one in formats.identify(artifact).blocks(artifact, model.tensors[0], DEFAULT))
    assert data == whole.tobytes()


@pytest.mark.parametrize("rows", [(0, 1), (0, 3)])
def test_parts_that_do_not_make_up_the_whole(tmp_path, rows):
    path, _ = sliced(tmp_path, rows=rows, second=(2, 1))
    assert kinds(path)["missing-slice"] >= 1


def test_a_part_without_an_entry(tmp_path):
    path, _ = sliced(tmp_path, missing=True)
    assert kinds(path)["missing-slice"] == 2  # the part, and what the others make up
