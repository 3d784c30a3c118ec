"""Shapes of the operations between tensors, as TensorFlow and Keras 3 compute them."""

import pytest

from modelscan.layers.keras.operations import operation
from modelscan.layers.keras.registry import Config


def shape_of(name, inputs, keywords=None, version=(2, 15), **arguments):
    return operation(Config(name, {}, inputs, keywords or {}, arguments, version=version), name).outputs[0]


@pytest.mark.parametrize(
    ("left", "right", "arguments", "product"),
    [
        ((None, 8, 6), (None, 6, 5), {}, (None, 8, 5)),
        ((None, 8, 6), (None, 5, 6), {"transpose_b": True}, (None, 8, 5)),
        ((None, 6, 8), (None, 6, 5), {"transpose_a": True}, (None, 8, 5)),
        ((None, 6, 8), (None, 5, 6), {"adjoint_a": True, "transpose_b": True}, (None, 8, 5)),
        ((None, 8, 6), (None, 6, 5), {"transpose_a": False, "transpose_b": None}, (None, 8, 5)),
        ((None, 8, 6), (None, 6, 5), {"transpose_b": "yes"}, None),
        ((None, 1, 3, 4), (None, 7, 4, 5), {}, (None, 7, 3, 5)),
        ((None, 7, 3, 4), (None, 1, 4, 5), {}, (None, 7, 3, 5)),
        ((None, 1, 3, 4), (7, 4, 5), {}, (None, 7, 3, 5)),
        ((3, 4), (None, 7, 4, 5), {}, (None, 7, 3, 5)),
        ((None, 2, 3, 4), (None, 7, 4, 5), {}, None),
        ((4,), (4, 5), {}, None),
    ],
)
def test_a_matrix_product_is_turned_and_broadcast(left, right, arguments, product):
    assert shape_of("linalg.matmul", (left,), {"b": right}, **arguments) == product
    if not arguments:
        assert shape_of("Matmul", (left, right), version=(3, 15)) == product


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(None, (None, 6, 5)), (-1, (None, 6, 5)), (2, (None, 6, 5)), (1, (None, 5, 6)), (0, (5, None, 6)), (3, None), (-2, None), ("x", None)],
)
def test_one_hot_puts_its_depth_where_the_axis_says(axis, shape):
    assert shape_of("one_hot", ((None, 6),), depth=5, axis=axis) == shape
