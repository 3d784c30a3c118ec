"""Real programs of TensorFlow 1.0 to 2.16: what share of their weights has a layer with a formula."""

import json

import pytest

import modelscan
from tests.corpus import corpus

WITH_KERAS, WITHOUT = 0.95, 0.85
BROKEN = {"missing-index", "missing-checkpoint-shard", "missing-program"}
"""What is told of the folders whose variables did not come along."""


def programs():
    root = corpus("tf")
    for path in sorted(root.rglob("*.pb")):
        if path.name == "saved_model.pb":
            yield path.parent
        elif path.name not in ("keras_metadata.pb", "fingerprint.pb") and "assets" not in path.parts:
            yield path


def test_shares():
    shares = {True: [0, 0], False: [0, 0]}
    for path in programs():
        report = modelscan.inspect(path)
        assert report.readable, path
        with_keras = (path / "keras_metadata.pb").exists()
        shares[with_keras][0] += report.parameters.explained
        shares[with_keras][1] += report.parameters.stored
        grave = {one.name for one in report.findings if one.severity in ("high", "critical")}
        assert grave <= BROKEN, (path, grave)
    print(json.dumps({"with Keras metadata": shares[True], "without": shares[False]}))
    assert shares[True][0] >= WITH_KERAS * shares[True][1]
    assert shares[False][0] >= WITHOUT * shares[False][1]


@pytest.mark.slow
def test_no_value_of_a_healthy_program_is_an_alarm():
    for path in programs():
        report = modelscan.inspect(path, values=True)
        grave = {one.name for one in report.findings if one.severity in ("high", "critical")}
        assert grave <= BROKEN, (path, grave)
