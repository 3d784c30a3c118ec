"""The work that a Keras file takes grows with its size, not with the square of it."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from tests.growth import assert_in_proportion

KERNEL, BIAS = np.ones((4, 4), np.float32), np.ones(4, np.float32)


def layer(kind, name, inbound=None, module="keras.layers", **config):
    found = {"module": module, "class_name": kind, "config": {"name": name, "trainable": True, "dtype": "float32", **config}, "name": name}
    return found if inbound is None else {**found, "inbound_nodes": inbound}


def dense(name, inbound=None):
    return {**layer("Dense", name, inbound, units=4, activation="linear", use_bias=True), "build_config": {"input_shape": [None, 4]}}


INPUT = layer("InputLayer", "inp", [], batch_shape=[None, 4])


def tensor(source, call=0):
    return {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "dtype": "float32", "keras_history": [source, call, 0]}}


def taking(*sources):
    return [{"args": [tensor(one) for one in sources], "kwargs": {}}]


def sequential(layers, name="s"):
    return {"module": "keras", "class_name": "Sequential", "config": {"name": name, "layers": layers}, "name": name}


def functional(layers, outputs):
    inner = {"name": "m", "layers": layers, "input_layers": [["inp", 0, 0]], "output_layers": outputs}
    return {"module": "keras", "class_name": "Functional", "config": inner, "name": "m"}


def side_by_side(n, merge=None):
    layers, names = [INPUT, *(dense(f"d{i}", taking("inp")) for i in range(n))], [f"d{i}" for i in range(n)]
    if merge is None:
        return functional(layers, [[one, 0, 0] for one in names])
    together = layer(merge, "all", [{"args": [[tensor(one) for one in names]], "kwargs": {}}], axis=-1)
    return functional([*layers, together], [["all", 0, 0]])


def shared(n):
    calls = [{"args": [tensor("d", i - 1) if i else tensor("inp")], "kwargs": {}} for i in range(n)]
    return functional([INPUT, dense("d", calls)], [["d", n - 1, 0]])


def cells(n):
    inner = [layer("SimpleRNNCell", f"c{i}", units=4, activation="tanh", use_bias=True) for i in range(n)]
    stacked = layer("StackedRNNCells", "stack", cells=inner)
    return sequential([layer("InputLayer", "inp", batch_shape=[None, 3, 4]), layer("RNN", "rnn", cell=stacked)])


FILES = {
    "one behind the other": lambda n: (sequential([INPUT, *(dense(f"d{i}") for i in range(n))]), n),
    "side by side": lambda n: (side_by_side(n), n),
    "Add": lambda n: (side_by_side(n, "Add"), n),
    "Concatenate": lambda n: (side_by_side(n, "Concatenate"), n),
    "a layer that is called many times": lambda n: (shared(n), 1),
    "layers of one name": lambda n: (sequential([INPUT, *(dense("same") for _ in range(n))]), n),
    "layers without weights": lambda n: (sequential([INPUT, *(dense(f"d{i}") for i in range(n))]), 0),
    "weights without layers": lambda n: (sequential([INPUT]), n),
    "custom layers": lambda n: (sequential([INPUT, *(layer("Own", f"d{i}", module="own") for i in range(n))]), n),
    "cells": lambda n: (cells(n), 0),
    "models in a model": lambda n: (sequential([INPUT, *(sequential([dense(f"d{i}")], f"q{i}") for i in range(n))]), n),
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES.keys())
def test_work_grows_with_the_size_of_the_file(make, tmp_path):
    def write(path, parts):
        config, count = make(parts)
        weights = io.BytesIO()
        with h5py.File(weights, "w") as file:
            for i in range(count):
                group = file.create_group(f"layers/dense{f'_{i}' if i else ''}/vars")
                group["0"], group["1"] = KERNEL, BIAS
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", weights.getvalue())

    assert_in_proportion(write, tmp_path, ".keras")
