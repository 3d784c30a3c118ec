"""Every Keras file of the corpus: totals, layers and shapes beside what the frameworks said of it."""

import json

import pytest

from modelscan import accounting, examine, formats
from modelscan.model import Kind
from tests.corpus import ROOT, corpus, expected

pytestmark = pytest.mark.corpus

# tf-keras rebuilds these four models from the placeholder shapes of their compiled targets; the configuration states (None, n).
REBUILT = ("LeakyReLU_0_model.h5", "ReLU_0_model.h5", "ReLU_1_model.h5", "simple_sparse_xent_mlp_keras_2_model.h5")


def rows():
    return expected("keras") if (ROOT / "keras" / "expected.tsv").exists() else ()


def read(path):
    model = examine.read(formats.open_artifact(str(path)))
    return model, accounting.reconcile(model)


def test_the_corpus_is_there():
    assert len(rows()) > 300 or corpus("keras")


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["path"][-60:])
def test_file(row):
    model, accounts = read(corpus("keras", row["path"]))
    totals = accounts.totals
    metrics = sum(one.elements for one in model.tensors if one.kind is Kind.STATE)
    if row["stored_elements"]:
        assert int(row["stored_elements"]) in (totals.stored, totals.stored + metrics)
    if row["oracle"] == "none":
        return
    assert (totals.total, totals.trainable, totals.non_trainable) == tuple(
        int(row[name]) for name in ("total", "trainable", "non_trainable")
    )
    assert {str(one.verdict) for one in accounts.accounts} <= {"match", "inferred", "empty", "unknown"}
    assert not accounts.unclaimed
    said = ROOT / "keras" / "_oracle" / (row["path"].replace("/", "__") + ".json")
    if said.exists():
        check_layers(json.loads(said.read_text())["layers"], accounts, row["path"])


def check_layers(layers, accounts, path):
    ours = {}
    for one in accounts.accounts:
        ours.setdefault(one.layer.name, []).append(one)
    for layer in layers:
        found = ours[layer["name"]]
        assert layer["count_params"] in [one.parameters for one in found], layer["name"]
        if layer["output_shape"] is not None and not path.endswith(REBUILT):
            shapes = [[list(shape) for shape in one.layer.output_shapes] for one in found]
            assert [layer["output_shape"]] in shapes or layer["output_shape"] in shapes, layer["name"]


def test_what_no_framework_loads_any_more_is_explained():
    corpus("keras")
    stored = explained = 0
    for row in rows():
        if row["oracle"] == "none":
            _, accounts = read(corpus("keras", row["path"]))
            stored += accounts.totals.stored
            explained += accounts.totals.explained
    assert stored
    assert explained / stored >= 0.98


def test_no_alarm_on_a_file_that_a_framework_loads():
    import modelscan

    corpus("keras")
    alarms = {}
    for row in rows():
        if row["oracle"] != "none":
            report = modelscan.inspect(corpus("keras", row["path"]))
            high = [f"{one.code} {one.message}" for one in report.findings if one.severity in ("high", "critical")]
            if high:
                alarms[row["path"]] = high[:2]
    # Loading a Lambda with safe mode on is refused, so that every alarm left would be a false one.
    assert {path: found for path, found in alarms.items() if not all(one.startswith("SEC101") for one in found)} == {}
