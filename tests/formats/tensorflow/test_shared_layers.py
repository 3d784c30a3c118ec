"""Layers that Keras 2's object graph holds in two places: one node is one object."""

from dataclasses import replace

from modelscan.accounting import reconcile
from modelscan.formats.tensorflow.keras_layers import keras_model
from modelscan.layers.keras import derive
from modelscan.limits import DEFAULT
from modelscan.model import Model, StoredTensor
from modelscan.program import KerasNode, SavedObject, SavedVariable


def entry(kind, name, *inputs, **config):
    return {"class_name": kind, "name": name, "config": {"name": name, "trainable": True, **config}, "inbound_nodes": list(inputs)}


def model(layer_object):
    """A Dense called on one input, and in a TimeDistributed on another; `layer_object` is the node that the wrapper holds."""
    inner = {"name": "d", "trainable": True, "units": 4, "use_bias": True}
    layers = [
        entry("InputLayer", "i", batch_input_shape=[None, 6]),
        entry("InputLayer", "j", batch_input_shape=[None, 3, 6]),
        entry("Dense", "d", [["i", 0, 0, {}]], units=4, use_bias=True),
        entry("TimeDistributed", "t", [["j", 0, 0, {}]], layer={"class_name": "Dense", "config": inner}),
    ]
    ends = {"input_layers": [["i", 0, 0], ["j", 0, 0]], "output_layers": [["d", 0, 0], ["t", 0, 0]]}
    root = {"class_name": "Functional", "name": "m", "config": {"name": "m", "layers": layers, **ends}}
    nodes = [KerasNode(0, "root", "_tf_keras_network", root)]
    nodes += [KerasNode(at + 1, "", "_tf_keras_layer", one) for at, one in enumerate(layers[2:])]
    objects = [SavedObject("user_object", {"layer-0": 1, "layer-1": 2}), SavedObject("user_object", {"kernel": 3, "bias": 4})]
    objects.append(SavedObject("user_object", {"layer": layer_object}))
    tensors = []
    for owner in ("d", "other"):
        for weight, shape in (("kernel", (6, 4)), ("bias", (4,))):
            key = f"{owner}/{weight}/.ATTRIBUTES/VARIABLE_VALUE"
            objects.append(SavedObject("variable", variable=SavedVariable("float32", shape, True, f"{owner}/{weight}"), key=key))
            tensors.append(StoredTensor(key, shape, "float32"))
    objects.append(SavedObject("user_object", {"kernel": 5, "bias": 6}))
    found = keras_model(tuple(objects), nodes, tensors, DEFAULT, [])
    assert found is not None
    block, rows = found
    read = Model("savedmodel", "keras", producer={"version": "2.15.0"}, layers=rows, tensors=tuple(tensors), graph=block)
    return derive(read, DEFAULT)


def test_a_layer_that_a_wrapper_holds_too_is_counted_once_and_missing_nowhere():
    derived = model(layer_object=1)
    shared = replace(derived, layers=[one for one in derived.layers if one.name != "(model)"], tensors=derived.tensors[:2])
    accounts = reconcile(shared)
    assert [str(one.verdict) for one in accounts.accounts] == ["empty", "empty", "match", "match"]
    assert accounts.totals.total == accounts.totals.stored == 28


def test_two_layers_of_one_kind_are_counted_each():
    accounts = reconcile(model(layer_object=7))
    assert [str(one.verdict) for one in accounts.accounts] == ["empty", "empty", "match", "match"]
    assert accounts.totals.total == accounts.totals.stored == 56
