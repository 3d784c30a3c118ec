"""What a file is instead of a model, in words that tell what to do with it."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

import modelscan


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "text")
    return buffer.getvalue()


def tarred(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (zipped("models/notes.txt"), "a zip archive in which neither a Keras model nor a SavedModel was found"),
        (tarred("models/notes.txt"), "a tar archive in which no SavedModel was found"),
        (gzip.compress(b"text"), "a gzip-compressed file in which no SavedModel was found"),
    ],
    ids=["zip", "tar", "gzip"],
)
def test_an_archive_without_a_model_says_so(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "models.bin"
    path.write_bytes(content)
    (found,) = modelscan.inspect(path).findings
    assert (found.code, found.message) == ("FIL016", f"{told}; unpack it and scan what is inside")


MODELS_AS_TEXT = {
    "m.onnxtxt": (
        b'<\n   ir_version: 8,\n   opset_import: ["" : 17]\n>\ngraph (float[N] x) => (float[N] y) {}\n',
        "an ONNX model in ONNX's text syntax",
    ),
    "m.onnx": (b'# by hand\n\nir_version: 8\nproducer_name: "x"\ngraph {\n}\n', "an ONNX model as protobuf text"),
    "m.onnxjson": (b'{\n  "irVersion": "8",\n  "graph": {}\n}', "an ONNX model as JSON"),
    "saved_model.pbtxt": (b"saved_model_schema_version: 1\nmeta_graphs {\n}\n", "a SavedModel's program as protobuf text"),
    "graph.pbtxt": (b'node {\n  name: "x"\n  op: "Placeholder"\n}\n', "a TensorFlow graph as protobuf text"),
    "deploy.prototxt": (b'name: "LeNet"\nlayer {\n  name: "data"\n}\n', "a Caffe network as protobuf text"),
    "labels.pbtxt": (b"item {\n  id: 1\n}\n", "protobuf text; if it is a model"),
    "MLmodel": (b"artifact_path: model\nflavors:\n  keras:\n    data: data\n", "the description of an MLflow model; scan its folder"),
}


@pytest.mark.parametrize("name", MODELS_AS_TEXT)
def test_the_text_form_of_a_model_is_named(tmp_path: Path, name: str) -> None:
    content, told = MODELS_AS_TEXT[name]
    path = tmp_path / name
    path.write_bytes(content)
    (found,) = modelscan.inspect(path).findings
    assert found.code == "FIL014"
    assert found.message.startswith(told)


def test_what_onnx_writes_as_text_is_told(tmp_path: Path) -> None:
    """By its own serializers, as their list of suffixes has them."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(Path(__file__).parents[2] / "fixtures" / "good" / "conv_net.onnx")
    for name in ("m.onnxtxt", "m.textproto", "m.prototxt", "m.onnxjson"):
        onnx.save(model, tmp_path / name)
        (found,) = modelscan.inspect(tmp_path / name).findings
        assert found.message.startswith("an ONNX model"), name
        assert "the binary form" in found.message


@pytest.mark.parametrize("text", ["Player layer:\n no { here", "name: of a thing\nlayers of paint {", "node 7 is down"])
def test_text_that_only_looks_like_it_stays_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_text(text)
    (found,) = modelscan.inspect(path).findings
    assert found.message.startswith("plain text")
