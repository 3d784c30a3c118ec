"""Reading values: what is remarkable about them, and what is not."""

import numpy as np
import pytest

from modelscan.accounting import reconcile
from modelscan.formats import ReadOptions, open_artifact
from modelscan.formats.payload import BLOCK, raw_blocks
from modelscan.formula import Dim
from modelscan.limits import DEFAULT
from modelscan.model import Claim, Kind, Layer, Model, StoredTensor, WeightSpec
from modelscan.valuecheck import check_values

RNG = np.random.default_rng(5)
NORMAL = RNG.standard_normal((64, 64)).astype(np.float32)


def checked(tmp_path, type="Custom", specs=None, **arrays):
    """Observations by kind, for a file that holds the arrays one after another."""
    path, offset, tensors = tmp_path / "weights.bin", 0, []
    with path.open("wb") as file:
        for name, array in arrays.items():
            kind = Kind.CONSTANT if name.startswith("constant") else Kind.WEIGHT
            tensors.append(StoredTensor(name, array.shape, array.dtype.name, array.nbytes, None, offset, kind))
            offset += file.write(array.tobytes())
    layer = Layer("layer", "layer", type, claims=tuple(Claim(one, one.name, specs and one.name) for one in tensors), specs=specs)
    model = Model("onnx", "onnx", layers=(layer,), tensors=tuple(tensors))
    artifact = open_artifact(str(path), ReadOptions(values=True))
    return check_values(model, reconcile(model), lambda tensor: raw_blocks(artifact, tensor, DEFAULT))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("nan-values", lambda a: a.__setitem__((3, 4), np.nan)),
        ("infinite-values", lambda a: a.__setitem__((3, 4), -np.inf)),
        ("all-zero-weights", lambda a: a.fill(0)),
        ("constant-weights", lambda a: a.fill(0.5)),
        ("subnormal-values", lambda a: a.__setitem__((0, 0), 1e-42)),
        ("extreme-values", lambda a: a.__setitem__((0, 0), 1e30)),
    ],
)
def test_each_remarkable_value_is_named_with_its_tensor_and_layer(tmp_path, kind, change):
    array = NORMAL.copy()
    change(array)
    (seen,) = checked(tmp_path, healthy=NORMAL, kernel=array).observations
    assert (seen.kind, seen.tensor, seen.layer, seen.offset) == (kind, "kernel", "layer", NORMAL.nbytes)


def test_biases_of_zeros_and_healthy_weights_are_silent(tmp_path):
    assert not checked(tmp_path, kernel=NORMAL, bias=np.zeros(64, np.float32), ones=np.ones(64, np.float32)).observations


def test_a_mask_may_hold_infinities(tmp_path):
    mask = np.where(np.tri(64, dtype=bool), 0, -np.inf).astype(np.float32)
    (seen,) = checked(tmp_path, constant_mask=mask).observations
    assert (seen.kind, str(seen.severity)) == ("infinite-values", "info")


@pytest.mark.parametrize(("kind", "severity"), [("Dense", None), ("Buffer", "info")])
def test_what_a_layer_computes_with_is_as_grave_as_its_weights(tmp_path, kind, severity):
    """The scales of a quantised kernel are no parameters, and one that is NaN spoils every result; a buffer may be anything."""
    scale = np.ones(64, np.float32)
    scale[3] = np.nan
    spec = WeightSpec("constant_scale", (Dim((), 64),), trainable=None, counted=False)
    (seen,) = checked(tmp_path, kind, (spec,), constant_scale=scale).observations
    assert (seen.kind, seen.severity and str(seen.severity)) == ("nan-values", severity)


def test_equal_bytes_under_two_names_are_found_and_equal_statistics_alone_are_not(tmp_path):
    shuffled = NORMAL.copy()
    shuffled[[0, 1]] = shuffled[[1, 0]]
    seen = checked(tmp_path, kernel=NORMAL, twin=NORMAL.copy(), other=shuffled).observations
    assert [(one.kind, one.tensor) for one in seen] == [("equal-tensors", "twin")]


def test_statistics_span_blocks(tmp_path):
    array = RNG.standard_normal(BLOCK // 2).astype(np.float32)
    figures = checked(tmp_path, kernel=array).statistics[(None, "kernel")]
    assert (figures.elements, figures.minimum, figures.maximum) == (array.size, array.min(), array.max())
    assert figures.mean == pytest.approx(array.mean(), abs=1e-5)
    assert figures.deviation == pytest.approx(array.std(), rel=1e-4)


def test_a_payload_past_the_end_is_a_finding_on_that_tensor_and_the_rest_is_read(tmp_path):
    path = tmp_path / "short.bin"
    path.write_bytes(NORMAL.tobytes())
    tensors = (
        StoredTensor("gone", (64, 64), "float32", NORMAL.nbytes, None, 100),
        StoredTensor("kernel", (64, 64), "float32", NORMAL.nbytes, None, 0),
    )
    model = Model("onnx", "onnx", tensors=tensors)
    artifact = open_artifact(str(path))
    found = check_values(model, reconcile(model), lambda tensor: raw_blocks(artifact, tensor, DEFAULT))
    assert [one.kind for one in found.observations] == ["truncated-file"]
    assert list(found.statistics) == [(None, "kernel")]
