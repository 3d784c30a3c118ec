"""What a folder is taken apart into: models, parts of models, and the rest, which is counted."""

import os
import shutil
from pathlib import Path

import pytest

from modelscan.discover import discover
from modelscan.errors import ConfigError
from modelscan.scan import scan
from tests.hostile.exhibit import arrays, keras_zip, legacy_h5, weights_h5
from tests.hostile.onnx_files import gemm_model

GOOD = Path(__file__).parent.parent / "fixtures" / "good"


def onnx(path):
    path.write_bytes(gemm_model().SerializeToString())
    return path


def names(folder, *paths):
    found = discover([str(path) for path in paths or (folder,)])
    return [os.path.relpath(one, folder) for one in found.targets], found


def test_by_suffix_and_by_first_bytes(tmp_path):
    onnx(tmp_path / "a.onnx")
    keras_zip(tmp_path / "b.keras")
    keras_zip(tmp_path / "archive.zip")
    legacy_h5(tmp_path / "weights_without_suffix")
    (tmp_path / "readme.md").write_text("text")
    (tmp_path / "data.zip").write_bytes(b"PK\x03\x04nothing")
    (tmp_path / "other.index").write_bytes(b"an index of something else")
    (tmp_path / "x.index").write_bytes(bytes(40) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb")
    (tmp_path / "broken.onnx").write_bytes(b"")
    listed, found = names(tmp_path)
    assert listed == sorted(["a.onnx", "archive.zip", "b.keras", "broken.onnx", "weights_without_suffix", "x.index"])
    assert found.skipped == 3


def test_the_order_is_that_of_the_arguments_and_then_of_the_names(tmp_path):
    for name in ("b/2.onnx", "b/10.onnx", "a.onnx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        onnx(tmp_path / name)
    assert names(tmp_path, tmp_path / "b", tmp_path / "a.onnx")[0] == ["b/10.onnx", "b/2.onnx", "a.onnx"]


def test_each_file_once(tmp_path):
    onnx(tmp_path / "a.onnx")
    assert names(tmp_path, tmp_path, tmp_path / "a.onnx", f"{tmp_path}/./a.onnx", f"{tmp_path}/*.onnx")[0] == ["a.onnx"]


def test_patterns_match_files_and_folders(tmp_path):
    (tmp_path / "one" / "deep").mkdir(parents=True)
    onnx(tmp_path / "one" / "deep" / "a.onnx")
    onnx(tmp_path / "b.onnx")
    assert names(tmp_path, f"{tmp_path}/o*")[0] == ["one/deep/a.onnx"]
    assert names(tmp_path, f"{tmp_path}/**/*.onnx")[0] == ["b.onnx", "one/deep/a.onnx"]


def test_a_saved_model_stands_for_its_parts(tmp_path):
    model = tmp_path / "models" / "1"
    (model / "variables").mkdir(parents=True)
    (model / "assets").mkdir()
    (model / "saved_model.pb").write_bytes(b"\x08\x01")
    (model / "keras_metadata.pb").write_bytes(b"\x0a\x00")
    (model / "variables" / "variables.index").write_bytes(bytes(40) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb")
    (model / "assets" / "tokens.txt").write_text("a")
    assert names(tmp_path)[0] == ["models/1"]
    assert names(tmp_path, model)[0] == ["models/1"]
    onnx(model / "exported.onnx")
    assert names(tmp_path)[0] == ["models/1", "models/1/exported.onnx"]


def test_shards_are_read_with_their_index(tmp_path):
    (tmp_path / "big.weights.json").write_text('{"weight_map": {"/layers/dense/vars": ["big_00000.weights.h5"]}}')
    (tmp_path / "big_00000.weights.h5").write_bytes(weights_h5({"layers/dense": arrays((4, 3), (3,))}))
    (tmp_path / "other_00000.weights.h5").write_bytes(weights_h5({"layers/dense": arrays((4, 3), (3,))}))
    listed, found = names(tmp_path)
    assert (listed, found.skipped) == (["big.weights.json", "other_00000.weights.h5"], 0)
    assert [(one.readable, one.parameters.stored) for one in scan([str(tmp_path)]).models] == [(True, 15), (True, 15)]


def test_links_are_not_followed_out_of_the_folder(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    onnx(outside / "secret.onnx")
    onnx(inside / "a.onnx")
    (inside / "b.onnx").symlink_to("a.onnx")
    (inside / "c.onnx").symlink_to("../outside/secret.onnx")
    (inside / "folder").symlink_to("../outside")
    listed, found = names(inside)
    assert (listed, found.outside) == (["a.onnx", "b.onnx"], 1)
    report = scan([str(inside)])
    assert report.notes == ("a link leads out of the searched folders; what is there was not read",)
    assert names(inside, inside / "c.onnx")[0] == ["c.onnx"], "a named path is always reported"


def test_a_hugging_face_cache_links_its_files_into_snapshots(tmp_path):
    repository = tmp_path / "models--example--net"
    (repository / "blobs").mkdir(parents=True)
    snapshot = repository / "snapshots" / "0123abcd"
    (snapshot / "onnx").mkdir(parents=True)
    onnx(repository / "blobs" / "e3b0c442")
    legacy_h5(repository / "blobs" / "98fc1c14")
    (snapshot / "onnx" / "model.onnx").symlink_to("../../../blobs/e3b0c442")
    (snapshot / "tf_model.h5").symlink_to("../../blobs/98fc1c14")
    (snapshot / "config.json").write_text("{}")
    expected = ["snapshots/0123abcd/tf_model.h5", "snapshots/0123abcd/onnx/model.onnx"]
    for start in (repository, snapshot, tmp_path):
        listed, found = names(repository, start)
        assert (listed, found.skipped, found.outside) == (expected, 1, 0)
    assert all(one.readable for one in scan([str(snapshot)]).models)


def test_a_hugging_face_folder_as_people_upload_it(tmp_path):
    """One model in several formats, external data in shards, and everything else that lies beside it."""
    from onnx.external_data_helper import convert_model_to_external_data

    (tmp_path / "onnx").mkdir()
    for name in ("model", "decoder_model"):
        model = gemm_model()
        convert_model_to_external_data(model, all_tensors_to_one_file=False, size_threshold=0)
        for at, tensor in enumerate(model.graph.initializer):
            place = {entry.key: entry for entry in tensor.external_data}
            place["location"].value = f"{name}.onnx_data" + (f"_{at}" if at else "")
            (tmp_path / "onnx" / place["location"].value).write_bytes(tensor.raw_data)
            tensor.ClearField("raw_data")
        (tmp_path / "onnx" / f"{name}.onnx").write_bytes(model.SerializeToString())
    legacy_h5(tmp_path / "tf_model.h5")
    for name in ("README.md", "config.json", "tokenizer.json", ".gitattributes", "pytorch_model.bin", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    listed, _ = names(tmp_path)
    assert listed == ["tf_model.h5", "onnx/decoder_model.onnx", "onnx/model.onnx"]
    report = scan([str(tmp_path)])
    for one in report.models:
        assert (one.readable, one.parameters.total) == (True, 15), one.path
        assert [found.name for found in one.findings if found.severity != "info"] == []


def test_special_files_are_reported_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    os.mkfifo(tmp_path / "pipe")
    listed, found = names(tmp_path)
    assert (listed, found.skipped) == (["pipe.onnx"], 1)
    assert scan([str(tmp_path)]).models[0].findings[0].name == "not-a-regular-file"


def test_a_dangling_link_is_reported(tmp_path):
    (tmp_path / "gone.onnx").symlink_to("nowhere.onnx")
    assert scan([str(tmp_path)]).models[0].findings[0].name == "unreadable-file"


def test_nothing_to_scan_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="nothing to scan"):
        scan([str(tmp_path)])
    (tmp_path / "readme.md").write_text("text")
    with pytest.raises(ConfigError, match="none of 1 files is a model"):
        scan([str(tmp_path)])
    with pytest.raises(ConfigError, match="no such file"):
        scan([str(tmp_path / "missing")])


def test_the_same_report_whatever_the_number_of_workers(tmp_path):
    shutil.copytree(GOOD, tmp_path / "good")
    reports = [scan([str(tmp_path)], jobs=jobs, isolate=isolate).to_dict() for jobs, isolate in ((1, True), (3, True), (1, False))]
    assert reports[0] == reports[1] == reports[2]
