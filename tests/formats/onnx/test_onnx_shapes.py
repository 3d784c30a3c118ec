"""Inferred shapes against the onnx package's own inference, in one run and in segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from modelscan import inspect
from modelscan.formats import ReadOptions, open_artifact
from modelscan.formats.onnx import inference, read
from modelscan.graph import Graph
from modelscan.limits import DEFAULT
from modelscan.model import Shape
from tests.corpus import corpus, expected
from tests.formats.onnx.onnx_models import floats, info, ints, kinds, model, scan

NODE = helper.make_node


def test_shapes_follow_small_constants() -> None:
    nodes = [
        NODE("Shape", ["x"], ["s"]),
        NODE("Gather", ["s", "zero"], ["n"]),
        NODE("Concat", ["n", "rest"], ["t"], axis=0),
        NODE("Reshape", ["x", "t"], ["y"]),
    ]
    proto = model(nodes, [info("x", 2, 6)], [onnx.ValueInfoProto(name="y")], [ints("zero", 0), ints("rest", 3, 2)])
    assert scan(proto).graph.values["y"].shape == (2, 3, 2)


def test_computed_shapes_are_followed_where_integers_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[bool] = []
    run = inference.Inference._run

    def noted(self: inference.Inference, data: bytes, graph: Graph, *, propagate: bool) -> Any:
        followed.append(propagate)
        return run(self, data, graph, propagate=propagate)

    monkeypatch.setattr(inference.Inference, "_run", noted)
    nodes = [NODE("MatMul", ["x", "w"], ["m"]), NODE("NonZero", ["m"], ["z"]), NODE("Relu", ["m"], ["y"])]
    open_batch = info("x", None, 4)
    scan(model([nodes[0], nodes[2]], [open_batch], [info("y", None, 3)], [floats("w", 4, 3)]))
    assert followed == [False], "the batch is open, and no computation tells it"
    followed.clear()
    scan(model(nodes, [open_batch], [info("y", None, 3)], [floats("w", 4, 3)]))
    assert followed == [False, True]


def test_symbols_of_the_file_stay_and_made_up_ones_go() -> None:
    nodes = [NODE("Relu", ["x"], ["a"]), NODE("NonZero", ["a"], ["b"])]
    values = scan(model(nodes, [info("x", "batch", 6)], [onnx.ValueInfoProto(name="b")])).graph.values
    assert values["a"].shape == ("batch", 6)
    assert values["b"].shape == (2, None)


def test_a_declaration_completes_what_is_not_known() -> None:
    nodes = [NODE("Vendor", ["x"], ["a"], domain="vendor"), NODE("Relu", ["a"], ["y"])]
    proto = model(nodes, [info("x", 3)], [onnx.ValueInfoProto(name="y")], domains=["vendor"])
    assert "y" not in scan(proto).graph.values or scan(proto).graph.values["y"].shape is None
    proto.graph.value_info.append(info("a", 7, "M"))
    found = scan(proto)
    assert found.graph.declared["a"].shape == (7, "M")
    assert found.graph.values["y"].shape == (7, "M")
    assert not kinds(found)


def test_bound_dimensions_and_inputs() -> None:
    proto = model([NODE("MatMul", ["x", "w"], ["y"])], [info("x", "N", "T", 4)], [info("y", "N", "T", 3)], [floats("w", 4, 3)])
    assert scan(proto).graph.values["y"].shape == ("N", "T", 3)
    assert scan(proto, options=ReadOptions(dims={"N": 8})).graph.values["y"].shape == (8, "T", 3)
    whole = scan(proto, options=ReadOptions(inputs={"x": (2, 5, 4)}))
    assert whole.graph.values["y"].shape == (2, 5, 3)
    assert whole.graph.values["x"].shape == (2, 5, 4)
    assert not kinds(whole)


def test_a_whole_input_shape_replaces_what_was_declared_for_another() -> None:
    path = Path(__file__).parents[3] / "fixtures" / "good" / "conv_net.onnx"
    report = inspect(path, inputs={"x": (2, 3, 32, 32)})
    assert report.layer("conv1").output_shapes == ((2, 8, 32, 32),)
    assert report.macs == 8 * 3 * 9 * 32 * 32 + 8 * 9 * 30 * 30 + 8 * 4
    assert not report.findings
    proto = model([NODE("MatMul", ["x", "w"], ["y"])], [info("x", 1, 4)], [info("y", 1, 3)], [floats("w", 4, 3)])
    found = scan(proto, options=ReadOptions(inputs={"x": (8, 4)}))
    assert (found.graph.inputs[0].shape, found.graph.outputs[0].shape) == ((8, 4), None)
    assert not kinds(found)


def test_sequences_and_optionals_pass() -> None:
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["N", 4])
    nodes = [NODE("SequenceAt", ["x", "i"], ["a"]), NODE("Relu", ["a"], ["y"])]
    found = scan(model(nodes, [sequence], [info("y", "N", 4)], [ints("i", 0)]))
    assert found.inputs[0].dtype == "sequence(float32)"
    assert found.graph.values["a"].shape == ("N", 4)


def test_without_inference_the_declarations_remain() -> None:
    proto = model([NODE("Relu", ["x"], ["y"])], [info("x", 3)], [info("y", 3)])
    found = scan(proto, options=ReadOptions(inference=False))
    assert found.graph.values["y"].shape == (3,)


def static(shape: Any) -> Shape | None:
    if shape is None:
        return None
    return tuple(size if isinstance(size, int) and size >= 0 else None for size in shape)


def theirs(value: onnx.ValueInfoProto) -> Shape | None:
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    return static([dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim])


@pytest.mark.corpus
def test_no_less_is_known_than_the_package_infers_from_the_whole_file() -> None:
    """Files that the full checker accepts; declarations kept, payloads in place, against our skeleton without either."""
    compared = 0
    less = []
    for row in expected("onnx"):
        if row["checker"] != "ok":
            continue
        path = str(corpus("onnx", row["path"]))
        inferred = onnx.shape_inference.infer_shapes(onnx.load(path, load_external_data=False), data_prop=True)
        values = read(open_artifact(path), DEFAULT).graph.values
        for value in (*inferred.graph.value_info, *inferred.graph.output):
            said = theirs(value)
            if said is None:
                continue
            compared += 1
            ours = static(values[value.name].shape) if value.name in values else None
            if ours is None or len(ours) != len(said) or any(b is not None and a != b for a, b in zip(ours, said, strict=True)):
                less.append((row["path"], value.name, said, ours))
    assert compared > 2000
    assert not less


@pytest.mark.corpus
def test_segments_find_what_one_run_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apart from computed shape values that would have to cross from one segment to the next."""

    def known(graph: Graph) -> set[str]:
        return {name for name, one in graph.values.items() if one.shape is not None}

    lost = total = 0
    for row in expected("onnx")[::3]:
        path = corpus("onnx") / row["path"]
        if row["checker"] != "ok" or not path.stat().st_size:
            continue
        whole = read(open_artifact(str(path)), DEFAULT).graph
        with monkeypatch.context() as patch:
            patch.setattr(inference, "_SEGMENT", 3)
            parts = read(open_artifact(str(path)), DEFAULT).graph
        for name in known(whole) & known(parts):
            pairs = zip(whole.values[name].shape or (), parts.values[name].shape or (), strict=False)
            assert not any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs), (path, name)
        lost += len(known(whole) - known(parts))
        total += len(known(whole))
    assert total > 1000
    assert lost < total / 20
