"""The comparison itself: two sides in, changes out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.diff.align import Alignment, Pair, align, align_across
from modelscan.diff.changes import Change, Diff
from modelscan.diff.sides import Side
from modelscan.model import Account, Row, TensorInfo, shape_text

_ONLY_OF_THE_FILE = frozenset(
    {"name", "trainable", "batch_input_shape", "batch_shape", "build_config", "registered_name", "shared_object_id"}
)
"""Hyperparameters that are compared elsewhere, or that only number the layers of one file."""
_ORIGIN = frozenset({"module", "registered_name", "shared_object_id", "build_config", "compile_config"})
_LONGEST = 200
_UNSAID = {"auto_pad": "NOTSET", "ceil_mode": 0, "count_include_pad": 0, "group": 1, "storage_order": 0, "transA": 0, "transB": 0}
"""What ONNX operators go by where an attribute is absent (`Operators.md` of onnx); one exporter writes it out, another does not."""
_UNSAID_EACH = {"dilations": 1, "output_padding": 0, "pads": 0, "strides": 1}
"""The same of each element of a list."""


def compare(old: Side, new: Side) -> Diff:
    """All differences of two models; hyperparameters only within one framework, values only where they were asked for."""
    same_framework = old.model.catalogue == new.model.catalogue and old.model.format.split("-")[0] == new.model.format.split("-")[0]
    found = align(old.layers, new.layers) if same_framework else align_across(old.layers, new.layers)
    notes = [] if same_framework else ["files of two frameworks: only layers with parameters are compared, by what they hold"]
    with_values = old.artifact.options.values
    equal, changed = 0, set[int]()
    changes = [*_model(old, new), *_signature(old, new)]
    for pair in found.pairs:
        own = list(_layer(pair, same_framework))
        if with_values:
            values = list(_values(pair, old, new))
            equal += not values and bool(pair[1].rows)
            own += values
        if own:
            changed.add(id(pair[1]))
        changes += own
    changes += _lone(found)
    changes += _unclaimed(old, new)
    if with_values and not same_framework:
        notes.append("values are compared where both files hold a weight in the same shape; exporters transpose and fold others")
    return Diff(
        old.path,
        new.path,
        (old.model.format, new.model.format),
        _totals(old, new),
        tuple(changes),
        len(found.pairs),
        len(found.pairs) - len(changed),
        equal if with_values else None,
        tuple(notes),
    )


def _totals(old: Side, new: Side) -> dict[str, tuple[Any, Any]]:
    mine, theirs = old.accounts.totals, new.accounts.totals
    return {
        "parameters": (mine.total, theirs.total),
        "trainable": (mine.trainable, theirs.trainable),
        "weight_bytes": (mine.weight_bytes, theirs.weight_bytes),
        "macs": (mine.macs, theirs.macs),
        "layers": (len(old.layers), len(new.layers)),
        "file_bytes": (old.file_bytes, new.file_bytes),
    }


def _model(old: Side, new: Side) -> Iterator[Change]:
    """Producer, operator sets, element types, totals."""
    pairs = {
        "format": (old.model.format, new.model.format),
        "producer": (dict(old.model.producer), dict(new.model.producer)),
        "opsets": (old.model.facts.get("opsets"), new.model.facts.get("opsets")),
        "parameters": (old.accounts.totals.total, new.accounts.totals.total),
        "parameters by type": (dict(old.accounts.totals.by_dtype), dict(new.accounts.totals.by_dtype)),
    }
    for aspect, (before, after) in pairs.items():
        if before != after:
            yield Change("model", "", aspect, before, after)


def _signature(old: Side, new: Side) -> Iterator[Change]:
    for scope, before, after in (("input", old.model.inputs, new.model.inputs), ("output", old.model.outputs, new.model.outputs)):
        mine, theirs = {one.name: one for one in before}, {one.name: one for one in after}
        for name, one in mine.items():
            if name not in theirs:
                yield Change(scope, name, "removed", _told(one))
            elif _told(one) != _told(theirs[name]):
                yield Change(scope, name, "changed", _told(one), _told(theirs[name]))
        for name, one in theirs.items():
            if name not in mine:
                yield Change(scope, name, "added", None, _told(one))


def _told(info: TensorInfo) -> str:
    return f"{info.dtype or '?'} {shape_text(info.shape) if info.shape is not None else '?'}"


def _layer(pair: Pair, same_framework: bool) -> Iterator[Change]:
    """What of one layer is not the same."""
    before, after = pair
    mine, theirs = before.layer, after.layer

    def change(aspect: str, old: Any, new: Any) -> Change:
        return Change("layer", theirs.path, aspect, old, new, theirs.type)

    if mine.path != theirs.path and same_framework:
        yield change("renamed" if mine.name != theirs.name else "moved", mine.path, theirs.path)
    if same_framework:
        if mine.type != theirs.type:
            yield change("type", mine.type, theirs.type)
        yield from (change(key, *values) for key, values in _settings(mine.config, theirs.config))
        if mine.trainable != theirs.trainable:
            yield change("trainable", mine.trainable, theirs.trainable)
        if mine.output_shapes != theirs.output_shapes:
            yield change("output shape", _shapes(mine.output_shapes), _shapes(theirs.output_shapes))
    if before.parameters != after.parameters:
        yield change("parameters", before.parameters, after.parameters)
    if same_framework and not theirs.container:
        yield from _weights(before, after, change)


def _weights(before: Account, after: Account, change: Any) -> Iterator[Change]:
    mine, theirs = _rows(before), _rows(after)
    for role in dict.fromkeys((*mine, *theirs)):
        old, new = (one.tensor if one is not None else None for one in (mine.get(role), theirs.get(role)))
        if old is None or new is None:
            if (old is None) != (new is None):
                yield change(role, None if old is None else shape_text(old.shape), None if new is None else shape_text(new.shape))
        elif old.shape != new.shape:
            yield change(f"{role} shape", shape_text(old.shape), shape_text(new.shape))
        elif old.dtype != new.dtype:
            yield change(f"{role} type", old.dtype, new.dtype)


def _settings(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for key in sorted({*mine, *theirs} - _ONLY_OF_THE_FILE):
        before, after = _plain(mine.get(key)), _plain(theirs.get(key))
        if before != after and key != "layers" and not _goes_without_saying(key, before, after):
            yield key, (before, after)


def _goes_without_saying(key: str, before: Any, after: Any) -> bool:
    """Whether one side says nothing, and the other what is understood then."""
    if None not in (before, after):
        return False
    said = after if before is None else before
    if key in _UNSAID_EACH:
        return isinstance(said, list) and said == [_UNSAID_EACH[key]] * len(said)
    return key in _UNSAID and bool(said == _UNSAID[key])


def _plain(value: Any) -> Any:
    """JSON-ready, without where a class comes from, which archives and HDF5 files write differently; what is long is cut."""
    text = json.dumps(_bare(value), default=str, sort_keys=True)
    return json.loads(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _bare(one) for key, one in value.items() if key not in _ORIGIN}
    return [_bare(one) for one in value] if isinstance(value, list | tuple) else value


def _shapes(shapes: Any) -> str:
    return ", ".join(shape_text(one) for one in shapes) or "?"


def _rows(account: Account) -> dict[str, Row]:
    """The rows of an account by role, second copies left out."""
    found: dict[str, Row] = {}
    for row in account.rows:
        role = row.spec.role if row.spec is not None else row.tensor.name if row.tensor is not None else "?"
        if not row.copy:
            found.setdefault(role, row)
    return found


def _values(pair: Pair, old: Side, new: Side) -> Iterator[Change]:
    """Weights whose bytes differ although shape and type agree."""
    mine, theirs = _rows(pair[0]), _rows(pair[1])
    for role, row in theirs.items():
        other = mine.get(role)
        if other is None or other.tensor is None or row.tensor is None:
            continue
        if other.tensor.shape != row.tensor.shape or other.tensor.dtype != row.tensor.dtype:
            continue
        before, after = _digest(old, other), _digest(new, row)
        if before != after and before is not None and after is not None:
            yield Change("layer", pair[1].layer.path, f"{role} values", before[:12], after[:12], pair[1].layer.type)


def _digest(side: Side, row: Row) -> str | None:
    """SHA-256 of the dense little-endian elements; None where there are none to read."""
    if row.tensor is None:
        return None
    found, any_block = hashlib.sha256(), False
    for block in side.blocks(row.tensor):
        found.update(block)
        any_block = True
    return found.hexdigest() if any_block else None


def _lone(found: Alignment) -> Iterator[Change]:
    for one in found.removed:
        yield Change("layer", one.layer.path, "removed", _what(one), None, one.layer.type)
    for one in found.added:
        yield Change("layer", one.layer.path, "added", None, _what(one), one.layer.type)


def _what(one: Account) -> str:
    formula = f" = {one.formula.symbolic}" if one.formula is not None and one.formula.terms else ""
    return f"{one.parameters:,} parameters{formula}" if one.parameters is not None else "parameters unknown"


def _unclaimed(old: Side, new: Side) -> Iterator[Change]:
    mine, theirs = {one.name: one for one in old.accounts.unclaimed}, {one.name: one for one in new.accounts.unclaimed}
    for name in sorted(mine.keys() - theirs.keys()):
        yield Change("tensor", name, "removed", shape_text(mine[name].shape))
    for name in sorted(theirs.keys() - mine.keys()):
        yield Change("tensor", name, "added", None, shape_text(theirs[name].shape))
