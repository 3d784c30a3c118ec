"""The compiled part of the onnx package on its own, and beside the whole package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from onnx import defs

from modelscan.formats.onnx.native import knows, newest_opset
from tests.formats.onnx.onnx_models import dense

FIRST_OURS = """
import sys
from modelscan.formats import open_artifact
from modelscan.formats.onnx import read
from modelscan.limits import DEFAULT
model = read(open_artifact(sys.argv[1]), DEFAULT)
assert model.graph.values["y"].shape == ("N", 3)
assert not {"onnx", "numpy", "google.protobuf", "h5py"} & set(sys.modules), "reading needs none of these"
import onnx
proto = onnx.load(sys.argv[1])
onnx.checker.check_model(proto, full_check=True)
assert onnx.shape_inference.infer_shapes(proto).graph.name == "g"
assert onnx.defs.has("Relu")
"""
FIRST_THEIRS = """
import sys
import onnx
from modelscan.formats.onnx.native import native
assert native() is sys.modules["onnx.onnx_cpp2py_export"] is onnx.onnx_cpp2py_export
"""


@pytest.mark.parametrize("program", [FIRST_OURS, FIRST_THEIRS], ids=["ours first", "theirs first"])
def test_both_orders(tmp_path: Path, program: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(dense().SerializeToString())
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_registry_is_the_packages() -> None:
    assert newest_opset() == defs.onnx_opset_version()
    assert newest_opset("vendor") == 0
    for op, domain, version in (("Relu", "", None), ("Gelu", "", 17), ("Gelu", "", 20), ("Rellu", "", None), ("Scaler", "ai.onnx.ml", 1)):
        assert knows(op, domain, version) is (defs.has(op, domain=domain) if version is None else defs.has(op, version, domain))
    assert knows("Relu", "", 1 << 60)
    assert not knows("Relu", "", -1)
