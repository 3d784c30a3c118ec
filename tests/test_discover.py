"""What a folder is taken apart into: models, parts of models, and the rest, which is counted."""

import errno
import os
import shutil
import struct
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import modelscan
from modelscan import inspect
from modelscan.config import load
from modelscan.discover import discover
from modelscan.discover.content import is_model
from modelscan.errors import ConfigError, LimitExceeded
from modelscan.formats.zipend import check_directory, directory_of, entry_names
from modelscan.limits import DEFAULT
from modelscan.scan import scan
from modelscan.source import Bytes, LocalFile
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


def test_patterns_follow_no_links_and_end(tmp_path):
    models, outside = tmp_path / "models", tmp_path / "outside"
    (models / "v1").mkdir(parents=True)
    outside.mkdir()
    onnx(models / "v1" / "m.onnx")
    onnx(outside / "b.onnx")
    for name in ("a", "b", "c"):
        (models / name).symlink_to(".")
    (models / "away").symlink_to("../outside")
    (models / "v1" / "away.onnx").symlink_to("../../outside/b.onnx")
    for pattern in ("**/*.onnx", "**/**/*.onnx", "**", "*/**", "*/*.onnx", "**/v1"):
        listed, found = names(tmp_path, f"{models}/{pattern}")
        assert listed == ["models/v1/m.onnx"], pattern
        assert found.outside == (5 if pattern.startswith("*/") else 2), f"{pattern}: a/** is all of models, which nothing else names"
    assert names(tmp_path, f"{models}/away/*.onnx")[0] == ["models/away/b.onnx"], "a link before the wildcards is named"


def test_patterns_take_hidden_files_that_are_models(tmp_path):
    onnx(tmp_path / ".m.onnx")
    (tmp_path / ".hidden").mkdir()
    onnx(tmp_path / ".hidden" / "n.onnx")
    (tmp_path / ".gitattributes").write_text("* text")
    (tmp_path / ".git").mkdir()
    onnx(tmp_path / ".git" / "o.onnx")
    listed, found = names(tmp_path, f"{tmp_path}/**/*")
    assert (sorted(listed), found.skipped) == ([".hidden/n.onnx", ".m.onnx"], 1)
    assert names(tmp_path, f"{tmp_path}/**/*.onnx")[0] == [".hidden/n.onnx", ".m.onnx"]
    assert names(tmp_path, f"{tmp_path}/.git*")[0] == [".gitattributes"], "a dot that was written is meant"
    assert names(tmp_path, f"{tmp_path}/.git/*.onnx")[0] == [".git/o.onnx"]


def test_patterns_are_taken_apart_as_they_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m" / "1").mkdir(parents=True)
    onnx(tmp_path / "m" / "1" / "[a].onnx")
    onnx(tmp_path / "b.onnx")
    for pattern, expected in {
        "*.onnx": ["b.onnx"],
        "./*.onnx": ["./b.onnx"],
        "**": ["./b.onnx", "./m/1/[a].onnx"],
        "m/*/": ["m/1/[a].onnx"],
        "m//[0-9]/./*": ["m/1/[a].onnx"],
        "m/1/[[]a].onnx": ["m/1/[a].onnx"],
        "m/1/[a].onnx": ["m/1/[a].onnx"],
        "nowhere/*": [],
        "b.onnx/*": [],
    }.items():
        found = discover([pattern])
        assert [one.replace("//", "/") for one in found.targets] == expected, pattern
        assert found.missing == (() if expected else (pattern,))


def zip_directory(count, name=b"x", last=()):
    """A zip archive that has a directory of so many entries, and no member."""
    entries = [name] * count + list(last)
    directory = b"".join(struct.pack("<4s6H3L5H2L", b"PK\1\2", *[0] * 9, len(one), *[0] * 6) + one for one in entries)
    return b"PK\x03\x04" + directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), 4, 0)


def test_an_archive_with_a_huge_directory_reaches_its_reader_unbuilt(tmp_path, monkeypatch):
    (tmp_path / "many").write_bytes(zip_directory(100_001))
    (tmp_path / "data.zip").write_bytes(zip_directory(10))
    (tmp_path / "nested.zip").write_bytes(zip_directory(10, last=[b"a/config.json"]))
    (tmp_path / "model.zip").write_bytes(zip_directory(10, last=[b"v1/saved_model.pb"]))
    monkeypatch.setattr(zipfile, "ZipFile", None)
    listed, found = names(tmp_path)
    assert (listed, found.skipped) == (["many", "model.zip"], 2)
    (finding,) = scan([str(tmp_path / "many")], isolate=False).models[0].findings
    assert (finding.code, finding.message) == ("FIL005", "archive members: 100,001 is more than the limit of 100,000 at byte 4")
    source, small = Bytes(zip_directory(10)), replace(DEFAULT, archive_directory_bytes=100)
    with pytest.raises(LimitExceeded, match="archive directory bytes: 470"):
        check_directory(source, small)
    assert is_model(str(tmp_path / "data.zip"), "data.zip", small)


