"""Plain nodes and tensors are read by short ways: in one loop, field by field, or all at once where a tensor begins like one before it.
Whatever the bytes are, these tell what the thorough way tells."""

import random
from dataclasses import replace

import pytest

from modelscan.errors import UnreadableFile
from modelscan.formats import Artifact, ReadOptions
from modelscan.formats.onnx import owner, plain, scope, strides, types
from modelscan.formats.onnx.context import Reading
from modelscan.formats.onnx.owner import Owner
from modelscan.formats.onnx.reader import read
from modelscan.limits import DEFAULT
from modelscan.source import Bytes, Folder
from modelscan.wire import Wire
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


def setting(draw):
    """An attribute of numbers or text, as many nodes have it, or one whose type is another than its value's, or none at all."""
    name = field(1, draw.choice(("axis", "alpha", "value_ints", "", "ä")))
    match draw.randrange(7):
        case 0:
            return name + field(3, draw.choice((0, 1))) + field(20, draw.choice((2, 2, 2, 7)))
        case 1:
            return name + field(8, draw.choice((1, 2))) + field(8, 3) + field(20, 7)
        case 2:
            return name + field(8, b"\x01\x02") + field(20, 7)
        case 3:
            return name + field(4, draw.choice(("same", b"\xff"))) + draw.choice((field(20, 3), b""))
        case 4:
            return name + field(20, draw.choice((1, 2, 3, 6, 7, 8)))
        case 5:
            return name + field(3, 1) + field(8, 1) + field(20, 2)
        case _:
            return name + field(21, "reference")


def constant(draw):
    """The tensor of a Constant, in nearly all cases as exporters write it."""
    one = field(1, 2) + field(2, 1) + (field(8, "inner") if draw.random() < 0.3 else b"") + field(9, bytes(draw.choice((8, 8, 8, 7))))
    return field(1, draw.choice(("value", "value", "value", "other"))) + field(5, one) + field(20, draw.choice((4, 4, 4, 4, 2)))


def node(draw):
    """A node as exporters write it, or one with more than the short way takes, or longer than that."""
    names = [field(1, draw.choice((*NAMES, "x"))) for _ in range(draw.randrange(3))]
    outputs = [field(2, draw.choice((*NAMES, "y"))) for _ in range(draw.randrange(3))]
    fields = [*names, *outputs, field(3, draw.choice(NAMES)), field(4, draw.choice(("Relu", "Add", "Constant")))]
    match draw.randrange(15):
        case 0:
            draw.shuffle(fields)
        case 14:
            fields.insert(-1, field(3, "again"))
        case 1:
            fields.append(field(7, draw.choice(("", "ai.onnx", "com.microsoft"))))
        case 2:
            fields.append(field(6, "doc" * draw.choice((1, 100, 10_000))))
        case 3:
            fields.extend([field(5, field(1, f"a{number}") + field(3, 7) + field(20, 2)) for number in range(draw.choice((1, 2, 300)))])
        case 4:
            fields.append(field(9, field(1, "namespace") + field(2, ": Model/fc: Linear")))
        case 5 | 6 | 7:
            fields.extend([field(5, setting(draw)) for _ in range(draw.choice((1, 1, 2)))])
            fields.extend([field(9, field(1, "namespace") + field(2, "n"))] * (draw.random() < 0.2))
        case 8 | 9:
            fields[-1] = field(4, "Constant")
            fields.extend([field(5, constant(draw)) for _ in range(draw.choice((1, 1, 1, 2)))])
    return field(1, b"".join(fields))


def declared(draw):
    """A declared value as exporters write it, or of another kind of type, without one, with a note, or with fields that make it long."""
    sizes = [draw.choice((b"", field(1, 4), field(1, 300), field(2, "N"), field(1, (1 << 64) - 1))) for _ in range(draw.randrange(4))]
    shape = draw.choice((b"", field(2, b"".join(field(1, size) for size in sizes))))
    kind = field(1, field(1, draw.choice((1, 7, 99))) + shape)
    fields = [field(1, draw.choice((*NAMES, "x", "y" * 127))), field(2, kind)]
    match draw.randrange(12):
        case 0:
            draw.shuffle(fields)
        case 1:
            fields[1] = field(2, field(4, field(1, kind)))
        case 2:
            fields.append(draw.choice((field(3, "doc"), field(4, field(1, "key") + field(2, "text")))))
        case 3:
            del fields[draw.randrange(2)]
        case 4:
            fields[1] = field(2, field(1, field(1, 1) + field(2, field(1, field(2, "N" * 250)))))
    return field(13, b"".join(fields))


