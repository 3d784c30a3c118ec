"""Real SavedModels with one thing changed, checksums put right as an attacker would: each change must be told."""

import os
import random
import shutil
from collections import Counter

import pytest

from modelscan.examine import examine
from modelscan.formats import ReadOptions
from modelscan.formats.tensorflow.table import Table
from modelscan.limits import DEFAULT
from modelscan.source import LocalFile
from tests.corpus import ROOT, corpus, expected
from tests.hostile.tensorflow_bytes import table

pytestmark = [pytest.mark.corpus, pytest.mark.slow]
SEED = int(os.environ.get("MODELSCAN_SEED", "2026"))
TRIES = int(os.environ.get("MODELSCAN_TRIES", "2"))
"""Mutants of each kind made of each folder."""
REQUIRED = 0.99
LEAST = 400
"""Mutants altogether, so that a suite that finds nothing to change does not pass."""
INDEX = "variables/variables.index"


class Folder:
    """A SavedModel opened for editing: the index as entries by key, the program as TensorFlow's own messages."""

    def __init__(self, source, target, chance):
        shutil.copytree(source, target)
        for one in (target, *target.rglob("*")):
            one.chmod(0o755 if one.is_dir() else 0o644)
        (target / "fingerprint.pb").unlink(missing_ok=True)  # it would tell every change of the index by itself
        self.path, self.chance = target, chance
        self.rows = {item.key: item.value for item in Table(LocalFile(str(target / INDEX)), DEFAULT, []).items()}

    def entries(self, fits=lambda key, entry: True):
        """The entries of numbers, parsed."""
        from tensorflow.core.protobuf.tensor_bundle_pb2 import BundleEntryProto

        parsed = {key: BundleEntryProto.FromString(value) for key, value in self.rows.items() if key}
        return {key: one for key, one in parsed.items() if one.dtype != 7 and fits(key, one)}

    def write(self, changed):
        """The index anew, with these entries instead of its own."""
        rows = self.rows | {key: one.SerializeToString() for key, one in changed.items()}
        (self.path / INDEX).write_bytes(table(rows))

    def shards(self):
        return [one for one in sorted((self.path / "variables").glob("variables.data-*")) if one.stat().st_size]

    def program(self):
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

        return SavedModel.FromString((self.path / "saved_model.pb").read_bytes())

    def save(self, program):
        (self.path / "saved_model.pb").write_bytes(program.SerializeToString())

    def one_of(self, found):
        return self.chance.choice(sorted(found, key=str)) if found else None


def shard_cut(folder):
    shard = folder.one_of(folder.shards())
    if shard is not None:
        size = shard.stat().st_size
        os.truncate(shard, folder.chance.choice([size - 1, folder.chance.randrange(size)]))
    return shard


def shard_gone(folder):
    shard = folder.one_of(folder.shards())
    if shard is not None:
        shard.unlink()
    return shard


def index_flipped(folder):
    path = folder.path / INDEX
    data = bytearray(path.read_bytes())
    data[folder.chance.randrange(len(data) - 48)] ^= 1 << folder.chance.randrange(8)
    path.write_bytes(data)
    return path


def of_the_program(key, entry):
    """Entries whose shape something besides the index states: those with a size, no optimizer's."""
    return len(entry.shape.dim) > 0 and b"OPTIMIZER" not in key and b"optimizer" not in key


def entry_shape(folder):
    """One dimension of another size, its bytes unchanged."""
    entries = folder.entries(lambda key, one: len(one.shape.dim) > 0)
    key = folder.one_of(entries)
    if key is not None:
        dim = folder.chance.choice(entries[key].shape.dim)
        dim.size = folder.chance.choice([dim.size + 1, dim.size * 2 + 1, dim.size - 1 if dim.size else 1])
        folder.write({key: entries[key]})
    return key


def entry_turned(folder):
    """The same number of elements in another shape: all sizes are right."""
    entries = folder.entries(lambda key, one: of_the_program(key, one) and len({dim.size for dim in one.shape.dim}) > 1)
    key = folder.one_of(entries)
    if key is not None:
        sizes = [dim.size for dim in entries[key].shape.dim]
        for dim, size in zip(entries[key].shape.dim, sizes[1:] + sizes[:1], strict=True):
            dim.size = size
        folder.write({key: entries[key]})
    return key


def entry_type(folder):
    """Another element type, of the same width or not."""
    entries = folder.entries(of_the_program)
    key = folder.one_of(entries)
    if key is not None:
        one = entries[key]
        one.dtype = folder.chance.choice([other for other in (1, 2, 3, 4, 9, 14, 19) if other != one.dtype])
        folder.write({key: one})
    return key


