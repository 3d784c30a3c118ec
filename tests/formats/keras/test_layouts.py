"""How Keras files of each version name their groups, and classes that are not what their names say."""

import json
import zipfile

import h5py
import numpy as np
import pytest

import modelscan
from modelscan.formats.keras.store import read_store
from modelscan.limits import DEFAULT
from modelscan.source import LocalFile

WHOLE = {"match", "empty"}


def dense(name, inputs, units, **entry):
    config = {"name": name, "trainable": True, "dtype": "float32", "units": units, "use_bias": True}
    return {"module": "keras.layers", "class_name": "Dense", "registered_name": None, "config": config, **entry}, (inputs, units)


def sequential(name, *layers):
    config = {"name": name, "layers": [one for one, _ in layers]}
    return {"module": "keras", "class_name": "Sequential", "registered_name": None, "config": config}, None


def archive(path, config, arrays, version, groups=()):
    """A `.keras` file with these arrays by path, and groups that hold nothing."""
    weights = path.with_suffix(".weights.h5")
    with h5py.File(weights, "w") as file:
        for group in groups:
            file.create_group(group)
        for name, array in arrays.items():
            file[name] = array
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("metadata.json", json.dumps({"keras_version": version}))
        members.writestr("config.json", json.dumps(config))
        members.write(weights, "model.weights.h5")
    weights.unlink()
    return path


def pair(group, inputs, units):
    return {f"{group}/vars/0": np.ones((inputs, units), "float32"), f"{group}/vars/1": np.ones(units, "float32")}


def grave(report):
    return [one.message for one in report.findings if one.severity != "info"]


def test_keras_2_13_counts_a_layer_with_weights_twice(tmp_path):
    """Its containers number 0, 2, 4 where there are weights, and one further where there are none."""
    inner, _ = sequential("inner", dense("a", 4, 5), dense("b", 5, 6))
    empty, _ = sequential(
        "augmentation", ({"module": "keras.layers", "class_name": "Dropout", "config": {"name": "drop", "rate": 0.5}}, None)
    )
    outer, _ = sequential("outer", (empty, None), (inner, None), dense("c", 6, 3), dense("d", 3, 2))
    outer["config"]["layers"].insert(0, {"class_name": "InputLayer", "config": {"name": "input", "batch_input_shape": [None, 4]}})
    top = "_layer_checkpoint_dependencies"
    arrays = pair(f"{top}/sequential_1/{top}/dense", 4, 5) | pair(f"{top}/sequential_1/{top}/dense_2", 5, 6)
    arrays |= pair(f"{top}/dense", 6, 3) | pair(f"{top}/dense_2", 3, 2)
    groups = [f"{top}/sequential/vars", f"{top}/sequential/{top}/dropout/vars", f"{top}/sequential_1/vars"]
    report = modelscan.inspect(archive(tmp_path / "model.keras", outer, arrays, "2.13.1", groups))
    assert grave(report) == []
    assert report.parameters.independent == report.parameters.total == 25 + 36 + 21 + 8
    del arrays[f"{top}/dense_2/vars/1"]
    report = modelscan.inspect(archive(tmp_path / "model.keras", outer, arrays, "2.13.1", groups))
    assert [one.layer for one in report.findings if one.severity == "high"] == ["d"]


def twice(place, *, first=7, second=7):
    """A Dense in the graph and in a TimeDistributed beside it, with these `shared_object_id`s and its weights at one of the two places."""

    def tensor(name, *shape):
        return {"class_name": "__keras_tensor__", "config": {"shape": [None, *shape], "dtype": "float32", "keras_history": [name, 0, 0]}}

    def entry(kind, name, config, *node, **more):
        nodes = [{"args": [one], "kwargs": {}} for one in node]
        return {
            "module": "keras.layers",
            "class_name": kind,
            "config": {"name": name, **config},
            "name": name,
            "inbound_nodes": nodes,
            **more,
        }

    inner, _ = dense("d", 6, 4, shared_object_id=first)
    layers = [
        entry("InputLayer", "i", {"batch_shape": [None, 6]}),
        entry("InputLayer", "j", {"batch_shape": [None, 3, 6]}),
        {**inner, "name": "d", "inbound_nodes": [{"args": [tensor("i", 6)], "kwargs": {}}]},
        entry("TimeDistributed", "t", {"layer": {**inner, "shared_object_id": second}}, tensor("j", 3, 6)),
    ]
    ends = {"input_layers": [["i", 0, 0], ["j", 0, 0]], "output_layers": [["d", 0, 0], ["t", 0, 0]]}
    config = {"module": "keras.src.models.functional", "class_name": "Functional", "config": {"name": "m", "layers": layers, **ends}}
    return config, pair(place, 6, 4)


