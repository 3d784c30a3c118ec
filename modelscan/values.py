"""Statistics of stored weights, streamed block by block: what the values are, without ever holding a tensor.

Floating-point blocks are looked at as integers: the order of IEEE 754 bit patterns is the order of the magnitudes, so that
four integer reductions give both extremes and tell whether a NaN or an infinity is among them; these are then counted.
Types of eight bits and less go through a histogram of their bytes, which is exact for every one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite, isnan, nan, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from modelscan import dtypes
from modelscan.records import record

Block = npt.NDArray[Any]


@record(frozen=True, slots=True)
class FloatLayout:
    """Bits of a floating-point type; see IEEE 754-2019 and, for eight bits, the OCP FP8 and MX specifications."""

    exponent: int
    mantissa: int
    bias: int
    special: str = "ieee"
    """`ieee`: the largest exponent is infinity or NaN. `fn`: only all ones is NaN. `fnuz`: only negative zero is NaN. `none`."""

    def decode(self, bits: int) -> float:
        """The value of a bit pattern, sign bit on top."""
        width = self.exponent + self.mantissa
        sign = -1.0 if bits >> width else 1.0
        magnitude = bits & ((1 << width) - 1)
        exponent, fraction = divmod(magnitude, 1 << self.mantissa)
        if self.special == "ieee" and exponent == (1 << self.exponent) - 1:
            return nan if fraction else sign * inf
        if self.special == "fn" and magnitude == (1 << width) - 1:
            return nan
        if self.special == "fnuz" and not magnitude and sign < 0:
            return nan
        if exponent:
            return sign * (1 + fraction / (1 << self.mantissa)) * 2.0 ** (exponent - self.bias)
        return sign * fraction / (1 << self.mantissa) * 2.0 ** (1 - self.bias)

    def subnormal(self, bits: int) -> bool:
        """Whether the pattern is a non-zero value below the smallest normal one."""
        magnitude = bits & ((1 << (self.exponent + self.mantissa)) - 1)
        return 0 < magnitude < (1 << self.mantissa)


LAYOUTS: dict[str, FloatLayout] = {
    "float64": FloatLayout(11, 52, 1023),
    "float32": FloatLayout(8, 23, 127),
    "float16": FloatLayout(5, 10, 15),
    "bfloat16": FloatLayout(8, 7, 127),
    "float8_e5m2": FloatLayout(5, 2, 15),
    "float8_e5m2fnuz": FloatLayout(5, 2, 16, "fnuz"),
    "float8_e4m3": FloatLayout(4, 3, 7),
    "float8_e4m3fn": FloatLayout(4, 3, 7, "fn"),
    "float8_e4m3fnuz": FloatLayout(4, 3, 8, "fnuz"),
    "float8_e4m3b11fnuz": FloatLayout(4, 3, 11, "fnuz"),
    "float8_e3m4": FloatLayout(3, 4, 3),
    "float4_e2m1fn": FloatLayout(2, 1, 1, "none"),
}


@record(frozen=True, slots=True)
class Statistics:
    """What a tensor's values are. Extremes, mean and deviation are those of the finite values, None if there are none."""

    elements: int
    nans: int = 0
    infinities: int = 0
    zeros: int = 0
    subnormals: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None

    @property
    def finite(self) -> int:
        """Elements that are numbers."""
        return self.elements - self.nans - self.infinities

    @property
    def constant(self) -> bool:
        """Whether all elements are one finite value."""
        return self.finite == self.elements > 0 and self.minimum == self.maximum


