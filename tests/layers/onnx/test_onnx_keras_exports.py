"""Networks that Keras itself exports to ONNX: the total is Keras' own, and where the exporter changed the weights, the difference is known."""

import numpy as np
import pytest

import modelscan

pytestmark = pytest.mark.slow
keras = pytest.importorskip("keras")
layers = keras.layers


def chain(*members):
    return keras.Sequential([keras.Input((6, 10)), *members])


def attention():
    given = keras.Input((6, 16))
    return keras.Model(given, layers.Dense(3)(layers.MultiHeadAttention(2, 8)(given, given)))


def exported(model, path):
    """The report on an export, after no weight is zero: the exporter leaves out biases that are."""
    chance = np.random.default_rng(0)
    model.set_weights([chance.uniform(0.01, 0.1, one.shape).astype("float32") for one in model.get_weights()])
    model(np.zeros((1, *model.input_shape[1:]), "float32"))  # only what was called can be exported
    model.export(path, format="onnx", verbose=False)
    report = modelscan.inspect(path)
    assert report.parameters.explained == report.parameters.stored == report.parameters.total
    assert not [one for one in report.findings if one.severity in ("high", "critical")]
    return report


SECOND_BIAS = {"SimpleRNN": 0, "LSTM": 4 * 32, "GRU": 0, "Bidirectional": 2 * 4 * 8, "MultiHeadAttention": 0}
"""What ONNX' LSTM keeps beside Keras' one bias."""


@pytest.mark.parametrize("name", SECOND_BIAS)
def test_the_total_is_that_of_keras(name, tmp_path):
    model = {
        "SimpleRNN": lambda: chain(layers.SimpleRNN(128), layers.Dense(10)),
        "LSTM": lambda: chain(layers.LSTM(32), layers.Dense(10)),
        "GRU": lambda: chain(layers.GRU(32), layers.Dense(10)),
        "Bidirectional": lambda: chain(layers.Bidirectional(layers.LSTM(8)), layers.Dense(4)),
        "MultiHeadAttention": attention,
    }[name]()
    report = exported(model, tmp_path / "model.onnx")
    assert report.parameters.total == model.count_params() + SECOND_BIAS[name]
    if SECOND_BIAS[name]:
        assert "ONNX keeps two biases" in str(report.to_dict())


def test_efficientnet_differs_by_its_folded_normalisations_alone(tmp_path):
    model = keras.applications.EfficientNetB0(weights=None)
    report = exported(model, tmp_path / "model.onnx")
    norms = [one for one in model.layers if isinstance(one, layers.BatchNormalization)]
    biased = sum(one.bias.shape[0] for one in model.layers if isinstance(one, layers.Conv2D | layers.DepthwiseConv2D) and one.use_bias)
    found = [(one.type, weight) for one in report.layers for weight in one.weights]
    folded = sum(weight.elements for kind, weight in found if kind == "Conv" and weight.role == "bias") - biased
    left = sum(one.parameters for one in report.layers if one.type == "BatchNormalization")
    assert folded + left // 2 == sum(one.gamma.shape[0] for one in norms), "each is a convolution's bias now, or a scale and a shift"
    count = 1  # of the Normalization, which no inference takes
    assert report.parameters.total == model.count_params() - sum(one.count_params() for one in norms) + folded + left - count
