from pathlib import Path

import pytest

from vos_lightning.data.layouts.names import object_id, plain_name, video_names
from vos_lightning.errors import VOSError


@pytest.mark.parametrize("name", ["bear", "0043f083b5", "a b", "été", "-x", "a.b", "00000"])
def test_plain_names_pass(name):
    assert plain_name(name, Path("meta.json")) == name


@pytest.mark.parametrize("name", ["", "..", "a/b", "\\a", "c:", ".a", "a\x00", 3, None, ["a"]])
def test_others_are_refused_with_the_list(name):
    with pytest.raises(VOSError, match=r"meta\.json: "):
        plain_name(name, Path("meta.json"))


def test_ids_are_whole_numbers():
    assert [object_id(text, Path("m")) for text in ("1", "10", "254")] == [1, 10, 254]
    for text in ("0", "255", "-1", "1.0", 1, None):
        with pytest.raises(VOSError, match="id of an object"):
            object_id(text, Path("m"))


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["sub/a.mp4", "b.avi"], ["sub/a", "b"]),
        (["sub/a.mp4", "sub/a.avi", "a.mp4"], ["sub/a.mp4", "sub/a.avi", "a"]),
        (["a", "a.mp4"], ["a", "a.mp4"]),
        (["a.mp4", "a.mp4.mp4", "a.avi"], ["a.mp4", "a.mp4.mp4", "a.avi"]),
        (["v1.5/clip.final.MP4", "shot.3"], ["v1.5/clip.final", "shot.3"]),
        (["a.jpg", "a.png", "b.jpg"], ["a.jpg", "a.png", "b"]),
    ],
)
def test_names_are_distinct_and_do_not_depend_on_the_order(files, names):
    paths = [f"/data/{file}" for file in files]
    assert video_names(paths, "/data") == names
    assert len(set(names)) == len(names)
    assert video_names(paths[::-1], "/data") == names[::-1]
