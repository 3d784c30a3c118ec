"""How TensorFlow's own operations are defined: their inputs, outputs and attributes.

`definitions.txt` beside this module is the registry of TensorFlow 2.21, written by `fixtures/tensorflow_operations.py`, which describes its
lines. Within one major version an operation neither loses an attribute nor gets one without a default, so that older files fit it, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from modelscan.records import record

VERSION = (2, 21)
"""Of the registry."""


@record(frozen=True, slots=True)
class Parameter:
    """One input or output of an operation: a tensor, or several."""

    name: str
    number: str = ""
    """Attribute that says how many tensors it is."""
    types: str = ""
    """Attribute that lists the types of its tensors."""


@record(frozen=True, slots=True)
class Definition:
    """One operation."""

    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    required: tuple[str, ...]
    """Attributes without a default."""
    defaults: Mapping[str, str]
    """Attributes that a node may leave out; types and numbers with what they are then."""
    takes: int | None
    """How many inputs it has; None where attributes tell."""
    gives: int | None
    """How many outputs."""
    attributes: frozenset[str]
    """Names of all attributes."""


@cache
def _lines() -> Mapping[str, str]:
    text = files("modelscan.formats.tensorflow").joinpath("definitions.txt").read_text(encoding="ascii")
    return {name: rest for name, _, rest in (line.partition("\t") for line in text.splitlines())}


@cache
def definition(op: str) -> Definition | None:
    """What is known of an operation; None where it is not TensorFlow's own."""
    line = _lines().get(op)
    if line is None:
        return None
    inputs, outputs, required, defaults = line.split("\t")
    given, made = tuple(map(_parameter, inputs.split())), tuple(map(_parameter, outputs.split()))
    told = {name: value for name, _, value in (one.partition("=") for one in defaults.split())}
    needed = tuple(required.split())
    return Definition(given, made, needed, told, _fixed(given), _fixed(made), frozenset((*needed, *told)))


def _parameter(text: str) -> Parameter:
    name, at, types = text.partition("@")
    if at:
        return Parameter(name, types=types)
    name, _, number = text.partition("*")
    return Parameter(name.partition(":")[0].partition("=")[0], number)


def _fixed(parameters: tuple[Parameter, ...]) -> int | None:
    return None if any(one.number or one.types for one in parameters) else len(parameters)


def count(one: Parameter, known: Definition, attributes: Mapping[str, Any]) -> int | None:
    """How many tensors an input or output of a node is; None where its attributes do not tell."""
    name = one.number or one.types
    if not name:
        return 1
    value = attributes.get(name)
    if value is None and name not in attributes:
        told = known.defaults.get(name, "")
        return 0 if told == "[]" else int(told) if told.isdecimal() else None
    if one.number:
        return value if isinstance(value, int) and value >= 0 else None
    return len(value) if isinstance(value, tuple) else None


def total(parameters: tuple[Parameter, ...], known: Definition, attributes: Mapping[str, Any]) -> int | None:
    """How many tensors all inputs or all outputs of a node are."""
    sizes = [count(one, known, attributes) for one in parameters]
    return None if None in sizes else sum(one for one in sizes if one is not None)


def steering(parameters: tuple[Parameter, ...]) -> tuple[str, ...]:
    """The attributes that say how many tensors some inputs or outputs are."""
    return tuple(one.number or one.types for one in parameters if one.number or one.types)