@pytest.mark.parametrize("place", ["layers/dense", "layers/time_distributed/layer"])
def test_entries_of_one_shared_object_id_are_one_layer(tmp_path, place):
    """Keras 3 makes it once and stores it once, at the place that it comes to first; its own count of such a file is 28."""
    report = modelscan.inspect(archive(tmp_path / "model.keras", *twice(place), "3.15.1"))
    assert grave(report) == []
    assert report.parameters.total == report.parameters.trainable == report.parameters.independent == 28
    assert {one.verdict for one in report.layers} <= WHOLE


@pytest.mark.parametrize("numbers", [{"first": None}, {"second": None}, {"second": 8}, {"first": True, "second": True}, {"first": [7]}])
def test_entries_without_the_same_shared_object_id_are_two(tmp_path, numbers):
    report = modelscan.inspect(archive(tmp_path / "model.keras", *twice("layers/dense", **numbers), "3.15.1"))
    assert report.parameters.total == 56
    assert {one.layer for one in report.findings if one.code == "PAR002"} == {"t"}


def test_a_group_is_named_after_the_python_class_and_not_its_registered_name(tmp_path):
    own = {
        "module": "project.blocks",
        "class_name": "Block",
        "registered_name": "project>FancyBlock",
        "config": {"name": "block", "trainable": True, "dtype": "float32"},
        "build_config": {"input_shape": [None, 4]},
    }
    config, _ = sequential("model", dense("first", 3, 4), (own, None))
    config["config"]["layers"].insert(0, {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 3]}})
    arrays = pair("layers/dense", 3, 4) | pair("layers/block/inner", 4, 7)
    report = modelscan.inspect(archive(tmp_path / "model.keras", config, arrays, "3.5.0"))
    assert grave(report) == []
    assert (report.layer("block").verdict, report.layer("block").parameters) == ("unknown", 35)


@pytest.mark.parametrize("module", ["project.layers", "keras_hub.layers"])
def test_a_class_of_another_package_is_not_the_one_of_keras(module, tmp_path):
    entry, _ = dense("mine", 3, 4, build_config={"input_shape": [None, 3]})
    entry |= {"module": module, "registered_name": "project>Dense"}
    config, _ = sequential("model", (entry, None))
    arrays = {"layers/dense/vars/0": np.ones((3, 4), "float32"), "layers/dense/vars/1": np.ones((4, 9), "float32")}
    report = modelscan.inspect(archive(tmp_path / "model.keras", config, arrays, "3.5.0"))
    assert grave(report) == []
    assert (report.layer("mine").verdict, report.layer("mine").parameters) == ("unknown", 48)


def legacy(path, layers, weights, **attributes):
    """A whole HDF5 model of Keras 2 or 3: a Sequential unless the configuration is given as one."""
    config = layers if isinstance(layers, dict) else {"class_name": "Sequential", "config": {"name": "model", "layers": layers}}
    with h5py.File(path, "w") as file:
        file.attrs.update({"keras_version": "2.2.4", "model_config": json.dumps(config)} | attributes)
        top = file.create_group("model_weights")
        top.attrs["layer_names"] = [name.encode() for name in weights]
        for layer, arrays in weights.items():
            group = top.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, array in arrays.items():
                group[name] = array
    return path


