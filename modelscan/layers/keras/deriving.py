"""One block through its declaration: class and configuration in today's words, inputs, result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelscan.layers.keras.adapt import adapted
from modelscan.layers.keras.modern import declared_input, is_namesake, modern_class, modern_config, variable_dtype
from modelscan.layers.keras.names import snake_case
from modelscan.layers.keras.operations import constant_operands, operation
from modelscan.layers.keras.registry import CATALOGUE, BadConfigError, Config, Derived, Shapes, keyed
from modelscan.layers.keras.shaping import shaped
from modelscan.limits import Limits
from modelscan.model import Claim, Layer, Observation, Shape, WeightSpec
from modelscan.topology import Block, BlockKind, Call, TensorRef


@dataclass
class Result:
    """What became of one block."""

    specs: tuple[WeightSpec, ...] | None = None
    """None when no formula is known."""
    inputs: Shapes = ()
    outputs: Shapes = ()
    positions: int | None = None
    extra_macs: int | None = 0
    note: str | None = None
    copies: Mapping[str, str] = field(default_factory=dict)
    calls: list[Shapes] = field(default_factory=list)
    """Outputs of further calls."""
    built: bool = True
    """False where nothing tells an input shape: a layer that was never called has no weights yet."""
    waiting: bool = False
    """Whether it stands in a Sequential of Keras 3 that was never built itself: it may have no weights yet."""


class Deriver:
    """Derives blocks of one file; collects what is wrong with their configurations."""

    def __init__(self, version: str | None, limits: Limits, floatx: str | None = None) -> None:
        self.version = _version(version)
        self.limits = limits
        self.floatx = floatx
        """Element type of the weights of layers that state none: before Keras 2.3 only the first one does."""
        self.observations: list[Observation] = []
        self.wrapped: dict[int, Block] = {}
        """Models within the wrapper that is being derived, by the identity of their entry in its configuration."""

    @property
    def keras_3(self) -> bool:
        """Whether it was Keras 3 that wrote the file."""
        return self.version is not None and self.version >= (3, 0)

    def block(self, block: Block, call: Call | None, inputs: Shapes, keywords: Mapping[str, Shape | None], source: str) -> Result:
        """The result of one call of a layer or operation."""
        if (not inputs or inputs[0] is None) and block.class_name != "InputLayer":
            inputs, source = _fallback(block, inputs, source)
        self.wrapped = {id(block.config[name]): model for name, model in block.wrapped.items()}
        arguments = {name: value for name, value in (call.kwargs if call else {}).items() if not isinstance(value, TensorRef)}
        try:
            if block.kind is BlockKind.OPERATION:
                derived: Derived | None = self._operation(block, call, inputs, keywords, arguments, source)
            else:
                derived = self._layer(block.class_name, block.module, block.config, inputs, source, keywords, arguments, 0)
        except UnknownInnerError:
            derived = None
        except BadConfigError as error:
            self.observations.append(Observation("invalid-hyperparameter", f"{block.class_name} {block.path}: {error}", layer=block.path))
            return Result(None, inputs, (None,), None, None)
        if derived is None:
            return Result(None, inputs, (None,), None, None)
        self._check_build(block, derived, inputs, arguments, source)
        built = block.build_config is not None or bool(inputs and inputs[0] is not None)
        weights = keyed(derived.weights)
        return Result(weights, inputs, derived.outputs, derived.positions, derived.extra_macs, derived.note, derived.copies, built=built)

    def _check_build(self, block: Block, derived: Derived, inputs: Shapes, arguments: Mapping[str, Any], source: str) -> None:
        """Holds the shapes that Keras 3 builds a layer with against those that it is called on: both must give the same weights."""
        built = _built_inputs(block, inputs) if self.keras_3 and derived.weights and inputs else None
        if built is None or not any(_differ(one, other) for one, other in zip(built, inputs, strict=True)):
            return
        before = len(self.observations)
        try:
            other = self._layer(block.class_name, block.module, block.config, built, source, {}, arguments, 0)
        except BadConfigError:
            other = None
        del self.observations[before:]
        mine, theirs = ({one.role: one.shape for one in each.weights} if each else {} for each in (derived, other))
        wrong = next((role for role, shape in mine.items() if role not in theirs or _differ(shape, theirs[role])), None)
        if wrong is not None:
            text = f"{block.name} is built for {', '.join(map(str, built))} and called on {', '.join(map(str, inputs))}"
            self.observations.append(Observation("declared-shape-mismatch", f"{text}: {wrong} would have two shapes", layer=block.path))

    def _layer(
        self,
        class_name: str,
        module: Any,
        values: Mapping[str, Any],
        inputs: Shapes,
        source: str,
        keywords: Mapping[str, Shape | None],
        arguments: Mapping[str, Any],
        depth: int,
    ) -> Derived | None:
        if depth > self.limits.nesting:
            raise BadConfigError(f"wrappers nested more than {self.limits.nesting} deep")
        name = modern_class(class_name)
        declaration = CATALOGUE.get(name)
        if declaration is None or is_namesake(class_name, module, values):
            return None

        def inner(entry: Any, shapes: Shapes, witness: str) -> Derived:
            return self._inner(entry, shapes, witness, depth + 1)

        config = Config(
            name,
            modern_config(name, values),
            inputs,
            keywords,
            arguments,
            (),
            source,
            self.version,
            inner,
            variable_dtype(values) or (self.floatx if values.get("dtype") is None else None),
        )
        derived = declaration(config)
        return None if derived is None else adapted(config, derived)

    def _inner(self, entry: Any, shapes: Shapes, witness: str, depth: int) -> Derived:
        """A wrapper's layer; a whole model within one is derived like any model and its weights strung together."""
        if not isinstance(entry, Mapping) or not isinstance(entry.get("class_name"), str):
            raise BadConfigError("the inner layer is no layer")
        config = entry.get("config")
        values = config if isinstance(config, Mapping) else {"layers": config} if isinstance(config, list) else {}
        if isinstance(values.get("layers"), list):
            model = self.wrapped.get(id(entry))
            if model is None:
                raise UnknownInnerError
            return self._model(model, shapes, witness)
        derived = self._layer(entry["class_name"], entry.get("module"), values, shapes, witness, {}, {}, depth)
        if derived is None:
            raise UnknownInnerError
        return replace(derived, weights=self.frozen(derived.weights)) if values.get("trainable") is False else derived

    def frozen(self, weights: Iterable[WeightSpec]) -> tuple[WeightSpec, ...]:
        """A layer's weights as its own switch leaves them when the file is loaded.

        In Keras 1 and 2 it freezes all that is below the layer. In Keras 3 a variable is frozen by the layer that makes it
        (`Layer._track_variable`): the switch of an attention or a wrapper is restored before its inner layers are there, and these stay
        trainable.
        """
        return tuple(replace(one, trainable=False) if not self.keras_3 or is_own(one.key) else one for one in weights)

    def _model(self, model: Block, shapes: Shapes, witness: str) -> Derived:
        """A whole model as one layer: the weights of all its layers under the groups that Keras stores them in."""
        from modelscan.layers.keras.propagate import Propagation

        wrapped = self.wrapped
        propagation = Propagation(self)
        outputs = propagation.model(model, shapes, witness)
        self.wrapped = wrapped
        weights: list[WeightSpec] = []
        positions: int | None = 1
        switched_off = {one.path for one in _innermost(model) if not one.trainable}
        for path, group, role in groups_of(model):
            result = propagation.results.get(path)
            if result is None or result.specs is None:
                raise UnknownInnerError
            specs = self.frozen(result.specs) if path in switched_off else result.specs
            weights.extend(replace(spec, key=f"{group}/{spec.key}", role=f"{role}/{spec.role}") for spec in specs)
            positions = None if result.specs else positions
        return Derived(weights, outputs, positions, None)

    def _operation(
        self,
        block: Block,
        call: Call | None,
        inputs: Shapes,
        keywords: Mapping[str, Shape | None],
        arguments: Mapping[str, Any],
        source: str,
    ) -> Derived:
        name = block.class_name
        function = block.config.get("function")
        if name in ("TFOpLambda", "SlicingOpLambda") and isinstance(function, str):
            name = function
        node = block.config.get("node_def")
        constants = block.config.get("constants")
        if name == "TensorFlowOpLayer" and isinstance(node, Mapping):  # TensorFlow 2.0 to 2.3: the operator with its constant inputs
            name = str(node.get("op"))
            if isinstance(constants, Mapping) and name == "Reshape":
                arguments = {"shape": constants.get("1")}
        operands = tuple(constant_operands(call))
        config = Config(name, block.config, inputs, keywords, arguments, operands, source, self.version)
        own = shaped(config, name) if self.keras_3 and (block.module or "").startswith("keras.src.ops") else None
        return operation(config, name) if own is None else Derived((), own, 0)


