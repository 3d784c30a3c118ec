"""Weights without a configuration: what the names of groups and the shapes prove, beside the model that wrote them."""

import io
import zipfile

import h5py
import numpy as np
import pytest

import modelscan

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.oracle


def adapted(layer):
    layer.adapt(["a b c", "b c", "c d"])
    return layer


SEQUENCE, IMAGE = (6, 8), (9, 9, 4)
OF_BOTH = {
    "both directions": (lambda k: k.Bidirectional(k.LSTM(3)), SEQUENCE),
    "directions of two classes": (lambda k: k.Bidirectional(k.LSTM(3), backward_layer=k.GRU(5, go_backwards=True)), SEQUENCE),
    "stacked cells": (lambda k: k.RNN([k.LSTMCell(3), k.GRUCell(4), k.SimpleRNNCell(2)]), SEQUENCE),
    "one cell": (lambda k: k.RNN(k.GRUCell(4, reset_after=False)), SEQUENCE),
    "recurrence over time": (lambda k: k.TimeDistributed(k.LSTM(3)), (2, *SEQUENCE)),
    "dense over time": (lambda k: k.TimeDistributed(k.Dense(3)), SEQUENCE),
    "convolutional recurrence": (lambda k: k.ConvLSTM2D(3, 2), (4, *IMAGE)),
    "separable": (lambda k: k.SeparableConv2D(5, 3, depth_multiplier=2), IMAGE),
    "separable without bias": (lambda k: k.SeparableConv1D(5, 3, use_bias=False), SEQUENCE),
    "depthwise": (lambda k: k.DepthwiseConv2D(3, depth_multiplier=2), IMAGE),
    "transposed without bias": (lambda k: k.Conv2DTranspose(5, 3, use_bias=False), IMAGE),
    "statistics": (lambda k: k.Normalization(axis=-1), IMAGE),
    "slopes": (lambda k: k.PReLU(), IMAGE),
    "no scale": (lambda k: k.BatchNormalization(scale=False), IMAGE),
    "einsum": (lambda k: k.EinsumDense("abc,cde->abde", output_shape=(6, 2, 3), bias_axes="de"), SEQUENCE),
}
OF_KERAS_3 = {
    "spectral": (lambda k: k.SpectralNormalization(k.Conv2D(5, 3)), IMAGE),
    "root mean squares": (lambda k: k.RMSNormalization(), SEQUENCE),
    "frequencies": (lambda k: adapted(k.TextVectorization(output_mode="tf_idf")), (1,)),
    "frequencies of a lookup": (lambda k: adapted(k.StringLookup(output_mode="tf_idf")), (1,)),
}


def checked(model, path, kind):
    report = modelscan.inspect(path)
    assert [one.message for one in report.findings if one.severity != "info"] == []
    assert report.parameters.total == sum(int(np.prod(tuple(one.shape))) for one in model.weights)
    assert report.parameters.explained == report.parameters.stored
    assert report.parameters.independent == 0
    assert kind is None or kind in {one.type for one in report.layers}


def model_of(k, layer, shape):
    inputs = k.Input(shape, dtype="string" if shape == (1,) else "float32")
    return k.Model(inputs, layer(inputs))


@pytest.mark.parametrize("name", OF_BOTH | OF_KERAS_3)
def test_archives_of_keras_3(name, tmp_path):
    build, shape = (OF_BOTH | OF_KERAS_3)[name]
    layer = build(keras.layers)
    model = model_of(keras, layer, shape)
    model.save_weights(tmp_path / "model.weights.h5")
    checked(model, tmp_path / "model.weights.h5", None if name == "stacked cells" else type(layer).__name__)


@pytest.mark.parametrize("name", OF_BOTH)
@pytest.mark.parametrize("file", ["model.h5", "model.weights.h5"])
def test_both_layouts_of_tf_keras(name, file, tmp_path):
    build, shape = OF_BOTH[name]
    layer = build(tf_keras.layers)
    model = model_of(tf_keras, layer, shape)
    model.save_weights(tmp_path / file)
    checked(model, tmp_path / file, None if name == "stacked cells" else type(layer).__name__)


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["Keras", "tf-keras"])
def test_attentions(k, tmp_path):
    for number, attention in enumerate([k.layers.MultiHeadAttention(2, 4, value_dim=3), k.layers.MultiHeadAttention(2, 4, use_bias=False)]):
        inputs = k.Input(SEQUENCE)
        model = k.Model(inputs, attention(inputs, inputs))
        model.save_weights(tmp_path / f"model{number}.weights.h5")
        checked(model, tmp_path / f"model{number}.weights.h5", "MultiHeadAttention")