def test_an_attention_of_the_authors_own_is_unknown(tmp_path):
    """Keras 2 files have no modules; many models have an `Attention` that is older than Keras' own."""
    layers = [
        {"class_name": "LSTM", "config": {"name": "lstm", "units": 2, "return_sequences": True, "batch_input_shape": [None, 5, 3]}},
        {"class_name": "Attention", "config": {"name": "attention", "trainable": True, "step_dim": 5}},
        {"class_name": "Dense", "config": {"name": "dense", "units": 1}},
    ]
    weights = {
        "lstm": {
            "lstm/kernel:0": np.ones((3, 8), "f4"),
            "lstm/recurrent_kernel:0": np.ones((2, 8), "f4"),
            "lstm/bias:0": np.ones(8, "f4"),
        },
        "attention": {"attention/W:0": np.ones(2, "f4"), "attention/b:0": np.ones(5, "f4")},
        "dense": {"dense/kernel:0": np.ones((2, 1), "f4"), "dense/bias:0": np.ones(1, "f4")},
    }
    report = modelscan.inspect(legacy(tmp_path / "model.h5", layers, weights))
    assert grave(report) == []
    assert (report.layer("attention").verdict, report.layer("attention").parameters) == ("unknown", 7)
    assert report.parameters.total == 48 + 7 + 3


def test_a_layer_may_be_called_vars(tmp_path):
    layers = [{"class_name": "Dense", "config": {"name": "vars", "units": 2, "batch_input_shape": [None, 3]}}]
    weights = {"vars": {"vars/kernel:0": np.ones((3, 2), "f4"), "vars/bias:0": np.ones(2, "f4")}}
    report = modelscan.inspect(legacy(tmp_path / "model.h5", layers, weights))
    assert grave(report) == []
    assert report.layer("vars").verdict == "match"


def test_a_model_that_was_never_built_has_no_weights_yet(tmp_path):
    config, _ = sequential("model", dense("a", 0, 5), dense("b", 0, 2))
    report = modelscan.inspect(archive(tmp_path / "model.keras", config, {}, "3.5.0", ["layers/dense/vars", "layers/dense_1/vars"]))
    assert grave(report) == []
    assert report.parameters.total == 0
    config["config"]["layers"][0]["build_config"] = {"input_shape": [None, 3]}  # built: now they are missing
    report = modelscan.inspect(archive(tmp_path / "model.keras", config, {}, "3.5.0", ["layers/dense/vars", "layers/dense_1/vars"]))
    assert {one.name for one in report.findings if one.severity == "high"} == {"weight-missing"}


def dense_weights(scope, inputs, units):
    return {f"{scope}/kernel:0": np.ones((inputs, units), "f4"), f"{scope}/bias:0": np.ones(units, "f4")}


def two_layers():
    return [
        {"class_name": "Dense", "config": {"name": "dense_1", "units": 3, "batch_input_shape": [None, 3]}},
        {"class_name": "Dense", "config": {"name": "dense_2", "units": 3}},
    ]


def test_a_group_that_no_layer_of_the_configuration_has_is_told(tmp_path):
    weights = {name: dense_weights(name, 3, 3) for name in ("dense_1", "dense_2")}
    assert grave(modelscan.inspect(legacy(tmp_path / "whole.h5", two_layers(), weights))) == []
    report = modelscan.inspect(legacy(tmp_path / "model.h5", two_layers()[:1], weights))
    assert {one.name for one in report.findings if one.severity == "high"} == {"tensor-unclaimed"}
    assert (report.parameters.stored, report.parameters.explained) == (24, 12)


@pytest.mark.parametrize("suffix", ["", "_1"])
def test_swapped_groups_are_told_by_the_names_of_their_weights(suffix, tmp_path):
    """TensorFlow 1 made scopes unique by a further number when a model was built twice in one session."""
    straight = {name: dense_weights(f"{name}{suffix}", 3, 3) for name in ("dense_1", "dense_2")}
    third = {"class_name": "Dense", "config": {"name": "dense_3", "units": 2}}
    others = {"dense_3": dense_weights(f"dense_3{suffix}", 3, 2)}
    assert grave(modelscan.inspect(legacy(tmp_path / "whole.h5", [*two_layers(), third], straight | others))) == []
    swapped = {"dense_1": straight["dense_2"], "dense_2": straight["dense_1"]} | others
    report = modelscan.inspect(legacy(tmp_path / "model.h5", [*two_layers(), third], swapped))
    assert {one.name for one in report.findings if one.severity == "high"} == {"group-name-mismatch"}


