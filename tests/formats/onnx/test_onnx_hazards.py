"""What the onnx package's own inference does not survive must not take the reader with it."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import helper

from modelscan.formats.onnx import hazards
from modelscan.formats.onnx.inference import Inference
from modelscan.scan import scan as scan_paths
from modelscan.worker import can_isolate
from tests.formats.onnx.onnx_models import dense, floats, info, ints, kinds, model, scan

NODE = helper.make_node
UNTYPED = onnx.ValueInfoProto(name="x")
Y = onnx.ValueInfoProto(name="y")

CASES: dict[str, onnx.ModelProto] = {
    "LabelEncoder without type": model([NODE("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml")], [UNTYPED], [Y], domains=["ai.onnx.ml"]),
    "DictVectorizer without type": model(
        [NODE("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml")], [UNTYPED], [Y], domains=["ai.onnx.ml"]
    ),
    "RegexFullMatch without type": model([NODE("RegexFullMatch", ["x"], ["y"], pattern="a")], [UNTYPED], [Y], opset=20),
    "RegexFullMatch without input": model([NODE("RegexFullMatch", [""], ["y"], pattern="a")], [], [Y], opset=20),
    "EyeLike without type": model([NODE("EyeLike", ["x"], ["y"], k=1 << 31)], [UNTYPED], [Y]),
    "an axis beyond 32 bits": model(
        [NODE("LayerNormalization", ["x", "w"], ["y", "m", "d"], axis=(1 << 63) - 1)], [info("x", 3, 4)], [Y], [floats("w", 4)]
    ),
    "batch dimensions beyond 32 bits": model(
        [NODE("GatherND", ["x", "i"], ["y"], batch_dims=-(1 << 31))], [info("x", 3, 4), info("i", 2, 1, dtype=7)], [Y]
    ),
    "batch dimensions below zero": model(
        [NODE("GatherND", ["x", "i"], ["y", "z"], batch_dims=-1)], [info("x", 1, 2, 0), info("i", None, 7, 0)], [Y], opset=12
    ),
    "an equation that is none": model([NODE("Einsum", ["x", "x"], ["y"], equation="(")], [info("x", 3, 4)], [Y]),
    "Split into less than it has": model([NODE("Split", ["x"], ["y", "z", "w"], num_outputs=1)], [info("x", 3, 4)], [Y], opset=18),
    "Expand to a shape of 2^62 numbers": model([NODE("Expand", ["x", "s"], ["y"])], [info("x", 1), info("s", 1 << 62, dtype=7)], [Y]),
    "Size of 2^31 numbers": model([NODE("Size", ["x"], ["y"])], [info("x", 1 << 31)], [Y]),
    "after one that fails": model(
        [NODE("Softmax", ["x"], ["a"], axis=7), NODE("LabelEncoder", ["a"], ["y"], domain="ai.onnx.ml")],
        [info("x", 3)],
        [Y],
        domains=["ai.onnx.ml"],
    ),
    "after an unknown operator": model(
        [NODE("Vendor", ["x"], ["a"], domain="vendor"), NODE("LabelEncoder", ["a"], ["y"], domain="ai.onnx.ml")],
        [info("x", 3)],
        [Y],
        domains=["vendor", "ai.onnx.ml"],
    ),
}
PROGRAM = """
import sys
from modelscan.formats import open_artifact
from modelscan.formats.onnx import read
from modelscan.limits import DEFAULT
for path in sys.argv[1:]:
    assert read(open_artifact(path), DEFAULT).graph.nodes, path
    print(path, flush=True)
"""


def test_no_case_ends_the_process(tmp_path: Path) -> None:
    paths = []
    for name, proto in CASES.items():
        paths.append(tmp_path / f"{name}.onnx")
        paths[-1].write_bytes(proto.SerializeToString())
    done = subprocess.run([sys.executable, "-c", PROGRAM, *map(str, paths)], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split("\n")[:-1] == [str(path) for path in paths], done.stderr
    assert done.returncode == 0


def test_healthy_nodes_are_not_hidden() -> None:
    encoder = NODE("LabelEncoder", ["a"], ["y"], domain="ai.onnx.ml", keys_int64s=[1], values_int64s=[2])
    proto = model([NODE("Identity", ["x"], ["a"]), encoder], [info("x", 3, dtype=7)], [info("y", 3, dtype=7)], domains=["ai.onnx.ml"])
    proto.opset_import[1].version = 4
    graph = scan(proto).graph
    assert hazards.hidden(graph, ()) == ({1}, {"a"})
    assert hazards.hidden(graph, {"a"}) == (set(), set())
    assert graph.values["y"].shape == (3,)
    product = model([NODE("Einsum", ["x", "w"], ["y"], equation="...i, ij -> ...j")], [info("x", 2, 3, 4)], [Y], [floats("w", 4, 5)])
    assert scan(product).graph.values["y"].shape == (2, 3, 5)
    split = model([NODE("Split", ["x"], ["y", "z"], num_outputs=2)], [info("x", 4)], [info("y", 2), info("z", 2)], opset=18)
    assert not kinds(scan(split))
    assert scan(split).graph.values["z"].shape == (2,)


def test_large_sizes_are_unknown_to_inference_only() -> None:
    found = scan(
        model([NODE("Gather", ["table", "x"], ["y"])], [info("table", 1 << 30, 8), info("x", 5, dtype=7)], [Y], [ints("other", 1)])
    )
    assert found.inputs[0].shape == (1 << 30, 8)
    assert found.graph.values["y"].shape == (5, 8)


@pytest.mark.skipif(not can_isolate(), reason="this platform cannot isolate")
def test_a_crash_leaves_the_rest_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(inference: Inference, hints: object) -> None:
        faulthandler.disable()  # the test runner's own would print the stack
        os.kill(os.getpid(), signal.SIGSEGV)

    monkeypatch.setattr(Inference, "run", crash)
    path = tmp_path / "model.onnx"
    path.write_bytes(dense().SerializeToString())
    (report,) = scan_paths([str(path)]).models
    assert report.readable
    assert [one.name for one in report.findings if one.severity == "high"] == ["reader-crash"]
    assert report.parameters.stored == 15
