"""A folded graph tells what the whole one does: layers, shapes, activations, observations, accounts; whatever could make it tell
anything else keeps it from being folded."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from modelscan import accounting, layers, repeats
from modelscan.assemble import assemble
from modelscan.formats import Artifact, ReadOptions, open_artifact
from modelscan.formats import onnx as reader
from modelscan.layers.onnx.unfold import unfolded
from modelscan.limits import DEFAULT
from modelscan.repeats.marks import MARK, TWIN, copy_of, marked
from modelscan.repeats.runs import longest
from modelscan.report.table import View, render
from modelscan.report.text import Style
from modelscan.rules import Subject, judge
from modelscan.series import Repeat, parts_of
from modelscan.source import Bytes, Folder
from tests.layers.onnx.onnx_graphs import FLOAT, derived, info, ints, model, node

COPIES = 12


@pytest.fixture(autouse=True)
def fold_small_ones(monkeypatch):
    monkeypatch.setattr(repeats, "LEAST", 6)


def floats(name, *shape, seed=0):
    """Of different numbers in every copy, as trained weights are."""
    return numpy_helper.from_array(np.random.default_rng([seed, *map(ord, name)]).standard_normal(shape).astype(np.float32), name)


def chain(block, count=COPIES, width=8, values=(), more=()):
    """`count` blocks one behind the other: `block(index, before)` gives nodes, tensors and the name of what it yields."""
    nodes, tensors, before = [], [*more], "x"
    for index in range(count):
        made, stored, before = block(index, before)
        nodes += made
        tensors += stored
    return model(nodes, [info("x", ["N", width])], [info(before, ["N", width])], tensors, values=values)


def dense(index, before, style="blocks.{}/", width=8):
    name = style.format(index)
    nodes = [
        node("Gemm", [before, f"w{index}", f"b{index}"], [f"y{index}"], name=f"{name}fc" if name else "", transB=1),
        node("Relu", [f"y{index}"], [f"z{index}"], name=f"{name}act" if name else ""),
    ]
    return nodes, [floats(f"w{index}", width, width), floats(f"b{index}", width)], f"z{index}"


def both(proto, tmp_path, monkeypatch):
    """The model with folding, and without it."""
    folded = derived(proto, tmp_path)
    monkeypatch.setattr(repeats, "LEAST", 10**9)
    return folded, derived(proto, tmp_path)


def assert_same(folded, whole):
    assert folded.layers == whole.layers
    assert folded.observations == whole.observations
    assert folded.facts == whole.facts
    assert folded.tensors == whole.tensors
    assert folded.graph.values == whole.graph.values
    assert accounting.reconcile(folded) == accounting.reconcile(whole)
    reports = [
        assemble("m", 1, one, accounting.reconcile(one), judge(Subject("m", one.observations, one, accounting.reconcile(one))))
        for one in (folded, whole)
    ]
    for view in (View(), View(depth=1), View(weights=True)):
        assert len({render(one, Style(90), view) for one in reports}) == 1
    assert reports[0].packed() == reports[1].packed()


@pytest.mark.parametrize("style", ["blocks.{}/", "layer{:03}_", "", "model/dense_{}/"])
def test_every_copy_is_told_as_without_folding(style, tmp_path, monkeypatch):
    folded, whole = both(chain(lambda index, before: dense(index, before, style)), tmp_path, monkeypatch)
    assert len(folded.graph.folded.columns[0]) == COPIES
    assert len(folded.graph.folded.graph.nodes) == 2 * repeats.KEPT
    assert any(isinstance(part, Repeat) for part in parts_of(folded.layers)), "the copies are one repeat"
    assert whole.graph.folded is None
    assert_same(folded, whole)
    assert len([layer for layer in folded.layers if layer.claims]) == COPIES


def residual(index, before):
    """A convolutional block with a way around it, and tensors of its own and of all."""
    name = f"/stage/blocks.{index}/"
    tensors = [floats(f"stage.blocks.{index}.conv.weight", 8, 8, 1, 1)]
    tensors += [floats(f"stage.blocks.{index}.bn.{which}", 8) for which in ("weight", "bias", "running_mean", "running_var")]
    nodes = [
        node("Unsqueeze", [before, "axes"], [f"u{index}"], name=f"{name}Unsqueeze"),
        node("Conv", [f"u{index}", tensors[0].name], [f"c{index}"], name=f"{name}conv/Conv"),
        node("BatchNormalization", [f"c{index}", *[one.name for one in tensors[1:]]], [f"n{index}"], name=f"{name}bn/BatchNormalization"),
        node("Squeeze", [f"n{index}", "axes"], [f"s{index}"], name=f"{name}Squeeze"),
        node("Constant", [], [f"half{index}"], name=f"{name}Constant", value=helper.make_tensor("", FLOAT, (), [0.5])),
        node("Mul", [f"s{index}", f"half{index}"], [f"m{index}"], name=f"{name}Mul"),
        node("Add", [f"m{index}", before], [f"r{index}"], name=f"{name}Add"),
    ]
    return nodes, tensors, f"r{index}"


def test_residual_blocks_with_constants_and_shared_tensors(tmp_path, monkeypatch):
    folded, whole = both(chain(residual, more=[ints("axes", 2, 3)]), tmp_path, monkeypatch)
    assert folded.graph.folded is not None
    assert any(isinstance(part, Repeat) for part in parts_of(folded.layers))
    assert_same(folded, whole)


def test_activations_and_totals_count_every_copy(tmp_path):
    found = derived(chain(dense), tmp_path)
    assert found.facts["activations"]["bytes"] == COPIES * 2 * 8 * 4
    assert accounting.reconcile(found).totals.total == COPIES * (8 * 8 + 8)


def spoiled(index, before, at, change):
    nodes, tensors, after = dense(index, before)
    return change(nodes, tensors, after) if index == at else (nodes, tensors, after)


def another_shape(nodes, tensors, after):
    return nodes, [floats(tensors[0].name, 9, 8), tensors[1]], after


def another_operator(nodes, tensors, after):
    return [nodes[0], node("Tanh", nodes[1].input, nodes[1].output, name=nodes[1].name)], tensors, after


def another_attribute(nodes, tensors, after):
    nodes[0].attribute.append(helper.make_attribute("alpha", 0.5))
    return nodes, tensors, after


def another_source(nodes, tensors, after):
    nodes[0].input[0] = "z2"
    return nodes, tensors, after


def a_name_without_number(nodes, tensors, after):
    nodes[0].name = "odd"
    return nodes, tensors, after


@pytest.mark.parametrize("at", [0, 5, 8, COPIES - 1])
@pytest.mark.parametrize("change", [another_shape, another_operator, another_attribute, another_source, a_name_without_number])
def test_a_copy_that_is_not_like_the_others_is_told_as_it_is(change, at, tmp_path, monkeypatch):
    proto = chain(lambda index, before: spoiled(index, before, at, change), count=COPIES + 8 * (at in (0, COPIES - 1)))
    folded, whole = both(proto, tmp_path, monkeypatch)
    assert_same(folded, whole)


def test_a_declaration_that_contradicts_one_copy_is_found(tmp_path, monkeypatch):
    values = [info(f"y{index}", ["N", 9 if index == 6 else 8]) for index in range(COPIES)]
    folded, whole = both(chain(dense, values=values), tmp_path, monkeypatch)
    assert any(one.kind == "declared-shape" and one.tensor == "y6" for one in folded.observations)
    assert_same(folded, whole)


def scaled(index, before, odd):
    """What the exponent is decides which layer this is."""
    nodes = [
        node("Pow", [before, f"two{index}"], [f"p{index}"], name=f"b{index}/Pow"),
        node("ReduceMean", [f"p{index}"], [f"m{index}"], name=f"b{index}/Mean", axes=[-1]),
        node("Add", [f"m{index}", "eps"], [f"e{index}"], name=f"b{index}/Add"),
        node("Sqrt", [f"e{index}"], [f"s{index}"], name=f"b{index}/Sqrt"),
        node("Div", [before, f"s{index}"], [f"d{index}"], name=f"b{index}/Div"),
        node("Mul", [f"d{index}", f"g{index}"], [f"o{index}"], name=f"b{index}/Mul"),
    ]
    exponent = numpy_helper.from_array(np.array(3.0 if index == odd else 2.0, np.float32), f"two{index}")
    return nodes, [exponent, floats(f"g{index}", 8)], f"o{index}"


@pytest.mark.parametrize("odd", [None, 7])
def test_numbers_that_decide_are_compared(odd, tmp_path, monkeypatch):
    eps = numpy_helper.from_array(np.array(1e-6, np.float32), "eps")
    folded, whole = both(chain(lambda index, before: scaled(index, before, odd), more=[eps]), tmp_path, monkeypatch)
    assert_same(folded, whole)
    assert sum(layer.type == "RMSNormalization" for layer in folded.layers) == COPIES - (odd is not None)


def test_integers_that_decide_are_compared(tmp_path, monkeypatch):
    def reshaping(index, before):
        nodes = [
            node("Reshape", [before, f"to{index}"], [f"r{index}"], name=f"b{index}/Reshape"),
            node("Reshape", [f"r{index}", "back"], [f"s{index}"], name=f"b{index}/Back"),
            node("MatMul", [f"s{index}", f"w{index}"], [f"o{index}"], name=f"b{index}/MatMul"),
        ]
        return nodes, [ints(f"to{index}", -1, *((4, 2) if index == 6 else (2, 4))), floats(f"w{index}", 8, 8)], f"o{index}"

    folded, whole = both(chain(reshaping, more=[ints("back", -1, 8)]), tmp_path, monkeypatch)
    assert_same(folded, whole)


def test_shapes_that_change_from_block_to_block_are_not_taken_from_one(tmp_path, monkeypatch):
    def growing(index, before):
        nodes = [
            node("Concat", [before, "x"], [f"c{index}"], name=f"b{index}/Concat", axis=1),
            node("Relu", [f"c{index}"], [f"r{index}"], name=f"b{index}/Relu"),
        ]
        return nodes, [], f"r{index}"

    nodes, _, last = [], None, "x"
    for index in range(COPIES):
        made, _, last = growing(index, last)
        nodes += made
    proto = model(nodes, [info("x", ["N", 8])], [info(last, ["N", 8 * (COPIES + 1)])])
    folded, whole = both(proto, tmp_path, monkeypatch)
    assert folded.graph.folded is None
    assert_same(folded, whole)


def branching(index, before, at_start=False):
    """A block of which something goes out of the graph, too."""
    nodes = [
        node("Gemm", ["x" if at_start else before, f"w{index}"], [f"y{index}"], name=f"b{index}/fc"),
        node("Reshape", [f"y{index}", "to"], [f"side{index}"], name=f"b{index}/side"),
        node("Relu", [f"y{index}"], [f"z{index}"], name=f"b{index}/act"),
    ]
    return nodes, [floats(f"w{index}", 8, 8)], f"z{index}"


@pytest.mark.parametrize("at_start", [False, True], ids=["chain", "fan-out"])
@pytest.mark.parametrize("shape", [["N", 2, 4], None], ids=["declared", "undeclared"])
@pytest.mark.parametrize("without", [None, 0, 5, COPIES - 1])
def test_what_every_copy_gives_the_graph_is_told_for_all(without, shape, at_start, tmp_path, monkeypatch):
    proto = chain(lambda index, before: branching(index, before, at_start), more=[ints("to", -1, 2, 4)])
    given = [index for index in range(COPIES) if index != without]
    proto.graph.output.extend([info(f"side{index}", shape) for index in given])
    folded, whole = both(proto, tmp_path, monkeypatch)
    assert (folded.graph.folded is not None) == (without in (None, COPIES - 1))
    assert_same(folded, whole)
    assert folded.facts["activations"]["peak_bytes"] >= len(given) * 8 * 4, "all outputs are alive at the end"


def test_an_output_that_is_declared_otherwise_is_told(tmp_path, monkeypatch):
    proto = chain(branching, more=[ints("to", -1, 2, 4)])
    proto.graph.output.extend([info(f"side{index}", ["N", 2, 5 if index == 6 else 4]) for index in range(COPIES)])
    folded, whole = both(proto, tmp_path, monkeypatch)
    assert any(one.kind == "declared-shape" and one.tensor == "side6" for one in folded.observations)
    assert_same(folded, whole)


def scaling(index, before, op="Mul"):
    """A block with numbers of its own in a Constant."""
    values = np.random.default_rng(index).random(8).astype(np.float32)
    nodes = [
        node("Constant", [], [f"c{index}"], name=f"b{index}/c", value=numpy_helper.from_array(values)),
        node(op, [before, f"c{index}"], [f"y{index}"], name=f"b{index}/op"),
    ]
    return nodes, [], f"y{index}"


def test_constants_of_different_numbers_are_copies(tmp_path, monkeypatch):
    folded, whole = both(chain(scaling), tmp_path, monkeypatch)
    assert folded.graph.folded is not None
    assert_same(folded, whole)
    assert sum(layer.type == "Mul" for layer in folded.layers) == COPIES


@pytest.mark.parametrize("decisive", [False, True])
def test_constants_that_shapes_depend_on_are_compared(decisive, tmp_path, monkeypatch):
    def resizing(index, before):
        scale = 2.0 if decisive and index == 6 else 1.0
        value = helper.make_tensor("", FLOAT, (2,), [1.0, scale])
        nodes = [
            node("Constant", [], [f"c{index}"], name=f"b{index}/c", value=value),
            node("Resize", [before, "", f"c{index}"], [f"y{index}"], name=f"b{index}/op"),
        ]
        return nodes, [], f"y{index}"

    proto = chain(resizing)
    del proto.graph.output[0].type.tensor_type.shape.dim[:]
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    folded, whole = both(proto, tmp_path, monkeypatch)
    assert (folded.graph.folded is None) == decisive
    assert folded.graph.values[f"y{COPIES - 1}"].shape[1] == (16 if decisive else 8)
    assert_same(folded, whole)


def test_what_blocks_make_and_others_take_keeps_a_graph_whole(tmp_path, monkeypatch):
    proto = chain(dense)
    proto.graph.output.append(info("z5", ["N", 8]))
    folded, whole = both(proto, tmp_path, monkeypatch)
    assert folded.graph.folded is None
    assert_same(folded, whole)


def test_layers_whose_names_have_no_number_are_not_lost(tmp_path, monkeypatch):
    def nameless(index, before):
        nodes, tensors, after = dense(index, before)
        for one in nodes:
            one.name = "same"
        return nodes, tensors, after

    folded, whole = both(chain(nameless), tmp_path, monkeypatch)
    assert_same(folded, whole)
    assert len([layer for layer in folded.layers if layer.claims]) == COPIES


LIKE_A_MARK = "9090909090199999"


def named_like_a_mark(proto):
    proto.graph.node[7].name = f"b/{LIKE_A_MARK}"


def operator_like_a_mark(proto):
    proto.graph.node.append(node(LIKE_A_MARK, [proto.graph.output[0].name], ["after"], domain="own"))


def attribute_like_a_mark(proto):
    proto.graph.node.append(node("Clip", [proto.graph.output[0].name], ["after"], mode=LIKE_A_MARK, modes=[LIKE_A_MARK]))


def dimension_like_a_mark(proto):
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = LIKE_A_MARK


def exporter_note_like_a_mark(proto):
    proto.graph.node[0].metadata_props.add(key="namespace", value=f": Model/{LIKE_A_MARK}: Block/fc: Linear")


@pytest.mark.parametrize(
    "spoil", [named_like_a_mark, operator_like_a_mark, attribute_like_a_mark, dimension_like_a_mark, exporter_note_like_a_mark]
)
def test_a_file_that_says_what_looks_like_a_mark_is_not_folded(spoil, tmp_path, monkeypatch):
    proto = chain(dense)
    spoil(proto)
    folded, whole = both(proto, tmp_path, monkeypatch)
    assert folded.graph.folded is None
    assert_same(folded, whole)


def test_bound_sizes_are_worked_out_in_the_whole_graph(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(chain(dense).SerializeToString())
    bound = layers.derive(reader.read(open_artifact(str(path), ReadOptions(dims={"N": 3})), DEFAULT), DEFAULT)
    assert bound.graph.folded is None
    assert all(layer.output_shapes == ((3, 8),) for layer in bound.layers if layer.claims)


def test_the_run_begins_where_a_module_does():
    proto = chain(residual, more=[ints("axes", 2, 3)])
    graph = reader.read(_in_memory(proto), DEFAULT).graph
    best = longest(graph)[0]
    assert (best.start, best.period, best.count) == (0, 7, COPIES)
    moved = onnx.ModelProto()
    moved.CopyFrom(proto)
    del moved.graph.node[:3]  # the run that is seen begins in the middle of a block
    moved.graph.node[0].input[0] = "x"
    best = longest(reader.read(_in_memory(moved), DEFAULT).graph)[0]
    assert (best.start, best.period, best.count) == (4, 7, COPIES - 1)


def _in_memory(proto):
    return Artifact("m.onnx", Bytes(proto.SerializeToString()), Folder("."))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([("a.0.w", "a.1.w", "a.2.w", "a.3.w", "a.4.w", "a.5.w", "a.6.w")], 1),
        ([("w", "w1", "w2", "w3", "w4", "w5", "w6")], 1),
        ([("a.0.w7", "a.1.w7", "a.2.w7", "a.3.w7", "a.4.w7", "a.5.w7", "a.6.w7")], 1),
        ([tuple(f"l.{n}/MatMul_{3 * n}" for n in range(7))], 2),
        ([tuple(f"l.{n}/a" for n in range(7)), tuple(f"/l.{n}/b" for n in range(7))], 1),
        ([("a0", "a1", "b2", "a3", "a4", "a5", "a6")], None),
        ([tuple(f"l.{n}/a" for n in range(7)), tuple(f"l.{n + 1}/b" for n in range(7))], None),
        ([tuple(f"l.{n}/a" for n in range(7)), tuple(f"t{n + 1}" for n in range(7))], 2),
    ],
)
def test_marks_stand_for_the_numbers_in_which_names_differ(columns, expected):
    names = list(zip(*columns, strict=True))
    found = marked(columns)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert len(found.variables) == expected
    for copy in (1, 2, 3, 4):
        back = [MARK.sub(lambda mark: found.variables[int(mark[2])][int(mark[1])], name) for name in found.names[copy]]
        assert back == list(names[copy])


def test_copies_that_are_told_apart_are_not_written_out(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(chain(dense).SerializeToString())
    found = reader.read(open_artifact(str(path)), DEFAULT)
    fold, tensors = found.graph.folded, {one.name: one for one in found.tensors}
    inner = layers.onnx._derived(fold.graph, (), DEFAULT).layers
    assert unfolded(fold, inner, tensors) is not None
    third = next(place for place, layer in enumerate(inner) if copy_of(layer.path) == TWIN)
    spoilt = replace(inner[third], type="Other")
    assert unfolded(fold, (*inner[:third], spoilt, *inner[third + 1 :]), tensors) is None, "not alike"
    assert unfolded(fold, (*inner[:third], *inner[third + 1 :]), tensors) is None, "one lacks a layer"
    assert unfolded(fold, (*inner, inner[third]), tensors) is None, "out of order"
