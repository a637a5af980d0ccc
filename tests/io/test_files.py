import os
import threading

import pytest

from vos_lightning.errors import VOSError
from vos_lightning.io.files import atomic_path, check_writable, list_files, natural_key


def test_natural_order():
    names = ["b", "a10", "a2", "10", "9", "a02", "A3", "", "a2b10", "a2b9", "10-19", "1e5", "²"]
    ordered = sorted(names, key=natural_key)
    assert ordered == ["", "1e5", "9", "10", "10-19", "A3", "a02", "a2", "a2b9", "a2b10", "a10", "b", "²"]


def test_list_files(tmp_path):
    for name in ("10.PNG", "9.png", "9.txt", ".8.png", "img.png"):
        (tmp_path / name).write_text("")
    (tmp_path / "7.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "9.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone")
    assert [path.name for path in list_files(tmp_path, {".png"})] == ["9.png", "10.PNG", "img.png", "link.png"]
    for bad in (tmp_path / "gone", tmp_path / "9.png"):
        with pytest.raises(VOSError, match="cannot list"):
            list_files(bad, {".png"})


def test_atomic_path(tmp_path):
    target = tmp_path / "result.json"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.parent == tmp_path
    assert target.read_text() == "new"
    with pytest.raises(KeyError), atomic_path(target) as temporary:  # noqa: PT012
        temporary.write_text("newer")
        raise KeyError
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a") as first, atomic_path(tmp_path / "a") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "a").read_text() == "1"


@pytest.mark.parametrize("exists", [True, False])
def test_links_stay_links(tmp_path, exists):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "file"
    if exists:
        target.write_text("old")
    (tmp_path / "link").symlink_to("elsewhere/file")
    with atomic_path(tmp_path / "link") as temporary:
        temporary.write_text("new")
        assert target.exists() == exists
    assert (tmp_path / "link").is_symlink()
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("linked", [True, False])
def test_pipes_stay_pipes(tmp_path, linked):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    read = list[str]()
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()), daemon=True)
    reader.start()
    path = tmp_path / ("link" if linked else "pipe")
    check_writable(path)
    with atomic_path(path) as temporary:
        temporary.write_text("content")
    reader.join(10)
    assert read == ["content"]
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "pipe"]


def test_what_cannot_be_written_is_known_before(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for path, fault in (
        (tmp_path, "it is a folder"),
        (tmp_path / "gone" / "a", "there is no folder .*gone"),
        (tmp_path / "file" / "a", "no folder"),
    ):
        with pytest.raises(VOSError, match=f"{path}: cannot be written, for .*{fault}"):
            check_writable(path)
        with pytest.raises(VOSError, match="cannot be written"), atomic_path(path) as temporary:
            temporary.write_text("")
    check_writable(tmp_path / "file")
    check_writable(tmp_path / "new")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(VOSError, match="write-protected"):
        check_writable(tmp_path / "new")
