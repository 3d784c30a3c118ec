"""From a Keras configuration, of Keras 1, 2 or 3, to the `topology.Block` tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.limits import Limits
from modelscan.model import Observation, Shape
from modelscan.topology import Block, BlockKind, Call, TensorRef

_OPERATION_CLASSES = frozenset({"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty", "TensorFlowOpLayer"})
_OPERATION_MODULES = ("keras.src.ops.", "keras.ops")
_FUNCTIONAL = frozenset({"Functional", "Model"})


class BlockReader:
    """Reads one model's configuration; collects what is wrong with it instead of stopping at the first fault."""

    def __init__(self, limits: Limits, seen: list[Observation]) -> None:
        self.limits = limits
        self.seen = seen
        self.count = 0

    def model(self, entry: Any) -> Block:
        """The outermost block.

        Raises:
            UnreadableFile: `malformed-config` when it is no object with a class and a configuration.
        """
        if not isinstance(entry, Mapping) or not isinstance(entry.get("class_name"), str):
            raise UnreadableFile("malformed-config", "the configuration is no object with a class_name")
        block = self._block(entry, "", 0)
        if block.kind is BlockKind.LAYER:  # the outermost one is a model whatever its class is called
            return _with_kind(block, BlockKind.SUBCLASSED)
        return block

    def _block(self, entry: Mapping[str, Any], prefix: str, depth: int) -> Block:
        if depth > self.limits.nesting:
            raise LimitExceeded("nesting", depth, self.limits.nesting)
        self.count += 1
        if self.count > self.limits.layers:
            raise LimitExceeded("layers", self.count, self.limits.layers)
        class_name = entry["class_name"]
        raw = entry.get("config")
        listed = raw if isinstance(raw, list) else None  # Keras 1 and early Keras 2: a Sequential's config is the list of its layers
        config: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
        if listed is not None:
            config = {"layers": listed}
        name = _text(entry.get("name")) or _text(config.get("name")) or (class_name.lower() if not prefix and depth == 0 else "")
        path = "" if depth == 0 else prefix + name
        kind = self._kind(entry, class_name, config, depth)
        inner: tuple[Block, ...] = ()
        if kind in (BlockKind.SEQUENTIAL, BlockKind.FUNCTIONAL):
            inner = self._inner(config.get("layers"), path, class_name, depth)
        elif not isinstance(raw, Mapping) and raw is not None and listed is None:
            self._malformed(f"the configuration of {name or class_name} is {type(raw).__name__}, not an object", path)
        wrapped = {
            name: self._block(config[name], f"{path}/", depth + 1)
            for name in ("layer", "backward_layer")
            if kind is BlockKind.LAYER and _is_model(config.get(name))
        }
        build = entry.get("build_config")
        return Block(
            name=name,
            path=path,
            class_name=class_name,
            kind=kind,
            module=_text(entry.get("module")),
            registered_name=_text(entry.get("registered_name")),
            config=config,
            build_config=build if isinstance(build, Mapping) else None,
            calls=calls_of(entry.get("inbound_nodes")),
            blocks=inner,
            inputs=_references(config.get("input_layers")) if kind is BlockKind.FUNCTIONAL else (),
            outputs=_references(config.get("output_layers")) if kind is BlockKind.FUNCTIONAL else (),
            wrapped=wrapped,
            shared_id=shared_id(entry),
        )

    def _kind(self, entry: Mapping[str, Any], class_name: str, config: Mapping[str, Any], depth: int) -> BlockKind:
        module = _text(entry.get("module")) or ""
        if class_name in _OPERATION_CLASSES or module.startswith(_OPERATION_MODULES):
            return BlockKind.OPERATION
        if not module and depth and ">" not in class_name and _is_bare(config) and _has_keras_3_nodes(entry.get("inbound_nodes")):
            return BlockKind.OPERATION  # in HDF5 files Keras 3 leaves the module out
        layers = config.get("layers")
        if class_name == "Sequential":
            return BlockKind.SEQUENTIAL
        if isinstance(layers, list) and "input_layers" in config and "output_layers" in config:
            return BlockKind.FUNCTIONAL
        if class_name in _FUNCTIONAL and depth == 0 and layers is None:
            return BlockKind.SUBCLASSED
        if isinstance(layers, list) and layers and depth == 0 and all(isinstance(one, Mapping) and "class_name" in one for one in layers):
            return BlockKind.SEQUENTIAL
        return BlockKind.LAYER

    def _inner(self, layers: Any, path: str, class_name: str, depth: int) -> tuple[Block, ...]:
        if not isinstance(layers, list):
            self._malformed(f"the layers of {class_name} {path} are {type(layers).__name__}, not a list", path)
            return ()
        found: list[Block] = []
        names: set[str] = set()
        for index, entry in enumerate(layers):
            if not isinstance(entry, Mapping) or not isinstance(entry.get("class_name"), str):
                self._malformed(f"entry {index} of the layers of {class_name} {path or 'model'} is no layer", path)
                continue
            block = self._block(entry, f"{path}/" if path else "", depth + 1)
            if not block.name or block.name in names:
                block = _renamed(block, f"{block.name or block.class_name.lower()}#{index}")
            names.add(block.name)
            found.append(block)
        return tuple(found)

    def _malformed(self, text: str, path: str) -> None:
        self.seen.append(Observation("malformed-config", text, layer=path or None))


