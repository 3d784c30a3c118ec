"""What depends on the version that wrote a file: the same layer of another version holds its weights in another way.

The figures are those of the released packages of these versions, whose files were loaded again by the version itself.
"""

import json
import zipfile

import h5py
import numpy as np
import pytest

import modelscan


def saved(path, version, layers, weights):
    """A functional model of given layers, each called on the one before, as an archive of the version; weights by group and key."""
    entries, before = [], []
    for name, kind, given, shape in layers:
        config = {"name": name, **given}
        shapes = [
            {"class_name": "__keras_tensor__", "config": {"shape": one[1], "dtype": "float32", "keras_history": [one[0], 0, 0]}}
            for one in before
        ]
        call = config.pop("call", {})
        several = kind in ("Attention", "AdditiveAttention")
        nodes = [{"args": [shapes] if several else shapes, "kwargs": call}] if shapes and kind != "InputLayer" else []
        entries.append({"module": "keras.layers", "class_name": kind, "config": config, "name": name, "inbound_nodes": nodes})
        before = [*before, (name, shape)] if kind == "InputLayer" else [(name, shape)]
    inputs = [[one["name"], 0, 0] for one in entries if one["class_name"] == "InputLayer"]
    config = {"name": "model", "layers": entries, "input_layers": inputs, "output_layers": [[entries[-1]["name"], 0, 0]]}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version, "date_saved": ""}))
        archive.writestr("config.json", json.dumps({"module": "keras", "class_name": "Functional", "config": config}))
        with h5py.File(path.with_suffix(".h5"), "w") as stored:
            for key, value in weights.items():
                stored[f"layers/{key}"] = value
        archive.write(path.with_suffix(".h5"), "model.weights.h5")
    return modelscan.inspect(path)


def source(*shape, dtype="float32", name="given"):
    return name, "InputLayer", {"batch_shape": [None, *shape], "dtype": dtype}, [None, *shape]


def attended(kind, **config):
    return "attention", kind, {**config, "call": {"return_attention_scores": True}}, None


def grave(report):
    return [one.message for one in report.findings if one.severity != "info"]


@pytest.mark.parametrize(
    ("version", "kind", "shape"),
    [
        ("3.0.5", "LayerNormalization", (7, 6)),
        ("3.13.2", "LayerNormalization", (7, 6)),
        ("3.14.0", "LayerNormalization", (6, 7)),
        ("3.9.2", "RMSNormalization", (7, 6)),
        ("3.14.0", "RMSNormalization", (6, 7)),
    ],
)
def test_axes_are_sorted_since_3_14(version, kind, shape, tmp_path):
    layer = ("norm", kind, {"axis": [-1, -2], "epsilon": 0.001}, [None, 5, 6, 7])
    group = "layer_normalization" if kind == "LayerNormalization" else "rms_normalization"
    roles = 2 if kind == "LayerNormalization" else 1

    def stored(extents):
        weights = {f"{group}/vars/{index}": np.ones(extents, np.float32) for index in range(roles)}
        return saved(tmp_path / "model.keras", version, [source(5, 6, 7), layer], weights)

    assert grave(stored(shape)) == []
    assert any("stored shape" in one for one in grave(stored(shape[::-1])))


POLICY = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "int8_from_float32"}}


@pytest.mark.parametrize(("version", "place", "scale"), [("3.2.1", 2, 8), ("3.3.3", 1, 9)])
def test_int8_of_3_2_scales_a_table_per_feature(version, place, scale, tmp_path):
    layers = [
        source(5, dtype="int32"),
        ("table", "Embedding", {"input_dim": 9, "output_dim": 8, "dtype": POLICY}, [None, 5, 8]),
        ("dense", "Dense", {"units": 7, "use_bias": False, "dtype": POLICY}, [None, 5, 7]),
        ("biased", "Dense", {"units": 3, "use_bias": True, "dtype": POLICY}, [None, 5, 3]),
    ]
    weights = {
        "embedding/vars/0": np.ones((9, 8), np.int8),
        "embedding/vars/1": np.ones(scale, np.float32),
        "dense/vars/0": np.ones((8, 7), np.int8),
        f"dense/vars/{place}": np.ones(7, np.float32),
        "dense_1/vars/0": np.ones((7, 3), np.int8),
        "dense_1/vars/1": np.ones(3, np.float32),
        "dense_1/vars/2": np.ones(3, np.float32),
    }
    report = saved(tmp_path / "model.keras", version, layers, weights)
    assert grave(report) == []
    assert report.parameters.total == report.parameters.independent == sum(one.size for one in weights.values())


QUERY, VALUE, SCORES = (None, 4, 8), (None, 4, 3), (None, 4, 6)


@pytest.mark.parametrize(
    ("version", "outputs"),
    [("3.0.5", [QUERY]), ("3.7.0", [VALUE]), ("3.8.0", [VALUE, SCORES]), ("3.15.1", [VALUE, SCORES]), (None, [VALUE, SCORES])],
)
def test_attention_yields_what_its_version_declares(version, outputs, tmp_path):
    layers = [source(4, 8), source(6, 3, name="value"), source(6, 8, name="key"), attended("Attention", use_scale=False)]
    report = saved(tmp_path / "model.keras", version, layers, {})
    assert grave(report) == []
    assert [tuple(one) for one in report.layers[-1].output_shapes] == outputs


@pytest.mark.parametrize(
    ("kind", "version", "scores"),
    [
        ("MultiHeadAttention", "3.3.3", None),
        ("MultiHeadAttention", "3.4.1", (None, 2, 4, 4)),
        ("GroupQueryAttention", "3.14.0", None),
        ("GroupQueryAttention", "3.15.1", (None, 2, 4, 6)),
    ],
)
def test_scores_of_heads(kind, version, scores, tmp_path):
    heads = (
        {"num_heads": 2, "key_dim": 4} if kind == "MultiHeadAttention" else {"num_query_heads": 2, "num_key_value_heads": 1, "head_dim": 4}
    )
    layers = [source(4, 8), source(6, 8, name="value"), attended(kind, **heads)]
    report = saved(tmp_path / "model.keras", version, layers, {})
    assert [tuple(one) for one in report.layers[-1].output_shapes] == [QUERY, *([scores] if scores else [])]


def test_attention_over_several_axes(tmp_path):
    layers = [source(5, 4, 8), source(5, 6, 8, name="value"), attended("Attention", use_scale=False)]
    declared = {
        version: saved(tmp_path / "model.keras", version, layers, {}).layers[-1].output_shapes[1] for version in ("3.9.2", "3.15.1")
    }
    assert declared == {"3.9.2": (None, 5, 5), "3.15.1": (None, 5, 4, 6)}
