"""The nodes of a partitioned variable against the parts that are stored."""

import pytest

from modelscan.formats.tensorflow.agreement import check_variables
from modelscan.formats.tensorflow.savers import Saved
from modelscan.program import Checkpoint, Entry, Extent, MetaGraph, Operation, VariableDef


def program(whole=(5, 2), starts=(0, 3), rows=(3, 2), declared=None):
    """A variable of five rows in two parts, as a TF 1 program has it."""
    notes = tuple(
        VariableDef(f"emb/part_{at}:0", "", "", True, True, "emb", whole, (start, 0), (size, whole[1]))
        for at, (start, size) in enumerate(zip(starts, rows, strict=True))
    )
    shapes = declared or [(size, whole[1]) for size in rows]
    nodes = tuple(Operation(f"emb/part_{at}", "VarHandleOp", (), {"shape": shape, "dtype": "float32"}) for at, shape in enumerate(shapes))
    keys = {one.name: "emb" for one in nodes}
    return MetaGraph(nodes=nodes, collections={"variables": notes}, variable_keys=keys)


def told(graph):
    extents = [Extent((0, 0), (3, 2)), Extent((3, 0), (2, 2))]
    parts = tuple(Entry("emb", "float32", one.lengths, 0, 0, 8, 0, extent=one) for one in extents)
    checkpoint = Checkpoint("v", (), {"emb": Entry("emb", "float32", (5, 2), 0, 0, 40, 0, parts)})
    return {one.kind for one in check_variables((graph,), (Saved([("emb",)]),), checkpoint, (), True)}


def test_parts_that_are_stored_as_the_program_has_them():
    assert told(program()) == set()


@pytest.mark.parametrize(
    ("graph", "kind"),
    [
        (program(whole=(6, 2)), "variable-shape"),
        (program(declared=[(3, 2), (3, 2)]), "variable-shape"),
        (program(starts=(0, 2), rows=(2, 3)), "missing-slice"),
    ],
)
def test_parts_that_are_not(graph, kind):
    assert kind in told(graph)
