"""Inputs and outputs: against what the user demands, and against the model whose place this one is to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelscan.ledger import ModelReport, TensorReport
from modelscan.model import Observation, Severity, shape_text
from modelscan.settings import Wanted, WantedTensor

ANY, DYNAMIC = "*", "?"


def wanted_differences(have: Sequence[TensorReport], wanted: Sequence[WantedTensor] | None, kind: str) -> Iterator[Observation]:
    """What is not as the user's list of inputs or outputs says. The list is complete: others are not allowed."""
    if wanted is None:
        return
    by_name = {one.name: one for one in have}
    where = f"require.{kind}s"
    for want in wanted:
        found = by_name.get(want.name)
        if found is None:
            there = f"; there are {', '.join(by_name)}" if by_name else "; there are none"
            yield Observation("signature-differs", f"there is no {kind} {want.name}{there}", where=where)
            continue
        if want.dtype is not None and found.dtype != want.dtype:
            told = f"is {found.dtype}" if found.dtype else "has no type that the file tells"
            yield Observation("signature-differs", f"{kind} {want.name} {told}; demanded: {want.dtype}", where=where)
        if want.shape is not None and (problem := _shape_problem(found, want.shape)):
            yield Observation("signature-differs", f"{kind} {want.name} {problem}", where=where)
    names = {one.name for one in wanted}
    for name in by_name:
        if name not in names:
            yield Observation("signature-differs", f"there is an {kind} {name} that nobody demanded", where=where)


def _shape_problem(found: TensorReport, want: Wanted) -> str | None:
    text = f"({', '.join(map(str, want))}{',' if len(want) == 1 else ''})"
    if found.shape is None:
        return f"has no shape that the file tells; demanded: {text}"
    if len(found.shape) != len(want):
        return f"is {shape_text(found.shape)}, of rank {len(found.shape)}; demanded: {text}"
    for index, (size, wish) in enumerate(zip(found.shape, want, strict=True)):
        if not _meets(size, wish):
            meant = f"dynamic{f' ({wish})' if wish != DYNAMIC else ''}" if isinstance(wish, str) else str(wish)
            told = str(size) if isinstance(size, int) else f"dynamic{f' ({size})' if size else ''}"
            return f"is {shape_text(found.shape)}: dimension {index} is {told}; demanded: {meant}"
    return None


def _meets(size: int | str | None, wish: int | str) -> bool:
    if wish == ANY:
        return True
    if isinstance(wish, int):
        return size == wish
    # Formats without named dimensions cannot tell the name; a dynamic dimension is all that they can show.
    return not isinstance(size, int) and (wish == DYNAMIC or size is None or size == wish)


def replacement_differences(new: ModelReport, old: ModelReport) -> Iterator[Observation]:
    """What a caller of the old model would stumble over with the new one in its place."""
    where = f"against {old.path}"
    for kind, ours, theirs in (("input", new.inputs, old.inputs), ("output", new.outputs, old.outputs)):
        pairs, gone, added = _pairs(ours, theirs, new.format, old.format)
        for name in gone:
            yield Observation("breaks-callers", f"{kind} {name} is gone", where=where)
        if kind == "input":
            for name in added:
                yield Observation("breaks-callers", f"there is a new input {name} that no caller feeds", where=where)
        for mine, old_one in pairs:
            for problem, severity in _tensor_problems(mine, old_one, kind):
                yield Observation("breaks-callers", f"{kind} {old_one.name}: {problem}", where=where, severity=severity)


def _pairs(
    ours: Sequence[TensorReport], theirs: Sequence[TensorReport], new_format: str | None, old_format: str | None
) -> tuple[list[tuple[TensorReport, TensorReport]], list[str], list[str]]:
    """Ours with theirs, names of theirs that are gone, names of ours that are new.

    Keras numbers unnamed inputs anew in every session (`input_1`, `input_2`) and is called by position: where the names do
    not meet, position decides.
    """
    mine, old = {one.name: one for one in ours}, {one.name: one for one in theirs}
    by_position = (new_format or "").startswith("keras") and (old_format or "").startswith("keras")
    if by_position and len(ours) == len(theirs) and set(mine) != set(old):
        return list(zip(ours, theirs, strict=True)), [], []
    pairs = [(mine[name], one) for name, one in old.items() if name in mine]
    return pairs, [name for name in old if name not in mine], [name for name in mine if name not in old]


def _tensor_problems(new: TensorReport, old: TensorReport, kind: str) -> Iterator[tuple[str, Severity | None]]:
    if new.dtype != old.dtype and old.dtype is not None and new.dtype is not None:
        yield f"{new.dtype}, in production {old.dtype}", None
    if old.shape is None:
        return
    shapes = f"{shape_text(new.shape) if new.shape is not None else 'unknown shape'}, in production {shape_text(old.shape)}"
    if new.shape is None:
        yield f"{shapes}: whether it fits cannot be told", Severity.MEDIUM
        return
    if len(new.shape) != len(old.shape):
        yield f"{shapes}: another rank", None
        return
    for index, (size, before) in enumerate(zip(new.shape, old.shape, strict=True)):
        if kind == "input" and isinstance(size, int) and size != before:
            yield f"{shapes}: dimension {index} takes {size} only", None
            return
        if kind == "output" and isinstance(before, int) and size != before:
            # A dynamic output may well come out at the same size; nobody can promise it.
            yield f"{shapes}: dimension {index} was always {before}", None if isinstance(size, int) else Severity.MEDIUM
            return