@pytest.mark.parametrize("comment", [b"", b"a comment", b"PK\5\6", b"x" * 65_535])
@pytest.mark.parametrize("zip64", [False, True])
def test_the_directory_is_where_python_finds_it(tmp_path, comment, zip64):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = comment
        for index in range(70_000 if zip64 else 3):
            archive.writestr(zipfile.ZipInfo(f"{index}.txt"), b"")
    source = LocalFile(path)
    found = directory_of(source)
    try:
        with zipfile.ZipFile(path) as archive:
            assert found is not None
            assert found.offset == archive.start_dir
            assert [name.decode() for name in entry_names(source, found)] == archive.namelist()
    except zipfile.BadZipFile:
        assert found is None


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
    assert (listed, found.outside) == (["a.onnx", "b.onnx"], 2)
    report = scan([str(inside)])
    assert report.notes == ("2 links lead out of the searched folders; what is there was not read",)
    assert names(inside, inside / "c.onnx")[0] == ["c.onnx"], "a named path is always reported"


def test_a_link_to_a_folder_is_counted_unless_that_was_searched_itself(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "v3").mkdir(parents=True)
    (inside / ".git").mkdir()
    outside.mkdir()
    onnx(inside / "v3" / "a.onnx")
    onnx(outside / "b.onnx")
    (inside / "latest").symlink_to("v3")
    listed, found = names(inside)
    assert (listed, found.outside) == (["v3/a.onnx"], 0)
    (inside / "other").symlink_to("../outside")
    (inside / "kept").symlink_to(".git")
    listed, found = names(inside)
    assert (listed, found.outside) == (["v3/a.onnx"], 2)
    assert names(inside, inside, outside)[1].outside == 1, "what was named as well was searched"
    assert names(inside, inside / "other")[0] == ["other/b.onnx"], "a named link is followed"
    assert names(inside, inside / "v3", inside / "latest")[0] == ["v3/a.onnx"], "and each file read once"
    (inside / "v3" / "a.onnx").unlink()
    with pytest.raises(ConfigError, match="nothing to scan; 2 links lead out of the searched folders"):
        scan([str(inside)])


