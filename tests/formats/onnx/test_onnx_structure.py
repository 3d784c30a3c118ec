"""Every stored tensor in every scope, with its name, place and values, as the onnx package sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelscan.formats.onnx import blocks
from modelscan.graph import Fill, Graph, Reference, SparseTensor
from modelscan.inline import inline
from modelscan.limits import DEFAULT, Limits
from modelscan.model import Kind
from tests.formats.onnx.onnx_models import FLOAT, INT64, artifact, dense, floats, info, ints, kinds, model, scan

NODE = helper.make_node


def test_a_dense_layer() -> None:
    proto = dense()
    found = scan(proto)
    data = proto.SerializeToString()
    assert found.format == found.catalogue == "onnx"
    assert found.producer == {"framework": "test", "version": "1", "ir_version": "10", "opset": "17"}
    assert [(one.name, one.shape, one.dtype, one.nbytes) for one in found.tensors] == [
        ("w", (4, 3), "float32", 48),
        ("b", (3,), "float32", 12),
    ]
    for tensor in found.tensors:
        assert tensor.offset is not None
        assert tensor.encoding == "raw"
        stored = next(one for one in proto.graph.initializer if one.name == tensor.name)
        assert data[tensor.offset : tensor.offset + (tensor.nbytes or 0)] == stored.raw_data
    graph: Graph = found.graph
    assert graph.nodes[0].name == "fc"
    assert graph.nodes[0].inputs == ("x", "w", "b")
    assert data[graph.nodes[0].offset : graph.nodes[0].offset + graph.nodes[0].nbytes] == proto.graph.node[0].SerializeToString()
    assert [one.name for one in found.inputs] == ["x"]
    assert graph.values["y"].shape == ("N", 3)
    assert not found.observations


def test_an_initializer_may_be_an_input() -> None:
    proto = dense()
    proto.graph.input.extend([info("w", 4, 3), info("b", 3)])
    found = scan(proto)
    assert [one.name for one in found.inputs] == ["x"]
    assert [one.name for one in found.graph.inputs] == ["x", "w", "b"]
    assert not found.observations


def constant(name: str, **attribute: object) -> onnx.NodeProto:
    return NODE("Constant", [], [name], **attribute)


def test_every_form_of_constant() -> None:
    sparse = onnx.SparseTensorProto(values=floats("", 3), indices=ints("", 1, 4, 7), dims=[10])
    nodes = [
        constant("t", value=floats("inner", 2, 2)),
        constant("f", value_float=1.5),
        constant("fs", value_floats=[1.0, 2.0]),
        constant("i", value_int=-7),
        constant("is", value_ints=[1, -2, 3]),
        constant("s", value_string="word"),
        constant("ss", value_strings=["a", "b"]),
        constant("sparse", sparse_value=sparse),
    ]
    found = scan(model(nodes, outputs=[info("t", 2, 2)]))
    graph: Graph = found.graph
    assert {name: (one.shape, one.dtype) for name, one in graph.constants.items()} == {
        "t": ((2, 2), "float32"),
        "f": ((), "float32"),
        "fs": ((2,), "float32"),
        "i": ((), "int64"),
        "is": ((3,), "int64"),
        "s": ((), "string"),
        "ss": ((2,), "string"),
        "sparse": ((3,), "float32"),
    }
    assert {name: graph.contents[name] for name in graph.contents} == {
        "t": (0.0, 1.0, 2.0, 3.0),
        "f": (1.5,),
        "fs": (1.0, 2.0),
        "i": (-7,),
        "is": (1, -2, 3),
    }
    assert [one.name for one in found.tensors] == ["t", "f", "fs", "i", "is", "s", "ss", "sparse", "sparse.indices"]
    assert isinstance(graph.sparse["sparse"], SparseTensor)
    assert graph.sparse["sparse"].shape == (10,)
    assert not kinds(found)


def test_the_fill_of_a_constant_of_shape_is_a_setting() -> None:
    nodes = [NODE("ConstantOfShape", ["s"], ["y"], value=helper.make_tensor("v", FLOAT, [1], [2.0]))]
    found = scan(model(nodes, [info("s", 2, dtype=INT64)], [info("y", None, None)]))
    assert found.tensors == ()
    assert found.graph.nodes[0].attributes["value"] == Fill("float32", 2.0)


def test_a_tensor_attribute_of_another_node_is_stored() -> None:
    found = scan(
        model(
            [NODE("Blob", ["x"], ["y"], name="b", domain="vendor", data=floats("z", 5))], [info("x", 1)], [info("y", 1)], domains=["vendor"]
        )
    )
    assert [(one.name, one.elements) for one in found.tensors] == [("b.data", 5)]


def branch(name: str, *extra: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph([*extra, NODE("Add", ["x", "w"], ["out"])], name, [], [info("out", 3)], [floats("w", 3)])


def test_bodies_have_scopes_and_shadow_names() -> None:
    nodes = [NODE("If", ["c"], ["y"], then_branch=branch("t", constant("k", value_int=1)), else_branch=branch("e"))]
    found = scan(model(nodes, [info("c", dtype=TensorProto.BOOL), info("x", 3)], [info("y", 3)], [floats("w", 3)]))
    names = [one.name for one in found.tensors]
    assert sorted(names) == sorted(["w", "If_0/then_branch/k", "If_0/then_branch/w", "If_0/else_branch/w"])
    assert {path for path, _ in found.graph.scopes()} == {"", "If_0/else_branch", "If_0/then_branch"}
    assert found.graph.nodes[0].graphs["then_branch"].values["out"].shape == (3,)
    assert not kinds(found)


def test_sparse_initializers() -> None:
    proto = model([NODE("Identity", ["s"], ["y"])], [], [info("y", 10)])
    proto.graph.sparse_initializer.append(onnx.SparseTensorProto(values=floats("s", 3), indices=ints("", 1, 4, 7), dims=[10]))
    found = scan(proto)
    assert [(one.name, one.elements) for one in found.tensors] == [("s", 3), ("s.indices", 3)]
    assert found.graph.initializers["s"].elements == 3
    assert found.graph.values["y"].shape == (10,)
    assert not kinds(found)


def test_training_graphs() -> None:
    proto = dense()
    training = proto.training_info.add()
    training.algorithm.CopyFrom(helper.make_graph([NODE("Identity", ["m"], ["m2"])], "step", [], [info("m2", 2)], [floats("m", 2)]))
    found = scan(proto)
    assert [one.name for one in found.tensors] == ["w", "b", "training[0]/algorithm/m"]
    assert list(found.graph.training) == ["training[0]/algorithm"]
    assert not kinds(found)


def function_model(calls: int = 2) -> onnx.ModelProto:
    """`calls` calls of a function with a weight in it, which calls another function."""
    scale = helper.make_function("local", "Scale", ["a"], ["b"], [NODE("Mul", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)])
    block = helper.make_function(
        "local",
        "Block",
        ["a"],
        ["z"],
        [
            NODE("Constant", [], ["w"], value=floats("", 4, 4)),
            NODE("MatMul", ["a", "w"], ["m"], name="mm"),
            NODE("Scale", ["m"], ["s"], name="scale", domain="local"),
            NODE("Softmax", ["s"], ["z"]),
        ],
        [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)],
        attributes=["axis"],
    )
    reference = block.node[3].attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "axis", "axis", onnx.AttributeProto.INT
    nodes = [NODE("Block", [f"v{i}"], [f"v{i + 1}"], name=f"block{i}", domain="local", axis=i) for i in range(calls)]
    return model(nodes, [info("v0", 2, 4)], [info(f"v{calls}", 2, 4)], domains=["local"], functions=[scale, block])


def test_functions_are_seen_through() -> None:
    found = scan(function_model())
    root: Graph = found.graph
    assert [one.name for one in found.tensors] == ["function local.Block/w"]
    assert set(root.functions) == {("local", "Scale", ""), ("local", "Block", "")}
    assert root.functions["local", "Block", ""].graph.nodes[3].attributes == {"axis": Reference("axis")}
    view = inline(root, DEFAULT.inlined_nodes)
    assert view is root.inlined
    assert [one.name for one in view.nodes] == [
        f"block{call}/{inner}" for call in range(2) for inner in ("Constant_0", "mm", "scale/Mul_0", "Softmax_3")
    ]
    assert [one.attributes for one in view.nodes if one.op == "Softmax"] == [{"axis": 0}, {"axis": 1}]
    assert view.constants["block0/w"] is view.constants["block1/w"] is found.tensors[0]
    assert view.values["block1/m"].shape == (2, 4)
    assert view.nodes[-1].outputs == ("v2",)
    assert len(view.contents["block1/w"]) == 16
    assert not kinds(found)


def test_inlining_stops_at_its_limit() -> None:
    root: Graph = scan(function_model(10), limits=Limits(inlined_nodes=12)).graph
    assert root.inlined is not None
    assert len(root.inlined.nodes) < 10 + 12
    assert any(node.op == "Block" for node in root.inlined.nodes)


def test_a_function_that_passes_its_input_through() -> None:
    same = helper.make_function("local", "Same", ["a"], ["a"], [], [helper.make_opsetid("", 17)])
    root: Graph = scan(
        model([NODE("Same", ["x"], ["y"], domain="local")], [info("x", 3)], [info("y", 3)], domains=["local"], functions=[same])
    ).graph
    assert root.inlined is not None
    assert [(node.op, node.inputs, node.outputs) for node in root.inlined.nodes] == [("Identity", ("x",), ("y",))]


def test_exporters_notes_are_kept() -> None:
    proto = dense()
    for key, value in (("namespace", "/net/fc"), ("pkg.torch.onnx.class_hierarchy", "['Net', 'torch.nn.Linear']")):
        entry = proto.graph.node[0].metadata_props.add()
        entry.key, entry.value = key, value
    proto.metadata_props.add(key="author", value="someone")
    found = scan(proto)
    assert found.graph.nodes[0].metadata == {"namespace": "/net/fc", "pkg.torch.onnx.class_hierarchy": "['Net', 'torch.nn.Linear']"}
    assert found.facts["metadata"] == {"author": "someone"}


def test_a_graph_in_two_pieces_is_one() -> None:
    data = dense().SerializeToString()
    second = onnx.ModelProto(graph=onnx.GraphProto(initializer=[floats("more", 2)])).SerializeToString()
    found = scan(data + second)
    assert [one.name for one in found.tensors] == ["w", "b", "more"]


TYPES = sorted(set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED, TensorProto.STRING, 27, 28})


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize("code", TYPES, ids=[TensorProto.DataType.Name(code) for code in TYPES])
@pytest.mark.parametrize("count", [0, 1, 5, 300])
def test_values_of_every_type(code: int, raw: bool, count: int) -> None:
    """The bytes that `blocks` yields are those that the onnx package makes of the tensor."""
    dtype = helper.tensor_dtype_to_np_dtype(code)
    values = (np.arange(count) % 3).astype(np.float32).astype(dtype)
    tensor = numpy_helper.from_array(values, "t") if raw else helper.make_tensor("t", code, [count], values)
    target = artifact(model([], [], [], [tensor]))
    found = scan(target.source)  # type: ignore[arg-type]
    stored = found.tensors[0]
    assert not kinds(found)
    assert helper.tensor_dtype_to_np_dtype(code).name == stored.dtype
    dense_bytes = b"".join(bytes(block) for block in blocks(target, stored, DEFAULT))
    assert dense_bytes == numpy_helper.from_array(numpy_helper.to_array(tensor), "t").raw_data


def test_typed_fields_unpacked_and_in_pieces() -> None:
    """Repeated scalars may be written one by one, packed, or in several packed pieces."""
    single = b"".join(b"\x38" + bytes([n]) for n in (1, 2))
    pieces = single + b"\x3a\x02\x03\x04" + b"\x3a\x01\x05"
    tensor = b"\x08\x05\x10\x07\x42\x01t" + pieces
    data = b"\x08\x08\x42\x04\x0a\x00\x10\x11\x3a" + bytes([len(tensor) + 2]) + b"\x2a" + bytes([len(tensor)]) + tensor
    assert onnx.load_from_string(data).graph.initializer[0].int64_data == [1, 2, 3, 4, 5]
    found = scan(data)
    assert found.graph.contents["t"] == (1, 2, 3, 4, 5)
    assert found.tensors[0].kind is Kind.CONSTANT
    assert not kinds(found)


def test_large_payloads_are_not_kept(tmp_path: Path) -> None:
    found = scan(model([], [], [], [ints("small", *range(512)), ints("large", *range(513))]))
    assert "small" in found.graph.contents
    assert "large" not in found.graph.contents
    assert found.graph.contents.get("large") is None
