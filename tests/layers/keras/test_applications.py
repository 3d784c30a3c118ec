"""`keras.applications` with random weights: every layer's count and output shape from the files, beside Keras' own."""

import pytest

import modelscan

keras = pytest.importorskip("keras")

FIRST = ["MobileNetV3Small", "MobileNetV2", "EfficientNetB0", "DenseNet121"]
ALL = sorted(name for name in dir(keras.applications) if name[0].isupper() and callable(getattr(keras.applications, name)))


def shapes_of(layer):
    output = layer.output
    outputs = list(output) if isinstance(output, list | tuple) else [output]
    return tuple(tuple(one.shape) for one in outputs)


def check(name, tmp_path):
    keras.backend.clear_session()
    model = getattr(keras.applications, name)(weights=None)
    for ending in (".keras", ".h5"):
        path = tmp_path / f"{name}{ending}"
        model.save(path)
        report = modelscan.inspect(path)
        path.unlink()
        trainable = sum(one.size for one in (w.numpy() for w in model.trainable_weights))
        assert report.parameters.total == model.count_params()
        assert (report.parameters.trainable, report.parameters.non_trainable) == (trainable, model.count_params() - trainable)
        ours = {one.name: one for one in report.layers}
        for layer in model.layers:
            assert ours[layer.name].parameters == layer.count_params(), layer.name
            assert ours[layer.name].output_shapes == shapes_of(layer), layer.name
        assert {one.verdict for one in report.layers} <= {"match", "empty"}
        assert not [one for one in report.findings if one.severity != "info"]


@pytest.mark.oracle
@pytest.mark.parametrize("name", FIRST[:2])
def test_first_applications(name, tmp_path):
    check(name, tmp_path)


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("name", [one for one in ALL if one not in FIRST[:2]])
def test_all_applications(name, tmp_path):
    check(name, tmp_path)
