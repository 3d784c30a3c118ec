"""What the values of the stored weights are: read on demand, judged by the WGT rules.

Each tensor is streamed once for its statistics. Tensors of equal shape, type and statistics are then compared by checksum:
equal bytes under two names mean a copy that a file could share.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from modelscan import dtypes
from modelscan.accounting import Accounts
from modelscan.errors import UnreadableFile
from modelscan.model import Kind, Model, Observation, Severity, StoredTensor
from modelscan.records import record
from modelscan.sums import TensorId, identity
from modelscan.values import Statistics, statistics

Blocks = Callable[[StoredTensor], Iterator[memoryview]]

EXTREME = 1e10
"""A weight beyond this magnitude is none that training leaves behind; float16 could not even hold it."""
_MASKS = frozenset({"Add", "Sub", "Where", "Min", "Max", "Clip"})
"""Operators by whose constants positions are masked out and values bounded: infinity is the usual word for it."""
DUPLICATE_ELEMENTS = 1024
"""Smaller tensors are equal by nature: biases of zeros, scales of ones."""


@record(frozen=True, slots=True)
class ValueReport:
    """What reading the values brought."""

    statistics: Mapping[TensorId, Statistics]
    observations: tuple[Observation, ...]


def check_values(model: Model, accounts: Accounts, blocks: Blocks) -> ValueReport:
    """Statistics of every stored tensor with numeric values, and what is remarkable about them."""
    holders = {identity(row.tensor): one.layer for one in accounts.accounts for row in one.rows if row.tensor is not None}
    owners = {key: layer.path for key, layer in holders.items()}
    found: dict[TensorId, Statistics] = {}
    seen: list[Observation] = []
    beside = _beside(accounts)
    told = {one.tensor for one in model.observations if one.kind != "unused-initializer"}  # why it cannot be read, for one
    for tensor in model.tensors:
        sealed = tensor.encoding == "sealed strings"
        if (not sealed and dtypes.BITS.get(tensor.dtype) is None) or not tensor.elements or identity(tensor) in found:
            continue
        owner = owners.get(identity(tensor))
        try:
            if sealed:
                deque(blocks(tensor), maxlen=0)  # strings have no statistics; their checksum is computed on the way
                continue
            figures = statistics(tensor.dtype, blocks(tensor), tensor.elements)
        except UnreadableFile as error:
            if tensor.name not in told:
                seen.append(Observation(error.kind, f"{tensor.name}: {error}", owner, tensor.name, error.offset))
            continue
        if figures.elements:
            found[identity(tensor)] = figures
            mask = identity(tensor) in holders and holders[identity(tensor)].type in _MASKS
            seen.extend(_remarks(tensor, figures, owner, mask, tensor.kind is Kind.WEIGHT or identity(tensor) in beside))
    seen.extend(_duplicates(model, found, owners, blocks))
    return ValueReport(found, tuple(seen))


def _beside(accounts: Accounts) -> frozenset[TensorId]:
    """Tensors that layers compute with beside their parameters: scales of quantised kernels, initial states. A buffer may be a mask."""
    return frozenset(
        identity(row.tensor)
        for one in accounts.accounts
        if one.layer.type != "Buffer"
        for row in one.rows
        if row.tensor is not None and row.spec is not None and not row.spec.counted
    )


def _remarks(tensor: StoredTensor, figures: Statistics, owner: str | None, mask: bool, used: bool) -> Iterator[Observation]:
    def remark(kind: str, text: str, severity: Severity | None = None) -> Observation:
        return Observation(kind, f"{tensor.name}: {text}", owner, tensor.name, tensor.offset, severity=severity)

    # Masks and other constants legitimately hold infinities, and nobody computes gradients through optimizer state.
    mild = None if used else Severity.INFO
    of = f"of {figures.elements:,} elements"
    if figures.nans:
        yield remark("nan-values", f"{figures.nans:,} {of} are NaN", mild)
    if figures.infinities:
        yield remark("infinite-values", f"{figures.infinities:,} {of} are infinite", Severity.INFO if mask else mild)
    if tensor.kind is not Kind.WEIGHT:
        return
    if len(tensor.shape) > 1 and figures.zeros == figures.elements:
        yield remark("all-zero-weights", f"all {figures.elements:,} elements are zero")
    elif len(tensor.shape) > 1 and figures.elements > 1 and figures.constant:
        yield remark("constant-weights", f"all {figures.elements:,} elements are {figures.minimum:g}")
    if dtypes.is_float(tensor.dtype):
        if figures.subnormals:
            yield remark("subnormal-values", f"{figures.subnormals:,} {of} are subnormal")
        largest = max(abs(figures.minimum or 0.0), abs(figures.maximum or 0.0))
        if largest >= EXTREME:
            yield remark("extreme-values", f"the largest magnitude is {largest:g}")


def _duplicates(
    model: Model, found: Mapping[TensorId, Statistics], owners: Mapping[TensorId, str], blocks: Blocks
) -> Iterator[Observation]:
    alike: dict[tuple[object, ...], list[StoredTensor]] = {}
    for tensor in model.tensors:
        figures = found.get(identity(tensor))
        if figures is not None and tensor.kind is Kind.WEIGHT and tensor.elements >= DUPLICATE_ELEMENTS and not figures.constant:
            alike.setdefault((tensor.dtype, tensor.shape, figures), []).append(tensor)
    for group in alike.values():
        if len(group) < 2:
            continue
        first: dict[int, StoredTensor] = {}
        for tensor in group:
            twin = first.setdefault(_checksum(blocks(tensor)), tensor)
            if identity(twin) != identity(tensor):
                text = f"{tensor.name} holds the same {tensor.elements:,} values as {twin.name}"
                yield Observation("equal-tensors", text, owners.get(identity(tensor)), tensor.name, tensor.offset)


def _checksum(blocks: Iterator[memoryview]) -> int:
    checksum = 0
    for block in blocks:
        checksum = zlib.crc32(block, checksum)
    return checksum
