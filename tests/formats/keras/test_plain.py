"""HDF5 files read without the HDF5 library: what is told is what the library tells, or the library is asked."""

import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import modelscan
from modelscan.formats.keras.library import load
from modelscan.formats.keras.plainattr import NotPlainError
from modelscan.formats.keras.store import _load_plain, begin
from modelscan.limits import DEFAULT
from modelscan.source import Bytes
from tests.corpus import corpus

GOOD = Path(__file__).parents[3] / "fixtures" / "good"


def hdf5_of(path):
    """The HDF5 files that a Keras file is or holds."""
    data = Path(path).read_bytes()
    if not data.startswith(b"PK"):
        return [data]
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist() if name.endswith(".h5")]


def plainly(data):
    """What is told without the library; None if it has to be asked."""
    store = begin(Bytes(data), 0, None, [])
    try:
        _load_plain(store, DEFAULT)
    except NotPlainError:
        return None
    return store


def by_library(data):
    seen = []
    store = begin(Bytes(data), 0, None, seen)
    load(store, DEFAULT, seen)
    return store, seen


def comparable(value):
    if isinstance(value, np.ndarray | list):
        return [comparable(one) for one in value]
    return bytes(value) if isinstance(value, bytes) else value


def told(store):
    """Everything that a store says, in its order."""
    attributes = [(path, [(name, comparable(value)) for name, value in found.items()]) for path, found in store.attributes.items()]
    return list(store.tensors.items()), attributes


def made(path, fill, **options):
    with h5py.File(path, "w", **options) as file:
        fill(file)
    return Path(path).read_bytes()


def many_kinds(file):
    """Trees of several levels, names in and out of order, all plain types, texts of all sorts."""
    file.attrs["keras_version"] = "2.1 ü"
    file.attrs["backend"] = np.bytes_("tensorflow")
    wide = file.create_group("wide")
    wide.attrs["layer_names"] = [f"a{index}".encode() for index in range(300)]
    for index in range(300):
        group = wide.create_group(f"a{index}")
        group.attrs["weight_names"] = [] if index % 2 else [b"kernel:0", b"ein l\xc3\xa4ngerer Name"]
    texts = file.create_group("texts")
    texts.attrs.create("several", ["eins", "zwei", "drei"], dtype=h5py.string_dtype())
    texts.attrs.create("ascii", "eins", dtype=h5py.string_dtype("ascii"))
    texts.attrs.create("fixed", np.bytes_("zwei"), dtype=h5py.string_dtype("utf-8", 10))
    for index, kind in enumerate("f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 u8".split()):
        file[f"numbers/{index}"] = np.ones((index + 1, 2), f"<{kind}")
    file["numbers/scalar"] = np.float32(1)


@pytest.mark.parametrize("path", sorted([*GOOD.glob("*.h5"), *GOOD.glob("*.keras")]), ids=lambda path: path.name)
def test_files_of_keras_are_plain_and_tell_the_same(path):
    for data in hdf5_of(path):
        plain = plainly(data)
        library, seen = by_library(data)
        assert plain is not None
        assert not seen
        assert told(plain) == told(library)


def test_all_that_is_plain(tmp_path):
    data = made(tmp_path / "a.h5", many_kinds)
    plain = plainly(data)
    assert told(plain) == told(by_library(data)[0])
    assert len(plain.attributes) == 304
    assert plain.tensors["numbers/scalar"].shape == ()


@pytest.mark.corpus
def test_files_in_the_wild():
    """Nearly all are plain; none is told otherwise than by the library."""
    found = [one for one in sorted(corpus("keras").rglob("*")) if one.suffix in (".h5", ".keras") and one.stat().st_size < 2_000_000][::4]
    answers = []
    for path in found:
        for data in hdf5_of(path):
            plain = plainly(data)
            answers.append(plain is not None)
            assert plain is None or told(plain) == told(by_library(data)[0]), path
    assert sum(answers) > 0.9 * len(answers)


def link(file):
    file["a"] = np.ones(3, "f4")
    file["b"] = h5py.SoftLink("/a")


OTHERS = {
    "chunked": lambda file: file.create_dataset("a", data=np.ones((4, 4), "f4"), chunks=(2, 2)),
    "compressed": lambda file: file.create_dataset("a", data=np.ones((4, 4), "f4"), compression="gzip"),
    "growing": lambda file: file.create_dataset("a", data=np.ones((4, 4), "f4"), maxshape=(None, 4)),
    "big-endian": lambda file: file.create_dataset("a", data=np.ones(4, ">f4")),
    "bool": lambda file: file.create_dataset("a", data=np.ones(4, bool)),
    "complex": lambda file: file.create_dataset("a", data=np.ones(4, "c8")),
    "opaque": lambda file: file.create_dataset("a", data=np.zeros(4, "V2")),
    "texts": lambda file: file.create_dataset("a", data=["x", "y"]),
    "never written": lambda file: file.create_dataset("a", shape=(4,), dtype="f4"),
    "no elements": lambda file: file.create_dataset("a", data=np.ones((0, 4), "f4")),
    "own fill value": lambda file: file.create_dataset("a", data=np.ones(4, "f4"), fillvalue=7),
    "soft link": link,
    "external link": lambda file: file.__setitem__("a", h5py.ExternalLink("other.h5", "/a")),
    "second link": lambda file: (file.create_group("a"), file.__setitem__("b", file["a"])),
    "cycle": lambda file: file.__setitem__("a", file["/"]),
    "number as attribute": lambda file: file.attrs.create("epoch", 7),
    "table of texts": lambda file: file.attrs.create("names", [["a", "b"], ["c", "d"]], dtype=h5py.string_dtype()),
    "named type": lambda file: file.__setitem__("a", np.dtype("f4")),
    "members in their own order": lambda file: file.create_group("a", track_order=True),
}


