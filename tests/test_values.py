"""Statistics from bit patterns against numpy and ml_dtypes."""

import math

import ml_dtypes
import numpy as np
import pytest

from modelscan.values import LAYOUTS, statistics

WIDE = {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
SMALL = [name for name in LAYOUTS if name.startswith("float8")]


def blocks(array, size=4096):
    data = array.tobytes()
    return [memoryview(data)[start : start + size] for start in range(0, len(data), size)]


def assert_like_numpy(array, dtype):
    found = statistics(dtype, blocks(array))
    with np.errstate(all="ignore"):
        values = array.astype(np.float64)
    finite = values[np.isfinite(values)]
    assert found.elements == array.size
    assert (found.nans, found.infinities) == (int(np.isnan(values).sum()), int(np.isinf(values).sum()))
    assert found.zeros == int((values == 0).sum())
    assert (found.minimum, found.maximum) == ((finite.min(), finite.max()) if finite.size else (None, None))
    if finite.size and np.isfinite(finite.sum()):
        assert found.mean == pytest.approx(finite.mean(), rel=1e-3, abs=1e-3 * float(np.abs(finite).max()))
    return found


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize(
    "case",
    [
        "normal",
        "positive",
        "negative",
        "specials",
        "only_nan",
        "only_infinity",
        "subnormal",
        "negative_subnormal",
        "zeros",
        "one_zero",
        "runs",
    ],
)
def test_wide_floats(dtype, case):
    rng = np.random.default_rng(7)
    values = rng.standard_normal(5000)
    match case:
        case "positive":
            values = np.abs(values) + 1
        case "negative":
            values = -np.abs(values) - 1
        case "specials":
            values[[3, 17]], values[[5, 4999]], values[[8]] = np.nan, np.inf, -np.inf
        case "only_nan":
            values[:] = np.nan
        case "zeros":
            values[:] = [0.0, -0.0] * 2500
        case "only_infinity":
            values[:] = -np.inf
        case "one_zero":
            values = -np.abs(values) - 1
            values[4321] = 0.0
        case "runs":  # blocks of one value each
            values[:] = np.repeat([0.0, 0.5, -0.25, np.inf, np.nan, 7.0, -0.0, 3.0, -3.0, 1.0], 500)
    array = values.astype(WIDE[dtype])
    tiny = ml_dtypes.finfo(array.dtype).smallest_subnormal
    if case == "subnormal":
        array[10:20] = tiny
    elif case == "negative_subnormal":
        array[:] = -np.abs(array) - np.asarray(1, array.dtype)
        array[10:20] = -tiny
    found = assert_like_numpy(array, dtype)
    smallest = np.asarray(ml_dtypes.finfo(array.dtype).smallest_normal, array.dtype)
    finite = array[np.isfinite(array)]
    assert found.subnormals == int(((np.abs(finite) < smallest) & (finite != 0)).sum())
    assert found.subnormals >= (10 if "subnormal" in case else 0)
    assert found.constant is (case == "zeros")
    if case == "runs":
        by_block = statistics(dtype, blocks(array, 500 * array.itemsize))
        assert by_block.mean == pytest.approx(found.mean)
        assert (by_block.elements, by_block.nans, by_block.infinities, by_block.zeros) == (5000, 500, 500, 1000)
        assert by_block.deviation == pytest.approx(float(np.std(array[np.isfinite(array)].astype(np.float64))), rel=1e-3)


@pytest.mark.parametrize("dtype", SMALL)
def test_every_pattern_of_eight_bits(dtype):
    assert_like_numpy(np.arange(256, dtype=np.uint8).view(getattr(ml_dtypes, dtype)), dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_integers(dtype):
    info = np.iinfo(dtype)
    array = np.random.default_rng(1).integers(info.min // 2, info.max // 2, 3000).astype(dtype)
    array[:9] = 0
    assert_like_numpy(array, dtype)


@pytest.mark.parametrize(("dtype", "expected"), [("int4", (-8, 7)), ("uint4", (0, 15)), ("int2", (-2, 1)), ("uint2", (0, 3))])
def test_packed_elements_and_their_padding(dtype, expected):
    every = bytes(range(256))
    found = statistics(dtype, [every])
    assert (found.minimum, found.maximum) == expected
    odd = statistics(dtype, [bytes([0x01])], elements=1)
    assert (odd.elements, odd.zeros, odd.maximum) == (1, 0, 1)


def test_four_bit_floats():
    found = statistics("float4_e2m1fn", [bytes(range(256))])
    assert (found.minimum, found.maximum, found.nans) == (-6.0, 6.0, 0)


def test_complex_parts_are_looked_at():
    array = np.array([1 + 2j, complex(math.nan, 0)], np.complex64)
    found = statistics("complex64", [array.tobytes()])
    assert (found.elements, found.nans) == (2, 1)
    same = statistics("complex64", [np.full(9, 1e-40 * (1 + 1j), np.complex64).tobytes()])
    assert (same.elements, same.subnormals, same.zeros) == (9, 18, 0)


def test_strings_have_no_statistics():
    with pytest.raises(ValueError, match="string"):
        statistics("string", [])
