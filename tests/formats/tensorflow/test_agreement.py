"""The nodes of a partitioned variable against the parts that are stored."""

import pytest

from modelscan.formats.tensorflow.agreement import check_variables
from modelscan.formats.tensorflow.savers import Saved
from modelscan.program import Checkpoint, Entry, Extent, MetaGraph, Operation, SavedObject, SavedVariable, VariableDef


def program(whole=(5, 2), starts=(0, 3), rows=(3, 2), declared=None):
    """A variable of five rows in two parts, as a TF 1 program has it."""
    notes = tuple(
        VariableDef(f"emb/part_{at}:0", "", "", True, "emb", whole, (start, 0), (size, whole[1]))
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


def exported(shape, name="net/dense/kernel_1"):
    """An object graph with one variable, and a node of its name that no saver reads."""
    variable = SavedVariable("float32", (7, 8), True, name.removesuffix("_1"))
    objects = (SavedObject("user_object", {"w": 1}), SavedObject("variable", variable=variable, key="w"))
    node = Operation(name, "VarHandleOp", (), {"shape": shape, "dtype": "float32"})
    checkpoint = Checkpoint("v", (), {"w": Entry("w", "float32", (7, 8), 0, 0, 224, 0)})
    graph = MetaGraph(nodes=(node,), objects=objects)
    return {one.kind for one in check_variables((graph,), (Saved([("w",)], {}, {"w": "float32"}),), checkpoint, (), True)}


def test_a_node_that_no_saver_reads_is_like_the_variables_of_its_name():
    assert exported((7, 8)) == exported((None, 8)) == set()
    assert exported((7, 9)) == {"variable-shape"}
    assert exported((3, 3), "kernel_1") == set()  # a name that anything may have


@pytest.mark.parametrize(("dtype", "kinds"), [("int64", set()), ("float64", {"variable-type"})])
def test_the_type_that_the_saver_lists_holds_for_what_no_variable_tells_of(dtype, kinds):
    """The values of a lookup table."""
    checkpoint = Checkpoint("v", (), {"table-values": Entry("table-values", dtype, (3,), 0, 0, 24, 0)})
    saved = Saved([("table-values",)], {}, {"table-values": "int64"})
    assert {one.kind for one in check_variables((MetaGraph(),), (saved,), checkpoint, (), True)} == kinds
