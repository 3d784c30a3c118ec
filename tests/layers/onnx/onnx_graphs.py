"""Small ONNX models for tests, and their accounts by the whole way: written, read, derived, reconciled."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from modelscan import accounting, layers
from modelscan.formats import onnx as reader
from modelscan.formats import open_artifact
from modelscan.limits import DEFAULT
from modelscan.model import Verdict

FLOAT, INT64, UINT8, INT8, INT32, FLOAT16 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.INT32,
    TensorProto.FLOAT16,
)
WIDTH = {FLOAT: 4, INT64: 8, UINT8: 1, INT8: 1, INT32: 4, FLOAT16: 2}


def weight(name, *dims, dtype=FLOAT):
    """A stored tensor of any values."""
    return helper.make_tensor(name, dtype, dims, bytes(int(np.prod(dims, dtype=np.int64)) * WIDTH[dtype]), raw=True)


def ints(name, *values):
    return helper.make_tensor(name, INT64, (len(values),), values)


def info(name, shape, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


node = helper.make_node


def model(nodes, inputs, outputs, tensors=(), *, opset=17, values=(), domains=("com.microsoft",)):
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors, value_info=values)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def derived(proto, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return layers.derive(reader.read(open_artifact(str(path)), DEFAULT), DEFAULT)


def accounts(proto, tmp_path):
    """The accounts of all layers that hold something, by path, with the totals."""
    found = accounting.reconcile(derived(proto, tmp_path))
    assert not found.unclaimed
    return {one.layer.path: one for one in found.accounts if one.rows and not one.layer.container}, found


def only(proto, tmp_path):
    """The account of the only layer with weights."""
    found, _ = accounts(proto, tmp_path)
    assert len(found) == 1, list(found)
    return next(iter(found.values()))


def agreed(account):
    """Whether formula and store agree with an independent witness of every dimension."""
    return account.verdict is Verdict.MATCH


def witnesses(account, role):
    """The witnesses of a weight's dimensions, by name."""
    row = next(row for row in account.rows if row.spec is not None and row.spec.role == role)
    return {symbol.name: symbol.witness for dim in row.spec.dims for symbol in dim.symbols}
