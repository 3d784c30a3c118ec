"""How a layer type is declared: one pure function from configuration and input shapes to weights and output shapes.

```python
@layer("Dense")
def dense(c: Config) -> Derived:
    units = c.dim("units")
    weights = [c.weight("kernel", c.inputs_dim(), units, multiplied=True)]
    if c.flag("use_bias", True):
        weights.append(c.weight("bias", units))
    return Derived(weights, c.replace_last(units.value), positions=c.positions())
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from math import prod
from typing import Any

from modelscan.formula import Dim, const, dim
from modelscan.model import Shape, WeightSpec
from modelscan.records import record

Shapes = tuple[Shape | None, ...]


class BadConfigError(Exception):
    """A hyperparameter that no such layer can have; the message says which and why."""


@record(frozen=True, slots=True)
class Derived:
    """What a layer's declaration yields."""

    weights: Sequence[WeightSpec] = ()
    outputs: Shapes = ()
    positions: int | None = None
    """How often the multiplied weights are applied for one sample."""
    extra_macs: int | None = 0
    note: str | None = None
    copies: Mapping[str, str] = field(default_factory=dict)
    """Keys under which a second copy of a role's weight is stored."""


@record(frozen=True, slots=True)
class Config:
    """One layer's hyperparameters and inputs, with the builders that declarations are written in."""

    type: str
    values: Mapping[str, Any]
    inputs: Shapes = ()
    """Shapes of the tensors it is called on, in order; None where unknown."""
    keywords: Mapping[str, Shape | None] = field(default_factory=dict)
    """Shapes of the tensors among its keyword arguments."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Plain keyword arguments of the call."""
    positional: tuple[Any, ...] = ()
    """Positional arguments as the file has them, tensors as shapes."""
    source: str = "input shape"
    """What tells the input shape: the witness of dimensions that come from it."""
    version: tuple[int, int] | None = None
    """Keras version of the writer, None if the file does not tell."""
    derive: Callable[[Any, Shapes, str], Derived] | None = None
    """Derives an inner layer (a wrapper's entry) for given input shapes."""
    dtype: str | None = None

    # --- hyperparameters

    def get(self, name: str, default: Any = None) -> Any:
        """The hyperparameter as it stands; `default` where it is absent or None."""
        value = self.values.get(name)
        return default if value is None else value

    def flag(self, name: str, default: bool) -> bool:
        """A boolean hyperparameter."""
        return bool(self.get(name, default))

    def integer(self, name: str, default: int | None = None, least: int = 1) -> int:
        """A whole number; raises `BadConfigError` when it is none or below `least`."""
        value = self.get(name, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise BadConfigError(f"{name} is {_short(value)}, not a whole number")
        if not least <= value < 1 << 48:
            raise BadConfigError(f"{name} is {value}, outside of what a {self.type} can have")
        return value

    def integers(self, name: str, count: int, default: int | None = None, least: int = 0) -> tuple[int, ...]:
        """`count` whole numbers; one number stands for all."""
        value = self.get(name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = [value] * count
        if not isinstance(value, list | tuple) or len(value) != count:
            raise BadConfigError(f"{name} is {_short(value)}, not {count} whole numbers")
        for one in value:
            if not isinstance(one, int) or isinstance(one, bool) or not least <= one < 1 << 48:
                raise BadConfigError(f"{name} is {_short(value)}, not {count} whole numbers of at least {least}")
        return tuple(value)

    def axes(self, name: str, default: Any = None) -> tuple[int, ...]:
        """Whole numbers of any sign, one or a list of them; none where the hyperparameter is absent and has no default."""
        value = self.get(name, default)
        listed = list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
        if not all(isinstance(one, int) and not isinstance(one, bool) for one in listed):
            raise BadConfigError(f"{name} is {_short(value)}, not one or more whole numbers")
        return tuple(listed)

    def text(self, name: str, default: str = "") -> str:
        """A word; `default` where it is absent."""
        value = self.get(name, default)
        if not isinstance(value, str):
            raise BadConfigError(f"{name} is {_short(value)}, no text")
        return value

    def listed(self, name: str) -> tuple[Any, ...]:
        """A list; empty where it is absent."""
        value = self.get(name, ())
        if not isinstance(value, list | tuple):
            raise BadConfigError(f"{name} is {_short(value)}, no list")
        return tuple(value)

    @property
    def channels_first(self) -> bool:
        """Whether `data_format` puts the channels before the spatial dimensions."""
        return bool(self.get("data_format") == "channels_first")

    # --- inputs

    @property
    def input(self) -> Shape | None:
        """The first input's shape."""
        return self.inputs[0] if self.inputs else None

    def size(self, axis: int) -> int | None:
        """Extent of the first input along `axis`, None if unknown; raises `BadConfigError` if it has no such axis."""
        if self.input is None:
            return None
        if not -len(self.input) <= axis < len(self.input):
            raise BadConfigError(f"the input has {len(self.input)} dimensions, a {self.type} needs more")
        value = self.input[axis]
        return value if isinstance(value, int) else None

    def ranked(self, least: int) -> Shape | None:
        """The first input's shape, checked to have `least` dimensions or more."""
        return self.checked(self.input, least)

    def checked(self, shape: Shape | None, least: int) -> Shape | None:
        """A shape that is known to have `least` dimensions or more, or not known."""
        if shape is not None and len(shape) < least:
            raise BadConfigError(f"an input has {len(shape)} dimensions, a {self.type} needs {least} or more")
        return shape

    def rank(self, rank: int) -> Shape | None:
        """The first input's shape, checked to have `rank` dimensions."""
        if self.input is not None and len(self.input) != rank:
            raise BadConfigError(f"the input has {len(self.input)} dimensions, a {self.type} needs {rank}")
        return self.input

    # --- dimensions and weights

    def dim(self, name: str, default: int | None = None, symbol: str | None = None) -> Dim:
        """A dimension that the configuration states."""
        return dim(symbol or name, self.integer(name, default), f"configuration: {name}")

    def stated(self, symbol: str, value: int | None, hyperparameter: str) -> Dim:
        """A dimension computed from a hyperparameter."""
        return dim(symbol, value, None if value is None else f"configuration: {hyperparameter}")

    def from_input(self, symbol: str, axis: int) -> Dim:
        """A dimension that the input's shape tells."""
        value = self.size(axis)
        return dim(symbol, value, None if value is None else self.source)

    def weight(
        self, role: str, *dims: Dim, trainable: bool = True, multiplied: bool = False, dtype: str | None = "", **more: Any
    ) -> WeightSpec:
        """A weight of these dimensions; its element type is the layer's unless another is given (None: any)."""
        return WeightSpec(role, dims, self.dtype if dtype == "" else dtype, trainable, multiplied=multiplied, **more)

    # --- shapes

    def replace_last(self, size: int | None) -> Shapes:
        """The first input's shape with another last dimension."""
        return (None,) if self.input is None else ((*self.input[:-1], size),)

    def positions(self, shape: Shape | None = None, skip: Iterable[int] = (-1,)) -> int | None:
        """Product of a shape's dimensions without the batch and those at `skip`; None if one is unknown."""
        shape = self.input if shape is None else shape
        if shape is None:
            return None
        left = {axis % len(shape) for axis in skip} | {0} if shape else set()
        sizes = [size for axis, size in enumerate(shape) if axis not in left]
        known = [size for size in sizes if isinstance(size, int)]
        return prod(known) if len(known) == len(sizes) else None

    def inner(self, entry: Any, inputs: Shapes, source: str | None = None) -> Derived:
        """What an inner layer derives to; an unknown one yields nothing known."""
        if self.derive is None:
            raise BadConfigError(f"{self.type} cannot hold layers here")
        return self.derive(entry, inputs, source or self.source)


Declaration = Callable[[Config], Derived | None]
CATALOGUE: dict[str, Declaration] = {}
KERAS_CLASSES: set[str] = set()
"""Of the catalogue, the classes of Keras itself; users can teach others."""


def layer(*names: str) -> Callable[[Declaration], Declaration]:
    """Registers a declaration under the class names that Keras has used for it. It may return None: not known here."""

    def register(declaration: Declaration) -> Declaration:
        for name in names:
            CATALOGUE[name] = declaration
            KERAS_CLASSES.add(name)
        return declaration

    return register


def prefixed(weights: Iterable[WeightSpec], place: str, role: str | None = None) -> list[WeightSpec]:
    """An inner layer's weights as its wrapper's: keys below `place`, roles below `role` (nothing added when it is empty)."""
    role = place if role is None else role
    found = []
    for spec in weights:
        key = spec.key if spec.key is not None else ""
        found.append(replace(spec, role=f"{role}/{spec.role}" if role else spec.role, key=f"{place}/{key}" if key else place))
    return found


def keyed(weights: Iterable[WeightSpec], group: str = "vars") -> tuple[WeightSpec, ...]:
    """The weights with their place in an archive: `vars/0`, `vars/1`, … in the order of their declaration."""
    found, index = [], 0
    for spec in weights:
        if spec.key is None:
            found.append(replace(spec, key=f"{group}/{index}"))
            index += 1
        else:
            found.append(spec)
    return tuple(found)


def product_of(shape: Iterable[Any]) -> int | None:
    """Product of the dimensions, None if one is unknown."""
    total = 1
    for size in shape:
        if not isinstance(size, int):
            return None
        total *= size
    return total


def same(c: Config) -> Derived:
    """No weights, the shape unchanged."""
    return Derived((), c.inputs[:1] or (None,), 0)


def one() -> Dim:
    """A broadcast dimension."""
    return const(1)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
