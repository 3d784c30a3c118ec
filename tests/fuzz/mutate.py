"""Mutations: bytes without regard to structure, and ones that keep a container whole so that they reach what is inside."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from tests.hostile.tensorflow_bytes import masked_crc

Mutation = Callable[[bytes, random.Random], bytes]

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
"""Numbers at which lengths, counts and signs turn over."""
LARGEST = 8 << 20
"""Bytes that a repeated field comes to at most: 50 MB of nothing but structure take their time and tell nothing new."""
LENGTHS = (1, 2, 4, 8)
TOKENS = tuple(
    text.encode()
    for text in (
        *("null", "NaN", "-1", "1e400", "[[[[", "}}", '""', "\x00", "\ud7ff", "\u202e", "../", "/dev/zero", "%s%n", "Lambda", "keras"),
        *("location", "\x89HDF\r\n\x1a\n", "PK\x03\x04", "PK\x01\x02", "PK\x05\x06", "TREE", "SNOD", "OHDR", "__lambda__", "class_name"),
    )
)


def somewhere(data: bytes, chance: random.Random) -> int:
    """A position; half of the time near the beginning or the end, where structure is dense."""
    size = max(1, len(data))
    match chance.randrange(4):
        case 0:
            return min(size - 1, int(chance.expovariate(1 / 200)))
        case 1:
            return max(0, size - 1 - int(chance.expovariate(1 / 200)))
        case _:
            return chance.randrange(size)


def flip(data: bytes, chance: random.Random) -> bytes:
    """Flips one to eight single bits."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        out[somewhere(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(out)


def cut(data: bytes, chance: random.Random) -> bytes:
    """Ends early."""
    return data[: somewhere(data, chance)]


def remove(data: bytes, chance: random.Random) -> bytes:
    """Takes a run of bytes out."""
    at = somewhere(data, chance)
    return data[:at] + data[at + 1 + int(chance.expovariate(1 / 30)) :]


def insert(data: bytes, chance: random.Random) -> bytes:
    """Puts bytes in: random ones, or a word that means something to a format."""
    at = somewhere(data, chance)
    return data[:at] + (chance.choice(TOKENS) if chance.random() < 0.5 else chance.randbytes(chance.randint(1, 40))) + data[at:]


def overwrite(data: bytes, chance: random.Random) -> bytes:
    """Writes random bytes, zeros or ones over a run."""
    at, n = somewhere(data, chance), 1 + int(chance.expovariate(1 / 16))
    return data[:at] + chance.choice((bytes(n), b"\xff" * n, chance.randbytes(n))) + data[at + n :]


def number(data: bytes, chance: random.Random) -> bytes:
    """Writes an edge of the integers over one, two, four or eight bytes: lengths, counts and offsets."""
    at, width = somewhere(data, chance), chance.choice(LENGTHS)
    value = chance.choice(EDGES) & ((1 << 8 * width) - 1)
    return data[:at] + value.to_bytes(width, chance.choice(("little", "big"))) + data[at + width :]


def nudge(data: bytes, chance: random.Random) -> bytes:
    """Adds or takes a little at one byte: lengths that are off by a few."""
    at = somewhere(data, chance)
    return data[:at] + bytes([(data[at] + chance.choice((-8, -4, -2, -1, 1, 2, 4, 8))) % 256]) + data[at + 1 :]


