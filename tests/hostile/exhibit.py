"""What an exhibit is, and the builders that many of them share."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Builder = Callable[[Path], Path]


@dataclass(frozen=True)
class Exhibit:
    """One file (or folder) of the museum. What must be said of it stands in `reasons.tsv`, which threat it is in `threats.py`."""

    name: str
    rule: str | None
    """Name of the rule that must speak; None for a clean one, of which none above `info` may."""
    build: Builder
    """Makes it in the given folder; the path to scan."""
    note: str | None = None
    """For a clean one: the rule that tells something about it, at `info`."""


BAD: list[Exhibit] = []
CLEAN: list[Exhibit] = []


def bad(rule: str) -> Callable[[Builder], Builder]:
    """Registers a builder of a bad file with the rule that must name it."""

    def register(build: Builder) -> Builder:
        BAD.append(Exhibit(build.__name__, rule, build))
        return build

    return register


def clean(build: Builder) -> Builder:
    """Registers a builder of a legal file."""
    CLEAN.append(Exhibit(build.__name__, None, build))
    return build


def noted(rule: str) -> Callable[[Builder], Builder]:
    """Registers a builder of a legal file of which a rule has something to tell."""

    def register(build: Builder) -> Builder:
        CLEAN.append(Exhibit(build.__name__, None, build, rule))
        return build

    return register


def write(path: Path, data: bytes | str) -> Path:
    """A file of these bytes; text goes in as UTF-8."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


# --- Keras ---------------------------------------------------------------------------------------------------------


def layer(
    class_name: str, name: str, *, module: str = "keras.layers", build: Iterable[int | None] | None = None, **config: Any
) -> dict[str, Any]:
    """A layer's entry in a Keras 3 configuration."""
    entry = {"module": module, "class_name": class_name, "config": {"name": name, "trainable": True, **config}, "registered_name": None}
    if build is not None:
        entry["build_config"] = {"input_shape": list(build)}
    return entry


def input_layer(*shape: int | None) -> dict[str, Any]:
    """An InputLayer with a batch dimension of its own."""
    return layer("InputLayer", "input_layer", batch_shape=[None, *shape], dtype="float32", sparse=False)


def dense(name: str, units: int, inputs: int, **config: Any) -> dict[str, Any]:
    """A Dense layer's entry."""
    values = {"units": units, "activation": "linear", "use_bias": True, "dtype": "float32"} | config
    return layer("Dense", name, build=(None, inputs), **values)


def sequential(*layers: dict[str, Any], **top: Any) -> dict[str, Any]:
    """A Sequential's configuration."""
    config = {"name": "sequential", "trainable": True, "dtype": "float32", "layers": list(layers)}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None} | top


def weights_h5(groups: dict[str, tuple[np.ndarray, ...]], edit: Callable[[h5py.File], None] | None = None) -> bytes:
    """A Keras 3 weights file: arrays `0`, `1`, … in the `vars` group of each path."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, arrays in groups.items():
            group = file.create_group(f"{path}/vars")
            for index, array in enumerate(arrays):
                group.create_dataset(str(index), data=array)
        if edit is not None:
            edit(file)
    return buffer.getvalue()


def arrays(*shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Arrays of small distinct values."""
    return tuple(np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape) for shape in shapes)


DENSE_CONFIG = sequential(input_layer(4), dense("dense", 3, 4))
DENSE_WEIGHTS = {"layers/dense": arrays((4, 3), (3,))}
METADATA = json.dumps({"keras_version": "3.10.0", "date_saved": "2025-06-01@12:00:00"})


def keras_zip(
    path: Path,
    config: Any = DENSE_CONFIG,
    weights: bytes | None = None,
    *,
    metadata: str | None = METADATA,
    extra: Iterable[tuple[str | zipfile.ZipInfo, bytes | str]] = (),
    compression: int = zipfile.ZIP_STORED,
    without: Iterable[str] = (),
) -> Path:
    """A `.keras` archive; `config` may be text that is no JSON."""
    members: list[tuple[str | zipfile.ZipInfo, bytes | str]] = [
        ("metadata.json", metadata or ""),
        ("config.json", config if isinstance(config, str | bytes) else json.dumps(config)),
        ("model.weights.h5", weights_h5(DENSE_WEIGHTS) if weights is None else weights),
    ]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in [member for member in members if member[0] not in set(without)] + list(extra):
            archive.writestr(name, data)
    return path


def legacy_config(*layers: dict[str, Any]) -> dict[str, Any]:
    """A Sequential as Keras 2 wrote it."""
    plain = [{"class_name": one["class_name"], "config": dict(one["config"])} for one in layers]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": plain}}


def legacy_h5(
    path: Path,
    config: Any = None,
    groups: dict[str, dict[str, np.ndarray]] | None = None,
    edit: Callable[[h5py.File], None] | None = None,
) -> Path:
    """A whole-model HDF5 file of Keras 2.x: layer name to weight name to array."""
    kernel, bias = arrays((4, 3), (3,))
    groups = {"dense": {"dense/kernel:0": kernel, "dense/bias:0": bias}} if groups is None else groups
    if config is None:
        first = dense("dense", 3, 4)
        first["config"]["batch_input_shape"] = [None, 4]
        config = legacy_config(first)
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.12.0", "tensorflow"
        file.attrs["model_config"] = config if isinstance(config, str | bytes) else json.dumps(config)
        top = file.create_group("model_weights")
        top.attrs["layer_names"] = [name.encode() for name in groups]
        top.attrs["keras_version"], top.attrs["backend"] = "2.12.0", "tensorflow"
        for name, weights in groups.items():
            group = top.create_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, array in weights.items():
                group.create_dataset(weight, data=array)
        if edit is not None:
            edit(file)
    return path


# --- protobuf, written by hand so that what no library would write can be written -----------------------------------------


def varint(value: int) -> bytes:
    """A base-128 varint; negative numbers as 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while True:
        value, low = value >> 7, value & 127
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def field(number: int, value: int | bytes | str) -> bytes:
    """A field: a varint for an integer, length-delimited for bytes and text."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data
