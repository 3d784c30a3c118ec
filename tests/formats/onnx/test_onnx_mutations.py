"""Defects put into real files: what can be proved from the structure alone must be flagged, at `high` or above."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from modelscan.formats.onnx import read
from modelscan.limits import DEFAULT
from modelscan.model import Severity
from modelscan.rules.base import all_rules
from tests.corpus import corpus, expected
from tests.formats.onnx.onnx_models import artifact

pytestmark = pytest.mark.corpus
Mutation = Callable[[onnx.ModelProto, random.Random], bool]
FILES = 80


def weight(model: onnx.ModelProto, chance: random.Random) -> TensorProto | None:
    """An initializer with raw data that a node uses."""
    used = {name for node in model.graph.node for name in node.input}
    held = [one for one in model.graph.initializer if len(one.raw_data) >= 8 and one.dims and one.name in used]
    return chance.choice(held) if held else None


def bytes_short(model: onnx.ModelProto, chance: random.Random) -> bool:
    if one := weight(model, chance):
        one.raw_data = one.raw_data[: -chance.randint(1, 4)]
    return one is not None


def bytes_long(model: onnx.ModelProto, chance: random.Random) -> bool:
    if one := weight(model, chance):
        one.raw_data += bytes(chance.randint(1, 64))
    return one is not None


def dims_edited(model: onnx.ModelProto, chance: random.Random) -> bool:
    if one := weight(model, chance):
        one.dims[chance.randrange(len(one.dims))] += chance.randint(1, 9)
    return one is not None


def dims_negative(model: onnx.ModelProto, chance: random.Random) -> bool:
    if one := weight(model, chance):
        at = chance.randrange(len(one.dims))
        one.dims[at] = -one.dims[at] or -1
    return one is not None


def initializer_dropped(model: onnx.ModelProto, chance: random.Random) -> bool:
    one = weight(model, chance)
    if one is None or one.name in {value.name for value in model.graph.input}:
        return False
    model.graph.initializer.remove(one)
    return True


def initializer_doubled(model: onnx.ModelProto, chance: random.Random) -> bool:
    if one := weight(model, chance):
        model.graph.initializer.append(one)
    return one is not None


def type_of_another_width(model: onnx.ModelProto, chance: random.Random) -> bool:
    if one := weight(model, chance):
        one.data_type = TensorProto.INT8 if one.data_type in (TensorProto.FLOAT, TensorProto.INT64) else TensorProto.DOUBLE
    return one is not None


def declared_output(model: onnx.ModelProto, chance: random.Random) -> bool:
    inferred = onnx.shape_inference.infer_shapes(onnx.ModelProto.FromString(stripped(model)))
    known = {value.name: value for value in inferred.graph.output}
    for output in model.graph.output:
        static = [
            index
            for index, dim in enumerate(known[output.name].type.tensor_type.shape.dim)
            if dim.HasField("dim_value") and index < len(output.type.tensor_type.shape.dim)
        ]
        if static:
            output.type.tensor_type.shape.dim[chance.choice(static)].dim_value += chance.randint(1, 5)
            return True
    return False


def stripped(model: onnx.ModelProto) -> bytes:
    """The model without what it says of its own shapes: what follows from the inputs is all that can be proved."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.ClearField("value_info")
    for output in copy.graph.output:
        output.type.tensor_type.ClearField("shape")
    return copy.SerializeToString()


def dangling_input(model: onnx.ModelProto, chance: random.Random) -> bool:
    nodes = [node for node in model.graph.node if node.input and node.input[0]]
    if nodes:
        chance.choice(nodes).input[0] = "nowhere/defined"
    return bool(nodes)


def value_given_twice(model: onnx.ModelProto, chance: random.Random) -> bool:
    nodes = [node for node in model.graph.node if node.output and node.output[0]]
    if nodes:
        model.graph.node.append(chance.choice(nodes))
    return bool(nodes)


def cycle(model: onnx.ModelProto, chance: random.Random) -> bool:
    nodes = [node for node in model.graph.node if node.input and node.output and node.output[0]]
    if nodes:
        node = chance.choice(nodes)
        node.input[0] = node.output[0]
    return bool(nodes)


def external(entries: dict[str, str]) -> Mutation:
    def mutate(model: onnx.ModelProto, chance: random.Random) -> bool:
        one = weight(model, chance)
        if one is None:
            return False
        one.ClearField("raw_data")
        one.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            one.external_data.add(key=key, value=value)
        return True

    return mutate


MUTATIONS: dict[str, Mutation] = {
    "bytes short": bytes_short,
    "bytes long": bytes_long,
    "dims edited": dims_edited,
    "dims negative": dims_negative,
    "initializer dropped": initializer_dropped,
    "initializer doubled": initializer_doubled,
    "type of another width": type_of_another_width,
    "declared output lied": declared_output,
    "dangling input": dangling_input,
    "value given twice": value_given_twice,
    "cycle": cycle,
    "external past the end": external({"location": "weights.bin", "offset": "1000000"}),
    "external escape": external({"location": "../../etc/passwd"}),
    "external missing": external({"location": "gone.bin"}),
}


def test_defects_are_flagged(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    severities = {rule.name: rule.severity for rule in all_rules()}
    chance = random.Random(20240607)
    rows = [row for row in expected("onnx") if row["checker"] == row["runtime"] == "ok" and int(row["initializers"])]
    tried: Counter[str] = Counter()
    missed = []
    for row in chance.sample(rows, FILES):
        data = corpus("onnx", row["path"]).read_bytes()
        for name, mutate in MUTATIONS.items():
            model = onnx.ModelProto.FromString(data)
            if not mutate(model, chance):
                continue
            tried[name] += 1
            found = read(artifact(model, tmp_path), DEFAULT).observations
            if not any((one.severity or severities[one.kind]).rank >= Severity.HIGH.rank for one in found):
                missed.append((name, row["path"]))
    assert set(tried) == set(MUTATIONS)
    assert len(missed) <= sum(tried.values()) // 100, missed