def repeat(data: bytes, chance: random.Random) -> bytes:
    """Doubles a run, up to a few thousand times."""
    at, n = somewhere(data, chance), 1 + int(chance.expovariate(1 / 60))
    return data[:at] + data[at : at + n] * min(chance.choice((2, 3, 50, 2000)), 1 + 200_000 // n) + data[at + n :]


def digits(data: bytes, chance: random.Random) -> bytes:
    """Changes a number that is written in text, by one of the same width: sizes in a configuration."""
    found = list(re.finditer(rb"\d+", data[: 1 << 20]))
    if not found:
        return flip(data, chance)
    one = chance.choice(found)
    new = b"9" * len(one[0]) if chance.random() < 0.3 else bytes(chance.choice(b"0123456789") for _ in one[0])
    return data[: one.start()] + new + data[one.end() :]


PLAIN: tuple[Mutation, ...] = (flip, cut, remove, insert, overwrite, number, nudge, repeat, digits)


def splice(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Continues with a piece of another file."""
    at, begin = somewhere(data, chance), somewhere(other, chance)
    n = 1 + int(chance.expovariate(1 / 400))
    return data[:at] + other[begin : begin + n] + data[at + chance.choice((0, n)) :]


def plain(data: bytes, chance: random.Random) -> bytes:
    """One to three mutations without regard to structure."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(PLAIN)(data, chance) if data else data
    return data


# --- protobuf ---------------------------------------------------------------------------------------------------------------


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 128:
            return value, at
    raise ValueError("no varint")


def varint(value: int) -> bytes:
    """A base-128 varint."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def fields(data: bytes) -> list[tuple[int, int, int, int]]:
    """(key, begin of the field, begin of its value, end) of every field; empty when the bytes are no message."""
    at, found = 0, []
    try:
        while at < len(data):
            begin = at
            key, at = _varint(data, at)
            value = at
            match key & 7:
                case 0:
                    _, at = _varint(data, at)
                case 1:
                    at += 8
                case 2:
                    size, value = _varint(data, at)
                    at = value + size
                case 5:
                    at += 4
                case _:
                    return []
            if at > len(data) or not key >> 3:
                return []
            found.append((key, begin, value, at))
    except ValueError:
        return []
    return found


def protobuf(data: bytes, chance: random.Random) -> bytes:
    """Mutates one field at any depth and writes the lengths around it anew, so that all else still parses."""
    found = fields(data)
    if not found:
        return plain(data, chance)
    key, begin, value, end = chance.choice(found)
    if key & 7 == 2 and chance.random() < 0.8 and end > value and fields(data[value:end]):
        inner = protobuf(data[value:end], chance)
        return data[:begin] + varint(key) + varint(len(inner)) + inner + data[end:]
    return data[:begin] + _field(key, data[begin:end], data[value:end], chance) + data[end:]


def _field(key: int, whole: bytes, value: bytes, chance: random.Random) -> bytes:
    match chance.randrange(7):
        case 0:
            return b""
        case 1:
            return whole * min(chance.choice((2, 3, 500)), 2 + LARGEST // max(1, len(whole)))
        case 2:
            return varint(key ^ chance.choice((1, 2, 3, 5, 8, 16, 24))) + whole[len(varint(key)) :]
        case 3 if key & 7 == 2:
            return varint(key) + varint(chance.choice(EDGES)) + value
        case _ if key & 7 == 2:
            inner = plain(value, chance) if value else chance.randbytes(4)
            return varint(key) + varint(len(inner)) + inner
        case _ if key & 7 == 0:
            return varint(key) + varint(chance.choice(EDGES))
        case _:
            return varint(key) + chance.randbytes(len(value))


# --- JSON -----------------------------------------------------------------------------------------------------------------------


ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 2**70, 1e308, float("nan"), float("inf"), "", "x" * 5000, "\x00\x1b[2J", "\u202e", [], {}),
    *([[]], [None], [-1], [2**40] * 8, {"class_name": "Lambda"}, {"class_name": "__lambda__", "config": {"code": "AAAA"}}, "float4", 0.5),
    *({"module": "os", "class_name": "system", "config": {"command": "id"}}, {"class_name": None, "config": 3}, ["a"] * 100),
)


def _slots(value: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return found
    for key, one in items:
        found.append((value, key))
        if depth < 60 and len(found) < 20_000:
            found += _slots(one, depth + 1)
    return found


def document(data: bytes, chance: random.Random) -> bytes:
    """Changes one to three values of a JSON document; it stays one."""
    try:
        tree = json.loads(data)
    except ValueError:
        return plain(data, chance)
    for _ in range(chance.choice((1, 1, 2, 3))):
        slots = _slots(tree)
        if not slots:
            return json.dumps(chance.choice(ODD)).encode()
        parent, key = chance.choice(slots)
        donor, other = chance.choice(slots)
        match chance.randrange(5):
            case 0:
                del parent[key]
            case 1 if other in donor if isinstance(donor, dict) else other < len(donor):
                copy = json.loads(json.dumps(donor[other]))
                parent[key] = copy
            case 2 if isinstance(parent[key], int) and not isinstance(parent[key], bool):
                parent[key] = parent[key] + chance.choice((-1, 1, 7, -parent[key], 10**6))
            case 3 if isinstance(parent, dict):
                parent[chance.choice(("name", "units", "layers", "config", "class_name", "batch_shape"))] = parent.pop(key)
            case _:
                parent[key] = deepcopy(chance.choice(ODD))
    return json.dumps(tree).encode()


# --- HDF5 -----------------------------------------------------------------------------------------------------------------------


MARKS = re.compile(rb"TREE|SNOD|HEAP|OHDR|OCHK|FRHP|FHDB|BTHD|BTLF|GCOL|\x89HDF")
STRINGS = re.compile(rb"keras_version\0|backend\0|model_config\0|weight_names\0|layer_names\0|name\0")
"""Names of attributes: behind them stand type, extent and the references to the heap."""


def hdf5(data: bytes, chance: random.Random) -> bytes:
    """Mutates close to a structure's signature, or in the JSON of an attribute."""
    marks = [one.start() for one in MARKS.finditer(data, 0, 1 << 22)]
    if chance.random() < 0.2:
        marks = [one.end() for one in STRINGS.finditer(data, 0, 1 << 22)] or marks
    braces = data.find(b'{"')
    if braces >= 0 and chance.random() < 0.3:
        end = braces + 20_000
        return data[:braces] + _same_size(data[braces:end], chance) + data[end:]
    if not marks:
        return plain(data, chance)
    at = chance.choice(marks)
    near = data[at : at + 120]
    mutated = chance.choice((flip, overwrite, number, nudge))(near, chance)
    return signed(data[:at] + mutated[: len(near)].ljust(len(near), b"\x00") + data[at + 120 :])


def signed(data: bytes) -> bytes:
    """With right checksums of the object headers and the superblock of HDF5's newer layout, so that what is in them is looked at."""
    out = bytearray(data)
    for one in re.finditer(rb"OHDR\x02|\x89HDF\r\n\x1a\n[\x02\x03]\x08\x08", data):
        at = one.start()
        if data[at] == 0x89:
            end = at + 44
        else:
            flags = data[at + 5] if at + 5 < len(data) else 0
            begin = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            end = begin + width + int.from_bytes(data[begin : begin + width], "little")
        if end - at < 4096 and end + 4 <= len(data):
            out[end : end + 4] = struct.pack("<I", lookup3(bytes(out[at:end])))
        for more, size in _continued(data, at, end):
            out[more + size - 4 : more + size] = struct.pack("<I", lookup3(bytes(out[more : more + size - 4])))
    return bytes(out)


def _continued(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Place and size of the blocks that the object header in `data[at:end]` goes on in."""
    for one in re.finditer(rb"\x10\x10\x00", data[at:end]):  # a continuation message has 16 bytes
        for skip in (4, 6):
            place = at + one.start() + skip
            more, size = (int.from_bytes(data[place + n : place + n + 8], "little") for n in (0, 8))
            if data[more : more + 4] == b"OCHK" and 8 < size < 4096 and more + size <= len(data):
                yield more, size


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash `hashlittle`, which HDF5 takes for checksums of metadata."""
    mask = 0xFFFFFFFF

    def turn(value: int, by: int) -> int:
        return (value << by | value >> (32 - by)) & mask

    a = b = c = (0xDEADBEEF + len(data)) & mask
    if not data:
        return c
    blocks = [data[at : at + 12].ljust(12, b"\0") for at in range(0, len(data), 12)]
    for place, block in enumerate(blocks):
        x, y, z = struct.unpack("<III", block)
        a, b, c = (a + x) & mask, (b + y) & mask, (c + z) & mask
        if place < len(blocks) - 1:
            for shift_a, shift_b, shift_c in ((4, 6, 8), (16, 19, 4)):
                a = (a - c & mask) ^ turn(c, shift_a)
                c = (c + b) & mask
                b = (b - a & mask) ^ turn(a, shift_b)
                a = (a + c) & mask
                c = (c - b & mask) ^ turn(b, shift_c)
                b = (b + a) & mask
    c = (c ^ b) - turn(b, 14) & mask
    a = (a ^ c) - turn(c, 11) & mask
    b = (b ^ a) - turn(a, 25) & mask
    c = (c ^ b) - turn(b, 16) & mask
    a = (a ^ c) - turn(c, 4) & mask
    b = (b ^ a) - turn(a, 14) & mask
    return (c ^ b) - turn(b, 24) & mask


def _same_size(text: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 3)):
        text = chance.choice((digits, nudge, flip, overwrite))(text, chance)[: len(text)]
    return text


# --- zip ------------------------------------------------------------------------------------------------------------------------


HEADERS = re.compile(rb"PK\x01\x02|PK\x03\x04|PK\x05\x06|PK\x06\x06|PK\x06\x07")


def archive(data: bytes, chance: random.Random) -> bytes:
    """Mutates a header, or a member and writes a whole archive with right checksums around it."""
    if chance.random() < 0.25:
        return directory(data, chance)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            members = [(info.filename, opened.read(info)) for info in opened.infolist()]
    except (zipfile.BadZipFile, EOFError, zlib.error, struct.error, ValueError, NotImplementedError, RuntimeError):
        return plain(data, chance)
    if not members:
        return plain(data, chance)
    chosen = chance.randrange(len(members))
    name, content = members[chosen]
    if chance.random() < 0.1:
        name = chance.choice(("../x", "/x", "config.json", "model.weights.h5", "\u202e", "a" * 300, "x.py"))
    mutation = {"json": document, "h5": hdf5}.get(name.rpartition(".")[2], plain)
    content = mutation(content, chance) if content else chance.randbytes(9)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as written:
        for index, member in enumerate(members):
            written.writestr(*(member if index != chosen else (name, content)))
    return out.getvalue()


def directory(data: bytes, chance: random.Random) -> bytes:
    """Mutates a header of a member, of the directory or of its end."""
    marks = [one.start() for one in HEADERS.finditer(data)]
    if not marks:
        return plain(data, chance)
    at = chance.choice(marks) + 4
    near = data[at : at + 46]
    mutated = chance.choice((flip, overwrite, number, nudge))(near, chance)
    return data[:at] + mutated[: len(near)].ljust(len(near), b"\x00") + data[at + 46 :]


# --- the index of a checkpoint ----------------------------------------------------------------------------------------------


def table(data: bytes, chance: random.Random) -> bytes:
    """Mutates inside a block of a checkpoint's index and signs the block anew."""
    if len(data) < 60:
        return plain(data, chance)
    try:
        at = len(data) - 48
        _, at = _varint(data, at)
        _, at = _varint(data, at)
        index_at, at = _varint(data, at)
        index_size, at = _varint(data, at)
    except ValueError:
        return plain(data, chance)
    begin, end = (index_at, index_at + index_size) if chance.random() < 0.2 else (0, min(index_at, len(data)) - 5)
    if not 0 <= begin < end < len(data) - 5:
        return plain(data, chance)
    block = chance.choice((flip, overwrite, number, nudge))(data[begin:end], chance)[: end - begin].ljust(end - begin, b"\x00")
    signature = struct.pack("<I", masked_crc(block + data[end : end + 1]))
    return data[:begin] + block + data[end : end + 1] + signature + data[end + 5 :]


AWARE: dict[str, Mutation] = {"protobuf": protobuf, "hdf5": hdf5, "zip": archive, "table": table, "json": document}


def kind_of(data: bytes, name: str) -> str | None:
    """Which of the mutations that keep the container whole fits."""
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return "hdf5"
    if data[:2] == b"PK":
        return "zip"
    if data[-8:] == bytes.fromhex("57fb808b247547db"):
        return "table"
    if data[:1] in b"{[" and data:
        return "json"
    return "protobuf" if name.endswith((".onnx", ".pb", ".ort")) and fields(data) else None


def mutant(data: bytes, name: str, donor: bytes, chance: random.Random) -> bytes:
    """A mutant of a file: structure kept in half of the cases where it is known."""
    kind = kind_of(data, name)
    if kind is not None and chance.random() < 0.55:
        return AWARE[kind](data, chance)
    if donor and chance.random() < 0.08:
        return splice(data, donor, chance)
    return plain(data, chance)
