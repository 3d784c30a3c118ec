"""The plain data comes back from its JSON as it was."""

import json
from pathlib import Path

import pytest

import modelscan
from modelscan.ledger import ModelReport

GOOD = Path(__file__).parent.parent / "fixtures" / "good"


@pytest.mark.parametrize("name", ["nested.keras", "conv_net.onnx", "simple_rnn.weights.h5"])
def test_a_report_travels_without_loss(name):
    report = modelscan.inspect(GOOD / name, values=True)
    packed = json.loads(report.packed())
    assert packed == report.to_dict()
    back = ModelReport.from_dict(packed)
    assert back == report
    assert back.layers[0].weights == report.layers[0].weights
    assert type(back.layers) is tuple


def test_what_is_no_plain_data_is_refused():
    report = ModelReport.from_dict({**modelscan.inspect(GOOD / "conv_net.onnx").to_dict(), "facts": {"x": object()}})
    with pytest.raises(TypeError, match="object is no plain data"):
        report.packed()