def test_what_is_left_alone_counts_once_however_often_its_folder_is_named(tmp_path, monkeypatch):
    """A folder twice, by two spellings, through a link, within another one, and by a pattern."""
    repo = tmp_path / "repo"
    (repo / "sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    onnx(tmp_path / "outside" / "secret.onnx")
    onnx(repo / "a.onnx")
    onnx(repo / "sub" / "vendor.onnx")
    (repo / "sub" / "notes.txt").write_text("text")
    (repo / "sub" / "file.onnx").symlink_to("../../outside/secret.onnx")
    (repo / "sub" / "folder").symlink_to("../../outside")
    (repo / "sub" / "up.onnx").symlink_to("../a.onnx")
    (tmp_path / "alias").symlink_to("repo")
    monkeypatch.chdir(tmp_path)

    def counted(*paths):
        found = discover(paths, excluded=lambda path: path.endswith("vendor.onnx"))
        return len(found.targets), found.skipped, found.outside, found.excluded

    once = (2, 1, 2, 1)
    assert counted("repo") == once
    spellings = [("repo", "repo"), ("repo", "./repo/"), ("alias", "repo"), ("repo/sub", "repo"), ("repo", "repo/sub"), ("repo", "re*")]
    assert {paths: counted(*paths) for paths in spellings} == dict.fromkeys(spellings, once)
    assert counted("repo/sub") == (0, 1, 3, 1)
    assert counted("repo", "outside") == (3, 1, 1, 1), "the link to a file is one of its own, that to the folder was searched"
    assert counted("repo", "repo/sub/vendor.onnx", "repo/sub/notes.txt", "repo/sub/file.onnx") == (5, 0, 1, 0), "named, hence read"


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder that the system does not list, whoever asks: permissions are nothing to the superuser."""
    folder = tmp_path / "models" / "secret"
    folder.mkdir(parents=True)
    onnx(folder / "hidden.onnx")
    scandir = os.scandir

    def refuse(path="."):
        if os.path.realpath(path) == str(folder.resolve()):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return folder


@pytest.mark.parametrize("named", [["models"], ["models/secret"], ["models/*/*.onnx"], ["models/**/x.onnx"], ["models/sec*"]])
def test_a_folder_that_cannot_be_listed_is_reported(locked, tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    onnx(tmp_path / "good.onnx")
    for paths in (named, [*named, "good.onnx"], ["good.onnx", *named]):
        report = scan(paths)
        (one,) = [model for model in report.models if model.path != "good.onnx"]
        assert (one.path, one.readable) == ("models/secret", False)
        assert [(finding.code, finding.message) for finding in one.findings] == [("FIL001", "models/secret: Permission denied")]
        assert report.notes == ()


def test_a_saved_model_that_cannot_be_listed_says_so(locked):
    (locked / "saved_model.pb").write_bytes(b"")
    assert [one.findings[0].message for one in scan([str(locked)]).models] == [f"{locked}: Permission denied"]
    assert "Permission denied" in inspect(str(locked)).findings[0].message


def test_a_link_whose_target_may_not_be_asked_for_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "exe.onnx").symlink_to("somewhere")
    onnx(tmp_path / "a.onnx")
    realpath = os.path.realpath

    def refuse(path, **options):
        if str(path).endswith("exe.onnx"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return realpath(path, **options)

    monkeypatch.setattr(os.path, "realpath", refuse)
    listed, found = names(tmp_path)
    assert (listed, found.outside) == (["a.onnx"], 1)


def test_folders_in_folders_without_end(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1_200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    onnx(tmp_path / "a.onnx")
    try:
        assert names(tmp_path)[0][0] == "a.onnx"
        assert names(tmp_path, f"{tmp_path}/**/*.onnx")[0][0] == "a.onnx"
    finally:
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_named_folder_without_models_is_told(tmp_path):
    onnx(tmp_path / "a.onnx")
    (tmp_path / "empty").mkdir()
    report = scan([str(tmp_path / "empty"), str(tmp_path / "a.onnx"), str(tmp_path / "a.onnx")])
    assert report.notes == (f"nothing to scan in {tmp_path / 'empty'}",)
    assert scan([str(tmp_path), str(tmp_path / "a.onnx"), f"{tmp_path}/*.onnx"]).notes == ()


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


def test_what_is_excluded_is_passed_over_and_told(tmp_path, monkeypatch):
    """The patterns are those of the settings; a path that is named itself is always read."""
    for name in ("a.onnx", "deep/b.onnx", "deep/vendor/c.onnx", "vendor/d.onnx", "saved/variables/e.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        onnx(tmp_path / name)
    (tmp_path / "deep" / "outside").symlink_to("/", target_is_directory=True)
    monkeypatch.chdir(tmp_path)

    def left(*patterns, paths=(".",)):
        settings = load({"exclude": list(patterns)}, isolated=True, environment={})
        report = modelscan.scan(list(paths), settings=settings)
        return sorted(os.path.normpath(one.path) for one in report.models), report.notes

    everything = ["a.onnx", "deep/b.onnx", "deep/vendor/c.onnx", "saved/variables/e.onnx", "vendor/d.onnx"]
    outside = "a link leads out of the searched folders; what is there was not read"
    assert left("nothing", "b") == (everything, (outside,))
    told = "2 files or folders are excluded by the settings; what is there was not read"
    one = "a file or folder is excluded by the settings; what is there was not read"
    assert left("vendor") == (["a.onnx", "deep/b.onnx", "saved/variables/e.onnx"], (told, outside))
    assert left("vendor/") == (everything[:-1], (one, outside))
    assert left("./deep/*.onnx")[0] == [everything[0], *everything[2:]]
    assert left("deep") == (["a.onnx", "saved/variables/e.onnx", "vendor/d.onnx"], (one,))
    assert left("outside") == (everything, (one,))
    assert left("vendor", paths=["**/*.onnx"]) == (["a.onnx", "deep/b.onnx", "saved/variables/e.onnx"], (told, outside))
    assert left("vendor", "*.onnx", paths=["vendor/d.onnx"]) == (["vendor/d.onnx"], ())
    with pytest.raises(ConfigError, match="nothing to scan; 2 files or folders are excluded by the settings"):
        left("*", paths=["deep/vendor", "vendor"])


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