def like(draw, one):
    """A node like another one, of other names, and now and then with a byte that makes it another node of the same size."""
    data = bytearray(one.replace(b"x", b"z").replace(b"w", draw.choice((b"w", b"v"))))
    if draw.random() < 0.3:
        at = draw.randrange(2, len(data))
        data[at] = draw.choice((0x0A, 0x12, 0x1A, 0x22, 0x2A, 0xFF, data[at] ^ 1))
    return bytes(data)


def repeated(draw, kind):
    """A few messages again and again under other names, now and then under one given before or with a byte that makes another of it."""
    block = [kind(draw) for _ in range(draw.choice((1, 1, 2, 3)))]
    letters = draw.sample(b"CDEFGHIJKLMNOPQRSTUVWXYZ", draw.randrange(3, 20))
    rarely = draw.choice((0, 0.03, 0.1))
    for letter in letters:
        new = draw.choice(letters) if draw.random() < rarely else letter
        for one in block:
            data = bytearray(one.replace(b"w", bytes((new,))))
            if draw.random() < rarely:
                at = draw.randrange(len(data))
                data[at] = draw.choice((0x0A, 0x12, 0x22, 0x2A, 0x42, 0xFF, data[at] ^ 1))
            yield bytes(data)


def graph(draw, spoilt):
    """A model of nothing but such nodes, tensors and values, some of their bytes changed; now and then a node among the tensors."""
    drawn = [node(draw) for _ in range(15)]
    mixed = draw.random() < 0.5
    parts = [
        *(drawn if mixed else ()),
        *(like(draw, draw.choice(drawn)) for _ in range(15 * mixed)),
        *(one for _ in range(3) for one in repeated(draw, node)),
        *(tensor(draw) if draw.random() < 0.95 else node(draw) for _ in range(30 * mixed)),
        *(one for _ in range(3) for one in repeated(draw, tensor)),
        *(declared(draw) if draw.random() < 0.95 else tensor(draw) for _ in range(20)),
    ]
    data = bytearray(b"".join(parts))
    for _ in range(spoilt):
        at = draw.randrange(len(data))
        data[at] = draw.choice((0x42, 0x4A, 0x08, 0x0A, 0x10, 0x2A, 0x80, data[at] ^ 1 << draw.randrange(8), draw.randrange(256)))
    return field(1, 8) + field(8, field(1, "") + field(2, 17)) + field(7, field(2, "g") + bytes(data))


def told(data, limits=DEFAULT):
    try:
        found = read(Artifact("m.onnx", Bytes(data), Folder("."), ReadOptions(inference=False)), limits)
    except UnreadableFile as error:
        return str(error)
    return (
        found.tensors,
        found.observations,
        found.graph.nodes,
        dict(found.graph.initializers),
        found.graph.declared,
        sorted(map(repr, found.graph.contents.items())),
    )  # a NaN is not equal to itself


@pytest.mark.parametrize("seed", range(60))
def test_the_short_ways_tell_what_the_thorough_way_tells(seed, monkeypatch):
    draw = random.Random(seed)
    files = [graph(draw, draw.choice((0, 1, 1, 3))) for _ in range(10)]
    limits = [replace(DEFAULT, **draw.choice(({}, {"nodes": draw.randrange(90)}, {"tensors": draw.randrange(90)}))) for _ in files]
    monkeypatch.setattr(strides, "_FIRST", draw.choice((2, 3, 5)))
    short = list(map(told, files, limits))
    monkeypatch.setattr(strides, "_FIRST", 1 << 30)
    assert list(map(told, files, limits)) == short
    monkeypatch.setattr(plain, "_HEADS", 0)
    monkeypatch.setattr(plain, "_like_before", lambda *_: None)
    monkeypatch.setattr(owner, "_SETTINGS", 0)
    assert list(map(told, files, limits)) == short
    monkeypatch.setattr(Owner, "_plain_tensor", lambda *_: None)
    assert list(map(told, files, limits)) == short
    monkeypatch.setattr(plain, "initializers", lambda reading, into, position, end, index: (position, index))
    monkeypatch.setattr(plain, "nodes", lambda reading, made, position, *_: position)
    assert list(map(told, files, limits)) == short
    monkeypatch.setattr(plain, "tensor", lambda *_: None)
    assert list(map(told, files, limits)) == short
    monkeypatch.setattr(scope, "plain_infos", lambda reading, start, *_: ([], start))
    monkeypatch.setattr(types, "_short", lambda *_: None)
    assert list(map(told, files, limits)) == short


