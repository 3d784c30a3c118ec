"""How Keras files of each version name their groups, and classes that are not what their names say."""

import json
import zipfile

import h5py
import numpy as np
import pytest

import modelscan

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
