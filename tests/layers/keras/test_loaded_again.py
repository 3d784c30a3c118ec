"""What Keras holds after it has loaded a file again, where that is not what it held when it saved it."""

import h5py
import numpy as np
import pytest

import modelscan

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.oracle
L = keras.layers


def grave(report):
    return [one.message for one in report.findings if one.severity != "info"]


def elements(weights):
    return sum(int(np.prod(tuple(one.shape))) for one in weights)


def model_of(layer, shape, calls=1):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(*[inputs] * calls))


@keras.saving.register_keras_serializable("loaded_again")
class Scaled(keras.layers.Layer):
    """A layer of an author's own, with a weight and a layer in it."""

    def build(self, shape):
        self.inner = L.Dense(shape[-1])
        self.inner.build(shape)
        self.factor = self.add_weight(shape=(shape[-1],), name="factor")
        super().build(shape)

    def call(self, x):
        return self.inner(x) * self.factor


SWITCHED_OFF = {
    "attention": lambda: model_of(L.MultiHeadAttention(2, 4, trainable=False), (6, 8), 2),
    "grouped attention": lambda: model_of(L.GroupQueryAttention(4, 4, 2, trainable=False), (6, 8), 2),
    "convolutional recurrence": lambda: model_of(L.ConvLSTM1D(2, 3, trainable=False), (4, 6, 8)),
    "recurrence": lambda: model_of(L.LSTM(2, trainable=False), (6, 8)),
    "cell": lambda: model_of(L.RNN(L.GRUCell(2), trainable=False), (6, 8)),
    "frozen cell": lambda: model_of(L.RNN([L.GRUCell(2, trainable=False), L.LSTMCell(3)]), (6, 8)),
    "both directions": lambda: model_of(L.Bidirectional(L.LSTM(2), trainable=False), (6, 8)),
    "over time": lambda: model_of(L.TimeDistributed(L.Dense(2), trainable=False), (6, 8)),
    "frozen over time": lambda: model_of(L.TimeDistributed(L.Dense(2, trainable=False)), (6, 8)),
    "spectral": lambda: model_of(L.SpectralNormalization(L.Dense(2), trainable=False), (8,)),
    "separable": lambda: model_of(L.SeparableConv1D(3, 2, trainable=False), (6, 8)),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", SWITCHED_OFF)
def test_a_switch_reaches_no_further_than_in_the_loaded_model(name, suffix, tmp_path):
    """Keras 3 restores the switch of a layer before its inner layers are there: these are trained on."""
    path = tmp_path / f"model{suffix}"
    SWITCHED_OFF[name]().save(path)
    loaded, report = keras.models.load_model(path), modelscan.inspect(path)
    assert grave(report) == []
    assert (report.parameters.total, report.parameters.trainable) == (loaded.count_params(), elements(loaded.trainable_weights))
    assert sum(one.trainable for one in report.layers) == report.parameters.trainable


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_of_an_unknown_layer_that_is_switched_off_only_its_own_weights_are_known_to_be_frozen(suffix, tmp_path):
    model = model_of(Scaled(name="scaled"), (8,))
    model.get_layer("scaled").trainable = False
    model.save(tmp_path / f"model{suffix}")
    report = modelscan.inspect(tmp_path / f"model{suffix}")
    loaded = keras.models.load_model(tmp_path / f"model{suffix}")
    assert (report.parameters.total, elements(loaded.trainable_weights)) == (loaded.count_params(), 72)
    assert report.layer("scaled").trainable is None  # and not 0


def test_in_keras_2_a_switch_reaches_all_that_is_below(tmp_path):
    inputs = tf_keras.Input((6, 8))
    model = tf_keras.Model(inputs, tf_keras.layers.MultiHeadAttention(2, 4, trainable=False)(inputs, inputs))
    model.save(tmp_path / "model.keras")
    report = modelscan.inspect(tmp_path / "model.keras")
    loaded = tf_keras.models.load_model(tmp_path / "model.keras")
    assert (report.parameters.trainable, elements(loaded.trainable_weights)) == (0, 0)


def test_matrices_of_lora_come_back_when_an_archive_is_loaded(tmp_path):
    model = model_of(L.Conv1D(4, 3, name="conv"), (6, 8))
    model.get_layer("conv").enable_lora(2)
    model.save(tmp_path / "model.keras")
    report, loaded = modelscan.inspect(tmp_path / "model.keras"), keras.models.load_model(tmp_path / "model.keras")
    assert grave(report) == []
    assert (report.parameters.total, report.parameters.trainable) == (loaded.count_params(), elements(loaded.trainable_weights))
    assert report.parameters.stored == report.parameters.explained == 100 < report.parameters.total
    assert "56 elements are merged" in report.layer("conv").note


def test_matrices_of_lora_that_an_hdf5_file_has_lost_are_missed(tmp_path):
    model = model_of(L.Dense(4, name="dense"), (8,))
    model.get_layer("dense").enable_lora(2)
    model.save(tmp_path / "model.h5")
    assert grave(modelscan.inspect(tmp_path / "model.h5")) == []
    with h5py.File(tmp_path / "model.h5", "a") as file:
        group = file["model_weights/dense"]
        (path,) = [name for name in group.attrs["weight_names"].tolist() if "lora_kernel_a" in str(name)]
        group.attrs["weight_names"] = [name for name in group.attrs["weight_names"].tolist() if name != path]
        del group[path]
    assert {one.name for one in modelscan.inspect(tmp_path / "model.h5").findings if one.severity == "high"} == {"weight-missing"}


POLICIES = ["gptq/4/4", "gptq/8/-1", "gptq/2/4", "awq/4/4", "awq/4/-1", "int4/4", "int4/-1", "int8", "float8"]


@pytest.mark.parametrize("policy", POLICIES)
def test_quantised_by_policy(policy, tmp_path):
    """As a loaded model is built. The archives of GPTQ and AWQ that Keras 3.15 writes lack their zero points, and it does not load them."""
    kind = keras.dtype_policies.get(f"{policy}_from_float32")
    inputs = keras.Input((10, 8))
    x = L.Dense(6, use_bias=False, dtype=kind, name="second")(L.Dense(15, dtype=kind, name="first")(inputs))
    x = L.EinsumDense("abc,cde->abde", output_shape=(10, 2, 3), bias_axes="de", dtype=kind, name="heads")(x)
    x = L.EinsumDense("abcd,cde->abe", output_shape=(10, 9), dtype=kind, name="out")(x)
    model = keras.Model(inputs, x)
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"model{suffix}")
        report = modelscan.inspect(tmp_path / f"model{suffix}")
        if suffix == ".keras" and policy[:3] in ("gpt", "awq"):
            assert grave(report)
            continue
        assert grave(report) == []
        assert (report.parameters.total, report.parameters.trainable) == (model.count_params(), elements(model.trainable_weights))
        assert {one.name: one.parameters for one in report.layers} == {one.name: one.count_params() for one in model.layers}
        assert report.parameters.independent == report.parameters.stored


