"""The work that a graph takes grows with its size, not with the square of it, however it is made: a file of two megabytes that takes
minutes is a way to stop a scanner. Lines that are run are counted, not seconds: the count is the same on every machine."""

import pytest
from onnx import helper

from modelscan import repeats
from modelscan.layers.onnx import steps as static
from tests.growth import assert_in_proportion
from tests.layers.onnx.onnx_graphs import FLOAT, info, model, node, weight

X, Y = [info("x", [1, 4])], [info("y", None)]


@pytest.fixture(autouse=True)
def fold_nothing(monkeypatch):
    monkeypatch.setattr(repeats, "LEAST", 10**9)


def weights(count, *dims):
    return [weight(f"w{n}", *(dims or (4,))) for n in range(count)]


def operands(op, *dims, domain="", **attributes):
    """One node that takes all stored tensors."""
    return lambda n: model([node(op, ["x", *(f"w{i}" for i in range(n))], ["y"], domain=domain, **attributes)], X, Y, weights(n, *dims))


def values(op, **attributes):
    """One node that takes what all others make."""
    return lambda n: model(
        [*(node("Relu", ["x"], [f"v{i}"]) for i in range(n)), node(op, [f"v{i}" for i in range(n)], ["y"], **attributes)], X, Y
    )


def the_same_operand(n):
    return model([node("Sum", ["x", *["w"] * n], ["y"])], X, Y, [weight("w", 4)])


def each(op, *dims, shared=False, chained=False, outputs=True):
    """A node for each stored tensor, or for the one that they share, side by side or one behind the other."""

    def made(n):
        nodes = [node(op, [f"y{i - 1}" if chained and i else "x", "w0" if shared else f"w{i}"], [f"y{i}"]) for i in range(n)]
        results = [info(f"y{i}", None) for i in range(n)] if outputs else Y
        return model(nodes, X, results, weights(1 if shared else n, *dims))

    return made


def views(op, first, *dims, others=(4, 4), **attributes):
    """A stored tensor on a long way to the one node that takes it."""

    def made(n):
        nodes = [node(op, [f"v{i}", *([f"w{i}"] if first else [])], [f"v{i + 1}"], **attributes) for i in range(n)]
        return model(
            [*nodes, node("MatMul", ["x", f"v{n}"], ["y"])],
            X,
            Y,
            [weight("v0", *dims), *([weight(f"w{i}", *others) for i in range(n)] if first else [])],
        )

    return made


def pieces(n, few=3, of_few=False):
    """A tensor put together of many, which a few take, or the other way round."""
    parts, users = (few, n) if of_few else (n, few)
    nodes = [
        node("Concat", [f"w{i}" for i in range(parts)], ["all"], axis=0),
        *(node("Add", ["x", "all"], [f"y{i}"]) for i in range(users)),
    ]
    return model(nodes, X, [info(f"y{i}", None) for i in range(users)], weights(parts, 1, 4))


def parts(n):
    nodes = [node("Split", ["w"], [f"p{i}" for i in range(n)], axis=0), *(node("Add", ["x", f"p{i}"], [f"y{i}"]) for i in range(n))]
    return model(nodes, X, [info(f"y{i}", None) for i in range(n)], [weight("w", n, 4)], opset=13)


def branches(n):
    then = helper.make_graph([node("Sum", ["x", *(f"w{i}" for i in range(n))], ["a"])], "t", [], [info("a", None)])
    other = helper.make_graph([node("Add", ["x", f"w{i}"], [f"b{i}"]) for i in range(n)], "e", [], [info("b0", None)])
    return model([node("If", ["c"], ["y"], then_branch=then, else_branch=other)], [*X, info("c", [], 9)], Y, weights(n))


def loop(n):
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), *(node("Add", [f"a{i}", "x"], [f"b{i}"]) for i in range(n))],
        "body",
        [info("it", [], 7), info("go", [], 9), *(info(f"a{i}", None) for i in range(n))],
        [info("on", [], 9), *(info(f"b{i}", None) for i in range(n))],
    )
    made = node("Loop", ["m", "", *(f"w{i}" for i in range(n))], [f"y{i}" for i in range(n)], body=body)
    return model([made], [*X, info("m", [], 7)], [info(f"y{i}", None) for i in range(n)], weights(n, 1, 4))


