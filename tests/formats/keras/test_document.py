"""JSON of untrusted files: its nesting is bounded, however brackets in its strings stand."""

import json
import random

import pytest

from modelscan.errors import LimitExceeded
from modelscan.formats.keras.document import _depth, _surely_flat, parse_json
from modelscan.formats.keras.objects import note_objects
from modelscan.limits import DEFAULT


def value(rng, depth):
    """A document of this depth at most, with strings that hold brackets and quotes."""
    kind = rng.randrange(4) if depth else 0
    if kind == 0:
        return rng.choice(("", "plain", "[", "]", "}", "{[", "]}", 'a"b', "\\", "ü[", 1, None, True))
    inner = [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return inner if kind == 1 else {rng.choice(("a", "b", "[", "}", '"', "")): one for one in inner}


@pytest.mark.parametrize("seed", range(8))
def test_what_is_called_flat_is(seed):
    rng = random.Random(seed)
    answers = set()
    for _ in range(500):
        one = value(rng, 6)
        limit = rng.randrange(8)
        flat = _surely_flat(json.dumps(one, ensure_ascii=rng.random() < 0.5), limit)
        assert not flat or _depth(one, limit) <= limit
        answers.add(flat)
    assert answers == {True, False}


def test_brackets_in_strings_do_not_hide_nesting():
    """Without the strings' quotes this one would be pairs side by side."""
    deep = "[" + '"]",[' * 500 + '"["],' * 499 + '"["]]'
    assert _depth(json.loads(deep), 1000) > 400
    assert not _surely_flat(deep, 400)
    with pytest.raises(LimitExceeded):
        parse_json(deep, "config.json", DEFAULT, [])


@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_the_limit_itself_is_allowed(pair):
    open_, close = pair[:-1], pair[-1]
    for depth, allowed in ((DEFAULT.json_depth, True), (DEFAULT.json_depth + 1, False)):
        text = open_ * depth + ("0" if "a" in pair else "") + close * depth
        if allowed:
            parse_json(text, "config.json", DEFAULT, [])
        else:
            with pytest.raises(LimitExceeded):
                parse_json(text, "config.json", DEFAULT, [])


def test_an_ordinary_configuration_need_not_be_counted():
    text = json.dumps({"class_name": "Functional", "config": {"layers": [{"name": "a", "config": {"units": 3, "shape": [None, 8]}}] * 50}})
    assert _surely_flat(text, DEFAULT.json_depth)


@pytest.mark.parametrize(("module", "name", "foreign"), [("", "DeviceWrapper", False), ("", "Evil", True), (".x", "DeviceWrapper", True)])
def test_cell_wrappers_of_tensorflow_are_its_own(module, name, foreign):
    """`tf.nn.RNNCellDeviceWrapper` and its like, which an RNN of Keras 2 may hold."""
    cell = {"module": f"tensorflow.python.keras.layers.rnn_cell_wrapper_v2{module}", "class_name": name, "config": {"name": "w"}}
    seen = []
    note_objects({"class_name": "RNN", "config": {"name": "r", "cell": {**cell, "registered_name": name}}}, "config.json", seen)
    assert [one.kind for one in seen] == (["foreign-module"] if foreign else [])


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("tanh", []),
        ("swish_of_mine", []),  # a function of Keras 3.6 and before goes by its plain name
        ("my_package>swish", ["custom-object"]),
        (">lecun_tanh", ["custom-object"]),
        ("A.b-c>Mish", ["custom-object"]),
        ("Mish", ["custom-object"]),
        ("os.system", ["foreign-module"]),
        ("eval", ["foreign-module"]),
    ],
)
def test_registered_functions_are_the_authors(name, kinds):
    """Keras 3.7 and later write a registered function as `package>name` of the module `builtins`."""
    function = {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}
    seen = []
    note_objects({"class_name": "Dense", "config": {"name": "d", "activation": function}}, "config.json", seen)
    assert [one.kind for one in seen] == kinds