@pytest.mark.parametrize("case", OTHERS)
def test_for_everything_else_the_library_is_asked(case, tmp_path):
    assert plainly(made(tmp_path / "a.h5", OTHERS[case])) is None


@pytest.mark.parametrize("options", [{"libver": "latest"}, {"userblock_size": 512}, {"libver": "v110"}], ids=str)
def test_so_it_is_for_other_kinds_of_file(options, tmp_path):
    assert plainly(made(tmp_path / "a.h5", many_kinds, **options)) is None


def test_a_cut_file_is_not_plain(tmp_path):
    data = made(tmp_path / "a.h5", many_kinds)
    assert plainly(data[:-1]) is None
    assert plainly(data + b"behind it") is not None


def places(data):
    """Where bytes are that describe something."""
    spans = sorted((one.offset, one.offset + one.nbytes) for one in plainly(data).tensors.values())
    payload = {at for begin, end in spans for at in range(begin, end)}
    return [at for at in range(8, len(data)) if at not in payload]


def damaged(data, where, rng):
    """One to three fields changed: a bit, a byte, an address that leads elsewhere, two fields exchanged."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.choice(where)
        while found[at] == 0 and rng.random() < 0.8:
            at = rng.choice(where)
        field, other = at & ~7, rng.choice(where) & ~7
        match rng.randrange(5):
            case 0:
                found[at] ^= 1 << rng.randrange(8)
            case 1:
                found[at] = rng.randrange(256)
            case 2:
                found[field : field + 8] = rng.choice((0, 1, len(data) - 8, (1 << 64) - 1, other)).to_bytes(8, "little")
            case 3:
                found[field : field + 8] = found[other : other + 8]
            case _:
                found[field : field + 16], found[other : other + 16] = found[other : other + 16], found[field : field + 16]
    return bytes(found[: len(data)])


@pytest.mark.parametrize("name", ["keras_2.h5", "nested.keras"])
def test_what_the_library_would_complain_of_is_not_plain(name):
    (data,) = hdf5_of(GOOD / name)
    where = places(data)
    rng = random.Random(name)
    plain = 0
    for _ in range(400):
        mutant = damaged(data, where, rng)
        found = plainly(mutant)
        if found is not None:
            plain += 1
            library, seen = by_library(mutant)
            assert not seen
            assert told(found) == told(library)
    assert 50 < plain < 350


@pytest.mark.parametrize(
    ("field", "value"),
    [("the root's kind of link", (72, b"\2")), ("the node to the right", (0x88 + 16, b"\0" * 8)), ("the root's tree", (80, b"\xff" * 8))],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_fields_that_only_some_calls_of_the_library_look_at(field, value):
    (data,) = hdf5_of(GOOD / "keras_2.h5")
    at, new = value
    assert plainly(data[:at] + new + data[at + len(new) :]) is None, field


def test_a_root_that_is_no_group_is_not_plain():
    (data,) = hdf5_of(GOOD / "keras_2.h5")
    at = data.index(b"\x11\0\x10\0", 96)  # the root's symbol table: type 17, 16 bytes
    assert plainly(data[:at] + b"\0" + data[at + 1 :]) is None


def test_many_references_to_one_long_text_are_not_followed(tmp_path):
    """A file of a few megabytes could otherwise make a reader copy gigabytes."""

    def fill(file):
        file.attrs.create("names", ["x" * 2_000_000, *["y"] * 3000], dtype=h5py.string_dtype())

    data = bytearray(made(tmp_path / "a.h5", fill))
    at = data.index((2_000_000).to_bytes(4, "little"), data.index(b"names\0"))
    for place in range(at + 16, at + 16 * 3001, 16):
        data[place : place + 16] = data[at : at + 16]
    started = time.process_time()
    assert plainly(bytes(data)) is None
    assert time.process_time() - started < 0.5


def test_a_plain_file_needs_neither_numpy_nor_h5py():
    code = (
        "import sys\n"
        "from modelscan.examine import examine\n"
        "assert examine(sys.argv[1]).parameters.total == 19082\n"
        "assert not {'numpy', 'h5py'} & sys.modules.keys()\n"
    )
    for name in ("simple_rnn.keras", "simple_rnn.h5"):
        subprocess.run([sys.executable, "-c", code, str(GOOD / name)], check=True)


def test_damage_is_told_as_before(tmp_path):
    data = bytearray((GOOD / "keras_2.h5").read_bytes())
    data[0x88 + 16 : 0x88 + 24] = b"\0" * 8
    path = tmp_path / "damaged.h5"
    path.write_bytes(data)
    assert any(one.name == "malformed-hdf5" for one in modelscan.inspect(path).findings)