def calls(n, wide=False, name=None):
    """A function with many arguments, or one that is called many times."""
    names = [f"a{i}" for i in range(n if wide else 1)]
    inner = helper.make_function("own", "F", ["x", *names], ["o"], [node("Sum", ["x", *names], ["o"])], [helper.make_opsetid("", 17)])
    nodes = (
        [node("F", ["x", *(f"w{i}" for i in range(n))], ["y"], domain="own")]
        if wide
        else [node("F", [f"y{i - 1}" if i else "x", f"w{i}"], [f"y{i}"], name, domain="own") for i in range(n)]
    )
    found = model(nodes, X, [info("y" if wide else f"y{n - 1}", None)], weights(n), domains=("own",))
    found.functions.append(inner)
    return found


def named_alike(n):
    nodes = [node("Add", [f"y{i - 1}" if i else "x", f"w{i}"], [f"y{i}"], name="same/same") for i in range(n)]
    return model(nodes, X, [info(f"y{n - 1}", None)], weights(n))


def attributes(n):
    return model([node("Own", ["x"], ["y"], domain="own", **{f"a{i}": i for i in range(n)})], X, Y)


def constants(n):
    made = [node("Constant", [], [f"c{i}"], value=helper.make_tensor("", FLOAT, (4,), [float(i)] * 4)) for i in range(n)]
    return model([*made, node("Sum", ["x", *(f"c{i}" for i in range(n))], ["y"])], X, Y)


GRAPHS = {
    **{op: operands(op) for op in ("Sum", "Max", "Min", "Mean")},
    "Add, malformed": operands("Add", 1, 4),
    "Concat": operands("Concat", 1, 4, axis=0),
    "SequenceConstruct": operands("SequenceConstruct", 1, 4),
    "an unknown operator": operands("Own", domain="own"),
    "Sum of values": values("Sum"),
    "Concat of values": values("Concat", axis=0),
    "the same operand": the_same_operand,
    "fan-out": each("Add"),
    "fan-out that nobody takes": each("Add", outputs=False),
    "fan-out of one tensor": each("MatMul", 4, 4, shared=True),
    "chain": each("Add", chained=True),
    "chain of one tensor": each("MatMul", 4, 4, shared=True, chained=True),
    "chain of Concat": each("Concat", 1, 4, chained=True),
    "Transpose on Transpose": views("Transpose", False, 4, 4),
    "Identity on Identity": views("Identity", False, 4, 4),
    "pieces": pieces,
    "few pieces, taken by many": lambda n: pieces(n, of_few=True),
    "parts": parts,
    "branches": branches,
    "loop": loop,
    "calls": calls,
    "calls of one name": lambda n: calls(n, name="same"),
    "tensors of one name": lambda n: model([node("Add", ["x", "w"], ["y"])], X, Y, [weight("w", 4) for _ in range(n)]),
    "nodes of one name": named_alike,
    "a wide function": lambda n: calls(n, wide=True),
    "attributes": attributes,
    "constants": constants,
}


def in_proportion(make, tmp_path):
    assert_in_proportion(lambda path, parts: path.write_bytes(make(parts).SerializeToString()), tmp_path, ".onnx")


@pytest.mark.parametrize("dims", [(), (1,), (4, 4)], ids=["scalars", "vectors", "matrices"])
def test_what_is_put_together_step_by_step_is_followed_so_far(dims, tmp_path, monkeypatch):
    monkeypatch.setattr(static, "MAX_PIECES", 8)
    monkeypatch.setattr(static, "MAX_EXTRAS", 8)
    in_proportion(views("Mul", True, 4, 4, others=dims), tmp_path)


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS.keys())
def test_work_grows_with_the_size_of_the_graph(make, tmp_path):
    in_proportion(make, tmp_path)
