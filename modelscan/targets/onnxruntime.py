"""ONNX Runtime's releases: the newest operator sets and file format that each loads, and the operators of its CPU provider.

References: https://onnxruntime.ai/docs/reference/compatibility.html up to 1.20; 1.23 is built with ONNX 1.18
(https://github.com/microsoft/onnxruntime/pull/24945), 1.25 with ONNX 1.21 (its release notes); 1.32 was measured. What a
release between two rows loads is known only within their bounds, and is said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files

from modelscan.records import record
from modelscan.versions import Version, Versions, version_text

FIRST_GUARANTEED_OPSET = 7
STANDARD = "ai.onnx"
_COLUMNS = (STANDARD, "ai.onnx.ml", "ir")
_ROWS: dict[Version, tuple[int, int, int]] = {
    (0, 4): (10, 1, 5),
    (0, 5): (10, 1, 5),
    (1, 0): (11, 2, 6),
    (1, 1): (11, 2, 6),
    (1, 2): (11, 2, 6),
    (1, 3): (12, 2, 7),
    (1, 4): (12, 2, 7),
    (1, 5): (12, 2, 7),
    (1, 6): (13, 2, 7),
    (1, 7): (13, 2, 7),
    (1, 8): (14, 2, 7),
    (1, 9): (15, 2, 8),
    (1, 10): (15, 2, 8),
    (1, 11): (16, 2, 8),
    (1, 12): (17, 3, 8),
    (1, 13): (17, 3, 8),
    (1, 14): (18, 3, 8),
    (1, 15): (19, 3, 8),
    (1, 16): (19, 3, 9),
    (1, 17): (20, 4, 9),
    (1, 18): (21, 4, 10),
    (1, 19): (21, 4, 10),
    (1, 20): (21, 4, 10),
    (1, 23): (23, 5, 11),
    (1, 25): (26, 5, 13),
    (1, 32): (28, 5, 14),
}
"""Newest `ai.onnx`, newest `ai.onnx.ml` and newest IR version by release."""
NEWEST = max(_ROWS)
RELEASES: tuple[Version, ...] = ((0, 4), (0, 5), *((1, minor) for minor in range(NEWEST[1] + 1)))
_DTYPES = {
    "bfloat16": 4,
    "float8_e4m3fn": 9,
    "float8_e4m3fnuz": 9,
    "float8_e5m2": 9,
    "float8_e5m2fnuz": 9,
    "int4": 10,
    "uint4": 10,
    "float4_e2m1fn": 11,
    "float8_e8m0fnu": 12,
    "int2": 13,
    "uint2": 13,
}
"""The version of the format that brought an element type."""


@record(frozen=True, slots=True)
class Limit:
    """The newest version that a release loads: at least `sure`, at most `possible`."""

    sure: int
    possible: int | None
    """None when nothing bounds it (releases newer than the table)."""


def limit(release: Version, column: str) -> Limit:
    """What a release loads of `ai.onnx`, `ai.onnx.ml` or `ir`."""
    index = _COLUMNS.index(column)
    rows = sorted(_ROWS)
    below = [one for one in rows if one <= release]
    above = [one for one in rows if one >= release]
    sure = _ROWS[below[-1]][index] if below else 0
    return Limit(sure, _ROWS[above[0]][index] if above else None)


def releases_in(versions: Versions) -> tuple[Version, ...]:
    """The releases of a range, oldest first; for a range that begins behind the table, the newest known one.

    For one that has no known release, its first version: whether that loads anything is told by its neighbours, or not at all.
    """
    found = tuple(one for one in RELEASES if _any_patch(versions, one))
    if found:
        return found
    if any(version in versions for version in _later()):
        return (NEWEST,)
    lowest = versions.lowest()
    return () if lowest is None else (lowest,)


def _any_patch(versions: Versions, release: Version) -> bool:
    """Whether the range has the release or one of its corrections (1.17 for `==1.17.3`)."""
    return any((*release, patch) in versions for patch in range(10))


def _later() -> Iterator[Version]:
    yield from ((NEWEST[0], minor) for minor in range(NEWEST[1] + 1, 200))
    yield from ((major, 0) for major in range(NEWEST[0] + 1, 10))


def oldest_release(opsets: Mapping[str, int], ir_version: int | None) -> str | None:
    """The first release that is known to load these versions; None when none in the table is."""
    wanted = {"ir": ir_version or 0} | {domain or STANDARD: number for domain, number in opsets.items()}
    for release in RELEASES:
        if all(limit(release, column).sure >= wanted.get(column, 0) for column in _COLUMNS):
            return version_text(release)
    return None


def first_release(column: str, wanted: int) -> Version | None:
    """The first release that is known to load a version."""
    return next((one for one in RELEASES if limit(one, column).sure >= wanted), None)


def since_format(dtype: str) -> int:
    """The version of the format that an element type needs."""
    return _DTYPES.get(dtype, 1)


@record(frozen=True, slots=True)
class Operator:
    """One operator as the newest known release has it."""

    versions: tuple[int, ...]
    """In which its definition changed, oldest first."""
    without_kernel: frozenset[int]
    """Of these, the ones that the CPU provider cannot run."""

    def definition(self, opset: int) -> int | None:
        """The version that an operator set means; None when the set is older than the operator."""
        return max((one for one in self.versions if one <= opset), default=None)


@cache
def operators() -> Mapping[tuple[str, str], Operator]:
    """The operators of the newest known release by domain (`""` the standard one) and name."""
    found = {}
    for line in files("modelscan.targets").joinpath("onnxruntime_cpu.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        domain, name, versions = line.split("\t")
        numbers = [(int(one.rstrip("-")), one.endswith("-")) for one in versions.split()]
        found[domain, name] = Operator(tuple(number for number, _ in numbers), frozenset(n for n, missing in numbers if missing))
    return found


def problem(domain: str, name: str, opset: int) -> str | None:
    """Why the CPU provider cannot run an operator; None when it can, or when another rule says so."""
    known = operators().get((domain, name))
    if known is None:
        return "no operator of ONNX Runtime; it needs a library of custom operators" if domain else None
    definition = known.definition(opset)
    if definition is None or definition not in known.without_kernel:
        return None
    return f"in its version {definition} without an implementation for the CPU up to ONNX Runtime {version_text(NEWEST)}"


def split(key: str) -> tuple[str, str]:
    """Domain and name of an operator written as one word (`com.microsoft.Gelu`)."""
    domain, _, name = key.rpartition(".")
    return domain, name


def beyond(releases: Iterable[Version], column: str, wanted: int) -> tuple[list[Version], list[Version]]:
    """Releases that do not load a version, and those of which it cannot be told."""
    failing: list[Version] = []
    untold: list[Version] = []
    for release in releases:
        bound = limit(release, column)
        if wanted > bound.sure:
            (untold if bound.possible is None or wanted <= bound.possible else failing).append(release)
    return failing, untold
