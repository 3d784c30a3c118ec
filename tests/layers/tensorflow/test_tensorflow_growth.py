"""The work that a TensorFlow graph takes grows with its size, not with the square of it."""

from itertools import chain

import pytest

from tests.growth import assert_in_proportion
from tests.hostile.exhibit import field
from tests.hostile.tensorflow_bytes import FLOAT, INT32, SavedModel, call, function, kind, kinds, node, shape_of


def stored(name, *dims):
    """A Const with a tensor of floats."""
    count = 1
    for size in dims:
        count *= size
    return node(name, "Const", dtype=kind(FLOAT), value=field(8, field(1, FLOAT) + field(2, shape_of(dims)) + field(4, bytes(4 * count))))


AXIS = node("axis", "Const", dtype=kind(INT32), value=field(8, field(1, INT32) + field(2, b"") + field(4, bytes(4))))


def weights(n, *dims):
    return [stored(f"w{i}", *dims) for i in range(n)]


def names(n):
    return [f"w{i}" for i in range(n)]


def row(n, turned=False):
    parts = [
        [stored(f"d{i}/kernel", 4, 4), node(f"d{i}/MatMul", "MatMul", f"d{i - 1}/MatMul" if i else "x", f"d{i}/kernel")] for i in range(n)
    ]
    return list(chain.from_iterable(reversed(parts) if turned else parts))


GRAPHS = {
    "chain": row,
    "chain in reverse": lambda n: row(n, turned=True),
    "AddN": lambda n: [*weights(n, 4), node("sum", "AddN", "x", *names(n))],
    "ConcatV2": lambda n: [*weights(n, 1, 4), AXIS, node("all", "ConcatV2", "x", *names(n), "axis")],
    "ConcatV2 of weights": lambda n: [
        *weights(n, 1, 4),
        AXIS,
        node("all", "ConcatV2", *names(n), "axis"),
        *(node(f"y{i}", "AddV2", "x", "all") for i in range(n)),
    ],
    "a weight that many take": lambda n: [stored("w", 4, 4), *(node(f"y{i}", "MatMul", "x", "w") for i in range(n))],
    "Identity on Identity": lambda n: [stored("i0", 4, 4), *(node(f"i{i + 1}", "Identity", f"i{i}") for i in range(n))],
    "control dependencies": lambda n: [
        *weights(n, 4),
        *(node(f"y{i}", "AddV2", "x", f"w{i}", *(f"^w{k}" for k in range(3))) for i in range(n)),
    ],
    "many control dependencies of one": lambda n: [*weights(n, 4), node("all", "AddN", *names(n), *(f"^w{k}" for k in range(n)))],
    "weights of one scope": lambda n: [
        *(stored(f"scope/w_{i}", 4) for i in range(n)),
        node("sum", "AddN", *(f"scope/w_{i}" for i in range(n))),
    ],
    "nodes of one name": lambda n: [*(stored("w", 4) for _ in range(n)), node("sum", "AddN", "x", "w")],
    "outputs of one node": lambda n: [
        node("many", "IdentityN", *["x"] * n, T=kinds(*[FLOAT] * n)),
        *(node(f"y{i}", "Relu", f"many:{i}") for i in range(n)),
    ],
    "a circle": lambda n: [node(f"y{i}", "AddV2", f"y{i - 1}" if i else "x", f"y{(i + 1) % n}") for i in range(n)],
}


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS.keys())
def test_work_grows_with_the_size_of_the_graph(make, tmp_path):
    def write(path, parts):
        nodes = [node("x", "Placeholder", dtype=kind(FLOAT)), *make(parts)]
        path.write_bytes(b"".join(field(1, one) for one in nodes))

    assert_in_proportion(write, tmp_path, ".pb")


LIBRARIES = {
    "outputs of one node": lambda n: [
        function(
            "f",
            {"x": FLOAT},
            {f"y{i}": FLOAT for i in range(n)},
            [node("many", "IdentityN", *["x"] * n, T=kinds(*[FLOAT] * n), _output_shapes=field(1, field(7, shape_of((4,))) * n))],
            {f"y{i}": f"many:output:{i}" for i in range(n)},
        )
    ],
    "a function that is called by its name": lambda n: [
        function("g", {"x": FLOAT}, {f"y{i}": FLOAT for i in range(n)}, [], {f"y{i}": "x" for i in range(n)}),
        function("f", {"x": FLOAT}, {}, [node("c", "g", "x"), *(node(f"r{i}", "Relu", f"c:y{i}:0") for i in range(n))], {}),
    ],
    "calls of one function": lambda n: [
        function("g", {"x": FLOAT}, {}, [], {}),
        function("f", {"x": FLOAT}, {}, [node(f"c{i}", "PartitionedCall", "x", f=call("g")) for i in range(n)], {}),
    ],
    "functions in a row": lambda n: [
        *(function(f"f{i}", {"x": FLOAT}, {}, [node("c", "PartitionedCall", "x", f=call(f"f{i + 1}"))], {}) for i in range(n)),
        function(f"f{n}", {"x": FLOAT}, {}, [], {}),
    ],
}


@pytest.mark.parametrize("make", LIBRARIES.values(), ids=LIBRARIES.keys())
def test_work_grows_with_the_size_of_the_library(make, tmp_path):
    def write(path, parts):
        path.mkdir()
        (path / "saved_model.pb").write_bytes(SavedModel(library=tuple(make(parts))).program())

    assert_in_proportion(write, tmp_path, "")