def entry_offset(folder):
    entries = folder.entries(lambda key, one: one.size > 0)
    key = folder.one_of(entries)
    if key is not None:
        one = entries[key]
        step = folder.chance.choice([-8, -4, -1, 1, 4, 8, 1 << 20])
        one.offset = one.offset + step if one.offset + step >= 0 else one.offset + 4
        folder.write({key: one})
    return key


def entries_swapped(folder):
    """Two variables of one shape and type take each other's values."""
    alike = {}
    for key, one in folder.entries(lambda key, one: one.size > 0 and key[:1] != b"\0").items():
        alike.setdefault((one.dtype, one.shape.SerializeToString(), one.shard_id), []).append((key, one))
    pairs = [found for found in alike.values() if len({one.crc32c for _, one in found}) > 1]
    if not pairs:
        return None
    found = folder.chance.choice(pairs)
    (first, a), (second, b) = folder.chance.sample(found, 2)
    if a.crc32c == b.crc32c:
        return None  # the same values: nothing has changed
    folder.write({first: b, second: a})
    return first


def entry_gone(folder):
    key = folder.one_of(folder.entries(lambda key, one: key[:1] != b"\0"))
    if key is not None:
        del folder.rows[key]
        folder.write({})
    return key


def object_shape(folder):
    """The shape of a variable in the object graph."""
    program = folder.program()
    found = [one.variable for graph in program.meta_graphs for one in graph.object_graph_def.nodes if one.WhichOneof("kind") == "variable"]
    found = [one for one in found if one.shape.dim]
    if not found:
        return None
    dim = folder.chance.choice(folder.chance.choice(found).shape.dim)
    dim.size = folder.chance.choice([dim.size + 1, 2 * dim.size + 1])
    folder.save(program)
    return dim


def node_shape(folder):
    """The shape of a variable's node in the graph."""
    program = folder.program()
    nodes = [one for graph in program.meta_graphs for one in graph.graph_def.node if one.op in ("VariableV2", "VarHandleOp", "Variable")]
    nodes = [one for one in nodes if one.attr["shape"].shape.dim and one.attr["shape"].shape.dim[0].size > 0]
    if not nodes:
        return None
    dim = folder.chance.choice(folder.chance.choice(nodes).attr["shape"].shape.dim)
    dim.size = folder.chance.choice([dim.size + 1, 2 * dim.size + 1])
    folder.save(program)
    return dim


def value_flipped(folder):
    """A bit of a value; its checksum tells, when values are read."""
    shard = folder.one_of(folder.shards())
    if shard is not None:
        data = bytearray(shard.read_bytes())
        data[folder.chance.randrange(len(data))] ^= 1 << folder.chance.randrange(8)
        shard.write_bytes(data)
    return shard


KINDS = (
    *(shard_cut, shard_gone, index_flipped, entry_shape, entry_turned, entry_type, entry_offset, entries_swapped, entry_gone),
    *(object_shape, node_shape, value_flipped),
)


def told(path, *, values):
    report = examine(str(path), ReadOptions(values=values))
    return {(one.code, one.message) for one in report.findings if one.severity != "info"}


def folders():
    """Every SavedModel of the corpus whose variables are there."""
    found = [corpus("tf", row["path"]) for row in expected("tf") if row["agrees_with_tf_load_checkpoint"] == "yes"]
    return [one for one in found if (one / INDEX).exists() and any((one / "variables").glob("variables.data-*"))]


def test_what_was_changed_is_told(tmp_path):
    pytest.importorskip("tensorflow")
    made, missed = Counter(), []
    for number, source in enumerate(folders()):
        whole = Folder(source, tmp_path / f"{number}", random.Random(SEED))
        before = {values: told(whole.path, values=values) for values in (False, True)}
        for kind in KINDS:
            for attempt in range(TRIES):
                place = tmp_path / f"{number}-{kind.__name__}-{attempt}"
                folder = Folder(source, place, random.Random(f"{SEED} {source.relative_to(ROOT)} {kind.__name__} {attempt}"))
                changed = kind(folder)
                if changed is not None:
                    values = kind is value_flipped
                    made[kind.__name__] += 1
                    if not told(place, values=values) - before[values]:
                        missed.append((kind.__name__, str(source.relative_to(ROOT)), attempt, str(changed)[:120]))
                shutil.rmtree(place)
    total = sum(made.values())
    print(f"{total - len(missed):,} of {total:,} mutants told ({1 - len(missed) / total:.2%})")
    for kind, count in made.items():
        print(f"  {kind}: {count - sum(one[0] == kind for one in missed)} of {count}")
    print(*missed, sep="\n")
    assert total >= LEAST
    assert len(missed) <= (1 - REQUIRED) * total
