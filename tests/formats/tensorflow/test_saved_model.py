"""SavedModels written byte for byte: what the reader says of a whole one, and of one that lost or changed a part."""

import io
import random
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelscan import formats
from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.tensorflow.archive import Inflated
from modelscan.limits import DEFAULT
from modelscan.model import Kind, TensorInfo
from modelscan.source import Bytes
from tests.formats.tensorflow.opened import findings, kinds, read
from tests.hostile.tensorflow_bytes import BIAS, KERNEL, VALUE, SavedModel, checkpoint, node, numbers


@pytest.fixture
def folder(tmp_path):
    return SavedModel().write(tmp_path)


def test_a_whole_model_is_silent(folder):
    model = read(folder)
    assert model.observations == ()
    assert (model.format, model.catalogue, model.producer["version"]) == ("savedmodel", "tensorflow", "2.15.0")
    assert model.inputs == (TensorInfo("x", "float32", (None, 4)),)
    assert model.outputs == (TensorInfo("y", "float32", (None, 3)),)
    assert findings(folder, values=True) == []


def test_what_the_program_says(folder):
    graph = read(folder).program.metagraphs[0]
    assert graph.tags == ("serve",)
    assert [one.kind for one in graph.objects] == ["user_object", "variable", "variable", "user_object", "bare_concrete_function"]
    kernel = graph.objects[1]
    assert (kernel.variable.shape, kernel.variable.trainable, kernel.key) == ((4, 3), True, "kernel/.ATTRIBUTES/VARIABLE_VALUE")
    wrapper = graph.functions["__inference_signature_wrapper_17"]
    assert [(one.name, one.dtype) for one in wrapper.inputs] == [("x", "float32"), ("kernel", "resource"), ("bias", "resource")]
    assert [one.op for one in wrapper.nodes] == ["ReadVariableOp", "MatMul", "ReadVariableOp", "BiasAdd", "Identity"]
    assert wrapper.returns == {"identity_1": "identity:output:0"}
    assert graph.concrete[wrapper.name].bound == (1, 2)
    call = graph.nodes[3]
    assert call.attributes["f"].name == wrapper.name
    assert graph.nodes[0].attributes["shape"] == (4, 3)


def test_the_values(folder):
    artifact = formats.open_artifact(str(folder))
    found = formats.identify(artifact)
    for one in found.read(artifact, DEFAULT).tensors:
        data = b"".join(bytes(part) for part in found.blocks(artifact, one, DEFAULT))
        if one.kind is Kind.WEIGHT:
            assert data == (KERNEL if "kernel" in one.name else BIAS).tobytes()


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (SavedModel().with_entries(kernel=None), "variable-without-entry"),
        (SavedModel().with_entries(kernel=numbers(KERNEL.T)), "variable-shape"),
        (SavedModel().with_entries(kernel=replace(numbers(KERNEL), dtype=3)), "variable-type"),
        (SavedModel().with_entries(extra=numbers(np.ones(5))), "entry-without-variable"),
        (SavedModel(kernel_shape=(4, 4)), "variable-shape"),
        (SavedModel(kernel_type=9), "variable-type"),
        (SavedModel(assets=("vocab.txt",)), "missing-asset"),
        (SavedModel(assets=("../../etc/passwd",)), "path-escape"),
        (SavedModel(nodes=(node("r", "PartitionedCall", f=b"\x52\x08\x0a\x06nobody"),)), None),
    ],
)
def test_what_does_not_agree(tmp_path, model, kind):
    folder = model.write(tmp_path)
    consequence = "operand-shapes"  # a kernel of four columns does not go with the bias of three
    assert {one: count for one, count in kinds(folder).items() if one != consequence} == ({kind: 1} if kind else {})
    assert [one for one in findings(folder) if one != consequence] == ([kind] if kind else [])


def test_a_part_that_is_missing(folder):
    def without(*names):
        for name in names:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return findings(folder)

    assert without("variables/variables.data-00000-of-00001") == ["missing-checkpoint-shard"]
    assert [one.shape for one in read(folder).tensors if one.kind is Kind.WEIGHT] == [(3,), (4, 3)]
    assert without("saved_model.pb") == ["missing-checkpoint-shard", "missing-program"]
    assert findings(SavedModel().write(folder)) == []
    shutil.rmtree(folder / "saved_model" / "variables")
    assert kinds(folder / "saved_model") == {"missing-index": 1}


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"version https://git-lfs.github.com/spec/v1\n", b"\x08\x01\x12\x05\x0a"])
def test_a_program_that_is_none(folder, content):
    (folder / "saved_model.pb").write_bytes(content)
    assert findings(folder) in (["missing-program"], ["truncated-file"])
    assert len(read(folder).tensors) == 3