@pytest.mark.parametrize("seed", range(3))
def test_large_graphs_are_read_through_chunks(seed, monkeypatch):
    """Nodes and payloads that lie across the borders of what is read at once."""
    draw = random.Random(seed)
    nodes = [field(1, field(1, f"x{number}") + field(2, f"y{number}") + field(4, "R" * draw.randrange(1, 120))) for number in range(9000)]
    sizes = [draw.choice((1, 3, 100, 5_000, 100_000)) for _ in range(300)]
    stored = [field(5, field(1, size) + field(2, 3) + field(8, f"w{number}") + field(9, bytes(size))) for number, size in enumerate(sizes)]
    data = field(1, 8) + field(8, field(2, 17)) + field(7, b"".join((*nodes, *stored)))
    found, _, made, named, *_ = short = told(data)
    assert len(made) == 9000
    assert [tensor.nbytes for tensor in found] == sizes
    assert list(named) == [f"w{number}" for number in range(300)]
    monkeypatch.setattr(plain, "initializers", lambda reading, into, position, end, index: (position, index))
    monkeypatch.setattr(plain, "nodes", lambda reading, made, position, *_: position)
    assert told(data) == short


def test_a_tensor_that_begins_like_one_before_it_is_not_taken_apart_again(monkeypatch):
    asked = []
    thorough = plain._by_field
    monkeypatch.setattr(plain, "_by_field", lambda *arguments: asked.append(1) or thorough(*arguments))
    one = field(1, 66) + field(1, 2) + field(2, 1)
    parts = [field(5, one + field(8, f"B{number}") + field(9, bytes(66 * 2 * 4))) for number in range(9)]
    found, _, _, named, *_ = told(field(1, 8) + field(8, field(2, 17)) + field(7, b"".join(parts)))
    assert [(tensor.name, tensor.shape) for tensor in found] == [(f"B{number}", (66, 2)) for number in range(9)]
    assert len(named) == 9
    assert len(asked) == 9, "a first dimension whose bytes look like the name's tag is no head that is remembered"
    asked.clear()
    parts = [field(5, field(1, 8) + field(2, 1) + field(8, f"B{number}") + field(9, bytes(32))) for number in range(9)]
    told(field(1, 8) + field(8, field(2, 17)) + field(7, b"".join(parts)))
    assert len(asked) == 1


def test_a_node_whose_fields_lie_as_those_of_one_before_it_is_not_taken_apart_again(monkeypatch):
    asked = []
    thorough = plain._parts
    monkeypatch.setattr(plain, "_parts", lambda *arguments: asked.append(1) or thorough(*arguments))
    setting = field(5, field(1, "axis") + field(3, 1) + field(20, 2))
    nodes = [
        field(1, field(1, f"x{number}") + field(1, "") + field(2, f"y{number}") + field(3, f"n{number}") + field(4, "Own") + setting)
        for number in range(10)
    ]
    _, _, made, *_ = told(field(1, 8) + field(8, field(2, 17)) + field(7, b"".join(nodes)))
    assert [(one.name, one.op, one.inputs, one.outputs) for one in made] == [
        (f"n{number}", "Own", (f"x{number}", ""), (f"y{number}",)) for number in range(10)
    ]
    assert all(one.attributes == {"axis": 1} for one in made)
    assert len(asked) == 1


