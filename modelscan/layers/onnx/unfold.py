"""The layers of a folded graph (`modelscan.repeats`): those of all copies of its block, as one repeat of a sample.

Of the copies that the folded graph keeps, two are held against each other: their layers must be the same but for names. Then each copy
that was left out has these layers, too, under its own names and with its own stored tensors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from modelscan.model import Layer, StoredTensor
from modelscan.records import kind_of
from modelscan.repeats import FIRST, LAST, MARK, SAMPLE, TWIN, Fold
from modelscan.repeats.marks import Variable
from modelscan.series import Repeat, series

Maker = Callable[[int], Any]
"""Gives what a template says for a copy, told by how many copies it is behind the sample."""
Number = Callable[["re.Match[str]"], str]
"""What stands in the place of a mark."""
_BEHIND = LAST - SAMPLE
"""How far the first copy left out is behind the sample."""


def unfolded(fold: Fold, layers: Sequence[Layer], tensors: Mapping[str, StoredTensor]) -> Sequence[Layer] | None:
    """The layers of the whole graph in their order, the copies left out as repeats.

    None where the layers of the kept copies are not alike, or do not follow one another.

    Args:
        fold: the folded graph.
        layers: what was derived from it.
        tensors: the stored tensors of the whole graph by name.
    """
    found: list[Layer | Repeat[Layer]] = []
    paths: set[str] = set()
    variables, left = fold.marked.variables, fold.left_out
    here, end = partial(_real, variables, 0), partial(_real, variables, left)
    for span in _spans(layers):
        if isinstance(span, Layer):
            found.append(_moved(span, partial(_outside, fold), tensors))
            continue
        if len(span) <= LAST or not _alike(span[SAMPLE], span[TWIN]):
            return None
        first, sample, twin = ([_moved(layer, here, tensors) for layer in span[copy]] for copy in (FIRST, SAMPLE, TWIN))
        found.extend((*first, *sample, *twin))
        copies = _Copies(fold, span[SAMPLE], tensors)
        found.append(Repeat(tuple(sample), left, copies.layer, copies))
        paths.update(*[copies.column(layer.path) for layer in span[SAMPLE]])
        found.extend(_moved(layer, end, tensors) for layer in span[LAST])
    whole = series(found)
    paths.update([layer.path for layer in found if isinstance(layer, Layer)])
    return whole if len(paths) == len(whole) else None


class _Copies:
    """The layers of the copies left out: `series.Columns`, and what makes them."""

    def __init__(self, fold: Fold, layers: list[Layer], tensors: Mapping[str, StoredTensor]) -> None:
        self._variables, self._count, self._tensors = fold.marked.variables, fold.left_out, tensors
        self._layers = layers
        self._makers: dict[int, Maker | None] = {}
        self._held: dict[int, list[list[StoredTensor]]] = {}

    def layer(self, sample: Layer, place: int, copy: int) -> Layer:
        """The layer at a place of a copy."""
        if place not in self._makers:
            self._makers[place] = _maker(self._layers[place], self._variables, self._tensors)
        make = self._makers[place]
        return sample if make is None else make(_BEHIND + copy)

    def names(self, place: int) -> list[str]:
        """The names of the layer at this place of the block."""
        return self.column(self._layers[place].name)

    def tensors(self, place: int) -> list[list[StoredTensor]]:
        """The tensors that the layer at this place of the block claims."""
        if place not in self._held:
            self._held[place] = [self._stored(claim.tensor) for claim in self._layers[place].claims]
        return self._held[place]

    def _stored(self, sample: StoredTensor) -> list[StoredTensor]:
        found = [self._tensors[name] for name in self.column(sample.name)]
        kind = sample.kind
        return found if all(one.kind is kind for one in found) else [one.of_kind(kind) for one in found]

    def column(self, text: str) -> list[str]:
        """A text of the sample's for each copy."""
        return _column(text, self._variables, self._count)


def renamed(fold: Fold, one: Any) -> Any:
    """A text about a node with its own name, where it has a marked one; anything else as it is."""
    return _moved(one, partial(_outside, fold), {})


def _spans(layers: Sequence[Layer]) -> Iterator[Layer | list[list[Layer]]]:
    """Layers outside of the copies with marks, and in one piece the layers of these, by copy; too short a piece where they mix."""
    piece: list[list[Layer]] = []
    for layer in layers:
        copies = {int(mark[1]) for mark in MARK.finditer(layer.path)}
        copy = min(copies, default=0)
        if piece and copy != len(piece) - 1 and (copy < len(piece) - 1 or len(piece) > LAST):
            yield piece
            piece = []
        if copy == 0:
            yield layer
        elif len(copies) > 1 or not len(piece) - 1 <= copy <= max(len(piece), FIRST):
            yield []
        else:
            piece = piece or [[]]
            if copy == len(piece):
                piece.append([])
            piece[copy].append(layer)
    if piece:
        yield piece


