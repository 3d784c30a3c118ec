"""Generated configurations of every layer of Keras, saved and read back, beside what Keras itself says of them."""

import warnings

import pytest

import modelscan
from tests.layers.keras.configurations import NOT_TESTED, Case, covered, sample

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.oracle


def built(case: Case):
    """The model of one layer, None where Keras itself refuses the combination."""
    arguments = dict(case.arguments)
    rank = arguments.pop("lora_rank", None)
    whole = case.name in ("Embedding", "ReversibleEmbedding")
    inputs = [keras.Input(shape, dtype="int32" if whole else "float32") for shape in case.inputs]
    try:
        layer = getattr(keras.layers, case.name)(**arguments, dtype=case.dtype)
        outputs = (
            layer(*inputs)
            if "Attention" in case.name and case.name not in ("Attention", "AdditiveAttention")
            else layer(inputs if len(inputs) > 1 else inputs[0])
        )
        if rank:
            layer.enable_lora(rank)
    except (ValueError, TypeError, NotImplementedError, ZeroDivisionError):
        return None
    return keras.Model(inputs, outputs)


def disagreements(case: Case, folder) -> list[str]:
    """Everything in which we differ from Keras."""
    model = built(case)
    if model is None:
        return ["refused"]
    layer = model.layers[-1]
    found: list[str] = []
    saved = 0
    for ending in (".keras", ".h5"):
        path = folder / f"model{ending}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.save(path)
        except (ValueError, TypeError, NotImplementedError):
            continue
        saved += 1
        report = modelscan.inspect(path)
        ours = next(one for one in report.layers if one.name == layer.name)
        found += compared(f"{ending} parameters", ours.parameters, layer.count_params())
        found += compared(f"{ending} trainable", ours.trainable, sum(map(size, layer.trainable_weights)))
        found += compared(
            f"{ending} shapes", sorted(str(tuple(w.shape)) for w in ours.weights), sorted(str(tuple(w.shape)) for w in layer.weights)
        )
        outputs = model.output if isinstance(model.output, list | tuple) else [model.output]
        found += compared(f"{ending} output", [tuple(one) for one in ours.output_shapes], [tuple(one.shape) for one in outputs])
        if ours.verdict not in ("match", "empty"):
            found.append(f"{ending} verdict {ours.verdict}: {[one.problem for one in ours.weights if one.problem]}")
        found += [f"{ending} {one.code} {one.message}" for one in report.findings if one.severity != "info"]
    return found if saved else ["refused"]


def size(variable) -> int:
    total = 1
    for one in variable.shape:
        total *= one
    return total


def compared(what, ours, theirs) -> list[str]:
    return [] if ours == theirs else [f"{what}: ours {ours}, Keras {theirs}"]


def check(count, seed, folder):
    cases = list(sample(count, seed))
    wrong: list[tuple[Case, list[str]]] = []
    refused = 0
    for index, case in enumerate(cases):
        if index % 200 == 0:
            keras.backend.clear_session()
        found = disagreements(case, folder)
        if found == ["refused"]:
            refused += 1
        elif found:
            wrong.append((case, found))
    text = "\n".join(f"{case.name} {case.arguments} {case.inputs} {case.dtype}: {found}" for case, found in wrong[:20])
    assert not wrong, f"{len(wrong)} of {len(cases)} ({refused} refused by Keras)\n{text}"
    assert refused < len(cases) / 5
    return len(cases) - refused


def test_every_layer_class_is_covered_or_listed():
    aliases = {"AvgPool", "MaxPool", "GlobalAvgPool", "GlobalMaxPool", "Convolution", "SeparableConvolution"}
    for name in dir(keras.layers):
        if isinstance(getattr(keras.layers, name), type) and not name.startswith(tuple(aliases)):
            assert name in covered() or name in NOT_TESTED, name


def test_a_sample_of_configurations(tmp_path):
    check(150, 7, tmp_path)


@pytest.mark.slow
def test_two_thousand_configurations(tmp_path):
    assert check(2_600, 20_26, tmp_path) >= 2_000


WRAPPED = {
    "two different directions": lambda k: k.Bidirectional(
        k.LSTM(3, return_sequences=True), backward_layer=k.GRU(3, return_sequences=True, go_backwards=True)
    ),
    "sum of directions": lambda k: k.Bidirectional(k.GRU(4, reset_after=False), merge_mode="sum"),
    "directions apart": lambda k: k.Bidirectional(k.SimpleRNN(4), merge_mode=None),
    "directions with states": lambda k: k.Bidirectional(k.LSTM(4, return_state=True)),
    "dense over time": lambda k: k.TimeDistributed(k.Dense(3)),
    "no bias over time": lambda k: k.TimeDistributed(k.Dense(3, use_bias=False)),
    "one cell": lambda k: k.RNN(k.LSTMCell(5), return_sequences=True),
    "stacked cells": lambda k: k.RNN([k.LSTMCell(5), k.GRUCell(4), k.LSTMCell(3)]),
    "spectral dense": lambda k: k.SpectralNormalization(k.Dense(3)),
    "spectral conv": lambda k: k.SpectralNormalization(k.Conv1D(3, 2)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers(name, tmp_path):
    entry = keras.Input((6, 7))
    layer = WRAPPED[name](keras.layers)
    model = keras.Model(entry, layer(entry))
    for ending in (".keras", ".h5"):
        path = tmp_path / f"model{ending}"
        model.save(path)
        report = modelscan.inspect(path)
        ours = report.layer(layer.name)
        assert (ours.parameters, ours.verdict) == (layer.count_params(), "match"), [one.problem for one in ours.weights]
        assert sorted(tuple(w.shape) for w in ours.weights if not w.copy) == sorted(tuple(w.shape) for w in layer.weights)
        outputs = model.output if isinstance(model.output, list | tuple) else [model.output]
        assert [tuple(one) for one in ours.output_shapes] == [tuple(one.shape) for one in outputs]
        assert not [one for one in report.findings if one.severity != "info"]