@pytest.mark.parametrize("block", [1, 2, 7])
def test_what_repeats_is_read_at_once(block, monkeypatch):
    """Of nodes and tensors under numbered names, only those are read one by one from which the distance is learnt."""
    asked = []
    for name in ("_like_before", "_tensor"):
        thorough = getattr(plain, name)
        monkeypatch.setattr(plain, name, lambda *given, thorough=thorough: asked.append(1) or thorough(*given))
    setting = field(5, field(1, "axis") + field(3, 1) + field(20, 2))
    nodes = [
        field(
            1,
            field(1, f"v{i:04}")
            + field(1, f"w{i:04}")
            + field(2, f"v{i + 1:04}")
            + field(3, f"n{i:04}")
            + field(4, "Op" + "x" * (i % block))
            + setting,
        )
        for i in range(3000)
    ]
    tensors = [
        field(5, field(1, 2 + i % block) + field(2, 1) + field(8, f"w{i:04}") + field(9, bytes(4 * (2 + i % block)))) for i in range(3000)
    ]
    data = field(1, 8) + field(8, field(2, 17)) + field(7, b"".join((*nodes, *tensors)))
    found, _, made, *_, contents = told(data)
    assert len(asked) < 200
    assert [(one.name, one.op, one.inputs, one.outputs, dict(one.attributes)) for one in made] == [
        (f"n{i:04}", "Op" + "x" * (i % block), (f"v{i:04}", f"w{i:04}"), (f"v{i + 1:04}",), {"axis": 1}) for i in range(3000)
    ]
    assert [(one.name, one.shape) for one in found] == [(f"w{i:04}", (2 + i % block,)) for i in range(3000)]
    assert [data[one.offset - 2 : one.offset] for one in found] == [bytes((0x4A, 4 * (2 + i % block))) for i in range(3000)]
    assert [(one.offset, data[one.offset - 2 : one.offset]) for one in made] == [(one.offset, bytes((0x0A, one.nbytes))) for one in made]
    assert len(contents) == 3000


def test_one_that_differs_by_any_byte_ends_what_is_read_at_once(monkeypatch):
    nodes = [field(1, field(1, f"v{i:02}") + field(2, f"v{i + 1:02}") + field(3, f"n{i:02}") + field(4, "Op")) for i in range(40)]
    tensors = [field(5, field(1, 2) + field(2, 1) + field(8, f"w{i:02}") + field(9, bytes(8))) for i in range(40)]
    files = []
    for parts in (nodes, tensors):
        one = parts[30]
        for at in range(len(one)):
            for new in (0x08, 0x0A, 0x12, 0x42, 0x4A, one[at] ^ 1, one[at] ^ 2, 0xFF):
                spoilt = one[:at] + bytes((new,)) + one[at + 1 :]
                files.append(field(1, 8) + field(8, field(2, 17)) + field(7, b"".join((*parts[:30], spoilt, *parts[31:]))))
    short = list(map(told, files))
    monkeypatch.setattr(strides, "_FIRST", 1 << 30)
    assert list(map(told, files)) == short


def test_plain_values_end_where_one_has_a_type_that_is_looked_up_again():
    """The place of a type that is no tensor's is remembered with its name, for inference needs it as it is written."""
    tensor_type = field(1, field(1, 1) + field(2, field(1, field(1, 4))))
    values = [field(13, field(1, name) + field(2, kind)) for name, kind in (("a", tensor_type), ("s", field(4, field(1, tensor_type))))]
    data = values[0] * 3 + values[1] + values[0]
    reading = Reading(Artifact("m.onnx", Bytes(data), Folder("."), ReadOptions()), Wire(data), DEFAULT)
    start = len(values[0]) * 3
    for _ in range(2):
        found, position = types.plain_infos(reading, 0, len(data), 13 << 3 | 2, 100)
        assert (len(found), found[0].shape, position) == (3, (4,), start)
        assert types.plain_infos(reading, start, len(data), 13 << 3 | 2, 100) == ([], start)
        assert types.value_info(reading, start + 2, start + len(values[1]), "").dtype == "sequence(float32)"
    assert types.plain_infos(reading, 0, len(data), 13 << 3 | 2, 2)[1] == len(values[0]) * 2
    assert types.plain_infos(reading, 0, start - 1, 13 << 3 | 2, 100)[1] == len(values[0]) * 2