class Accumulator:
    """Gathers the statistics of one tensor from blocks of its little-endian payload."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.elements = self.nans = self.infinities = self.zeros = self.subnormals = 0
        self.minimum, self.maximum = inf, -inf
        self.total = self.squares = 0.0
        self._histogram: npt.NDArray[np.int64] | None = None
        bits = dtypes.BITS.get(dtype)
        self._component = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
        if bits is None:
            raise ValueError(f"{dtype} has no values to take statistics of")
        if bits <= 8:
            self._histogram = np.zeros(256, np.int64)

    def add(self, block: memoryview | bytes) -> None:
        """Take in a whole number of elements (of bytes, for packed types)."""
        if self._histogram is not None:
            self._histogram += np.bincount(np.frombuffer(block, np.uint8), minlength=256)
        elif self._component in LAYOUTS:
            self._add_floats(block, LAYOUTS[self._component])
        else:
            self._add_integers(np.frombuffer(block, np.dtype(self.dtype).newbyteorder("<")))

    def result(self, elements: int | None = None) -> Statistics:
        """The statistics. `elements` is the tensor's own count, where packing pads the last byte."""
        if self._histogram is not None:
            self._expand(self._histogram, elements)
        finite = self.elements - self.nans - self.infinities
        mean = self.total / finite if finite else None
        deviation = None
        if mean is not None and isfinite(mean):
            deviation = sqrt(max(0.0, self.squares / finite - mean * mean))
        count = self.elements if self._component == self.dtype else self.elements // 2
        return Statistics(
            count,
            self.nans,
            self.infinities,
            self.zeros,
            self.subnormals,
            self.minimum if finite else None,
            self.maximum if finite else None,
            mean,
            deviation,
        )

    def _add_integers(self, values: Block) -> None:
        if not values.size:
            return
        self.elements += values.size
        self.zeros += values.size - int(np.count_nonzero(values))
        self.minimum, self.maximum = min(self.minimum, int(values.min())), max(self.maximum, int(values.max()))
        wide = values.astype(np.float64)
        self.total += float(wide.sum())
        self.squares += float(np.dot(wide, wide))

    def _add_floats(self, block: memoryview | bytes, layout: FloatLayout) -> None:
        width = 1 + layout.exponent + layout.mantissa
        bits = np.frombuffer(block, np.dtype(f"<u{width // 8}"))
        if not bits.size:
            return
        infinity = ((1 << layout.exponent) - 1) << layout.mantissa
        sign = 1 << (width - 1)
        least, most, signed_least, signed_most = _extremes(bits)
        if least == most:  # zeros above all
            self._add_counted(layout.decode(least), least, bits.size)
            return
        self.elements += bits.size
        if max(signed_most, most - sign) >= infinity:
            bits = self._without_specials(bits, sign - 1, infinity)
            if not bits.size:
                return
            least, most, signed_least, signed_most = _extremes(bits)
        low = layout.decode(most) if most >= sign else layout.decode(least)
        high = layout.decode(signed_most) if signed_most >= 0 else layout.decode(signed_least + 2 * sign)
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        if min(least & (sign - 1), signed_least & (sign - 1)) < 1 << layout.mantissa:  # the least magnitude of each sign
            magnitude = bits & bits.dtype.type(sign - 1)
            zeros = bits.size - int(np.count_nonzero(magnitude))
            self.zeros += zeros
            self.subnormals += int(np.count_nonzero(magnitude < bits.dtype.type(1 << layout.mantissa))) - zeros
        self._add_moments(bits)

    def _without_specials(self, bits: Block, mask: int, infinity: int) -> Block:
        """The patterns that are numbers; counts those that are not."""
        magnitude = bits & bits.dtype.type(mask)
        self.infinities += int(np.count_nonzero(magnitude == infinity))
        self.nans += int(np.count_nonzero(magnitude > infinity))
        numbers: Block = bits[magnitude < infinity]
        return numbers

    def _add_moments(self, bits: Block) -> None:
        if self._component == "bfloat16":
            values = (bits.astype("<u4") << np.uint32(16)).view("<f4")
        else:
            values = bits.view(f"<f{bits.dtype.itemsize}")
            if values.dtype.itemsize == 2:
                values = values.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # sums of values near the limit overflow; the mean is then inf, which is true
            self.total += float(values.sum())
            self.squares += float(np.dot(values, values))

    def _expand(self, histogram: npt.NDArray[np.int64], elements: int | None) -> None:
        """From counts of bytes to statistics of the one, two or four elements in each."""
        bits = dtypes.BITS[self.dtype] or 8
        counts: dict[int, int] = {}
        for byte, count in enumerate(histogram.tolist()):
            if count:
                for shift in range(0, 8, bits):
                    pattern = (byte >> shift) & ((1 << bits) - 1)
                    counts[pattern] = counts.get(pattern, 0) + count
        if elements is not None:  # padding elements of the last byte are zero
            counts[0] = counts.get(0, 0) - max(0, sum(counts.values()) - elements)
        for pattern, count in counts.items():
            self._add_counted(_small_value(self.dtype, bits, pattern), pattern, count)

    def _add_counted(self, value: float, pattern: int, count: int) -> None:
        if count <= 0:
            return
        self.elements += count
        if isnan(value):
            self.nans += count
        elif not isfinite(value):
            self.infinities += count
        else:
            layout = LAYOUTS.get(self._component)
            self.zeros += count if value == 0 else 0
            self.subnormals += count if layout is not None and layout.subnormal(pattern) else 0
            self.minimum, self.maximum = min(self.minimum, value), max(self.maximum, value)
            self.total += value * count
            self.squares += value * value * count


def _extremes(bits: Block) -> tuple[int, int, int, int]:
    """The least and the greatest of bit patterns, read as unsigned and as signed integers."""
    signed = bits.view(f"<i{bits.dtype.itemsize}")
    return int(bits.min()), int(bits.max()), int(signed.min()), int(signed.max())


def _small_value(dtype: str, bits: int, pattern: int) -> float:
    """The value of a pattern of at most eight bits."""
    if dtype in LAYOUTS:
        return LAYOUTS[dtype].decode(pattern)
    if dtype == "float8_e8m0fnu":  # a power of two, OCP MX scale format
        return nan if pattern == 255 else 2.0 ** (pattern - 127)
    if dtype.startswith("int"):
        return pattern - (1 << bits) if pattern >> (bits - 1) else pattern
    return pattern


def statistics(dtype: str, blocks: Iterable[memoryview | bytes], elements: int | None = None) -> Statistics:
    """The statistics of a payload given in blocks of whole elements; what a broken one ends with besides is left out."""
    gathered = Accumulator(dtype)
    width = max(1, (dtypes.BITS.get(dtype) or 8) // 8)
    for block in blocks:
        gathered.add(block[: len(block) - len(block) % width] if len(block) % width else block)
    return gathered.result(elements)
