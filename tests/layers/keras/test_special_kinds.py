"""Kinds of Keras files that few people meet and nobody counts right: quantised, LoRA, shards, npz, architecture apart, subclassed."""

import json

import h5py
import numpy as np
import pytest

import modelscan

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
L = keras.layers


def grave(report):
    return [one for one in report.findings if one.severity != "info"]


def counts(model):
    return {one.name: int(one.count_params()) for one in model.layers}


def ours(report):
    return {one.name: one.parameters for one in report.layers if one.depth == 0}


def small():
    inputs = keras.Input((6, 8))
    attended = L.Dense(8, name="narrow")(L.Dense(16, activation="relu", name="wide")(inputs))
    mixed = L.EinsumDense("abc,cd->abd", output_shape=(6, 4), bias_axes="d", name="einsum")(attended)
    return keras.Model(inputs, L.Dense(2, name="last")(L.Flatten()(mixed)), name="small")


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_quantised_models_count_what_a_loaded_one_holds(mode, suffix, tmp_path):
    model = small()
    model.quantize(mode)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    report = modelscan.inspect(path)
    # Keras itself does not load what it saves of float8 as HDF5: it orders the scales another way
    loaded = model if (mode, suffix) == ("float8", ".h5") else keras.models.load_model(path)
    assert grave(report) == []
    assert report.parameters.total == loaded.count_params()
    assert ours(report).items() >= counts(loaded).items()
    assert {one.verdict for one in report.layers} <= {"match", "inferred", "empty"}
    if mode == "int4":  # two to a byte: what they stand for is told beside what is stored
        assert report.parameters.logical > report.parameters.total


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_lora(suffix, tmp_path):
    model = small()
    model.get_layer("wide").enable_lora(2)
    path = tmp_path / f"model{suffix}"
    model.save_weights(path) if suffix == ".weights.h5" else model.save(path)
    report = modelscan.inspect(path)
    assert grave(report) == []
    assert report.parameters.explained == report.parameters.stored
    if suffix != ".weights.h5":
        assert report.parameters.total == model.count_params()
    if suffix == ".keras":  # the updates are merged into the kernel when the archive is written; loading adds them anew
        assert report.parameters.stored < report.parameters.total
        assert "LoRA" in (report.layer("wide").note or "")


def test_sharded_weights(tmp_path):
    model = keras.Sequential([keras.Input((64,)), *(L.Dense(64, name=f"d{n}") for n in range(6))])
    try:
        model.save_weights(tmp_path / "model.weights.json", max_shard_size=0.00005)
    except (TypeError, ValueError) as error:
        pytest.skip(f"this Keras does not write shards: {error}")
    assert len(list(tmp_path.glob("*.weights.h5"))) > 1
    report = modelscan.inspect(tmp_path / "model.weights.json")
    assert grave(report) == []
    assert report.parameters.total == model.count_params()
    next(iter(sorted(tmp_path.glob("*.weights.h5")))).unlink()
    assert "missing-shard" in {one.name for one in modelscan.inspect(tmp_path / "model.weights.json").findings}


def test_an_architecture_beside_its_weights(tmp_path):
    model = small()
    (tmp_path / "model.json").write_text(model.to_json())
    model.save_weights(tmp_path / "model.weights.h5")
    old = tf_keras.Sequential([tf_keras.layers.LSTM(3, input_shape=(5, 2), name="lstm"), tf_keras.layers.Dense(2, name="dense")])
    (tmp_path / "old.json").write_text(old.to_json())
    old.save_weights(tmp_path / "old.h5")
    for config, weights, made in (("model.json", "model.weights.h5", model), ("old.json", "old.h5", old)):
        without = modelscan.inspect(tmp_path / weights)
        report = modelscan.inspect(tmp_path / weights, config=tmp_path / config)
        assert without.parameters.total == report.parameters.total == made.count_params()
        assert without.parameters.independent == 0
        assert report.parameters.independent == report.parameters.stored
        assert ours(report).items() >= counts(made).items()
        assert grave(report) == grave(without) == []
    wrong = modelscan.inspect(tmp_path / "old.h5", config=tmp_path / "model.json")
    assert grave(wrong)


@keras.saving.register_keras_serializable("special")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.norm, self.second = L.Dense(5), L.BatchNormalization(), L.Dense(2)

    def call(self, x):
        return self.second(self.norm(self.first(x)))


def test_a_subclassed_model(tmp_path):
    model = Subclassed()
    model(np.zeros((1, 7), "float32"))
    model.save(tmp_path / "model.keras")
    report = modelscan.inspect(tmp_path / "model.keras")
    assert grave(report) == []
    assert report.parameters.total == model.count_params()
    assert report.parameters.explained == report.parameters.stored


def test_attention_of_keras_2(tmp_path):
    inputs = tf_keras.Input((6, 8))
    model = tf_keras.Model(inputs, tf_keras.layers.MultiHeadAttention(2, 4, value_dim=3, name="attention")(inputs, inputs))
    model.save(tmp_path / "model.h5")
    report = modelscan.inspect(tmp_path / "model.h5")
    assert grave(report) == []
    assert (report.parameters.total, report.layer("attention").verdict) == (model.count_params(), "match")
    assert "keyword-gone" in {one.name for one in report.findings}  # Keras 3 refuses its `query_shape`


