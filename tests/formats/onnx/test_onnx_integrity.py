"""What cannot be true of a file, each with its place; what is legal stays silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import modelscan
from modelscan.errors import LimitExceeded
from modelscan.formats.onnx.skeleton import varint
from modelscan.limits import Limits
from modelscan.model import Observation
from modelscan.rules.base import all_rules
from tests.formats.onnx.onnx_models import FLOAT, artifact, dense, floats, info, ints, kinds, model, scan

NODE = helper.make_node


def only(content: onnx.ModelProto | bytes, folder: Path | str = ".") -> Observation:
    """The one thing that was noticed."""
    seen = [one for one in scan(content, folder).observations if one.kind != "unused-initializer"]
    assert len(seen) == 1, seen
    return seen[0]


def edit(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    proto = dense()
    change(proto)
    return proto


def with_tensor(**fields: object) -> onnx.ModelProto:
    return edit(lambda m: m.graph.initializer.append(onnx.TensorProto(name="t", **fields)))


@pytest.mark.parametrize(
    ("fields", "kind", "words", "place"),
    [
        ({"dims": [4], "data_type": 1, "raw_data": bytes(15)}, "payload-too-short", "15 bytes stored, 16 needed", ".raw_data"),
        ({"dims": [4], "data_type": 1, "raw_data": bytes(17)}, "payload-too-long", "17 bytes stored, 16 needed", ".raw_data"),
        ({"dims": [5], "data_type": 22, "raw_data": bytes(2)}, "payload-too-short", "2 bytes stored, 3 needed", ".raw_data"),
        ({"dims": [5], "data_type": 26, "raw_data": bytes(3)}, "payload-too-long", "3 bytes stored, 2 needed", ".raw_data"),
        ({"dims": [4], "data_type": 1, "float_data": [1.0] * 3}, "payload-too-short", "3 entries in float_data, 4 needed", ".float_data"),
        ({"dims": [4], "data_type": 10, "int32_data": [1] * 5}, "payload-too-long", "5 entries in int32_data, 4 needed", ".int32_data"),
        ({"dims": [4], "data_type": 14, "float_data": [1.0] * 4}, "payload-too-short", "4 entries in float_data, 8 needed", ".float_data"),
        ({"dims": [3], "data_type": 21, "int32_data": [1]}, "payload-too-short", "1 entries in int32_data, 2 needed", ".int32_data"),
        ({"dims": [2], "data_type": 8, "string_data": [b"a"]}, "payload-too-short", "1 entries in string_data, 2 needed", ".string_data"),
        ({"dims": [2], "data_type": 8, "raw_data": b"ab"}, "payload-field", "strings cannot be raw bytes", ".raw_data"),
        ({"dims": [4], "data_type": 1}, "payload-too-short", "4 × float32 and no payload", ""),
        ({"data_type": 1}, "payload-too-short", "1 × float32 and no payload", ""),
        ({"dims": [1], "data_type": 1, "int64_data": [1]}, "payload-field", "where float32 belongs in float_data", ""),
        ({"dims": [1], "data_type": 1, "float_data": [1], "raw_data": bytes(4)}, "payload-field", "float_data and in raw_data", ""),
        ({"dims": [1], "data_type": 0, "raw_data": bytes(4)}, "unknown-data-type", "undefined", ".data_type"),
        ({"dims": [1], "data_type": 77, "raw_data": bytes(4)}, "unknown-data-type", "77 is unknown", ".data_type"),
        ({"dims": [-1], "data_type": 1}, "invalid-dims", "(-1,)", ".dims"),
        ({"dims": [-4, -4], "data_type": 1, "raw_data": bytes(64)}, "invalid-dims", "(-4, -4)", ".dims"),
        ({"dims": [-4, 0], "data_type": 1}, "invalid-dims", "(-4, 0)", ".dims"),
        ({"dims": [1 << 32, 1 << 32], "data_type": 1, "raw_data": b""}, "invalid-dims", "18,446,744,073,709,551,616 elements", ".dims"),
        ({"dims": [1], "data_type": 1, "raw_data": bytes(4), "segment": {}}, "tensor-segmented", "segment", ""),
    ],
)
def test_payloads(fields: dict[str, object], kind: str, words: str, place: str) -> None:
    if "segment" in fields:
        fields["segment"] = TensorProto.Segment(begin=0, end=1)
    proto = with_tensor(**fields)
    seen = only(proto)
    assert seen.kind == kind
    assert words in seen.message
    assert seen.tensor == "t"
    assert seen.where == f"graph.initializer[2]{place}"
    data = proto.SerializeToString()
    assert seen.offset is not None
    assert data.index(b"x") < seen.offset < len(data)


@pytest.mark.parametrize(
    "fields",
    [
        {"dims": [0, 5], "data_type": 1},
        {"dims": [0], "data_type": 1, "raw_data": b""},
        {"dims": [3], "data_type": 22, "raw_data": bytes(2)},
        {"dims": [2], "data_type": 9, "int32_data": [0, 1]},
        {"dims": [2], "data_type": 16, "int32_data": [0, 65535]},
        {"dims": [2], "data_type": 17, "int32_data": [0, 255]},
        {"dims": [2], "data_type": 15, "double_data": [1.0] * 4},
        {"dims": [2], "data_type": 12, "uint64_data": [1, 2]},
        {"dims": [2], "data_type": 6, "int32_data": [-1, 2]},
        {"dims": [4], "data_type": 23, "raw_data": bytes(2)},
        {"dims": [4], "data_type": 27, "raw_data": bytes(3)},
        {"dims": [], "data_type": 1, "float_data": [1.0]},
    ],
)
def test_legal_payloads_are_silent(fields: dict[str, object]) -> None:
    assert not kinds(scan(with_tensor(**fields)))


def external(**entries: object) -> onnx.ModelProto:
    tensor = onnx.TensorProto(name="t", dims=[4], data_type=1, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return edit(lambda m: m.graph.initializer.append(tensor))


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        ({"location": "w.bin", "offset": 8, "length": 16}, None),
        ({"location": "w.bin", "offset": 84}, None),
        ({"location": "./w.bin", "offset": 8, "length": 16, "checksum": "x"}, None),
        ({"location": "w.bin", "offset": 8, "length": 16, "prepacked_0": "x"}, None),
        ({"location": "w.bin", "offset": 8, "length": 12}, "external-data-length"),
        ({"location": "w.bin", "offset": 8, "length": 20}, "external-data-length"),
        ({"location": "w.bin", "offset": 8}, "external-data-length"),
        ({"location": "w.bin", "offset": 88, "length": 16}, "external-data-range"),
        ({"location": "w.bin", "offset": -8, "length": 16}, "external-data-range"),
        ({"location": "w.bin", "offset": "0x8", "length": 16}, "external-data-range"),
        ({"location": "w.bin", "offset": 1 << 70, "length": 16}, "external-data-range"),
        ({"location": "w.bin", "offset": "٣", "length": 16}, "external-data-range"),
        ({"location": "empty.bin", "length": 16}, "external-data-range"),
        ({"location": "none.bin", "length": 16}, "external-data-missing"),
        ({"location": "n\0ne.bin", "length": 16}, "path-escape"),
        ({"length": 16}, "external-data-missing"),
        ({}, "external-data-missing"),
        ({"location": "w.bin", "length": 16, "__class__": "x"}, "external-data-key"),
        ({"location": "/etc/passwd", "length": 16}, "path-escape"),
        ({"location": "../w.bin", "length": 16}, "path-escape"),
        ({"location": "a/../../w.bin", "length": 16}, "path-escape"),
        ({"location": "C:\\w.bin", "length": 16}, "path-escape"),
        ({"location": "link.bin", "length": 16}, "path-escape"),
    ],
)
def test_external_data(tmp_path: Path, entries: dict[str, object], kind: str | None) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(bytes(100))
    (folder / "empty.bin").touch()
    (tmp_path / "outside.bin").write_bytes(bytes(100))
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    if kind is None:
        found = scan(external(**entries), folder)
        assert not kinds(found)
        tensor = found.tensors[-1]
        assert (tensor.file, tensor.offset, tensor.nbytes) == (entries["location"], entries["offset"], 16)
    else:
        seen = only(external(**entries), folder)
        assert (seen.kind, seen.tensor, seen.where) == (kind, "t", "graph.initializer[2].external_data")


def test_external_data_in_a_cache_of_links(tmp_path: Path) -> None:
    """Hugging Face's cache keeps files in `blobs` and links them into `snapshots/<revision>`."""
    from modelscan.formats import open_artifact
    from modelscan.formats.onnx import read
    from modelscan.limits import DEFAULT

    blobs, folder = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    folder.mkdir(parents=True)
    (blobs / "1").write_bytes(external(location="w.bin", length=16).SerializeToString())
    (blobs / "2").write_bytes(bytes(16))
    (folder / "model.onnx").symlink_to("../../blobs/1")
    (folder / "w.bin").symlink_to("../../blobs/2")
    assert not kinds(read(open_artifact(str(folder / "model.onnx")), DEFAULT))


