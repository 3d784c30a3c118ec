"""Plain nodes and initializers that follow one another at a fixed distance, as in a graph that repeats a block under numbered names.

Such messages differ in nothing but what some of their fields hold. They are noticed by their sizes, compared byte column by byte column,
and taken apart by one `struct` for all of them, in half the time of reading them one by one. That is what `plain` does, and what comes of
it is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from modelscan.formats.onnx.context import NOTHING, PlainType, Reading, Tables, decoded
from modelscan.formats.onnx.proto import NODE_ATTRIBUTE, NODE_INPUT, NODE_NAME, NODE_OP, NODE_OUTPUT, TENSOR_NAME
from modelscan.graph import Node
from modelscan.model import StoredTensor
from modelscan.wire import LENGTH, varint

_FIRST = 16
"""Messages read one by one before it is asked whether they repeat; twice as many each time that they do not, up to so many more:"""
_MOST = 4096
_PERIODS = 3
"""Distances that are tried each time."""
_INPUT, _OUTPUT, _NAME, _OP = (number << 3 | LENGTH for number in (NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OP))
_ATTRIBUTE, _TENSOR_NAME = NODE_ATTRIBUTE << 3 | LENGTH, TENSOR_NAME << 3 | LENGTH

Rows = Iterator[tuple[bytes, ...]]
_NodePart = tuple[int, int, int, int, int, int, int, int]
"""Of a node in a row: which of the fields is its first, how many are inputs, where its outputs end (there is the name, if it has one),
its operator, where its attributes end; then where it begins in the row, where its message begins, and how many bytes that has."""
_TensorPart = tuple[PlainType, int, int]
"""Of a tensor in a row: what it is, where it begins in the row, where its payload does."""


class Sizes:
    """Sizes of the messages that were read one by one since it was last asked whether they repeat."""

    __slots__ = ("append", "due", "seen")

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.append = self.seen.append
        self.due = _FIRST

    def asked(self, read: int) -> None:
        """Begin anew, after so many messages were read at once."""
        self.due = _FIRST if read > len(self.seen) else min(2 * self.due, _MOST)
        self.seen.clear()

    def periods(self) -> Iterator[list[int]]:
        """The sizes at the end that were there twice in a row: of the last message, or two, or any number."""
        seen, found = self.seen, 0
        for count in range(1, len(seen) // 2 + 1):
            if seen[~count] == seen[-1] and seen[-count:] == seen[-2 * count : -count]:
                yield seen[-count:]
                found += 1
                if found == _PERIODS:
                    return


class _Form:
    """Which bytes each row of messages has to have, and where those are that are its own."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._start = start
        self._fixed: list[tuple[int, bytes]] = []
        self._format = "="

    def fixed(self, start: int, end: int) -> None:
        """Bytes that are the same in each row."""
        self._fixed.extend([(place - self._start, self._data[place : place + 1]) for place in range(start, end)])
        self._format += f"{end - start}x"

    def own(self, length: int) -> None:
        """Bytes that are handed out."""
        self._format += f"{length}s"

    def passed(self, length: int) -> None:
        """Bytes that may be any."""
        self._format += f"{length}x"

    def rows(self, data: bytes, at: int, stop: int, most: int) -> Rows:
        """What is their own of the rows from `at` on, as far as they have this form, at most so many."""
        row = Struct(self._format)
        count = min((stop - at) // row.size, most)
        for place, byte in self._fixed:
            if count <= 0:
                return iter(())
            begin = at + place
            count -= len(data[begin : begin + (count - 1) * row.size + 1 : row.size].lstrip(byte))
        return row.iter_unpack(memoryview(data)[at : at + count * row.size])


def fields(data: bytes, start: int, end: int) -> list[tuple[int, int, int]]:
    """Where the fields of the plain node in `data[start:end]` begin, where what they hold begins, and where it ends."""
    found = []
    while start < end:
        length, begin = varint(data, start + 2, data[start + 1])
        found.append((start, begin, begin + length))
        start = begin + length
    return found


def as_written(tags: bytes) -> tuple[int, int, int] | None:
    """How many of a node's fields are inputs, how many inputs and outputs, and how many come before its attributes.

    None unless they stand as all writers write them: inputs, outputs, perhaps a name, the operator, attributes.
    """
    inputs, outputs, named, attributes = map(tags.count, (_INPUT, _OUTPUT, _NAME, _ATTRIBUTE))
    given, last = inputs + outputs, len(tags) - attributes
    regular = named <= 1 and last == given + named + 1 and tags[last - 1] == _OP and tags == bytes(sorted(tags))
    return (inputs, given, last) if regular else None


def nodes(reading: Reading, made: list[Node], sizes: Sizes, data: bytes, at: int, stop: int, base: int) -> int:
    """Reads the nodes in `data[at:stop]` as far as they repeat those before `at`, of which `sizes` tells; returns where they end.

    `data` begins at the offset `base` of the file.
    """
    before = len(made)
    for period in sizes.periods():
        width = sum(period)
        known = _node_parts(data, at - width, period) if width <= at else None
        if known is not None:
            form, plan = known
            rows = form.rows(data, at, stop, (reading.limits.nodes - reading.nodes) // len(period))
            at = _nodes(reading, made, rows, plan, base + at, width) - base
            if len(made) > before:
                break
    reading.nodes += len(made) - before
    sizes.asked(len(made) - before)
    return at


def _node_parts(data: bytes, start: int, period: list[int]) -> tuple[_Form, list[_NodePart]] | None:
    """The form of a row of nodes, and what is its own; None if one of them is not as all writers write it."""
    form = _Form(data, start)
    plan: list[_NodePart] = []
    first, at = 0, start
    for size in period:
        _, message = varint(data, at + 2, data[at + 1])
        form.fixed(at, message)
        found = fields(data, message, at + size)
        for head, begin, end in found:
            form.fixed(head, begin)
            form.own(end - begin)
        counts = as_written(bytes([data[head] for head, _, _ in found]))
        if counts is None:
            return None
        inputs, given, last = counts
        after = first + len(found)
        plan.append((first, inputs, first + given, first + last - 1, after, at - start, message - start, at + size - message))
        first, at = after, at + size
    return form, plan


def _nodes(reading: Reading, made: list[Node], rows: Rows, plan: list[_NodePart], offset: int, width: int) -> int:
    """Reads the nodes of rows that begin at `offset`, until one has attributes that are not known; returns where it or the end is."""
    texts, text, settings, get = reading.texts, reading.text, reading.settings, reading.texts.get
    for words in rows:
        for first, inputs, given, operator, last, begin, message, size in plan:
            op, known = get(words[operator]) or text(words[operator]), NOTHING
            if last > operator + 1:
                found = None if op == "Constant" else settings.get(words[operator + 1 : last])  # that one's are a stored tensor
                if found is None:
                    return offset + begin
                known = found
            names = []
            for word in words[first:given]:
                one = get(word)
                if one is None:
                    one = texts[word] = decoded(word)
                names.append(one)
            name = decoded(words[given]) if operator > given else ""
            place = offset + message
            made.append(Node(name, op, "", tuple(names[:inputs]), tuple(names[inputs:]), known, NOTHING, NOTHING, "", place, size))
        offset += width
    return offset


def initializers(reading: Reading, into: Tables, sizes: Sizes, data: bytes, at: int, stop: int, base: int, index: int) -> tuple[int, int]:
    """The same of initializers, the first of which has the number `index`; returns where they end, and the number of the next."""
    before, most = len(reading.tensors), reading.limits.tensors
    for period in sizes.periods():
        width = sum(period)
        known = _tensor_parts(reading, data, at - width, period) if width <= at else None
        if known is not None:
            form, plan = known
            rows = form.rows(data, at, stop, (most - max(before, index)) // len(period))
            at = _tensors(reading, into, rows, plan, base + at, width) - base
            if len(reading.tensors) > before:
                break
    read = len(reading.tensors) - before
    sizes.asked(read)
    return at, index + read


def _tensor_parts(reading: Reading, data: bytes, start: int, period: list[int]) -> tuple[_Form, list[_TensorPart]] | None:
    """The form of a row of tensors, and what they are; None if one of them does not begin like another one."""
    form = _Form(data, start)
    plan: list[_TensorPart] = []
    at = start
    for size in period:
        _, message = varint(data, at + 2, data[at + 1])
        named = data.find(_TENSOR_NAME, message, at + size)
        head = reading.heads.get(data[message:named])
        if head is None or data[named + 1] > 127:
            return None
        known, tail = head
        name = named + 2
        after = name + data[named + 1]
        payload = after + len(tail)
        if payload + known[2] != at + size or not data.startswith(tail, after):
            return None
        form.fixed(at, name)
        form.own(after - name)
        form.fixed(after, payload)
        form.passed(known[2])
        plan.append((known, at - start, payload - start))
        at += size
    return form, plan


def _tensors(reading: Reading, into: Tables, rows: Rows, plan: list[_TensorPart], offset: int, width: int) -> int:
    """Reads the tensors of rows that begin at `offset`, until the name of one was there before; returns where it or the end is."""
    held, small, prefix = into
    texts, get, unique, kept = reading.texts, reading.texts.get, reading.unique, reading.limits.kept_payload
    append = reading.tensors.append
    for words in rows:
        for word, ((shape, dtype, nbytes, kind), begin, payload) in zip(words, plan, strict=True):
            own = get(word)
            if own is None:
                own = texts[word] = decoded(word)
            if own in held:
                return offset + begin
            held[own] = tensor = StoredTensor(unique(prefix + own), shape, dtype, nbytes, None, offset + payload, kind)
            append(tensor)
            if nbytes <= kept:
                small.setdefault(own, tensor)
        offset += width
    return offset
