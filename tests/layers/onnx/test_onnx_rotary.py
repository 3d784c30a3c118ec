"""Rotary position embeddings written out: told by their form, their tables no parameters. And forms with quantisation in between."""

from __future__ import annotations

import pytest

from modelscan.accounting import reconcile
from modelscan.rules import Subject, judge
from tests.layers.onnx.onnx_graphs import FLOAT, INT64, UINT8, derived, info, ints, model, node, weight


def flagged(found):
    """Findings above info."""
    return [one for one in judge(Subject("model.onnx", found.observations, found, reconcile(found))) if one.severity.rank > 0]


X, Y = info("x", [2, 4, 6, 8]), info("y", [2, 4, 6, 8])
CUTS = [ints("zero", 0), ints("half", 4), ints("end", 8), ints("last", -1), ints("two", 2), ints("one", 1), ints("shape", 2, 4, 6, 8)]
HALVES = [
    node("Slice", ["x", "half", "end", "last"], ["b"]),
    node("Slice", ["x", "zero", "half", "last"], ["a"]),
    node("Neg", ["b"], ["n"]),
    node("Concat", ["n", "a"], ["r"], axis=-1),
]
PAIRS = [
    node("Slice", ["x", "one", "end", "last", "two"], ["b"]),
    node("Slice", ["x", "zero", "end", "last", "two"], ["a"]),
    node("Neg", ["b"], ["n"]),
    node("Unsqueeze", ["n", "last"], ["n1"]),
    node("Unsqueeze", ["a", "last"], ["a1"]),
    node("Concat", ["n1", "a1"], ["s"], axis=-1),
    node("Reshape", ["s", "shape"], ["r"]),
]


def turned(cos, sin):
    return [node("Mul", ["x", cos], ["c"]), node("Mul", [sin, "r"], ["d"]), node("Add", ["d", "c"], ["y"])]


def seen(nodes, tensors, tmp_path, inputs=(X,), output=Y):
    found = derived(model(nodes, list(inputs), [output], [*tensors, *CUTS]), tmp_path)
    kinds = {one.name: one.kind.value for one in found.tensors}
    return [(one.type, one.name) for one in found.layers], kinds


@pytest.mark.parametrize("form", [HALVES, PAIRS], ids=["halves", "pairs"])
def test_stored_tables_of_a_rotation_are_no_weights(form, tmp_path):
    layers, kinds = seen([*form, *turned("cos", "sin")], [weight("cos", 6, 8), weight("sin", 1, 1, 6, 8)], tmp_path)
    assert layers == [("RotaryEmbedding", "rotary")]
    assert kinds["cos"] == kinds["sin"] == "constant"


def test_looked_up_tables_of_a_rotation_are_no_weights(tmp_path):
    looks = [node("Gather", [table, "p"], [f"{table}_rows"], name=table) for table in ("cos", "sin")]
    nodes = [*HALVES, *looks, *turned("cos_rows", "sin_rows")]
    layers, kinds = seen(nodes, [weight("cos", 64, 8), weight("sin", 64, 8)], tmp_path, (X, info("p", [6], INT64)))
    assert layers == [("Buffer", "cos"), ("Buffer", "sin"), ("RotaryEmbedding", "rotary")]
    assert kinds["cos"] == kinds["sin"] == "constant"


def test_frequencies_of_a_rotation_are_no_weights(tmp_path):
    nodes = [
        *HALVES,
        node("Mul", ["p", "frequencies"], ["f"], name="angles"),
        node("Concat", ["f", "f"], ["ff"], axis=-1),
        node("Cos", ["ff"], ["cos"]),
        node("Sin", ["ff"], ["sin"]),
        *turned("cos", "sin"),
    ]
    layers, kinds = seen(nodes, [weight("frequencies", 4)], tmp_path, (X, info("p", [6, 1])))
    assert ("Buffer", "angles") in layers
    assert ("RotaryEmbedding", "rotary") in layers
    assert kinds["frequencies"] == "constant"