def groups_of(model: Block, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Path, group and name of each innermost layer of a model, as Keras 3 numbers them per class."""
    used: dict[str, int] = {}
    for index, block in enumerate(model.blocks):
        operation = block.kind is BlockKind.OPERATION and (block.module or "").startswith("keras")
        if operation or (model.kind is BlockKind.SEQUENTIAL and not index and block.class_name == "InputLayer"):
            continue
        name = snake_case(block.class_name)
        count = used.get(name, 0)
        used[name] = count + 1
        group = f"{prefix}layers/{name}{f'_{count}' if count else ''}"
        if block.blocks:
            yield from groups_of(block, f"{group}/")
        else:
            yield block.path, group, block.name


def _innermost(model: Block) -> Iterator[Block]:
    for block in model.blocks:
        if block.blocks:
            yield from _innermost(block)
        else:
            yield block


def is_own(key: str | None) -> bool:
    """Whether a weight is made by the layer itself and not by one inside of it."""
    return key is None or key.startswith("vars/")


def switched(deriver: Deriver, layer: Layer) -> Layer:
    """A layer that is switched off, with the switch where loading leaves it: at each weight that it freezes.

    Of a class without a formula, the weights that it makes itself are frozen; what becomes of those within is only told by its code.
    """
    if layer.trainable is not False or layer.container or not deriver.keras_3:
        return layer
    if layer.specs is not None:
        return replace(layer, trainable=True, specs=deriver.frozen(layer.specs))
    claims = tuple(replace(one, trainable=False) if _is_made_by(layer, one) else one for one in layer.claims)
    return replace(layer, trainable=True, claims=claims)


def _is_made_by(layer: Layer, claim: Claim) -> bool:
    """Whether a stored weight of an unknown class is told to be its own: by its place in archives, by its name (`model/layer/weight`)."""
    return is_own(claim.key) or claim.key.split("/")[-2:-1] == [layer.name]


class UnknownInnerError(BadConfigError):
    """A wrapper holds what the catalogue has no formula for."""

    def __init__(self) -> None:
        super().__init__("the inner layer is unknown")


def _fallback(block: Block, inputs: Shapes, source: str) -> tuple[Shapes, str]:
    """What else tells the input: the layer's own declaration or the shape that it was built with."""
    declared = declared_input(block.config)
    if declared is not None:
        return (declared,), "declared input"
    built = built_shape(block)
    if built is not None:
        return (built,), "build configuration"
    shape = (block.build_config or {}).get("input_shape")
    if isinstance(shape, list) and shape and all(isinstance(one, list) for one in shape):
        return tuple(tuple(size if isinstance(size, int) else None for size in one) for one in shape), "build configuration"
    return inputs, source


def _built_inputs(block: Block, inputs: Shapes) -> Shapes | None:
    """The shapes that a block was built with, in the order of its inputs; None where they are told in another form."""
    build = block.build_config or {}
    one = as_shape(build.get("input_shape"))
    if one is not None:
        return (one,) if len(inputs) == 1 else None
    named = build.get("shapes_dict")
    if not isinstance(named, Mapping) or block.class_name not in ("MultiHeadAttention", "GroupQueryAttention"):
        return None
    found = [as_shape(named.get(f"{name}_shape")) for name in ("query", "value", "key")]
    return tuple(found[: len(inputs)]) if len(inputs) <= len(found) else None


def _differ(one: Shape | None, other: Shape | None) -> bool:
    """Whether two shapes cannot be the same."""
    if one is None or other is None:
        return False
    return len(one) != len(other) or any(a is not None and b is not None and a != b for a, b in zip(one, other, strict=True))


def built_shape(block: Block) -> Shape | None:
    """The one input shape that a block was built with."""
    return as_shape((block.build_config or {}).get("input_shape"))


def as_shape(value: Any) -> Shape | None:
    """A list of sizes as a shape, None if it is none."""
    fits = isinstance(value, list) and value and all(one is None or isinstance(one, int) for one in value)
    return tuple(value) if fits else None


def _version(text: str | None) -> tuple[int, int] | None:
    """`2.13.1-tf` → (2, 13); a bare `3` is taken for the latest."""
    found = re.match(r"(\d{1,9})(?:\.(\d{1,9}))?(?!\d)", text or "")
    return (int(found[1]), int(found[2] or (99 if found[1] == "3" else 0))) if found else None
