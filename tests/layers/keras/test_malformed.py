"""Configurations with values of any other type and size: whatever they say, deriving them ends in a finding and not in an error."""

import random

import pytest

from modelscan.accounting import reconcile
from modelscan.formats.keras.blocks import BlockReader
from modelscan.formats.keras.listing import layers_of
from modelscan.layers.keras import derive
from modelscan.limits import DEFAULT
from modelscan.model import Model
from tests.layers.keras.configurations import sample

ODD = (
    0,
    -1,
    10**12,
    10**25,
    -(10**25),
    1.5,
    float("nan"),
    "x",
    "",
    None,
    True,
    [],
    [1],
    [[1]],
    [None],
    ["a"],
    {},
    {"a": 1},
    [1, "a"],
    [{}],
)
ODD += ([0, 0], [[], []], [[[1]]], [10**9] * 2, {"class_name": "Dense", "config": {}}, {"class_name": {}, "config": {}})
SEED, CASES, EACH = 26, 120, 8


def derived(config, version="3.15.1"):
    seen = []
    block = BlockReader(DEFAULT, seen).model(config)
    model = Model(
        "keras", "keras", producer={"version": version}, layers=layers_of(block, {}, version), graph=block, observations=tuple(seen)
    )
    found = derive(model, DEFAULT)
    reconcile(found)
    return found


def kinds(config, version="3.15.1"):
    return {one.kind for one in derived(config, version).observations}


def tensor(name, shape, index=0):
    return {"class_name": "__keras_tensor__", "config": {"shape": shape, "dtype": "float32", "keras_history": [name, 0, index]}}