def test_spectral_normalization_of_addons(tmp_path):
    """TensorFlow Addons calls the vector `sn_u`; all else is as in Keras."""
    model = keras.Sequential([keras.Input((5,)), L.SpectralNormalization(L.Dense(4, name="dense"), name="sn")])
    path = tmp_path / "model.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        (wrapper,) = [one for one in config["config"]["layers"] if one["class_name"] != "InputLayer"]
        wrapper["class_name"] = "Addons>SpectralNormalization"
        file.attrs["model_config"] = json.dumps(config)
        group = file["model_weights/sn"]
        names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
        for name in [one for one in names if "vector_u" in one]:
            group.move(name, name.replace("vector_u", "sn_u"))
        group.attrs["weight_names"] = [name.replace("vector_u", "sn_u").encode() for name in names]
    report = modelscan.inspect(path)
    assert grave(report) == []
    assert report.layers[-1].verdict == "match"
    assert report.parameters.total == model.count_params()


def test_tables_of_words_are_no_parameters(tmp_path):
    texts = L.TextVectorization(vocabulary=["a", "b", "c"], name="texts")
    inputs = keras.Input((1,), dtype="string")
    model = keras.Model(inputs, L.Dense(2, name="dense")(L.Embedding(10, 3, name="words")(texts(inputs))))
    model.save(tmp_path / "model.keras")
    report = modelscan.inspect(tmp_path / "model.keras")
    assert grave(report) == []
    assert report.parameters.total == keras.models.load_model(tmp_path / "model.keras").count_params()


def test_a_sequential_of_nothing(tmp_path):
    inputs = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,))], name="nothing")
    model = keras.Model(inputs, L.Dense(2, name="dense")(inner(inputs)))
    model.save(tmp_path / "model.keras")
    report = modelscan.inspect(tmp_path / "model.keras")
    assert grave(report) == []
    assert report.layer("dense").input_shapes == ((None, 3),)
    assert report.parameters.total == model.count_params()


def hand_written(path, layers):
    """A Sequential of `layers` Dense layers as Keras 2 writes it, the names in several attributes where one cannot hold them."""
    names = [f"a_rather_long_name_of_a_dense_layer_so_that_attributes_overflow_{number}" for number in range(layers)]
    config = {"name": "deep", "layers": [{"class_name": "Dense", "config": {"name": one, "units": 2}} for one in names]}
    config["layers"][0]["config"]["batch_input_shape"] = [None, 2]
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.12.0"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})
        top = file.create_group("model_weights")
        encoded = np.array([one.encode() for one in names])
        parts = np.array_split(encoded, encoded.nbytes // 64_000 + 1)
        for number, part in enumerate(parts):
            top.attrs["layer_names" if len(parts) == 1 else f"layer_names{number}"] = part
        for one in names:
            group = top.create_group(one)
            group.attrs["weight_names"] = [f"{one}/kernel:0".encode(), f"{one}/bias:0".encode()]
            group[f"{one}/kernel:0"], group[f"{one}/bias:0"] = np.ones((2, 2), "float32"), np.ones(2, "float32")
    return path


def test_names_in_several_attributes(tmp_path):
    report = modelscan.inspect(hand_written(tmp_path / "deep.h5", 1500))
    assert grave(report) == []
    assert report.parameters.total == 1500 * 6
    assert {one.verdict for one in report.layers} == {"match"}


def test_the_effort_grows_with_the_layers_and_not_with_their_square(tmp_path):
    import cProfile
    import pstats

    def calls(layers):
        path = hand_written(tmp_path / f"deep{layers}.h5", layers)
        modelscan.inspect(path)
        profile = cProfile.Profile()
        profile.runcall(modelscan.inspect, path)
        return pstats.Stats(profile).total_calls

    assert calls(1200) < 3.5 * calls(400)


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["Keras", "tf-keras"])
@pytest.mark.parametrize("file", ["model.keras", "model.h5", "model.weights.h5"])
def test_a_part_that_was_compiled_on_its_own_keeps_its_optimizer(k, file, tmp_path):
    """As the discriminator within a generative adversarial network."""
    judge = k.Sequential([k.layers.Input((6,)), k.layers.Dense(4, name="optimizer"), k.layers.Dense(1)], name="judge")
    judge.compile("adam", "mse", metrics=["mae"])
    judge.train_on_batch(np.ones((2, 6)), np.ones((2, 1)))
    judge.trainable = False
    inputs = k.Input((3,))
    model = k.Model(inputs, judge(k.layers.Dense(6, name="maker")(inputs)))
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 1)))
    model.save_weights(tmp_path / file) if "weights" in file else model.save(tmp_path / file)
    report = modelscan.inspect(tmp_path / file)
    assert grave(report) == []
    assert report.parameters.total == report.parameters.explained == sum(int(np.prod(one.shape)) for one in model.weights) == 57
    assert report.parameters.optimizer or (k is tf_keras and file == "model.h5")