def test_scopes_with_other_numbers_than_their_layers_are_no_swap(tmp_path):
    weights = {"dense_1": dense_weights("dense_2_1", 3, 3), "dense_2": dense_weights("dense_1_1", 3, 3)}
    assert grave(modelscan.inspect(legacy(tmp_path / "model.h5", two_layers(), weights))) == []


def test_the_head_of_a_sequential_that_was_never_built(tmp_path):
    """Keras before 3.4 did not build a Sequential whose first layer is a model: that model has weights, the head none yet."""
    base, _ = sequential("base", dense("inner", 3, 4))
    base["config"]["layers"].insert(0, {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 3]}})
    config, _ = sequential("model", (base, None), dense("head", 4, 2))
    arrays = pair("layers/sequential/layers/dense", 3, 4)
    report = modelscan.inspect(archive(tmp_path / "model.keras", config, arrays, "3.3.3", ["layers/dense/vars"]))
    assert grave(report) == []
    assert (report.parameters.total, report.layer("head").parameters) == (16, 0)
    config["config"]["build_input_shape"] = [None, 3]
    report = modelscan.inspect(archive(tmp_path / "model.keras", config, arrays, "3.3.3", ["layers/dense/vars"]))
    assert {one.layer for one in report.findings if one.severity == "high"} == {"head"}


def tensor(shape, name):
    return {"class_name": "__keras_tensor__", "config": {"shape": shape, "dtype": "float32", "keras_history": [name, 0, 0]}}


def graph(layer, inputs, outputs, **options):
    """A functional model of one layer and a consumer of its output, with the shapes that Keras 3 declares."""
    entries = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": inputs, "name": "in"}, "name": "in"},
        {"module": "keras.layers", "class_name": layer, "config": {"name": "layer", "trainable": True} | options, "name": "layer"},
        {"module": "keras.layers", "class_name": "Activation", "config": {"name": "end", "activation": "relu"}, "name": "end"},
    ]
    calls = ([], [{"args": [tensor(inputs, "in")], "kwargs": {}}], [{"args": [tensor(outputs, "layer")], "kwargs": {}}])
    for entry, nodes in zip(entries, calls, strict=True):
        entry["inbound_nodes"] = nodes
    config = {"name": "model", "layers": entries, "input_layers": [["in", 0, 0]], "output_layers": [["end", 0, 0]]}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


WORDS = {"output_mode": "multi_hot", "vocabulary": ["a", "b"], "vocabulary_size": 3}
BINS = {"output_mode": "one_hot", "bin_boundaries": [0.0, 1.0]}
UNSAID = {"filters": 2, "kernel_size": [3], "strides": [2], "padding": "valid", "use_bias": False}


@pytest.mark.parametrize(
    ("layer", "version", "inputs", "outputs", "options", "right"),
    [
        ("TextVectorization", "3.3.3", [None, 1], [None, 3], WORDS, True),
        ("TextVectorization", "3.14.0", [None, 1], [None, 1, 3], WORDS, True),
        ("TextVectorization", "3.14.0", [None, 1], [None, 1, 4], WORDS, False),
        ("StringLookup", "3.13.0", [None, 4], [None, 3], WORDS | {"output_mode": "one_hot"}, True),
        ("StringLookup", "3.15.0", [None, 4], [None, 4, 3], WORDS | {"output_mode": "one_hot"}, True),
        ("Discretization", "3.13.0", [None, 1], [None, 1], BINS, True),
        ("Discretization", "3.15.0", [None, 1], [None, 3], BINS, True),
        ("Discretization", "3.15.0", [None, 5, 4], [None, 4, 3], BINS | {"output_mode": "multi_hot"}, True),
        ("Conv1DTranspose", "3.6.0", [None, 8, 3], [None, 18, 2], UNSAID, True),
        ("Conv1DTranspose", "3.6.0", [None, 8, 3], [None, 20, 2], UNSAID, False),
        ("Conv1DTranspose", "3.15.0", [None, 8, 3], [None, 18, 2], UNSAID | {"output_padding": None}, False),
    ],
)
def test_declared_shapes_as_each_version_computed_them(layer, version, inputs, outputs, options, right, tmp_path):
    arrays = {"layers/conv1d_transpose/vars/0": np.ones((3, 2, 3), "f4")} if layer == "Conv1DTranspose" else {}
    report = modelscan.inspect(archive(tmp_path / "model.keras", graph(layer, inputs, outputs, **options), arrays, version))
    assert grave(report) == [] if right else {one.name for one in report.findings if one.severity == "high"} == {"declared-shape-mismatch"}
    if right:
        assert [list(one) for one in report.layer("end").output_shapes] == [outputs]