def _alike(sample: list[Layer], twin: list[Layer]) -> bool:
    """Whether the layers of two copies are the same, told by names relative to the copy."""
    return [_moved(layer, partial(_relative, SAMPLE), None) for layer in sample] == [
        _moved(layer, partial(_relative, TWIN), None) for layer in twin
    ]


def _relative(base: int, mark: re.Match[str]) -> str:
    return f"\0{int(mark[1]) - base}:{mark[2]}"


def _real(variables: tuple[Variable, ...], behind: int, mark: re.Match[str]) -> str:
    """The number that a mark stands for; behind the copies left out, the last of those kept are the last of all."""
    return variables[int(mark[2])][int(mark[1]) + behind]


def _outside(fold: Fold, mark: re.Match[str]) -> str:
    """What a mark stands for to layers outside: they have to do with the nearest copies, the first ones or the last ones."""
    return _real(fold.marked.variables, fold.left_out if int(mark[1]) > SAMPLE else 0, mark)


def _moved(one: Any, number: Number, tensors: Mapping[str, StoredTensor] | None) -> Any:
    """The same with numbers in the place of marks. Without `tensors`, a stored one becomes what copies have in common of it."""
    if isinstance(one, str):
        return MARK.sub(number, one)
    if isinstance(one, tuple):
        return tuple([_moved(part, number, tensors) for part in one])
    if isinstance(one, dict):
        return {name: _moved(part, number, tensors) for name, part in one.items()}
    if isinstance(one, StoredTensor):
        name = MARK.sub(number, one.name)
        return (name, one.kind) if tensors is None else one if name == one.name else tensors[name].of_kind(one.kind)
    if hasattr(one, "__dataclass_fields__"):
        return kind_of(one)(*[_moved(getattr(one, name), number, tensors) for name in one.__dataclass_fields__])
    return one


def _maker(one: Any, variables: tuple[Variable, ...], tensors: Mapping[str, StoredTensor]) -> Maker | None:
    """What writes a part of the sample's layers for other copies; None where it is the same for all."""
    if isinstance(one, str):
        return _text(one, variables)
    if isinstance(one, StoredTensor):
        name = _text(one.name, variables)
        return None if name is None else lambda behind: tensors[name(behind)].of_kind(one.kind)
    if isinstance(one, dict):
        inner = _maker(tuple(one.values()), variables, tensors)
        names = tuple(one)
        return None if inner is None else lambda behind: dict(zip(names, inner(behind), strict=True))
    record = hasattr(one, "__dataclass_fields__")
    if not record and not isinstance(one, tuple):
        return None
    parts = [getattr(one, name) for name in one.__dataclass_fields__] if record else list(one)
    makers = [(place, make) for place, part in enumerate(parts) if (make := _maker(part, variables, tensors)) is not None]
    if not makers:
        return None
    kind = kind_of(one) if record else tuple

    def made(behind: int) -> Any:
        filled = parts.copy()
        for place, make in makers:
            filled[place] = make(behind)
        return kind(*filled) if record else kind(filled)

    return made


def _text(text: str, variables: tuple[Variable, ...]) -> Callable[[int], str] | None:
    """What writes a text with marks for other copies."""
    form, columns = _form(text, variables)
    if not columns:
        return None
    return lambda behind: form % tuple([numbers[copy + behind] for numbers, copy in columns])


def _column(text: str, variables: tuple[Variable, ...], count: int) -> list[str]:
    """A text with marks for all copies left out."""
    form, columns = _form(text, variables)
    if not columns:
        return [text] * count
    numbers = [values[copy + _BEHIND : copy + _BEHIND + count] for values, copy in columns]
    mark = MARK.search(text)
    if mark is not None and len(numbers) == 1:
        before, behind = text[: mark.start()], text[mark.end() :]
        return [before + one + behind for one in numbers[0]]
    return [form % one for one in zip(*numbers, strict=True)]


def _form(text: str, variables: tuple[Variable, ...]) -> tuple[str, list[tuple[Variable, int]]]:
    """A text with places for what its marks stand for; and of each the numbers by copy, with the mark's own copy."""
    marks = [(variables[int(mark[2])], int(mark[1])) for mark in MARK.finditer(text)]
    return MARK.sub("%s", text.replace("%", "%%")), marks
