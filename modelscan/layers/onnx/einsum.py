"""Einsum equations: which letter is which axis."""

from __future__ import annotations

from collections.abc import Sequence

from modelscan.layers.onnx.axes import Axes
from modelscan.records import record

LONGEST = 256


@record(frozen=True, slots=True)
class Equation:
    """An equation with one letter per axis; those that an ellipsis stands for are digits."""

    inputs: tuple[str, ...]
    output: str


def parsed(text: object, operands: Sequence[Axes | None]) -> Equation | None:
    """The equation of operands of known rank; None when it cannot be told or does not fit them."""
    if not isinstance(text, str) or len(text) > LONGEST or any(axes is None for axes in operands):
        return None
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        return None
    hidden = ""
    inputs = []
    for term, axes in zip(terms, operands, strict=True):
        rank = len(axes or ())
        missing = rank - len(term.replace("...", ""))
        if missing < 0 or missing > 9 or (missing and "..." not in term):
            return None
        dots = "0123456789"[10 - missing :]
        hidden = max(hidden, dots, key=len)
        inputs.append(term.replace("...", dots))
    if arrow:
        return Equation(tuple(inputs), right.replace("...", hidden))
    letters = "".join(inputs)
    once = sorted(letter for letter in set(letters) if letters.count(letter) == 1 and letter.isalpha())
    return Equation(tuple(inputs), hidden + "".join(once))
