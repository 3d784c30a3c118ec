"""Defects put into healthy real files, seeded: each is told at `high` or above.

Only defects that metadata proves: a resized bias that still broadcasts, or a declared size that hangs on run-time values,
is no defect that anybody could tell without running the model. The figures of onnx's checker and of ONNX Runtime on the
same defects come from `python -m tests.layers.onnx.test_onnx_mutations [FILES]`.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from functools import cache

import onnx
import pytest
from onnx import TensorProto

from modelscan import accounting, layers
from modelscan.errors import UnreadableFile
from modelscan.formats import ReadOptions, open_artifact
from modelscan.formats import onnx as reader
from modelscan.limits import DEFAULT
from modelscan.rules import Subject, judge
from modelscan.valuecheck import check_values
from tests.corpus import corpus, expected

SEED = 20
FILES = 80
KERNELS = {"Conv": (1,), "ConvTranspose": (1,), "Gemm": (1,), "MatMul": (1,), "LSTM": (1, 2), "GRU": (1, 2), "RNN": (1, 2)}
VECTORS = {"Conv": (2,), "Gemm": (2,), "LSTM": (3,), "GRU": (3,), "BatchNormalization": (1, 2, 3, 4), "LayerNormalization": (1, 2)}
WIDTH = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2, TensorProto.UINT8: 1, TensorProto.INT8: 1, TensorProto.INT32: 4}


def held(model, table):
    """Stored tensors at the inputs that a table names, with their nodes; those that nothing else takes."""
    stored = {one.name: one for one in model.graph.initializer if one.data_type in WIDTH and all(size > 0 for size in one.dims)}
    uses = Counter(name for one in model.graph.node for name in one.input)
    return [
        (one, stored[one.input[place]])
        for one in model.graph.node
        for place in table.get(one.op_type, ())
        if len(one.input) > place and one.input[place] in stored and uses[one.input[place]] == 1
    ]


def refill(tensor, dims):
    """Other dimensions, with as many bytes as they need."""
    count = 1
    for size in dims:
        count *= size
    for field in ("float_data", "int32_data"):
        tensor.ClearField(field)
    del tensor.dims[:]
    tensor.dims.extend(dims)
    tensor.raw_data = b"\1" * (count * WIDTH[tensor.data_type])


def inputs_edited(model, rng):
    """One more input than the activation has."""
    axes = {"Conv": 1, "ConvTranspose": 0, "Gemm": None, "MatMul": 0, "LSTM": 2, "GRU": 2, "RNN": 2}
    found = [(one, tensor) for one, tensor in held(model, {op: places[:1] for op, places in KERNELS.items()}) if len(tensor.dims) > 1]
    if found:
        one, tensor = rng.choice(found)
        turned = any(attribute.name == "transB" and attribute.i for attribute in one.attribute)
        axis = (1 if turned else 0) if one.op_type == "Gemm" else axes[one.op_type]
        dims = list(tensor.dims)
        dims[axis if len(dims) == 2 or one.op_type != "MatMul" else -2] += 1
        refill(tensor, dims)
    return bool(found)


def axes_swapped(model, rng):
    found = [tensor for _, tensor in held(model, KERNELS) if len(tensor.dims) > 1 and tensor.dims[0] != tensor.dims[1]]
    if found:
        tensor = rng.choice(found)
        refill(tensor, [tensor.dims[1], tensor.dims[0], *tensor.dims[2:]])
    return bool(found)


def bias_resized(model, rng):
    found = [tensor for _, tensor in held(model, VECTORS) if max(tensor.dims) > 1]
    if found:
        tensor = rng.choice(found)
        refill(tensor, [*tensor.dims[:-1], tensor.dims[-1] + 1])
    return bool(found)


def attribute_edited(name, operators):
    def edit(model, rng):
        found = [a for one in model.graph.node if one.op_type in operators for a in one.attribute if a.name == name]
        if found:
            one = rng.choice(found)
            if one.ints:
                one.ints[rng.randrange(len(one.ints))] += 1
            else:
                one.i += 1
        return bool(found)

    return edit


def dims_edited(model, rng):
    found = [one for one in model.graph.initializer if one.data_type in WIDTH and one.dims and min(one.dims) > 0]
    if found:
        one = rng.choice(found)
        one.dims[rng.randrange(len(one.dims))] += 1
    return bool(found)


def dims_negative(model, rng):
    found = [one for one in model.graph.initializer if one.data_type in WIDTH and one.dims and min(one.dims) > 0]
    if found:
        one = rng.choice(found)
        one.dims[0] = -one.dims[0]
    return bool(found)


def bytes_changed(change):
    def edit(model, rng):
        found = [one for one in model.graph.initializer if len(one.raw_data) > 4]
        if found:
            one = rng.choice(found)
            one.raw_data = change(one.raw_data)
        return bool(found)

    return edit


def dropped(model, rng):
    taken = {name for one in model.graph.node for name in one.input} - {one.name for one in model.graph.input}
    found = [one for one in model.graph.initializer if one.name in taken]
    if found:
        model.graph.initializer.remove(rng.choice(found))
    return bool(found)


def doubled(model, rng):
    found = list(model.graph.initializer)
    if found:
        model.graph.initializer.append(rng.choice(found))
    return bool(found)


def type_lied(model, rng):
    found = [tensor for _, tensor in held(model, KERNELS) if tensor.data_type == TensorProto.FLOAT and tensor.raw_data]
    if found:
        rng.choice(found).data_type = TensorProto.INT32
    return bool(found)


def output_lied(model, rng):
    """Of outputs that a layer with a kernel makes, so that the size is proved by weights and inputs."""
    makers = {name: one.op_type for one in model.graph.node for name in one.output}
    found = [
        size
        for one in model.graph.output
        if makers.get(one.name) in ("MatMul", "Gemm", "Conv", "Add", "Relu", "Softmax", "BatchNormalization")
        for size in one.type.tensor_type.shape.dim[1:]
        if size.HasField("dim_value") and size.dim_value > 1
    ]
    if found:
        rng.choice(found).dim_value += 1
    return bool(found)


def input_lied(model, rng):
    """Of inputs that a kernel takes, its width."""
    axes = {"MatMul": -1, "Gemm": 1, "Conv": 1, "ConvTranspose": 1}
    given = {one.name: one for one in model.graph.input}
    found = [(given[one.input[0]], axes[one.op_type]) for one, _ in held(model, dict.fromkeys(axes, (1,))) if one.input[0] in given]
    sizes = [value.type.tensor_type.shape.dim[axis] for value, axis in found if len(value.type.tensor_type.shape.dim) > 1]
    sizes = [size for size in sizes if size.HasField("dim_value")]
    if sizes:
        rng.choice(sizes).dim_value += 1
    return bool(sizes)


def dangling(model, rng):
    found = [one for one in model.graph.node if one.input and one.input[0]]
    if found:
        rng.choice(found).input[0] += "_gone"
    return bool(found)


def external(entries):
    """The payload of a used initializer moved to where it cannot be."""

    def edit(model, rng):
        taken = {name for one in model.graph.node for name in one.input}
        found = [one for one in model.graph.initializer if len(one.raw_data) > 4 and one.name in taken]
        if found:
            one = rng.choice(found)
            one.ClearField("raw_data")
            one.data_location = TensorProto.EXTERNAL
            for key, value in entries.items():
                one.external_data.add(key=key, value=value)
        return bool(found)

    return edit


def not_a_number(model, rng):
    found = [tensor for _, tensor in held(model, KERNELS) if tensor.data_type == TensorProto.FLOAT and len(tensor.raw_data) > 3]
    if found:
        tensor = rng.choice(found)
        at = 4 * rng.randrange(len(tensor.raw_data) // 4)
        tensor.raw_data = tensor.raw_data[:at] + b"\0\0\xc0\x7f" + tensor.raw_data[at + 4 :]
    return bool(found)


def axis_beyond(model, rng):
    found = [
        a
        for one in model.graph.node
        if one.op_type in ("Concat", "Gather", "Softmax", "Flatten")
        for a in one.attribute
        if a.name == "axis"
    ]
    if found:
        rng.choice(found).i = 17
    return bool(found)


def order_broken(model, rng):
    found = [a for one in model.graph.node if one.op_type == "Transpose" for a in one.attribute if a.name == "perm" and len(a.ints) > 1]
    if found:
        one = rng.choice(found)
        one.ints[0] = one.ints[1]
    return bool(found)


def window_shortened(model, rng):
    """One number less than there are axes."""
    windows = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")
    names = ("strides", "pads", "dilations")
    found = [a for one in model.graph.node if one.op_type in windows for a in one.attribute if a.name in names and a.ints]
    if found:
        del rng.choice(found).ints[-1]
    return bool(found)


def type_of_attribute(model, rng):
    found = [a for one in model.graph.node if not one.domain for a in one.attribute if a.type == onnx.AttributeProto.INT]
    if found:
        one = rng.choice(found)
        number = one.i
        one.ClearField("i")
        one.type, one.f = onnx.AttributeProto.FLOAT, float(number)
    return bool(found)


def opset_forgotten(model, rng):
    found = [one for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if found and any(one.domain in ("", "ai.onnx") for one in model.graph.node):
        model.opset_import.remove(found[0])
        return True
    return False


DEFECTS = {
    "inputs edited": inputs_edited,
    "axes swapped": axes_swapped,
    "bias resized": bias_resized,
    "hidden_size edited": attribute_edited("hidden_size", ("LSTM", "GRU", "RNN")),
    "group edited": attribute_edited("group", ("Conv", "ConvTranspose")),
    "kernel_shape edited": attribute_edited("kernel_shape", ("Conv", "ConvTranspose")),
    "dims edited": dims_edited,
    "dims negative": dims_negative,
    "bytes short": bytes_changed(lambda data: data[:-4]),
    "bytes long": bytes_changed(lambda data: data + b"\0\0\0\0"),
    "initializer dropped": dropped,
    "initializer doubled": doubled,
    "dtype lied": type_lied,
    "declared output lied": output_lied,
    "declared input lied": input_lied,
    "dangling input": dangling,
    "external missing": external({"location": "gone.bin"}),
    "external past the end": external({"location": "weights.bin", "offset": "1000000"}),
    "external outside": external({"location": "../../elsewhere/weights.bin"}),
    "not a number": not_a_number,
    "axis beyond": axis_beyond,
    "order broken": order_broken,
    "window shortened": window_shortened,
    "attribute of another type": type_of_attribute,
    "opset forgotten": opset_forgotten,
}
VALUES = frozenset({"not a number"})
"""Defects that only the values tell."""


@cache
def healthy(count):
    """So many files with weights that checker and runtime accept and that we find nothing in, in an order that the seed gives."""
    paths = [row["path"] for row in expected("onnx") if row["checker"] == row["runtime"] == "ok" and int(row["initializers"]) > 0]
    random.Random(SEED).shuffle(paths)
    return [path for path in paths if not flagged(str(corpus("onnx", path)))][:count]


def flagged(path, *, values=False):
    """The names of the findings at `high` or above."""
    artifact = open_artifact(path, ReadOptions(values=values))
    try:
        model = layers.derive(reader.read(artifact, DEFAULT), DEFAULT)
    except UnreadableFile as error:
        return {error.kind}
    accounts = accounting.reconcile(model)
    remarks = check_values(model, accounts, lambda tensor: reader.blocks(artifact, tensor, DEFAULT)).observations if values else ()
    found = judge(Subject(path, (*model.observations, *remarks), model, accounts))
    return {one.name for one in found if one.severity.rank >= 3}


def mutants(defect, tmp_path, count=FILES):
    """Defective files, with the healthy ones that they were made of."""
    for number, path in enumerate(healthy(count)):
        model = onnx.load(str(corpus("onnx", path)))
        if DEFECTS[defect](model, random.Random(f"{SEED} {defect} {number}")):
            (tmp_path / "weights.bin").write_bytes(bytes(100))
            broken = tmp_path / "broken.onnx"
            broken.write_bytes(model.SerializeToString())
            yield path, str(broken)


@pytest.mark.parametrize("defect", DEFECTS)
def test_defects_are_told(defect, tmp_path):
    results = {path: flagged(broken, values=defect in VALUES) for path, broken in mutants(defect, tmp_path)}
    assert results
    missed = [path for path, found in results.items() if not found]
    assert len(missed) <= len(results) // 100, missed


def _refused(check, path):
    """Whether another tool refuses a file; a crash of it counts as refusal."""
    import os

    child = os.fork()
    if child == 0:
        try:
            check(path)
        except BaseException:  # noqa: BLE001 - whatever it raises is a refusal
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def main(count=FILES):
    """The figures of this suite beside those of onnx's full checker and of ONNX Runtime's session creation."""
    import tempfile
    from pathlib import Path

    import onnxruntime

    onnxruntime.set_default_logger_severity(4)

    def session(path):
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    total = Counter()
    print(f"{'defect':26} {'files':>6} {'ours':>6} {'checker':>8} {'runtime':>8} {'either':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for defect in DEFECTS:
            counts = Counter()
            for _, broken in mutants(defect, Path(folder), count):
                checker = _refused(lambda path: onnx.checker.check_model(path, full_check=True), broken)
                runtime = _refused(session, broken)
                counts.update(
                    files=1,
                    ours=bool(flagged(broken, values=defect in VALUES)),
                    checker=checker,
                    runtime=runtime,
                    either=checker or runtime,
                )
            total.update(counts)
            _line(defect, counts)
    _line("all", total)


def _line(name, counts):
    print(f"{name:26} {counts['files']:6} {counts['ours']:6} {counts['checker']:8} {counts['runtime']:8} {counts['either']:7}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
