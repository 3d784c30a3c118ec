"""The Keras catalogue: what every layer of Keras 1 to 3 should hold, and the shapes through a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from modelscan.layers.keras import (
    attention,
    convolution,
    core,
    merging,
    normalization,
    old_layers,
    pooling,
    preprocessing,
    recurrent,
    reshaping,
    wrappers,
)
from modelscan.layers.keras.deriving import Deriver, Result, switched
from modelscan.layers.keras.doubts import gaps
from modelscan.layers.keras.forms import fits, other_forms
from modelscan.layers.keras.infer import inferred
from modelscan.layers.keras.modern import modern_class
from modelscan.layers.keras.nested import distributed
from modelscan.layers.keras.pairing import by_place, lost_copies, paired
from modelscan.layers.keras.propagate import Propagation
from modelscan.layers.keras.registry import CATALOGUE
from modelscan.limits import Limits
from modelscan.model import Claim, Kind, Layer, Model, Observation, TensorInfo, WeightSpec
from modelscan.targets.loading import PLAIN, obstacles
from modelscan.topology import Block, frozen_as_a_whole

__all__ = ["derive"]

NEVER_BUILT = "never built: it gets its weights when it is first called"

DECLARATIONS = (
    attention,
    convolution,
    core,
    merging,
    normalization,
    old_layers,
    pooling,
    preprocessing,
    recurrent,
    reshaping,
    wrappers,
)
"""The modules that hold declarations; importing them fills the catalogue."""


def derive(model: Model, limits: Limits) -> Model:
    """The model with specs, shapes, roles and costs. Without a configuration, what names and shapes of the weights prove."""
    if not isinstance(model.graph, Block):
        return inferred(model)
    version = model.producer.get("version")
    deriver = Deriver(version, limits, _floatx(model))
    propagation = Propagation(deriver)
    outputs = propagation.model(model.graph, (), "declared input")
    claims = distributed(model.layers, propagation.results)
    first = deriver.version is None or deriver.version[0] == 1
    if not any(one.kind is Kind.WEIGHT for one in model.tensors):
        _unbuilt(propagation)
    layers = tuple(_layer(one, propagation.results.get(one.path), claims.get(one.path, one.claims), first) for one in model.layers)
    if not frozen_as_a_whole(model.graph, version):
        layers = tuple(switched(deriver, one) for one in layers)
    return replace(
        model,
        layers=layers,
        observations=(
            *model.observations,
            *deriver.observations,
            *(doubt for one in layers if one.specs is None for doubt in gaps(one)),
            *(_lost(layers, propagation) if deriver.keras_3 else ()),
            *_obstacles(model),
        ),
        inputs=model.inputs or _inputs(model.graph, propagation),
        outputs=model.outputs or tuple(TensorInfo(_output_name(model.graph, i), None, shape) for i, shape in enumerate(outputs)),
    )


def _lost(layers: tuple[Layer, ...], propagation: Propagation) -> Iterator[Observation]:
    """Weights that are stored once and have to be stored twice."""
    for one in layers:
        result = propagation.results.get(one.path)
        for problem, role in lost_copies(one.claims, result.copies) if result is not None and result.copies else ():
            yield Observation("weight-missing", f"{one.type} {one.path}: {role}: {problem}", layer=one.path)


def _unbuilt(propagation: Propagation) -> None:
    """In a file without any weight, layers of which nothing says that they were ever built: they have none yet."""
    for result in propagation.results.values():
        if not result.built and result.specs:
            result.specs, result.positions, result.note = (), None, NEVER_BUILT


def _obstacles(model: Model) -> Iterator[Observation]:
    """What keeps a generation of Keras from loading the file, where that is not plain from the version alone."""
    for one in obstacles(model):
        if one.kind != PLAIN:
            yield Observation(one.kind, one.text, one.layers[0] if one.layers else None)


def _floatx(model: Model) -> str | None:
    """The element type that Keras was set to when it wrote the file: most of the stored weights have it."""
    found = Counter(
        one.dtype for one in model.tensors if one.kind is Kind.WEIGHT and one.dtype in ("float16", "float32", "float64", "bfloat16")
    )
    return found.most_common(1)[0][0] if found else None


def _form(kind: str, result: Result, claims: tuple[Claim, ...], first_version: bool) -> tuple[tuple[WeightSpec, ...], tuple[Claim, ...]]:
    """The specs in the form that is stored, with the claims paired to them."""
    specs = result.specs or ()
    owned = paired(specs, claims, result.copies)
    if first_version and claims and not fits(specs, owned):
        for form in other_forms(modern_class(kind), specs):
            other = paired(form, claims, {})
            if fits(form, other):
                return form, other
    return specs, owned


def _layer(layer: Layer, result: Result | None, claims: tuple[Claim, ...], first_version: bool) -> Layer:
    if result is None:
        return layer
    known = result.outputs if all(one is not None for one in result.outputs) else ()
    shown = replace(
        layer,
        claims=claims,
        input_shapes=tuple(one for one in result.inputs if one is not None),
        output_shapes=tuple(one for one in known if one is not None),
    )
    if layer.container:
        return shown
    if result.specs is None or (claims and modern_class(layer.type) not in CATALOGUE):
        return replace(shown, specs=None, extra_macs=None)
    if result.waiting and not claims and result.specs:
        return replace(shown, specs=(), note=NEVER_BUILT)
    specs, owned = _form(layer.type, result, claims, first_version)
    note = result.note
    if any(spec.added for spec in specs):
        specs, note = _with_added(specs, owned, note)
    return replace(shown, specs=specs, claims=owned, positions=result.positions, extra_macs=result.extra_macs, note=note)


def _with_added(specs: tuple[WeightSpec, ...], claims: tuple[Claim, ...], note: str | None) -> tuple[tuple[WeightSpec, ...], str | None]:
    """What loading makes anew where an archive holds it merged; in the HDF5 layout it is a weight like any other."""
    if claims and not by_place(claims):
        return tuple(replace(spec, added=False) for spec in specs), note
    merged = [spec.elements or 0 for spec in specs if spec.added]
    text = f"LoRA: its {sum(merged):,} elements are merged into the kernel of this file, a loaded model holds them besides"
    return specs, f"{note}; {text}" if note else text


def _inputs(model: Block, propagation: Propagation) -> tuple[TensorInfo, ...]:
    found = []
    names = [one.block for one in model.inputs] or [one.name for one in model.blocks[:1]]
    blocks = {one.name: one for one in model.blocks}
    for name in names:
        block = blocks.get(name)
        result = propagation.results.get(block.path) if block is not None else None
        shapes = (result.outputs if block is not None and block.class_name == "InputLayer" else result.inputs) if result is not None else ()
        dtype = block.config.get("dtype") if block is not None else None
        found.append(TensorInfo(name, dtype if isinstance(dtype, str) else None, shapes[0] if shapes else None))
    return tuple(found)


def _output_name(model: Block, index: int) -> str:
    if index < len(model.outputs):
        return model.outputs[index].block
    return model.blocks[-1].name if model.blocks else "output"
