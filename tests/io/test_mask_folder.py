"""Results replaced as a whole or not at all, and nothing else touched."""

import json

import pytest

from vos_lightning.errors import VOSError
from vos_lightning.io.locks import FolderInUseError
from vos_lightning.io.mask_folder import MANIFEST_NAME, MaskFolder, read_manifest


def fill(folder, names, content="new", fail=None, **options):
    with MaskFolder(folder, names, "test", **options) as results:
        for name in names:
            if name == fail:
                raise KeyboardInterrupt
            (results.path / name).write_text(content)


def visible(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


def hidden(folder):
    return {path.name for path in folder.iterdir() if path.name.startswith(".")}


def test_files_appear_as_they_come_where_there_are_none(tmp_path):
    with MaskFolder(tmp_path / "out", ["0.png", "1.png"], "test") as results:
        (results.path / "0.png").write_text("a")
        assert visible(tmp_path / "out") == {"0.png": "a"}
    assert read_manifest(tmp_path / "out")[0] == "test"
    assert set(read_manifest(tmp_path / "out")[1]) == {"0.png"}
    assert hidden(tmp_path / "out") == {MANIFEST_NAME}


def test_earlier_results_are_replaced_as_a_whole_and_nothing_stale_is_left(tmp_path):
    fill(tmp_path, ["0.png", "1.png", "2.png", "overlay.mp4"], "old")
    (tmp_path / "notes.txt").write_text("mine")
    with MaskFolder(tmp_path, ["0.png", "1.png"], "test") as results:
        for name in results.names:
            (results.path / name).write_text("new")
        assert visible(tmp_path)["0.png"] == visible(tmp_path)["2.png"] == "old"
    assert visible(tmp_path) == {"0.png": "new", "1.png": "new", "notes.txt": "mine"}
    assert hidden(tmp_path) == {MANIFEST_NAME}


def test_a_failed_run_leaves_the_earlier_results(tmp_path):
    names = ["0.png", "1.png", "2.png"]
    fill(tmp_path, names, "old")
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, names[:2], "new", fail="1.png")
    assert visible(tmp_path) == dict.fromkeys(names, "old")
    assert hidden(tmp_path) == {MANIFEST_NAME}
    fill(tmp_path, names[:1])
    assert visible(tmp_path) == {"0.png": "new"}


def test_a_first_run_cut_short_leaves_what_it_wrote_and_the_next_one_replaces_it(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, ["0.png", "1.png"], "old", fail="1.png")
    assert visible(tmp_path) == {"0.png": "old"}
    fill(tmp_path, ["0.png", "1.png"])
    assert visible(tmp_path) == dict.fromkeys(["0.png", "1.png"], "new")


def test_a_killed_run_is_cleared_away(tmp_path):
    fill(tmp_path, ["0.png", "1.png"], "old")
    killed = MaskFolder(tmp_path, ["0.png", "5.png"], "test").__enter__()
    (killed.path / "0.png").write_text("half")
    killed._lock.release()  # as the system does
    fill(tmp_path, ["0.png"])
    assert visible(tmp_path) == {"0.png": "new"}
    assert hidden(tmp_path) == {MANIFEST_NAME}


@pytest.mark.parametrize("kind", ["file", "link", "changed", "folder"])
def test_what_no_run_has_written_is_neither_replaced_nor_removed(tmp_path, kind):
    out = tmp_path / "out"
    if kind == "changed":
        fill(out, ["0.png", "1.png"], "old")
    out.mkdir(exist_ok=True)
    if kind == "folder":
        (out / "0.png").mkdir()
    elif kind == "link":
        (tmp_path / "precious").write_text("precious")
        (out / "0.png").symlink_to(tmp_path / "precious")
    else:
        (out / "0.png").write_text("precious")
    with pytest.raises(VOSError, match=r"0\.png: would be replaced, but no earlier run has written it"):
        fill(out, ["0.png"])
    if kind == "changed":
        fill(out, ["7.png"])
        assert visible(out) == {"0.png": "precious", "7.png": "new"}
    else:
        assert (out / "0.png").is_dir() or (out / "0.png").read_text() == "precious"


@pytest.mark.parametrize("name", ["../precious.png", "/precious.png", "a/../../precious.png", "precious.txt", ""])
def test_a_manifest_of_a_stranger_removes_nothing_outside_and_no_other_files(tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    for path in (tmp_path / "precious.png", out / "precious.txt"):
        path.write_text("precious")
    (out / MANIFEST_NAME).write_text(json.dumps({"command": "test", "files": {name: None}}))
    fill(out, ["0.png"])
    assert (tmp_path / "precious.png").exists()
    assert (out / "precious.txt").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": 3}', '{"command": "a", "files": ["0.png"]}', "[" * 9999])
def test_damaged_manifests_list_nothing(tmp_path, content):
    (tmp_path / MANIFEST_NAME).write_text(content)
    (tmp_path / "0.png").write_text("precious")
    with pytest.raises(VOSError, match="would be replaced"):
        fill(tmp_path, ["0.png"])
    fill(tmp_path, ["1.png"])
    assert visible(tmp_path) == {"0.png": "precious", "1.png": "new"}


def test_a_folder_is_filled_by_one_run_at_a_time_unless_shared(tmp_path):
    with MaskFolder(tmp_path, ["0.png"], "test"), pytest.raises(FolderInUseError):
        fill(tmp_path, ["0.png"])
    with MaskFolder(tmp_path, ["0.png"], "test", shared=True) as one:
        fill(tmp_path, ["0.png"], shared=True)
        (one.path / "0.png").write_text("new")
    assert visible(tmp_path) == {"0.png": "new"}


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(VOSError, match=r"out: is a file, and results go into a folder"):
        fill(tmp_path / "out", ["0.png"])
