"""More ONNX files: names and texts, sparse and packed tensors, calls that their operators do not know, files beside the model."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.exhibit import CLEAN, Exhibit, bad, clean, noted, write
from tests.hostile.onnx_files import F, array, conv_model, edited, gemm_model, model_of, outside


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    """The model as a file."""
    return write(folder / "model.onnx", model.SerializeToString())


# --- where files lie -------------------------------------------------------------------------------------------------------------


@bad("external-data-hard-link")
def external_through_a_hard_link(folder: Path) -> Path:
    (folder / "elsewhere").mkdir()
    os.link(write(folder / "elsewhere" / "secret", bytes(48)), folder / "weights.bin")
    model = gemm_model()
    outside("weights.bin", length=48)(model)
    return saved(folder, model)


@bad("path-escape")
def external_through_a_linked_folder(folder: Path) -> Path:
    (folder / "data").symlink_to("/etc")
    model = gemm_model()
    outside("data/passwd", length=48)(model)
    return saved(folder, model)


@bad("external-data-missing")
def external_is_a_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "weights.bin")
    model = gemm_model()
    outside("weights.bin", length=48)(model)
    return saved(folder, model)


@bad("external-data-length")
def external_without_length_and_more_behind(folder: Path) -> Path:
    write(folder / "weights.bin", bytes(4096))
    model = gemm_model()
    outside("weights.bin")(model)
    return saved(folder, model)


@noted("external-data-gap")
def external_with_megabytes_of_nothing(folder: Path) -> Path:
    model = gemm_model()
    write(folder / "weights.bin", model.graph.initializer[0].raw_data + bytes(2 << 20))
    outside("weights.bin", offset=0, length=48)(model)
    return saved(folder, model)


@bad("not-a-regular-file")
def unix_socket(folder: Path) -> Path:
    here = os.getcwd()
    os.chdir(folder)  # the address of a socket has 108 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("model.onnx")
    os.chdir(here)
    return folder / "model.onnx"


@bad("unreadable-file")
def dangling_link(folder: Path) -> Path:
    (folder / "model.onnx").symlink_to(folder / "gone.onnx")
    return folder / "model.onnx"


@bad("malformed-protobuf")
def onnx_with_a_program_behind(folder: Path) -> Path:
    return write(folder / "model.onnx", gemm_model().SerializeToString() + b"\x7fELF" + bytes(range(200)))


@bad("protobuf-over-2-gib")
def onnx_of_3_gib(folder: Path) -> Path:
    path = saved(folder, gemm_model())
    graph = gemm_model()
    graph.graph.initializer[0].ClearField("raw_data")
    rest = 3 << 30
    with path.open("r+b") as file:  # a third tensor, whose payload is a hole of a sparse file
        tensor = TensorProto(name="huge", data_type=F, dims=[rest // 4]).SerializeToString() + b"\x4a" + _varint(rest)
        body = b"\x2a" + _varint(len(tensor) + rest) + tensor
        file.seek(0, os.SEEK_END)
        file.write(b"\x3a" + _varint(len(body) + rest) + body)
        file.truncate(file.tell() + rest)
    return path


def _varint(value: int) -> bytes:
    from tests.hostile.exhibit import varint

    return varint(value)


# --- tensors ----------------------------------------------------------------------------------------------------------------------


@edited("initializer_without_a_name", "initializer-without-name")
def _nameless(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(array(2), ""))


@edited("tensor_in_segments", "tensor-segmented")
def _segmented(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].segment.begin, model.graph.initializer[0].segment.end = 0, 6


@edited("int2_long", "payload-too-long")
def _int2(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="q", data_type=26, dims=[5], raw_data=bytes(3)))


def _sparse(values: int, indices: list[int], dims: list[int]) -> onnx.SparseTensorProto:
    one = onnx.SparseTensorProto(dims=dims)
    one.values.CopyFrom(numpy_helper.from_array(array(values), "sparse"))
    one.indices.CopyFrom(numpy_helper.from_array(np.array(indices, np.int64), "sparse_indices"))
    return one


@edited("sparse_with_fewer_indices", "sparse-tensor-broken")
def _sparse_short(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(_sparse(3, [0, 5], [4, 3]))


# --- names and texts --------------------------------------------------------------------------------------------------------------


@edited("node_name_with_an_escape_sequence", "deceptive-name")
def _escape(model: onnx.ModelProto) -> None:
    model.graph.node[0].name = "fc\x1b]0;owned\x07"


@edited("initializer_name_with_a_bidirectional_character", "deceptive-name")
def _bidirectional(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].name = model.graph.node[0].input[1] = "W\u202ethgiew"


@edited("token_in_metadata", "secret-in-metadata")
def _token(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key="hub", value="hf_" + "aBcDeFgHiJ" * 3 + "klmn")


@edited("private_key_in_a_doc_string", "secret-in-metadata")
def _key(model: onnx.ModelProto) -> None:
    model.doc_string = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgHcTz6sE2I2yPB\n"


@noted("trace-in-metadata")
def build_path_in_a_stack_trace(folder: Path) -> Path:
    model = gemm_model()
    model.graph.node[0].metadata_props.add(key="stack_trace").value = "/home/jane.doe/projects/secret-model/train.py(12): forward"
    return saved(folder, model)


@noted("custom-domain")
def operator_of_an_unknown_vendor(folder: Path) -> Path:
    model = gemm_model()
    model.graph.node[0].output[0] = "h"
    model.graph.node.append(helper.make_node("Fancy", ["h"], ["y"], domain="org.example.ops"))
    model.opset_import.append(helper.make_opsetid("org.example.ops", 1))
    return saved(folder, model)


@noted("unused-initializer")
def initializer_that_nothing_uses(folder: Path) -> Path:
    model = gemm_model()
    model.graph.initializer.append(numpy_helper.from_array(array(2, 2), "unused"))
    return saved(folder, model)


# --- calls ------------------------------------------------------------------------------------------------------------------------


@edited("function_defined_twice", "duplicate-function")
def _function_twice(model: onnx.ModelProto) -> None:
    for op in ("Relu", "Tanh"):
        node = helper.make_node(op, ["a"], ["b"])
        model.functions.append(helper.make_function("local", "F", ["a"], ["b"], [node], [helper.make_opsetid("", 17)]))
    model.opset_import.append(helper.make_opsetid("local", 1))


@edited("attribute_of_two_types", "attribute-contradiction", base=conv_model)
def _two_types(model: onnx.ModelProto) -> None:
    one = next(one for one in model.graph.node[0].attribute if one.name == "group")
    one.type = onnx.AttributeProto.STRING


@edited("attribute_twice", "duplicate-attribute", base=conv_model)
def _attribute_twice(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("group", 1))


@edited("too_many_inputs", "operator-signature")
def _inputs(model: onnx.ModelProto) -> None:
    model.graph.node[0].input.extend(["x", "x"])


@edited("unknown_attribute", "operator-signature")
def _attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("transC", 1))


@edited("integers_into_gemm", "type-mismatch")
def _integers(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.arange(3, dtype=np.int64), "B"))


@edited("group_that_divides_nothing", "operator-contradiction", base=conv_model)
def _group(model: onnx.ModelProto) -> None:
    next(one for one in model.graph.node[0].attribute if one.name == "group").i = 4


@edited("python_operator_in_a_branch", "python-operator")
def _python_inside(model: onnx.ModelProto) -> None:
    branch = helper.make_graph(
        [helper.make_node("PyOp", ["y"], ["b"], domain="ai.onnx.contrib")], "branch", [], [helper.make_tensor_value_info("b", F, None)]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch))
    model.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))


# --- legal, though it looks odd ---------------------------------------------------------------------------------------------------


def typed(name: str, kind: int, shape: list[int], field: str, values: list[float]) -> None:
    """A model that passes a constant of a rare type on; its payload lies in the typed field that the specification names."""

    def build(folder: Path) -> Path:
        tensor = TensorProto(name="k", data_type=kind, dims=shape)
        getattr(tensor, field).extend(values)
        graph = helper.make_graph(
            [helper.make_node("Identity", ["k"], ["y"])], "g", [], [helper.make_tensor_value_info("y", kind, shape)], [tensor]
        )
        return saved(folder, model_of(graph, 25 if kind > 16 else 17))

    CLEAN.append(Exhibit(name, None, build))


typed("float16_as_integers", TensorProto.FLOAT16, [3], "int32_data", [15360, 0, 48128])
typed("bfloat16_as_integers", TensorProto.BFLOAT16, [2], "int32_data", [16256, 0])
typed("bool_as_integers", TensorProto.BOOL, [3], "int32_data", [1, 0, 1])
typed("complex_as_pairs", TensorProto.COMPLEX64, [2], "float_data", [1.0, 2.0, 3.0, 4.0])
typed("float8_as_integers", TensorProto.FLOAT8E4M3FN, [3], "int32_data", [56, 0, 184])
typed("int4_two_to_an_entry", TensorProto.INT4, [5], "int32_data", [0x21, 0x43, 0x05])


@clean
def int4_padded(folder: Path) -> Path:
    tensor = TensorProto(name="k", data_type=TensorProto.INT4, dims=[5], raw_data=b"\x21\x43\x05")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["k"], ["y"])], "g", [], [helper.make_tensor_value_info("y", TensorProto.INT4, [5])], [tensor]
    )
    return saved(folder, model_of(graph, 21))


@clean
def sparse_initializer(folder: Path) -> Path:
    model = gemm_model()
    model.graph.sparse_initializer.append(_sparse(3, [0, 5, 11], [4, 3]))
    model.graph.node.append(helper.make_node("Add", ["sparse", "sparse"], ["twice"]))
    return saved(folder, model)


@clean
def two_functions_of_one_name_and_other_overloads(folder: Path) -> Path:
    model = gemm_model()
    model.ir_version = 10
    for overload, op in (("a", "Relu"), ("b", "Tanh")):
        function = helper.make_function("local", "F", ["a"], ["b"], [helper.make_node(op, ["a"], ["b"])], [helper.make_opsetid("", 17)])
        function.overload = overload
        model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    return saved(folder, model)


@clean
def link_beside_the_model(folder: Path) -> Path:
    model = gemm_model()
    write(folder / "real.bin", model.graph.initializer[0].raw_data)
    (folder / "weights.bin").symlink_to("real.bin")
    outside("weights.bin", offset=0, length=48)(model)
    return saved(folder, model)


@clean
def link_to_the_model(folder: Path) -> Path:
    path = saved(folder, gemm_model())
    path.rename(folder / "real.onnx")
    path.symlink_to("real.onnx")
    return path


@clean
def words_of_code_in_names(folder: Path) -> Path:
    model = gemm_model()
    model.graph.node[0].name = "PyOp/__import__('os').system"
    model.graph.name = "eval"
    model.doc_string = "pickle.loads, marshal, token, password, exec("
    return saved(folder, model)


# --- what stands beside the model -------------------------------------------------------------------------------------------------


def mlflow(folder: Path, features: int) -> Path:
    """The model in an MLflow folder whose signature has so many features."""
    signature = {
        "inputs": f'[{{"type": "tensor", "tensor-spec": {{"dtype": "float32", "shape": [-1, {features}]}}, "name": "x"}}]',
        "outputs": '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}, "name": "y"}]',
    }
    lines = ["flavors:", "  onnx:", "    data: model.onnx", "signature:", *(f"  {key}: '{value}'" for key, value in signature.items())]
    write(folder / "MLmodel", "\n".join([*lines, ""]))
    return saved(folder, gemm_model())


@bad("mlflow-signature")
def mlflow_signature_of_another_model(folder: Path) -> Path:
    return mlflow(folder, 5)


@clean
def mlflow_signature_that_fits(folder: Path) -> Path:
    return mlflow(folder, 4)