def shared_id(entry: Any) -> int | None:
    """The number by which entries of Keras 3 are told to be one object (`keras/src/saving/serialization_lib.py`, `ObjectSharingScope`)."""
    number = entry.get("shared_object_id") if isinstance(entry, Mapping) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _is_model(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("class_name"), str):
        return False
    config = entry.get("config")
    return isinstance(config, list) or (isinstance(config, Mapping) and isinstance(config.get("layers"), list))


def _is_bare(config: Mapping[str, Any]) -> bool:
    """Whether a configuration lacks what every layer of Keras writes, its switch or its type; `Cast` is a type and no more."""
    return "trainable" not in config and ("dtype" not in config or set(config) <= {"name", "dtype"})


def _has_keras_3_nodes(nodes: Any) -> bool:
    return isinstance(nodes, list) and bool(nodes) and all(isinstance(node, Mapping) and "args" in node for node in nodes)


def calls_of(nodes: Any) -> tuple[Call, ...]:
    """The calls in `inbound_nodes`: Keras 3 has objects with args and kwargs, Keras 1 and 2 lists of tensor lists."""
    if not isinstance(nodes, list):
        return ()
    calls = []
    for node in nodes:
        if isinstance(node, Mapping):
            kwargs = node.get("kwargs")
            args = node.get("args")
            calls.append(
                Call(
                    tuple(_value(one) for one in args) if isinstance(args, list) else (),
                    {str(key): _value(one) for key, one in kwargs.items()} if isinstance(kwargs, Mapping) else {},
                )
            )
        elif isinstance(node, list) and node:
            calls.append(_legacy_call(node))
    return tuple(calls)


def _legacy_call(node: list[Any]) -> Call:
    """`[[name, call, tensor, kwargs], …]`, or that inner list itself (TFOpLambda)."""
    entries = [node] if isinstance(node[0], str) else node
    tensors: list[Any] = []
    kwargs: dict[str, Any] = {}
    for entry in entries:
        if _is_reference(entry):
            tensors.append(TensorRef(entry[0], entry[1], entry[2]))
        elif isinstance(entry, list) and len(entry) >= 3 and entry[0] == "_CONSTANT_VALUE":
            tensors.append(_value(entry[2]))
        if isinstance(entry, list) and len(entry) > 3 and isinstance(entry[3], Mapping):
            kwargs.update({str(key): _legacy_value(one) for key, one in entry[3].items()})
    return Call((tensors[0] if len(tensors) == 1 else tuple(tensors),) if tensors else (), kwargs)


def _legacy_value(value: Any) -> Any:
    """A keyword argument of Keras 2: a tensor is `[name, call, tensor]`."""
    if _is_reference(value):
        return TensorRef(value[0], value[1], value[2])
    if isinstance(value, list):
        return tuple(_legacy_value(one) for one in value)
    return value


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and value[0] != "_CONSTANT_VALUE"
        and all(isinstance(one, int) and not isinstance(one, bool) for one in value[1:3])
    )


def _value(value: Any) -> Any:
    """An argument of Keras 3 with its tensors turned into references."""
    if isinstance(value, Mapping):
        config = value.get("config")
        if value.get("class_name") == "__keras_tensor__" and isinstance(config, Mapping):
            history = config.get("keras_history")
            if isinstance(history, list) and _is_reference(history):
                return TensorRef(history[0], history[1], history[2], _shape(config.get("shape")), _text(config.get("dtype")))
        return {str(key): _value(one) for key, one in value.items()}
    if isinstance(value, list):
        return tuple(_value(one) for one in value)
    return value


def _references(value: Any) -> tuple[TensorRef, ...]:
    """All `[name, call, tensor]` in a structure of lists and objects, in order."""
    if _is_reference(value):
        return (TensorRef(value[0], value[1], value[2]),)
    if isinstance(value, Mapping):
        return tuple(found for one in value.values() for found in _references(one))
    if isinstance(value, list):
        return tuple(found for one in value for found in _references(one))
    return ()


def _shape(value: Any) -> Shape | None:
    if not isinstance(value, list) or not all(one is None or (isinstance(one, int) and not isinstance(one, bool)) for one in value):
        return None
    return tuple(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _with_kind(block: Block, kind: BlockKind) -> Block:
    from dataclasses import replace

    return replace(block, kind=kind)


def _renamed(block: Block, name: str) -> Block:
    """The block under another name; paths below it keep the old one, which nothing refers to."""
    from dataclasses import replace

    parent = block.path[: len(block.path) - len(block.name)]
    return replace(block, name=name, path=parent + name)