def test_a_program_cut_at_any_place_is_told(folder):
    path = folder / "saved_model.pb"
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert findings(folder), size


def test_an_index_without_values_and_nothing_else(folder):
    (folder / "saved_model.pb").unlink()
    (folder / "variables" / "variables.index").write_bytes(b"nothing")
    with pytest.raises(UnreadableFile) as error:
        read(folder)
    assert error.value.kind in ("missing-program", "index-footer")


def tar(folder, mode):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        archive.add(folder, "deep/in/a/folder")
    return out.getvalue()


def zipped(folder, method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"model/{path.relative_to(folder)}")
    return out.getvalue()


@pytest.mark.parametrize("suffix", ["tar.gz", "tgz", "tar", "zip", "stored.zip"])
def test_inside_an_archive(tmp_path, folder, suffix):
    content = (
        tar(folder, "w:gz" if "gz" in suffix else "w")
        if "t" in suffix.split(".")[0] and "zip" not in suffix
        else zipped(folder, zipfile.ZIP_STORED if "stored" in suffix else zipfile.ZIP_DEFLATED)
    )
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(content)
    plain, packed = read(folder), read(path)
    assert [(one.name, one.shape, one.offset, one.kind) for one in packed.tensors] == [
        (one.name, one.shape, one.offset, one.kind) for one in plain.tensors
    ]
    assert packed.observations == ()
    assert findings(path, values=True) == []
    whole = len(content) if "gz" in suffix or "zip" in suffix else len(content.rstrip(b"\0"))  # a tar is padded with zeros
    for cut in range(0, whole, 97):
        path.write_bytes(content[:cut])
        assert findings(path), cut


def test_two_models_in_an_archive_are_said(tmp_path, folder):
    path = tmp_path / "models.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(folder, "1")
        archive.add(folder, "2")
    assert findings(path) == ["several-models"]


def test_an_inflated_source_goes_back_and_forth():
    import zlib

    plain = random.Random(3).randbytes(1_024_000)
    source = Inflated(Bytes(zlib.compress(plain)), 0, len(zlib.compress(plain)), None, zlib.MAX_WBITS, "x", DEFAULT)
    assert source.size == len(plain)
    for offset, n in ((0, 10), (900_000, 5000), (3, 70_000), (len(plain) - 4, 4), (500_000, 300_000)):
        assert source.read(offset, n) == plain[offset : offset + n]
    with pytest.raises(UnreadableFile):
        source.read(len(plain) - 1, 2)


def test_an_archive_that_inflates_without_end():
    import gzip

    bomb = gzip.compress(bytes(1 << 26))
    with pytest.raises(LimitExceeded, match="inflate ratio"):
        Inflated(Bytes(bomb, "bomb"), 0, len(bomb), None, 31, "bomb", replace(DEFAULT, inflate_bytes=1 << 20))


@pytest.mark.parametrize("form", ["zip", "gztar"])
def test_zeros_in_an_archive_are_no_bomb(tmp_path, form):
    """They shrink a thousandfold: an embedding or an optimizer's state before the first step."""
    entries = {f"kernel{VALUE}": numbers(KERNEL), f"bias{VALUE}": numbers(BIAS), f"zeros{VALUE}": numbers(np.zeros((1 << 20,)))}
    checkpoint(tmp_path / "model" / "variables" / "variables", entries)
    path = Path(shutil.make_archive(str(tmp_path / "model"), form, tmp_path / "model"))
    assert "limit-exceeded" not in findings(path)
    assert len(read(path).tensors) == 3


def test_a_checkpoint_is_found_with_its_parts(tmp_path):
    from modelscan.discover import discover

    checkpoint(tmp_path / "model.ckpt-7", {"a": numbers(BIAS)})
    (tmp_path / "model.ckpt-7.meta").write_bytes(b"\x0a\x00")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-7"\n')
    (tmp_path / "labels.pb").write_bytes(b"\x0a\x03abc")
    found = discover([str(tmp_path)])
    assert found.targets == [str(tmp_path / "model.ckpt-7.index")]
    assert found.skipped == 1