def test_a_second_table_of_four_bits_has_no_index_of_its_own(tmp_path):
    table = L.ReversibleEmbedding(20, 4, tie_weights=False, name="table")
    inputs = keras.Input((6,), dtype="int32")
    model = keras.Model(inputs, table(table(inputs), reverse=True))
    model.quantize("int4")
    model.save(tmp_path / "model.keras")
    report = modelscan.inspect(tmp_path / "model.keras")
    assert grave(report) == []
    assert report.layer("table").parameters == keras.models.load_model(tmp_path / "model.keras").count_params()


@pytest.mark.parametrize("backward", ["LSTM", "GRU"])
@pytest.mark.parametrize("mode", ["concat", "sum", None])
def test_directions_of_unequal_size(backward, mode, tmp_path):
    """Keras 3 declares the forward layer's shapes for both, and builds what follows for them."""
    units = 5 if mode == "concat" else 2  # it refuses to add what does not fit
    other = getattr(L, backward)(units, return_sequences=True, go_backwards=True)
    inputs = keras.Input((6, 8))
    both = L.Bidirectional(L.LSTM(2, return_sequences=True), merge_mode=mode, backward_layer=other, name="both")(inputs)
    model = keras.Model(inputs, [L.Dense(3)(one) for one in (both if isinstance(both, list | tuple) else [both])])
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"model{suffix}")
        keras.models.load_model(tmp_path / f"model{suffix}")
        report = modelscan.inspect(tmp_path / f"model{suffix}")
        assert grave(report) == []
        assert report.parameters.independent == report.parameters.total == model.count_params()


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["Keras", "tf-keras"])
def test_bfloat16_that_a_file_tells_as_opaque_bytes(k, tmp_path):
    """Neither framework loads it; the reason is told, and the weights are what they are. tf-keras keeps its statistics in float32."""
    layers = [k.layers.Dense(4, dtype="bfloat16", name="dense"), k.layers.BatchNormalization(dtype="bfloat16", name="norm")]
    model = k.Sequential([k.layers.Input((3,)), *layers])
    model.get_layer("dense").set_weights([np.full((3, 4), 1.5), np.full(4, np.nan)])
    model.save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="No cast function available"):
        k.models.load_model(tmp_path / "model.h5", compile=False)
    report = modelscan.inspect(tmp_path / "model.h5")
    assert grave(report) == []
    assert "nameless-bfloat16" in {one.name for one in report.findings}
    assert {one.verdict for one in report.layers} == {"match"}
    told = modelscan.inspect(tmp_path / "model.h5", values=True)
    assert [one.tensor.rsplit("/", 1)[-1].split(":")[0] for one in told.findings if one.severity == "high"] == ["bias"]


def test_a_custom_layer_yields_what_the_next_one_was_built_for(tmp_path):
    model = keras.Sequential([keras.Input((6, 8)), Scaled(name="scaled"), L.Dense(3, name="dense")])
    model.save(tmp_path / "model.keras")
    report = modelscan.inspect(tmp_path / "model.keras")
    assert report.layer("scaled").output_shapes == ((None, 6, 8),)
    assert (report.layer("dense").verdict, report.layer("dense").output_shapes) == ("match", ((None, 6, 3),))
    assert report.parameters.total == model.count_params()


@pytest.mark.parametrize("weight", ["kernel_scale", "kernel_zero", "g_idx", "kernel"])
def test_types_of_what_is_quantised(weight, tmp_path):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, L.Dense(6, dtype=keras.dtype_policies.get("int4/4_from_mixed_bfloat16"), name="dense")(inputs))
    model.save(tmp_path / "model.h5")
    assert grave(modelscan.inspect(tmp_path / "model.h5")) == []
    with h5py.File(tmp_path / "model.h5", "a") as file:
        group = file["model_weights/dense/dense"]
        array = group[weight][()].astype("int32")
        del group[weight]
        group[weight] = array
    assert {one.name for one in modelscan.inspect(tmp_path / "model.h5").findings if one.severity == "high"} == {"weight-mismatch"}