def test_what_is_no_rotation_stays_a_weight(tmp_path):
    """Without the sign, with another value swapped, or a table that something else takes, too."""
    unsigned = [*HALVES[:2], node("Concat", ["b", "a"], ["r"], axis=-1)]
    _, kinds = seen([*unsigned, *turned("cos", "sin")], [weight("cos", 6, 8), weight("sin", 6, 8)], tmp_path)
    assert kinds["cos"] == kinds["sin"] == "weight"
    cut = [node("Slice", ["z", "half", "end", "last"], ["b"]), node("Slice", ["z", "zero", "half", "last"], ["a"]), *HALVES[2:]]
    _, kinds = seen([node("Relu", ["x"], ["z"]), *cut, *turned("cos", "sin")], [weight("cos", 6, 8), weight("sin", 6, 8)], tmp_path)
    assert kinds["cos"] == kinds["sin"] == "weight"
    looks = [node("Gather", [table, "p"], [f"{table}_rows"], name=table) for table in ("cos", "sin")]
    more = node("Add", ["y", "cos_rows"], ["out"])
    nodes = [*HALVES, *looks, *turned("cos_rows", "sin_rows"), more]
    tensors = [weight("cos", 64, 8), weight("sin", 64, 8)]
    _, kinds = seen(nodes, tensors, tmp_path, (X, info("p", [6], INT64)), info("out", [2, 4, 6, 8]))
    assert (kinds["cos"], kinds["sin"]) == ("weight", "constant")


FORMS = [
    node("MatMul", ["x", "w"], ["m"]),
    node("Add", ["m", "b"], ["h"]),
    node("Sigmoid", ["h"], ["g"]),
    node("Mul", ["h", "g"], ["s"]),
    node("ReduceMean", ["s"], ["mean"], axes=[-1]),
    node("Sub", ["s", "mean"], ["centred"]),
    node("Mul", ["centred", "centred"], ["squared"]),
    node("ReduceMean", ["squared"], ["variance"], axes=[-1]),
    node("Add", ["variance", "epsilon"], ["v"]),
    node("Sqrt", ["v"], ["deviation"]),
    node("Div", ["centred", "deviation"], ["normal"]),
    node("Mul", ["normal", "gamma"], ["scaled"]),
    node("Add", ["scaled", "beta"], ["y"]),
]
STORED = [weight("w", 8, 8), weight("b", 8), weight("epsilon", dtype=FLOAT), weight("gamma", 8), weight("beta", 8)]


def test_layers_in_parts_are_told_through_quantisation(tmp_path):
    """A pair of QuantizeLinear and DequantizeLinear behind every operator, as quantisation tools put them."""
    x, y = info("x", [2, 8]), info("y", [2, 8])
    plain = derived(model(FORMS, [x], [y], STORED), tmp_path)
    nodes = []
    for one in FORMS:
        made = one.output[0]
        between = [
            node("QuantizeLinear", [f"{made}_raw", "qs", "qz"], [f"{made}_q"]),
            node("DequantizeLinear", [f"{made}_q", "qs", "qz"], [made]),
        ]
        nodes += [node(one.op_type, one.input, [f"{made}_raw"], **({"axes": [-1]} if one.op_type == "ReduceMean" else {})), *between]
    pairs = derived(model(nodes, [x], [y], [*STORED, weight("qs", dtype=FLOAT), weight("qz", dtype=UINT8)]), tmp_path)
    assert [one.type for one in plain.layers] == ["Dense", "Swish", "LayerNormalization"]
    assert [one.type for one in pairs.layers] == [one.type for one in plain.layers]
    assert [len(one.claims) for one in pairs.layers] == [2, 0, 2]
    assert not flagged(pairs)


def test_a_norm_of_a_quantised_value_has_weights_of_its_own_type(tmp_path):
    """What is dequantised before it is normalised: the integers are not the type that the scale must have."""
    table = [weight("table", 20, 8, dtype=UINT8), weight("s", dtype=FLOAT), weight("z", dtype=UINT8)]
    nodes = [
        node("Gather", ["table", "x"], ["rows"]),
        node("DequantizeLinear", ["rows", "s", "z"], ["h"]),
        node("Mul", ["h", "h"], ["squared"]),
        node("ReduceMean", ["squared"], ["mean"], axes=[-1]),
        node("Add", ["mean", "epsilon"], ["v"]),
        node("Sqrt", ["v"], ["deviation"]),
        node("Div", ["h", "deviation"], ["normal"]),
        node("Mul", ["normal", "gamma"], ["y"]),
    ]
    tensors = [*table, weight("epsilon", dtype=FLOAT), weight("gamma", 8)]
    found = derived(model(nodes, [info("x", [2], INT64)], [info("y", [2, 8])], tensors), tmp_path)
    assert [one.type for one in found.layers] == ["Embedding", "RMSNormalization"]
    assert not flagged(found)
