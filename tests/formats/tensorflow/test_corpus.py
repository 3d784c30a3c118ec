"""Real SavedModels, checkpoints and frozen graphs, against what TensorFlow says of them."""

from collections import Counter

import pytest

from modelscan.model import Kind
from modelscan.program import Program
from tests.corpus import corpus, expected
from tests.formats.tensorflow.opened import findings, read

WITH_TENSORFLOW = 40
"""Folders of the corpus at least that TensorFlow itself can read."""
BROKEN = {
    "missing-index": "the variables were left out of the repository",
    "missing-checkpoint-shard": "the values were left out of the repository",
    "missing-asset": "a file of the program's assets was left out",
}
"""What may be said above info of files that came without a part."""
MIXED = "ConJones+TetrisDQN/agent_no_conv_big_delta_state+1960_TR3402.0"
"""Its program and its checkpoint are not of one export: the fingerprint says so, and twelve entries without a variable."""


def rows():
    return [row for row in expected("tf") if not row["path"].startswith("dup/")]


def numbers(text):
    return int(text) if text else 0


def test_names_types_and_shapes_are_those_of_load_checkpoint():
    train = pytest.importorskip("tensorflow").train
    compared = 0
    for row in rows():
        index = corpus("tf", row["path"]) / "variables" / "variables.index"
        if not index.exists():
            continue
        reader = train.load_checkpoint(str(index.with_suffix("")))
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        model = read(corpus("tf", row["path"]))
        found = {one.name: one for one in model.tensors if one.name in model.program.checkpoint.entries}
        assert found.keys() == shapes.keys(), row["path"]
        assert {name: list(one.shape) for name, one in found.items()} == shapes, row["path"]
        assert {name: one.dtype for name, one in found.items()} == {name: one.name for name, one in types.items()}, row["path"]
        compared += 1
    assert compared >= WITH_TENSORFLOW


def test_the_structure_is_the_expected_one():
    for row in rows():
        model = read(corpus("tf", row["path"]))
        program: Program = model.program
        graph = program.metagraphs[0]
        assert len(graph.nodes) == numbers(row["nodes"]), row["path"]
        assert len(graph.functions) == numbers(row["functions"]), row["path"]
        if row["kind"].startswith("frozen"):
            continue
        assert graph.title == row["tags"], row["path"]
        assert {text.partition("(")[0] for text in row["signatures"].split(";")} >= {name for name in graph.signatures if "(" not in name}
        if not row["vars_in_bundle"]:
            continue
        checkpoint = program.checkpoint
        assert len(checkpoint.shards) == numbers(row["shards"])
        assert sum(one.dtype != "string" for one in checkpoint.entries.values()) == numbers(row["vars_in_bundle"]), row["path"]
        sums = Counter()
        for one in model.tensors:
            sums[one.kind] += one.elements if one.dtype != "string" else 0
        assert sums[Kind.WEIGHT] == numbers(row["elements_model"]), row["path"]
        assert sums[Kind.OPTIMIZER] == numbers(row["elements_optimizer_slots"]), row["path"]
        assert sums[Kind.STATE] + sums[Kind.CONSTANT] == numbers(row["elements_other"]), row["path"]


def test_every_variable_of_a_program_has_its_entry():
    variables = 0
    for row in rows():
        program = read(corpus("tf", row["path"])).program
        if program.checkpoint is None:
            continue
        for graph in program.metagraphs:
            for one in graph.objects:
                if one.variable is not None:
                    assert one.key in program.checkpoint.entries, row["path"]
                    variables += 1
            for key in graph.variable_keys.values():
                assert key in program.checkpoint.entries, row["path"]
    assert variables > 500


def test_whole_files_are_silent_even_with_their_values():
    silent = 0
    for row in rows():
        found = findings(corpus("tf", row["path"]), values=True)
        if row["path"] == MIXED:
            assert set(found) <= {"fingerprint-mismatch"}
            continue
        assert set(found) <= BROKEN.keys(), row["path"]
        silent += not found
    assert silent >= 45