@pytest.mark.parametrize("end", ["input_layers", "output_layers"])
def test_an_end_of_the_model_that_is_no_layer_is_told(end, tmp_path):
    config = graph("Activation", [None, 4], [None, 4], activation="relu")
    assert grave(modelscan.inspect(archive(tmp_path / "whole.keras", config, {}, "3.6.0"))) == []
    config["config"][end] = [["gone", 0, 0]]
    report = modelscan.inspect(archive(tmp_path / "model.keras", config, {}, "3.6.0"))
    assert {one.name for one in report.findings if one.severity == "high"} == {"malformed-config"}


def test_attributes_of_types_that_keras_never_writes_are_not_read(tmp_path):
    path = tmp_path / "model.h5"
    layers = [{"class_name": "Dense", "config": {"name": "a", "units": 2, "batch_input_shape": [None, 3]}}]
    legacy(path, layers, {"a": {"a/kernel:0": np.ones((3, 2), "f4"), "a/bias:0": np.ones(2, "f4")}})
    healthy = modelscan.inspect(path)
    sequences = np.empty(1, object)
    sequences[0] = np.arange(3, dtype=np.int32)
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs.create("sequences", sequences, dtype=h5py.vlen_dtype(np.int32))
    store = read_store(LocalFile(path), 0, None, DEFAULT, [])
    assert store.attributes["model_weights"]["sequences"] is None
    assert modelscan.inspect(path).layers == healthy.layers


def test_random_fourier_features_list_their_scale_first(tmp_path):
    """tf.keras makes it as a trainable weight, whether the layer is trained or not, and archives have these before the others."""
    config = {"name": "rff", "trainable": True, "dtype": "float32", "output_dim": 12, "scale": None}
    model, _ = sequential("m", ({"module": "keras.layers", "class_name": "RandomFourierFeatures", "config": config}, None))
    model["config"]["layers"].insert(0, {"class_name": "InputLayer", "config": {"name": "input", "batch_input_shape": [None, 8]}})
    shapes = {0: (1,), 1: (8, 12), 2: (12,)}
    arrays = {f"layers/random_fourier_features/vars/{at}": np.ones(shape, "float32") for at, shape in shapes.items()}
    report = modelscan.inspect(archive(tmp_path / "model.keras", model, arrays, "2.15.0"))
    assert grave(report) == []
    assert (report.parameters.trainable, report.parameters.independent) == (1, 109)


@pytest.mark.parametrize("lost", ["vars/0", "layer/vars/0", "vars/1"])
def test_spectral_normalization_holds_its_kernel_twice(tmp_path, lost):
    inner, _ = dense("d", 8, 4)
    config = {"name": "sn", "trainable": True, "dtype": "float32", "layer": inner, "power_iterations": 1}
    model, _ = sequential("m", ({"module": "keras.layers", "class_name": "SpectralNormalization", "config": config}, None))
    model["config"]["layers"].insert(0, {"class_name": "InputLayer", "config": {"name": "input", "batch_shape": [None, 8]}})
    shapes = {"vars/0": (8, 4), "vars/1": (1, 4), "layer/vars/0": (8, 4), "layer/vars/1": (4,)}
    arrays = {f"layers/spectral_normalization/{place}": np.ones(shape, "float32") for place, shape in shapes.items()}
    report = modelscan.inspect(archive(tmp_path / "model.keras", model, arrays, "3.15.1"))
    assert grave(report) == []
    del arrays[f"layers/spectral_normalization/{lost}"]
    report = modelscan.inspect(archive(tmp_path / "model.keras", model, arrays, "3.15.1"))
    assert [one.code for one in report.findings if one.severity == "high"] == ["PAR002"]
