"""Custom layers: formulas that a user teaches, in the configuration or in Python.

In `modelscan.toml`, a layer is its weight shapes, written with the layer's own hyperparameters:

```toml
[layers.GatedDense]
weights = { kernel = ["inputs", "2 * units"], bias = ["2 * units"] }
when = { bias = "use_bias" }
multiplied = ["kernel"]
output = ["...", "units"]
```

In Python, it is one function of the same kind as the catalogue's own; the module is imported only when the configuration names it
(`plugins = ["my_package.layers"]`):

```python
from modelscan.extend import Derived, teach

@teach("GatedDense")
def gated_dense(c):
    units = c.dim("units")
    return Derived([c.weight("kernel", c.from_input("inputs", -1), 2 * units, multiplied=True)], c.replace_last(units.value))
```

A class of Keras' own keeps its formula.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any

from modelscan.errors import ConfigError, ModelScanError
from modelscan.formula import Dim, const
from modelscan.layers import keras
from modelscan.layers.keras.modern import modern_class
from modelscan.layers.keras.registry import CATALOGUE, KERAS_CLASSES, BadConfigError, Config, Declaration, Derived
from modelscan.model import Shape, WeightSpec
from modelscan.tables import suggestion

__all__ = ["Config", "Derived", "install", "teach"]

KEYS = ("weights", "when", "multiplied", "frozen", "output")
_FACTOR = re.compile(r"(?P<number>\d{1,15})|inputs(?:\[(?P<axis>-?\d{1,2})\])?|(?P<name>[A-Za-z_]\w{0,99})")
_OWN = frozenset(KERAS_CLASSES) if keras.DECLARATIONS else frozenset()
"""What the catalogue itself declares: importing the modules in `DECLARATIONS` has filled it."""


def teach(*names: str) -> Callable[[Declaration], Declaration]:
    """Registers a function as the declaration of custom layer classes.

    Args:
        names: class names as the file has them, with or without their package (`my_package>GatedDense`).

    Returns:
        The decorator. The function takes a `Config` and returns a `Derived`, or None when it does not know such a configuration.

    Raises:
        ConfigError: a name is that of a Keras layer.
    """

    def register(declaration: Declaration) -> Declaration:
        for name in names:
            plain = modern_class(name)
            if plain in _OWN:
                raise ConfigError(f"{name} is a layer of Keras, whose formula is known; a custom layer needs another name")
            CATALOGUE[plain] = _guarded(declaration)
        return declaration

    return register


def _guarded(declaration: Declaration) -> Declaration:
    """The same; what goes wrong in the user's code is told of the layer that it was for, and is no fault of ours."""
    name = f"{declaration.__module__}.{declaration.__qualname__}"

    @wraps(declaration)
    def guarded(c: Config) -> Derived | None:
        try:
            made: object = declaration(c)
        except (BadConfigError, ModelScanError):
            raise
        except Exception as error:
            raise BadConfigError(f"its formula {name} failed: {type(error).__name__}: {error}") from error
        if made is not None and not isinstance(made, Derived):
            raise BadConfigError(f"its formula {name} returned {type(made).__name__}, not Derived")
        if made is not None and not all(isinstance(one, WeightSpec) for one in made.weights):
            raise BadConfigError(f"its formula {name} returned weights that are none; c.weight makes them")
        return made

    return guarded


def install(layers: Mapping[str, Mapping[str, Any]], plugins: Iterable[str] = ()) -> None:
    """Makes the formulas of a configuration known, and imports the modules that it names.

    Args:
        layers: tables as above, by class name.
        plugins: importable modules that call `teach`.

    Raises:
        ConfigError: a table says what is no formula, or a module cannot be imported.
    """
    for name in plugins:
        try:
            import_module(name)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"plugins: {name} cannot be imported: {type(error).__name__}: {error}") from error
    for name, table in layers.items():
        teach(name)(_declared(name, table))


def _declared(name: str, table: Mapping[str, Any]) -> Declaration:
    """The declaration that a table stands for; everything is checked now, not when a layer is met."""
    place = f"layers.{name}"
    for key in table:
        if key not in KEYS:
            raise ConfigError(f"{place}: {key}: unknown key; known are {', '.join(KEYS)}")
    weights = table.get("weights")
    if not isinstance(weights, Mapping) or not all(_is_list(one) for one in weights.values()):
        raise ConfigError(f'{place}: weights: expected a table of lists, such as {{ kernel = ["inputs", "units"] }}')
    when = table.get("when", {})
    if not isinstance(when, Mapping) or not all(key in weights and isinstance(one, str) for key, one in when.items()):
        raise ConfigError(f'{place}: when: expected the hyperparameters that switch weights on, such as {{ bias = "use_bias" }}')
    multiplied, frozen = (_roles(place, table, key, weights) for key in ("multiplied", "frozen"))
    output = table.get("output")
    if output is not None and (not _is_list(output) or "..." in output[1:]):
        raise ConfigError(f'{place}: output: expected a list, such as ["...", "units"]; "..." stands for the input\'s first dimensions')
    parsed = {role: [_factors(f"{place}: weights.{role}", one) for one in dims] for role, dims in weights.items()}
    shape = None if output is None else [None if one == "..." else _factors(f"{place}: output", one) for one in output]

    def declaration(c: Config) -> Derived:
        specs: list[WeightSpec] = []
        for role, dims in parsed.items():
            if role in when and not c.flag(when[role], True):
                continue
            built = [_dim(c, one) for one in dims]
            specs.append(c.weight(role, *built, trainable=role not in frozen, multiplied=role in multiplied))
        made = _output(c, shape)
        return Derived(specs, (made,), c.positions(made) if made is not None else None)

    return declaration


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str | int) and not isinstance(one, bool) for one in value)


def _roles(place: str, table: Mapping[str, Any], key: str, weights: Mapping[str, Any]) -> frozenset[str]:
    found = table.get(key, ["kernel"] if key == "multiplied" and "kernel" in weights else [])
    if not _is_list(found) or any(one not in weights for one in found):
        raise ConfigError(f"{place}: {key}: expected a list of weights of this layer")
    return frozenset(str(one) for one in found)


def _factors(place: str, value: str | int) -> list[re.Match[str]]:
    """`2 * units` as its factors."""
    found = [_FACTOR.fullmatch(part.strip()) for part in str(value).split("*")]
    if any(one is None for one in found):
        raise ConfigError(f"{place}: {value!r} is no product of numbers, hyperparameters, inputs and inputs[axis]")
    return [one for one in found if one is not None]


def _dim(c: Config, factors: list[re.Match[str]]) -> Dim:
    total = const(1)
    for one in factors:
        if one["number"] is not None:
            total = int(one["number"]) * total
        elif one["name"] is not None:
            if one["name"] not in c.values:
                known = suggestion(one["name"], c.values)
                raise BadConfigError(f"the settings' formula asks for {one['name']}, which the layer's configuration does not have{known}")
            total = total * c.dim(one["name"])
        else:
            axis = int(one["axis"] or -1)
            total = total * c.from_input("inputs" if axis == -1 else f"inputs[{axis}]", axis)
    return total


def _output(c: Config, shape: list[list[re.Match[str]] | None] | None) -> Shape | None:
    """The output's shape; the input's own where the table does not tell."""
    if shape is None:
        return c.input
    sizes: list[int | str | None] = [_dim(c, one).value for one in shape if one is not None]
    if shape and shape[0] is None:
        return None if c.input is None or len(c.input) < len(sizes) else (*c.input[: len(c.input) - len(sizes)], *sizes)
    return (None, *sizes)
