"""Plain tensors are read by short ways: field by field, or all at once where a tensor begins like one before it. Whatever the bytes
are, these tell what the thorough way tells."""

import random

import pytest

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact
from modelscan.formats.onnx import tensors
from modelscan.formats.onnx.reader import read
from modelscan.limits import DEFAULT
from modelscan.source import Bytes, Folder
from tests.hostile.exhibit import field, varint

SHAPES = ((), (4,), (66,), (66, 1), (1, 66), (2, 3, 4), (128,), (130, 1), (0,))
NAMES = ("w", "B", "BB", "a.B.weight", "", "ä", "n" * 130, "w")
TYPES = {1: 4, 7: 8, 9: 1, 10: 2}


def tensor(draw):
    """A tensor as exporters write it, or with its fields in another order, packed, doubled or of another length."""
    shape, code, name = draw.choice(SHAPES), draw.choice(tuple(TYPES)), draw.choice(NAMES)
    elements = 1
    for size in shape:
        elements *= size
    payload = bytes(max(0, elements * TYPES[code] + draw.choice((0,) * 20 + (-1, 1))))
    dims = [field(1, b"".join(map(varint, shape)))] if draw.random() < 0.1 else [field(1, size) for size in shape]
    fields = [*dims, field(2, code), field(8, name)]
    match draw.randrange(12):
        case 0:
            draw.shuffle(fields)
        case 1:
            fields.append(draw.choice(fields))
    return field(5, b"".join(fields) + field(9, payload))


def graph(draw, spoilt):
    """A model of nothing but such tensors, some of their bytes changed."""
    data = bytearray(b"".join(tensor(draw) for _ in range(30)))
    for _ in range(spoilt):
        at = draw.randrange(len(data))
        data[at] = draw.choice((0x42, 0x4A, 0x08, 0x10, data[at] ^ 1 << draw.randrange(8), draw.randrange(256)))
    return field(1, 8) + field(8, field(1, "") + field(2, 17)) + field(7, field(2, "g") + bytes(data))


def told(data):
    try:
        found = read(Artifact("m.onnx", Bytes(data), Folder(".")), DEFAULT)
    except UnreadableFile as error:
        return str(error)
    return found.tensors, found.observations, dict(found.graph.initializers)


@pytest.mark.parametrize("seed", range(60))
def test_the_short_ways_tell_what_the_thorough_way_tells(seed, monkeypatch):
    draw = random.Random(seed)
    files = [graph(draw, draw.choice((0, 1, 1, 3))) for _ in range(10)]
    short = [told(data) for data in files]
    monkeypatch.setattr(tensors, "_HEADS", 0)
    assert [told(data) for data in files] == short
    monkeypatch.setattr(tensors, "plain", lambda *_: None)
    assert [told(data) for data in files] == short


def test_a_tensor_that_begins_like_one_before_it_is_not_taken_apart_again(monkeypatch):
    asked = []
    thorough = tensors._plain
    monkeypatch.setattr(tensors, "_plain", lambda *arguments: asked.append(1) or thorough(*arguments))
    one = field(1, 66) + field(1, 2) + field(2, 1)
    parts = [field(5, one + field(8, f"B{number}") + field(9, bytes(66 * 2 * 4))) for number in range(9)]
    found, _, named = told(field(1, 8) + field(8, field(2, 17)) + field(7, b"".join(parts)))
    assert [(tensor.name, tensor.shape) for tensor in found] == [(f"B{number}", (66, 2)) for number in range(9)]
    assert len(named) == 9
    assert len(asked) == 9, "a first dimension whose bytes look like the name's tag is no head that is remembered"
    asked.clear()
    parts = [field(5, field(1, 8) + field(2, 1) + field(8, f"B{number}") + field(9, bytes(32))) for number in range(9)]
    told(field(1, 8) + field(8, field(2, 17)) + field(7, b"".join(parts)))
    assert len(asked) == 1