@pytest.mark.parametrize("policy", ["int8", "int4/4", "int4/-1", "float8"])
def test_quantised_layers(policy, tmp_path):
    kind = keras.dtype_policies.get(f"{policy}_from_float32")
    inputs = keras.Input((8,))
    last = keras.layers.Dense(5, use_bias=False, dtype=kind, name="last")
    model = keras.Model(inputs, last(keras.layers.Dense(6, dtype=kind, name="first")(inputs)))
    model.save_weights(tmp_path / "model.weights.h5")
    checked(model, tmp_path / "model.weights.h5", "Dense")


def test_a_name_is_no_proof(tmp_path):
    """A layer may be called after a class that it is not of; its weights decide."""
    inputs = keras.Input(IMAGE)
    model = keras.Model(inputs, keras.layers.Conv2D(5, 3, name="embedding")(inputs))
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "a") as file:
        del file.attrs["model_config"]
    report = modelscan.inspect(tmp_path / "model.h5")
    assert (report.layer("embedding").type, report.layer("embedding").verdict) == ("Conv2D", "inferred")


@keras.saving.register_keras_serializable("weights_alone")
class Own(keras.Model):
    """A model whose configuration tells nothing of its layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = [keras.layers.Dense(6), keras.layers.Dense(5)]
        self.norm = keras.layers.BatchNormalization()
        self.dense = keras.layers.Conv1D(4, 2)  # an attribute's name says nothing of the class

    def call(self, x):
        for step in self.steps:
            x = step(x)
        return self.dense(self.norm(x))


GROWN = {
    "whole": (None, None, set()),
    "bias grown": ("layers/dense/vars/1", lambda array: np.concatenate([array, array[:1]]), {"weight-mismatch"}),
    "kernel flattened": ("layers/dense_1/vars/0", np.ravel, {"weight-mismatch"}),
    "whole numbers": ("layers/dense/vars/0", lambda array: array.astype("int32"), {"weight-mismatch"}),
    "statistic gone": ("layers/batch_normalization/vars/2", None, {"weight-missing"}),
    "kernel gone": ("dense/vars/0", None, {"weight-missing"}),
}


@pytest.mark.parametrize("name", GROWN)
def test_what_contradicts_itself_without_a_configuration(name, tmp_path):
    path, change, told = GROWN[name]
    for _ in range(2):  # so that the layers' own names are not those of their groups
        model = Own()
        model(np.ones((1, 4, 3), "float32"))
    model.save_weights(tmp_path / "model.weights.h5")
    if path is not None:
        with h5py.File(tmp_path / "model.weights.h5", "a") as file:
            array = file[path][()]
            del file[path]
            if change is not None:
                file[path] = change(array)
    report = modelscan.inspect(tmp_path / "model.weights.h5")
    assert {one.name for one in report.findings if one.severity != "info"} == told
    assert report.parameters.total == report.parameters.stored


def test_a_gap_among_the_weights_of_an_unknown_layer(tmp_path):
    @keras.saving.register_keras_serializable("weights_alone")
    class Pair(keras.layers.Layer):
        def build(self, shape):
            self.left, self.right = self.add_weight(shape=(2,)), self.add_weight(shape=(3,))

        def call(self, x):
            return x

    model = model_of(keras, Pair(name="pair"), SEQUENCE)
    model.save(tmp_path / "whole.keras")
    assert [one.name for one in modelscan.inspect(tmp_path / "whole.keras").findings if one.severity != "info"] == []
    with zipfile.ZipFile(tmp_path / "whole.keras") as archive, zipfile.ZipFile(tmp_path / "model.keras", "w") as target:
        buffer = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(buffer, "a") as file:
            del file["layers/pair/vars/0"]
        for member in archive.namelist():
            target.writestr(member, buffer.getvalue() if member == "model.weights.h5" else archive.read(member))
    assert [one.name for one in modelscan.inspect(tmp_path / "model.keras").findings if one.severity != "info"] == ["weight-missing"]


@pytest.mark.parametrize(
    ("mean", "variance", "count", "wrong"),
    [((1,), (1,), (), False), ((), (), (), False), ((1, 1), (1,), (), True), ((1,), (1,), (1,), True), ((2,), (3,), (), True)],
)
def test_the_statistics_of_a_normalization_have_one_shape(tmp_path, mean, variance, count, wrong):
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        for place, (shape, dtype) in enumerate(((mean, "f4"), (variance, "f4"), (count, "i8"))):
            file[f"preprocessors/normalization/vars/{place}"] = np.ones(shape, dtype)
    assert ("PAR001" in {one.code for one in modelscan.inspect(path).findings}) is wrong
