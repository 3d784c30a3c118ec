"""Random access: exact reads or an error that says where, nothing opened that may not be."""

import os
import socket
import zipfile

import pytest

from modelscan.errors import UnreadableFile
from modelscan.source import Bytes, Cached, Folder, LocalFile, SourceFile, Window

DATA = bytes(range(256)) * 4096


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "data.bin"
    file.write_bytes(DATA)
    return file


def sources(path):
    return [
        LocalFile(path),
        Bytes(DATA),
        Cached(LocalFile(path)),
        Cached(Bytes(DATA), block=100, blocks=3),
        Window(Bytes(b"xx" + DATA + b"yy"), 2, len(DATA)),
    ]


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize(("offset", "n"), [(0, 0), (0, 10), (99, 2), (65_530, 20), (0, len(DATA)), (len(DATA) - 1, 1), (1000, 500_000)])
def test_a_read_gives_exactly_what_was_asked_for(path, kind, offset, n):
    assert sources(path)[kind].read(offset, n) == DATA[offset : offset + n]


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize(("offset", "n"), [(-1, 1), (0, -1), (0, len(DATA) + 1), (len(DATA), 1), (2**63, 1)])
def test_a_read_past_the_end_says_where(path, kind, offset, n):
    with pytest.raises(UnreadableFile) as caught:
        sources(path)[kind].read(offset, n)
    assert (caught.value.kind, caught.value.offset) == ("truncated-file", offset)


def test_a_window_past_its_source_is_refused():
    with pytest.raises(UnreadableFile):
        Window(Bytes(b"abc"), 2, 2)


def test_the_file_object_serves_libraries(tmp_path):
    target = tmp_path / "a.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("member", DATA)
    with zipfile.ZipFile(SourceFile(Cached(LocalFile(target)))) as archive:
        assert archive.read("member") == DATA


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    for special in (fifo, tmp_path / "socket", "/dev/null", tmp_path):
        with pytest.raises(UnreadableFile) as caught:
            LocalFile(special)
        assert caught.value.kind == "not-a-regular-file"
    server.close()


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(UnreadableFile, match="No such file") as caught:
        LocalFile(tmp_path / "gone")
    assert caught.value.kind == "unreadable-file"


@pytest.mark.parametrize("relative", ["../data.bin", "/etc/hostname", "a/../../data.bin", "C:data", "a\\..\\b", "link", "nul\0"])
def test_a_folder_opens_nothing_outside_of_itself(tmp_path, path, relative):
    inside = tmp_path / "model"
    inside.mkdir()
    (inside / "link").symlink_to(path)
    folder = Folder(inside)
    with pytest.raises(UnreadableFile) as caught:
        folder.open(relative)
    assert caught.value.kind == "path-escape"


def test_a_folder_lists_what_it_holds(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "x").write_bytes(b"123")
    (tmp_path / "a").write_bytes(b"")
    folder = Folder(tmp_path)
    assert folder.names() == ["a", "b/c/x"]
    assert (folder.size("b/c/x"), folder.size("gone"), folder.size("b")) == (3, None, None)
    assert folder.open("b/c/x").read(1, 2) == b"23"


def test_a_link_within_the_folder_is_fine(tmp_path):
    (tmp_path / "x").write_bytes(b"123")
    (tmp_path / "y").symlink_to("x")
    assert Folder(tmp_path).open("y").read(0, 3) == b"123"