@pytest.mark.parametrize(
    ("location", "found"),
    [*((name, {"external-data-overlap"}) for name in ("model.onnx", "./model.onnx", "link.onnx")), ("w.bin", set())],
)
def test_external_data_in_the_model_file_itself(location: str, found: set[str], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(external(location=location, offset=0, length=16).SerializeToString())
    (tmp_path / "link.onnx").symlink_to("model.onnx")
    (tmp_path / "w.bin").write_bytes(bytes(16))
    assert {one.name for one in modelscan.inspect(path).findings if one.severity != "info"} & {"external-data-overlap"} == found


def test_external_ranges_overlap_and_leave_gaps(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(4 << 20))

    def tensor(name: str, offset: int) -> onnx.TensorProto:
        one = onnx.TensorProto(name=name, dims=[4], data_type=1, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", "w.bin"), ("offset", offset), ("length", 16)):
            one.external_data.add(key=key, value=str(value))
        return one

    shared = scan(model([], [], [], [tensor("a", 0), tensor("b", 0), tensor("c", 16)]), tmp_path)
    assert kinds(shared) == {"external-data-gap"}
    overlap = scan(model([], [], [], [tensor("a", 0), tensor("b", 8)]), tmp_path)
    assert kinds(overlap) == {"external-data-gap", "external-data-overlap"}


def test_sparse_tensors() -> None:
    for values, indices, dims in (((3,), (1, 2), [10]), ((2, 2), (1, 2, 3, 4), [10]), ((3,), (1, 2, 3), [2]), ((3,), (1, 2, 3), [-4])):
        proto = model([NODE("Identity", ["s"], ["y"])], [], [info("y", 10)])
        proto.graph.sparse_initializer.append(onnx.SparseTensorProto(values=floats("s", *values), indices=ints("", *indices), dims=dims))
        assert "sparse-tensor-broken" in kinds(scan(proto))


RELU = NODE("Relu", ["x"], ["y"])
X, Y = info("x", 3), info("y", 3)


def body(*nodes: onnx.NodeProto, output: str = "o") -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "body", [], [info(output, 3)])


def branches(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    fine = body(NODE("Identity", ["x"], ["o"]))
    return model([NODE("If", ["c"], ["y"], then_branch=body(*nodes), else_branch=fine)], [info("c", dtype=TensorProto.BOOL), X], [Y])


GRAPHS: dict[str, tuple[onnx.ModelProto, str | None]] = {
    "two nodes give one value": (model([RELU, NODE("Abs", ["x"], ["y"])], [X], [Y]), "duplicate-value"),
    "a node gives an input": (model([NODE("Abs", ["z"], ["x"])], [X, info("z", 3)], [X]), "duplicate-value"),
    "a node gives an initializer": (model([NODE("Abs", ["x"], ["w"])], [X], [info("w", 3)], [floats("w", 3)]), "duplicate-value"),
    "two inputs": (model([RELU], [X, X], [Y]), "duplicate-value"),
    "two initializers": (edit(lambda m: m.graph.initializer.append(floats("w", 4, 3))), "duplicate-initializer"),
    "an initializer is gone": (edit(lambda m: m.graph.initializer.pop()), "undefined-input"),
    "an output is gone": (edit(lambda m: m.graph.output.append(info("z", 3))), "undefined-output"),
    "unsorted": (model([NODE("Relu", ["b"], ["y"]), NODE("Abs", ["x"], ["b"])], [X], [Y]), "unsorted-nodes"),
    "a cycle": (model([NODE("Add", ["x", "y"], ["b"]), NODE("Relu", ["b"], ["y"])], [X], [Y]), "graph-cycle"),
    "a node of its own": (model([NODE("Add", ["x", "y"], ["y"])], [X], [Y]), "graph-cycle"),
    "no opset": (edit(lambda m: m.ClearField("opset_import")), "missing-opset"),
    "another domain's opset": (edit(lambda m: m.opset_import[0].CopyFrom(helper.make_opsetid("other", 1))), "missing-opset"),
    "no version": (edit(lambda m: m.ClearField("ir_version")), "missing-ir-version"),
    "no graph": (edit(lambda m: m.ClearField("graph")), "missing-graph"),
    "an opset of the future": (edit(lambda m: setattr(m.opset_import[0], "version", 400)), "unknown-opset"),
    "no such operator": (model([NODE("Rellu", ["x"], ["y"])], [X], [Y]), "unknown-operator"),
    "an operator of a later opset": (model([NODE("Gelu", ["x"], ["y"])], [X], [Y]), "unknown-operator"),
    "a vendor's operator": (model([NODE("Rellu", ["x"], ["y"], domain="vendor")], [X], [Y], domains=["vendor"]), None),
    "a vendor without version": (model([NODE("Rellu", ["x"], ["y"], domain="vendor")], [X], [Y]), "missing-opset"),
    "declared otherwise": (model([RELU], [X], [info("y", 4)]), "declared-shape"),
    "declared of another type": (model([RELU], [X], [info("y", 3, dtype=TensorProto.INT64)]), "declared-shape"),
    "declared of another rank": (model([RELU], [X], [info("y", 3, 1)]), "declared-shape"),
    "declared less": (model([RELU], [X], [info("y", "N")]), None),
    "captured": (branches(NODE("Relu", ["x"], ["o"])), None),
    "captured from nowhere": (branches(NODE("Relu", ["gone"], ["o"])), "undefined-input"),
    "a body's own circle": (branches(NODE("Add", ["x", "o"], ["b"]), NODE("Relu", ["b"], ["o"])), "graph-cycle"),
    "too few inputs": (model([NODE("Add", ["x"], ["y"])], [X], [Y]), "operator-signature"),
    "too many inputs": (model([NODE("Relu", ["x", "x"], ["y"])], [X], [Y]), "operator-signature"),
    "an attribute that there is not": (model([NODE("Relu", ["x"], ["y"], slope=1)], [X], [Y]), "operator-signature"),
    "an attribute of another type": (model([NODE("Softmax", ["x"], ["y"], axis=1.0)], [X], [Y]), "operator-signature"),
    "a required attribute is gone": (model([NODE("Cast", ["x"], ["y"])], [X], [onnx.ValueInfoProto(name="y")]), "operator-signature"),
    "an attribute for internal use": (model([NODE("Relu", ["x"], ["y"], __note="a")], [X], [Y]), None),
    "weights of another type": (
        model([NODE("Add", ["x", "w"], ["y"])], [X], [onnx.ValueInfoProto(name="y")], [ints("w", 1, 2, 3)]),
        "type-mismatch",
    ),
    "a type that the operator does not take": (
        model([NODE("Gather", ["x", "x"], ["y"])], [X], [onnx.ValueInfoProto(name="y")]),
        "type-mismatch",
    ),
    "types of their own": (model([NODE("Where", ["c", "x", "x"], ["y"])], [info("c", 3, dtype=TensorProto.BOOL), X], [Y]), None),
    "optional inputs": (model([NODE("Clip", ["x", "", "m"], ["y"])], [X], [Y], [floats("m")]), None),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs(case: str) -> None:
    proto, kind = GRAPHS[case]
    found = kinds(scan(proto))
    assert found == ({kind} if kind else set())


def test_unsorted_nodes_are_put_in_order() -> None:
    graph = scan(GRAPHS["unsorted"][0]).graph
    assert [node.op for node in graph.nodes] == ["Abs", "Relu"]
    assert graph.values["y"].shape == (3,)


def test_attributes_that_contradict_themselves() -> None:
    proto = model([NODE("Softmax", ["x"], ["y"], axis=0)], [X], [Y])
    proto.graph.node[0].attribute[0].type = onnx.AttributeProto.FLOAT
    assert kinds(scan(proto)) == {"attribute-contradiction", "operator-signature"}
    proto.graph.node[0].attribute[0].type = onnx.AttributeProto.INT
    proto.graph.node[0].attribute.append(helper.make_attribute("axis", 0))
    assert only(proto).kind == "duplicate-attribute"


def function(name: str, calls: str, times: int = 1) -> onnx.FunctionProto:
    nodes = [NODE(calls, ["a"], [f"b{i}"], domain="local") for i in range(times)]
    return helper.make_function("local", name, ["a"], ["b0"], nodes, [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)])


def test_functions_that_never_end() -> None:
    def calling(*functions: onnx.FunctionProto) -> set[str]:
        return kinds(scan(model([NODE("F", ["x"], ["y"], domain="local")], [X], [Y], domains=["local"], functions=functions)))

    assert calling(function("F", "F")) == {"recursive-function"}
    assert calling(function("F", "G"), function("G", "F")) == {"recursive-function"}
    many = [function("F", "F1", 2), *(function(f"F{n}", f"F{n + 1}", 2) for n in range(1, 40))]
    assert calling(*many) == {"limit-exceeded"}
    assert calling(function("F", "Relu"), function("F", "Relu")) == {"duplicate-function"}


def test_truncated_and_damaged_files_still_tell() -> None:
    data = dense().SerializeToString()
    cut = scan(data[:-60])
    assert "truncated-file" in kinds(cut)
    assert [node.op for node in cut.graph.nodes] == ["Gemm"]
    damaged = bytearray(data)
    at = data.index(b"\x2a", data.index(b"Gemm"))
    damaged[at + 2] = 0x07  # the first field of the first initializer has no wire type 7
    found = scan(bytes(damaged))
    assert "malformed-protobuf" in kinds(found)
    assert [one.name for one in found.tensors] == ["b"]


def test_every_truncation_of_a_file_is_noticed() -> None:
    data = dense().SerializeToString()
    for size in range(len(data) - 8, 0, -1):
        if size not in (2, 2 + 6, 2 + 6 + 3):  # there it ends between two fields, as a whole model without a graph
            assert kinds(scan(data[:size])), size


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def test_depth_and_counts_are_bounded() -> None:
    graph = body(NODE("Identity", ["x"], ["o"])).SerializeToString()
    for _ in range(150):  # by hand: protobuf itself ends at 100 messages in one another
        graph = field(
            1, field(1, b"c") + field(2, b"o") + field(4, b"If") + field(5, field(1, b"then_branch") + b"\xa0\x01\x05" + field(6, graph))
        )
    assert "limit-exceeded" in kinds(scan(b"\x08\x08" + field(8, b"\x0a\x00\x10\x11") + field(7, graph)))
    with pytest.raises(LimitExceeded):
        scan(dense(), limits=Limits(tensors=1))
    with pytest.raises(LimitExceeded):
        scan(model([NODE("Relu", ["x"], [f"y{n}"]) for n in range(5)], [X], []), limits=Limits(nodes=4))


def test_many_of_a_kind_are_told_once() -> None:
    found = scan(model([], [], [], [onnx.TensorProto(name=f"t{n}", dims=[1], data_type=FLOAT) for n in range(500)]))
    seen = [one for one in found.observations if one.kind == "payload-too-short"]
    assert len(seen) == 101
    assert "400 more" in seen[-1].message


def test_every_kind_has_a_rule() -> None:
    import re

    known = {rule.name for rule in all_rules()}
    folder = Path(__file__).parents[3] / "modelscan" / "formats" / "onnx"
    used = {
        kind
        for path in folder.glob("*.py")
        for kind in re.findall(r'(?:note\(|kind = )\s*"([a-z0-9-]+)"', path.read_text(encoding="utf-8"))
    }
    assert len(used) > 25
    assert used <= known


def test_the_artifact_helper_reads_heads() -> None:
    assert artifact(dense()).head[:1] == b"\x08"