def functional(entry, shapes, arguments=None, index=0):
    """One layer called on inputs of these shapes."""
    names = [f"input_{at}" for at in range(len(shapes))]
    inputs = [{"class_name": "InputLayer", "config": {"name": n, "batch_shape": s}, "name": n} for n, s in zip(names, shapes, strict=True)]
    args = [tensor(n, s, index) for n, s in zip(names, shapes, strict=True)]
    args = args if "Attention" in entry["class_name"] or len(args) == 1 else [args]
    layer = {"module": "keras.layers", "name": "one", "inbound_nodes": [{"args": args, "kwargs": arguments or {}}], **entry}
    ends = {"input_layers": [[n, 0, 0] for n in names], "output_layers": [["one", 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "m", "layers": [*inputs, layer], **ends}}


def one(kind, shapes, arguments=None, **config):
    return functional({"class_name": kind, "config": {"name": "one", "trainable": True, **config}}, shapes, arguments)


def wrapped():
    """Wrappers, cells and operations, which the sample has none of."""
    inner = {"class_name": "LSTM", "config": {"name": "l", "units": 3, "return_sequences": True}}
    cells = [{"class_name": kind, "config": {"name": kind, "units": 3}} for kind in ("LSTMCell", "GRUCell")]
    yield one("Bidirectional", [[None, 4, 3]], layer=inner, backward_layer=None, merge_mode="concat")
    yield one("TimeDistributed", [[None, 4, 3]], layer={"class_name": "Dense", "config": {"name": "d", "units": 3}})
    yield one("RNN", [[None, 4, 3]], cell={"class_name": "StackedRNNCells", "config": {"cells": cells}}, return_state=True)
    yield one("SpectralNormalization", [[None, 4]], layer={"class_name": "Dense", "config": {"name": "d", "units": 3}})
    yield one("Normalization", [[None, 4]], axis=[-1])
    yield one("TextVectorization", [[None, 1]], output_mode="tf_idf", vocabulary_size=5, max_tokens=9)
    yield one("IntegerLookup", [[None, 1]], output_mode="one_hot", vocabulary=[1, 2], vocabulary_size=4, num_oov_indices=1)
    yield one("Dense", [[None, 8]], units=4, quantization_config={"config": {"block_size": 4}}, dtype={"config": {"mode": "int4/4"}})
    for function, arguments in (
        ("transpose", {"perm": [0, 2, 1]}),
        ("__operators__.getitem", {"slice_spec": [{"start": None, "stop": 2, "step": None}, 1]}),
        ("one_hot", {"depth": 3, "axis": 1}),
        ("linalg.matmul", {"b": [[1.0, 2.0]], "transpose_b": True}),
        ("split", {"num_or_size_splits": 2, "axis": 1}),
        ("tile", {"multiples": [1, 2, 3]}),
    ):
        yield one("TFOpLambda", [[None, 4, 2]], arguments, function=function)


def places(value, path=()):
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def changed(value, path, new):
    """A copy with another value at one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


def test_no_configuration_makes_a_derivation_fail():
    rng = random.Random(SEED)
    configs = [one(case.name, [[None, *shape] for shape in case.inputs], **case.arguments) for case in sample(CASES, SEED)]
    for config in (*configs, *wrapped()):
        everywhere = [path for path in places(config) if len(path) > 1]
        layer = [path for path in everywhere if len(path) > 3 and path[2] == len(config["config"]["layers"]) - 1]
        for version in ("3.15.1", "2.15.0"):
            derived(config, version)
            for _ in range(EACH):
                derived(changed(config, rng.choice(rng.choice((everywhere, layer))), rng.choice(ODD)), version)


@pytest.mark.parametrize(
    "config",
    [
        one("EinsumDense", [[None, 6, 8]], equation="abc,cd->abd", output_shape=[6, 4], bias_axes=2),
        one("EinsumDense", [[None, 6, 8]], equation="abc,cd->abd", output_shape=[6, 4], bias_axes=[1]),
        one("PReLU", [[None, 6]], shared_axes=[{}]),
        one("PReLU", [[None, 6]], shared_axes=[[1]]),
        one("Normalization", [[None, 6]], axis=[[[1]]]),
        one("Attention", [[], [None, 5, 8]], use_scale=True),
        one("Attention", [[None, 5, 8], [8]], use_scale=True),
        one("GroupQueryAttention", [[None], [None, 5, 8]], head_dim=4, num_query_heads=4, num_key_value_heads=2),
        one("RNN", [[None]], cell={"class_name": "LSTMCell", "config": {"units": 3}}, return_sequences=True),
        one("TimeDistributed", [[]], layer={"class_name": "Dense", "config": {"units": 3}}),
        one("Permute", [[None, 6]], dims=["x"]),
        one("Discretization", [[None, 6]], bin_boundaries=True),
        one("MelSpectrogram", [[]]),
    ],
)
def test_values_that_no_layer_can_have_are_said(config):
    assert "invalid-hyperparameter" in kinds(config)


@pytest.mark.parametrize("config", [one("TFOpLambda", [[None, 6]], {"perm": [[1], 0]}, function="transpose")])
def test_what_an_operation_cannot_have_leaves_its_shape_unknown(config):
    assert derived(config, "2.15.0").outputs[0].shape is None


def test_an_inner_class_that_is_no_text():
    config = one("TimeDistributed", [[None, 3, 6]], layer={"class_name": {"a": 1}, "config": {"units": 3}})
    assert "invalid-hyperparameter" in kinds(config, "2.15.0")


@pytest.mark.parametrize("index", [DEFAULT.outputs, 150_000_000, 10**12, 10**25, -5, -(10**25)])
def test_an_output_that_no_layer_can_have(index):
    entry = {"class_name": "Dense", "config": {"name": "one", "trainable": True, "units": 3}}
    assert "malformed-config" in kinds(functional(entry, [[None, 6]], index=index))
    assert "malformed-config" not in kinds(functional(entry, [[None, 6]], index=-1))  # the last one, and Keras loads it


def referring(call=0, index=0, output=("one", 0, 0), inner=None, shape=(None, 6)):
    """A Dense called on an output of the input layer, or a model in its place."""
    entry = inner or {"class_name": "Dense", "config": {"name": "one", "trainable": True, "units": 3}}
    config = functional(entry, [list(shape)], index=index)
    config["config"]["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"][1] = call
    config["config"]["output_layers"] = [list(output)]
    return config


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (referring(), False),
        (referring(index=-1), False),
        (referring(call=1), True),
        (referring(index=1), True),
        (referring(output=("one", 1, 0)), True),
        (referring(output=("one", 0, 1)), True),
    ],
)
def test_calls_and_outputs_that_are_not_there(config, wrong):
    """Keras 3.15 loads the first two of these only."""
    assert ("malformed-config" in kinds(config)) is wrong


@pytest.mark.parametrize(("call", "wrong"), [(0, False), (1, False), (2, True)])
def test_the_creation_of_a_model_counts_among_its_calls_in_the_list_of_outputs(call, wrong):
    """`get_config` of Keras 3 writes 1 for the first call of a functional model, and 0 for that of a Sequential."""
    inner = one("Dense", [[None, 6]], units=3)
    inner["config"]["name"] = "one"
    assert ("malformed-config" in kinds(referring(output=("one", call, 0), inner=inner))) is wrong


HALF = {"units": 3, "return_sequences": True, "return_state": False, "stateful": False, "go_backwards": False}


def bidirectional(**backward):
    forward = {"class_name": "LSTM", "config": {"name": "f", **HALF}}
    back = {"class_name": "LSTM", "config": {"name": "b", **HALF, "go_backwards": True, **backward}}
    return one("Bidirectional", [[None, 4, 3]], layer=forward, backward_layer=back, merge_mode="concat")


def looked_up(**config):
    return one("IntegerLookup", [[None, 1]], **{"output_mode": "one_hot", "vocabulary": [4, 5, 6], "vocabulary_size": 4, **config})


def convolved(kind, **config):
    return one(kind, [[None, 9, 8]], filters=4, kernel_size=[3], **config)


def quantised(block_size=-1, **quantizer):
    entry = {"class_name": "AbsMaxQuantizer", "config": {"output_dtype": "int8", "value_range": [-127, 127], **quantizer}}
    return one(
        "Dense",
        [[None, 6]],
        units=3,
        quantization_config={"class_name": "Int4QuantizationConfig", "config": {"weight_quantizer": entry, "block_size": block_size}},
        dtype={"class_name": "QuantizedDTypePolicy", "config": {"mode": "int4", "source_name": "float32"}},
    )


def operated(kind, given=(None, 4, 6), **config):
    """An operation of Keras 3 on one tensor."""
    made = one(kind, [list(given)], **config)
    made["config"]["layers"][1]["module"] = "keras.src.ops.numpy"
    return made


REFUSED = {
    "blocks of nothing": (quantised(block_size=0), quantised(block_size=4)),
    "a range beyond a byte": (quantised(value_range=[-127, 128]), quantised(value_range=[-128, 127])),
    "given statistics of the batch": (
        one("Normalization", [[None, 5]], axis=[0], mean=[0.0], variance=[1.0]),
        one("Normalization", [[None, 5]], axis=[1], mean=[0.0], variance=[1.0]),
    ),
    "frames that do not fit": (
        one("STFTSpectrogram", [[None, 2000, 1]], data_format="channels_first"),
        one("STFTSpectrogram", [[None, 2000, 1]], data_format="channels_last"),
    ),
    "transposed beyond": (operated("Transpose", axes=[0, 3, 1]), operated("Transpose", axes=[0, -1, 1])),
    "transposed in part": (operated("Transpose", axes=[0, 1]), operated("Transpose", axes=None)),
    "swapped beyond": (operated("Swapaxes", axis1=1, axis2=3), operated("Swapaxes", axis1=1, axis2=-1)),
    "squeezed": (operated("Squeeze", axis=1), operated("Squeeze", (None, 1, 6), axis=1)),
    "broadcast": (operated("BroadcastTo", shape=[1, 4, 7]), operated("BroadcastTo", shape=[5, 4, 6])),
    "padded": (operated("Pad", pad_width=[[0, 0], [1, 1]]), operated("Pad", pad_width=[[1, 1]])),
    "repeated": (operated("Repeat", repeats=2, axis=3), operated("Repeat", repeats=2, axis=-1)),
    "one hot": (operated("OneHot", num_classes=3, axis=3), operated("OneHot", num_classes=3, axis=-1)),
    "halves both forward": (bidirectional(go_backwards=False), bidirectional()),
    "halves of other sequences": (bidirectional(return_sequences=False), bidirectional(return_state=False)),
    "halves of other states": (bidirectional(return_state=True), bidirectional(stateful=False)),
    "batch axis": (one("BatchNormalization", [[None, 6]], axis=0), one("BatchNormalization", [[4, 6]], axis=0)),
    "batch axis from behind": (one("RMSNormalization", [[None, 6]], axis=[-2]), one("RMSNormalization", [[None, 6]], axis=[1])),
    "batch axis among others": (
        one("LayerNormalization", [[None, 5, 6]], axis=[2, 0], epsilon=1e-3),
        one("LayerNormalization", [[None, 5, 6]], axis=[2, 1], epsilon=1e-3),
    ),
    "more groups than channels": (one("GroupNormalization", [[None, 8]], groups=9), one("GroupNormalization", [[None, 8]], groups=8)),
    "groups of unequal size": (one("GroupNormalization", [[None, 8]], groups=5), one("GroupNormalization", [[None, 8]], groups=-1)),
    "strides and dilation": (convolved("Conv1D", strides=[2], dilation_rate=[2]), convolved("Conv1D", strides=[1], dilation_rate=[2])),
    "transposed": (convolved("Conv1DTranspose", strides=[2], dilation_rate=[2]), convolved("Conv1DTranspose", strides=[2])),
    "output padding": (
        convolved("Conv1DTranspose", strides=[2], output_padding=[2]),
        convolved("Conv1DTranspose", strides=[2], output_padding=[1]),
    ),
    "convolution over time": (
        one("ConvLSTM1D", [[None, 3, 9, 8]], filters=4, kernel_size=[3], strides=[2], dilation_rate=[2]),
        one("ConvLSTM1D", [[None, 3, 9, 8]], filters=4, kernel_size=[3], strides=[2], dilation_rate=[1]),
    ),
    "vocabulary of another size": (looked_up(num_oov_indices=2), looked_up(num_oov_indices=1)),
    "vocabulary of any size": (looked_up(num_oov_indices=2), looked_up(num_oov_indices=2, output_mode="int")),
    "term twice": (looked_up(vocabulary=[5, 5, 6]), looked_up(vocabulary=[5, 4, 6])),
    "inverted": (looked_up(invert=True), looked_up(invert=True, output_mode="int")),
    "too many tokens": (
        one("TextVectorization", [[None, 1]], max_tokens=2, vocabulary_size=7),
        one("TextVectorization", [[None, 1]], max_tokens=7, vocabulary_size=7),
    ),
    "padded to no size": (
        one("TextVectorization", [[None, 1]], pad_to_max_tokens=True, max_tokens=None),
        one("TextVectorization", [[None, 1]], pad_to_max_tokens=True, max_tokens=7),
    ),
    "a lookup padded to no size": (looked_up(pad_to_max_tokens=True), looked_up(pad_to_max_tokens=True, max_tokens=9)),
}
"""What Keras 3.15 refuses, each beside what it takes."""


@pytest.mark.parametrize("name", REFUSED)
def test_hyperparameters_that_do_not_go_together(name):
    refused, taken = REFUSED[name]
    assert "invalid-hyperparameter" in kinds(refused)
    assert kinds(taken) == set()


@pytest.mark.parametrize(
    ("kind", "config", "shape"),
    [
        ("Transpose", {"axes": [0, -1, 1]}, (None, 6, 4)),
        ("Swapaxes", {"axis1": 0, "axis2": -1}, (6, 4, None)),
        ("BroadcastTo", {"shape": [5, 4, 6]}, (5, 4, 6)),
        ("Pad", {"pad_width": [[0, 0], [1, 2], [0, 3]]}, (None, 7, 9)),
        ("Repeat", {"repeats": 3, "axis": 1}, (None, 12, 6)),
        ("OneHot", {"num_classes": 3, "axis": 1}, (None, 3, 4, 6)),
        ("OneHot", {"num_classes": 3, "axis": -1}, (None, 4, 6, 3)),
    ],
)
def test_what_an_operation_yields(kind, config, shape):
    """As Keras 3.15's `compute_output_spec` says for an input of (None, 4, 6)."""
    assert derived(operated(kind, **config)).outputs[0].shape == shape


@pytest.mark.parametrize(("state", "wrong"), [(True, False), (False, True)])
def test_a_state_that_is_not_returned(state, wrong):
    cell = {"class_name": "GRUCell", "module": "keras.layers", "config": {"name": "cell", "units": 3}}
    entry = {"class_name": "RNN", "module": "keras.layers", "config": {"name": "one", "cell": cell, "return_state": state}}
    assert ("malformed-config" in kinds(referring(inner=entry, output=("one", 0, 1), shape=(None, 4, 6)))) is wrong


@pytest.mark.parametrize(("size", "blocks"), [(64, 3), (65, 2), (None, None)])
def test_the_block_size_of_a_quantised_layer_is_that_of_its_own_configuration(size, blocks):
    own = {"class_name": "Int4QuantizationConfig", "config": {"block_size": size}}
    policy = {"class_name": "Int4DTypePolicy", "config": {"mode": "int4/64", "source_name": "float32"}}
    layer = derived(one("Dense", [[None, 130]], units=9, quantization_config=own, dtype=policy)).layers[1]
    shapes = {spec.role: spec.shape for spec in layer.specs}
    assert shapes["kernel_scale"] == ((9,) if blocks is None else (blocks, 9))


def built(kind, shapes, build, **config):
    return functional({"class_name": kind, "config": {"name": "one", "trainable": True, **config}, "build_config": build}, shapes)


ATTENTION = {"num_heads": 2, "key_dim": 3}


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (built("Dense", [[None, 8]], {"input_shape": [None, 9]}, units=3), True),
        (built("Dense", [[None, 8]], {"input_shape": [4, 8]}, units=3), False),
        (built("Dense", [[None, 5, 8]], {"input_shape": [None, 7, 8]}, units=3), False),
        (built("BatchNormalization", [[None, 6, 6, 8]], {"input_shape": [None, 6, 6, 9]}), True),
        (built("Dropout", [[None, 8]], {"input_shape": [None, 9]}, rate=0.5), False),
        (built("MultiHeadAttention", [[None, 5, 8]] * 2, {"shapes_dict": {"query_shape": [None, 5, 9]}}, **ATTENTION), True),
        (built("MultiHeadAttention", [[None, 5, 8]] * 2, {"shapes_dict": {"query_shape": [None, 7, 8]}}, **ATTENTION), False),
    ],
)
def test_a_layer_is_built_for_what_it_is_called_on(config, wrong):
    """As far as its weights depend on it: Keras 3 makes them by the build configuration."""
    assert kinds(config) == ({"declared-shape-mismatch"} if wrong else set())
